"""Whether a lock still follows from its profile."""

import json

from llmops.domain.forms import Json
from llmops.domain.lock_difference import LockDifference
from llmops.domain.records import dataclass
from llmops.views.screen import Screen, Tone

SHOWN = 40
"""Differences that are worth reading at once."""

SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A lock held against its profile. `planned_again` False: settings, ledger and speed were taken as they are."""

    lock: str
    written: str
    newest: str
    profile: str | None
    planned_again: bool
    differences: tuple[LockDifference, ...]


def show_check(to: Screen, checked: Checked) -> None:
    """Each difference by its key, or one line that there is none."""
    against = checked.profile or "its own settings"
    if not checked.differences:
        how = "follows from" if checked.planned_again else "agrees, as far as that can be known here, with"
        to.line(f"{checked.lock} ({checked.written}) {how} {against}", tone=Tone.GOOD)
        return
    to.line(f"{checked.lock} ({checked.written}) against {against}", tone=Tone.TITLE)
    for one in checked.differences[:SHOWN]:
        locked, computed = _from_the_first_difference(one.locked, one.computed)
        to.line(f"  {one.key}: {_short(locked)} in the lock, {_short(computed)} now", tone=Tone.BAD)
    left = len(checked.differences) - SHOWN
    if left > 0:
        to.line(f"  … and {left} more; `--json` has all of them", tone=Tone.DIM)


def _from_the_first_difference(one: Json, other: Json) -> tuple[Json, Json]:
    """Of two lists, a command line most often, the part that is worth reading, with the word before it."""
    if not isinstance(one, list) or not isinstance(other, list):
        return one, other
    at = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return (["…", *one[at - 1 :]], ["…", *other[at - 1 :]]) if at > 1 else (one, other)


def _short(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"
