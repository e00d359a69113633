"""Where two locks say different things: what was decided then, and what the same profile and catalogue give now."""

import json
import math
from collections.abc import Iterator

from llmops.domain.forms import Json, KeyPath, dump, key_text
from llmops.domain.lock import Lock
from llmops.domain.lock_difference import LockDifference

BESIDE = frozenset({"made_by", "schema", "facts_digest"})
"""Said by themselves: who wrote it, in which form, for which host."""

MOMENT = frozenset({"free_bytes", "limit_bytes"})
"""What was free on the host when it was planned: no digest holds it either, and what was decided by it is compared."""

WORDS = frozenset({"rule", "basis", "notes", "confidence"})
"""How a figure is explained: a new wording decides nothing."""

NAMED: frozenset[KeyPath] = frozenset({("deployments",)})
"""Tables whose keys are names that people chose: a deployment may be called `notes`."""

CLOSE = 1e-9
"""Two machines may round the last digit of a speed differently."""


def differences(locked: Lock, computed: Lock) -> tuple[LockDifference, ...]:
    """Every figure and word that differs, by its key, in the order of the file."""
    return tuple(_differences(dump(locked), dump(computed), ()))


def _differences(locked: Json, computed: Json, path: KeyPath) -> Iterator[LockDifference]:
    if isinstance(locked, dict) and isinstance(computed, dict):
        for key in dict.fromkeys((*locked, *computed)):
            if path not in NAMED and (key in WORDS | MOMENT or (not path and key in BESIDE)):
                continue
            yield from _differences(locked.get(key), computed.get(key), (*path, key))
        return
    if isinstance(locked, list) and isinstance(computed, list) and len(locked) == len(computed) and _has_tables(locked):
        for at, (one, other) in enumerate(zip(locked, computed, strict=True)):
            yield from _differences(one, other, (*path, at))
        return
    if not _is_alike(locked, computed):
        one, other = _from_the_first_difference(locked, computed)
        yield LockDifference(key=key_text(path), locked=_text(one), computed=_text(other))


def _text(value: Json) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def _from_the_first_difference(one: Json, other: Json) -> tuple[Json, Json]:
    """Of two lists, a command line most often, the part that is worth reading, with the word before it."""
    if not isinstance(one, list) or not isinstance(other, list):
        return one, other
    at = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return (["…", *one[at - 1 :]], ["…", *other[at - 1 :]]) if at > 1 else (one, other)


def _has_tables(rows: list[Json]) -> bool:
    return any(isinstance(one, dict) for one in rows)


def _is_alike(one: Json, other: Json) -> bool:
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=CLOSE)
    return one == other
