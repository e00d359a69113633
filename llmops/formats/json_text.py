"""JSON that others wrote, as hostile as it may be: no duplicate keys, no endless nesting, no surprise types."""

import json
from collections.abc import Mapping, Sequence
from typing import cast

from llmops.domain.errors import WrongInput
from llmops.formats.lookalike import looks_like
from llmops.formats.refusal import refusal

Value = None | bool | int | float | str | Sequence["Value"] | Mapping[str, "Value"]


class _DuplicateKeyError(Exception):
    pass


def json_object(raw: bytes, *, name: str, what: str) -> Mapping[str, Value]:
    """The object that `raw` is; `what` says what it should be (`a model's config.json`). Raises `WrongInput`."""
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_no_duplicates)
    except UnicodeDecodeError:
        raise _wrong(name, f"not {what}: it is not UTF-8") from None
    except json.JSONDecodeError as error:
        seen = "" if raw.lstrip()[:1] in (b"{", b"[") else f"; it looks like {looks_like(raw[:512])}"
        raise _wrong(name, f"not {what}: {error.msg.lower()}{seen}", line=error.lineno) from None
    except _DuplicateKeyError as error:
        raise _wrong(name, f"not {what}: the key {ascii(str(error))[:80]} is there twice") from None
    except RecursionError:
        raise _wrong(name, f"not {what}: it is nested too deeply") from None
    except ValueError:
        raise _wrong(name, f"not {what}: a number in it is too long") from None
    if not isinstance(value, dict):
        raise _wrong(name, f"not {what}: an object is expected")
    return cast("Mapping[str, Value]", value)


def _no_duplicates(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    table = dict(pairs)
    if len(table) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _DuplicateKeyError(key)
            seen.add(key)
    return table


def _wrong(name: str, message: str, *, line: int | None = None) -> WrongInput:
    return refusal(name, message, hint="fetch it again from where the model is published", line=line)
