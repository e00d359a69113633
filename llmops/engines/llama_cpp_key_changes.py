"""`--override-kv KEY=TYPE:VALUE,…`: metadata that a command line changes, read as llama-server b11669 reads it.

Source: llama.cpp common/common.cpp (`string_parse_kv_override`); each rule was tried on b11669. A number is what stands at the
value's beginning, without one 0; a key and a text have at most 127 characters; commas part several.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from llmops.domain.key_change import KeyChange
from llmops.engines.llama_cpp_arguments import refused

if TYPE_CHECKING:
    from llmops.domain.explained import GivenFlag
    from llmops.domain.finding import Finding

OPTION = "--override-kv"
TEXT_LIMIT = 127
LONG_LIMIT = 1 << 63

_INT = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]{1,400})", re.ASCII)
_FLOAT = re.compile(
    r"[ \t\n\v\f\r]*([+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?)", re.ASCII
)


def key_changes(flags: "Iterable[GivenFlag]") -> tuple[KeyChange, ...]:
    """The changes of a line, in its order; what cannot be read is left out, with a finding of `findings`."""
    return tuple(made for flag in _given(flags) for part in _parts(flag.value) if (made := parse(part)) is not None)


def findings(flags: "Iterable[GivenFlag]") -> "list[Finding]":
    """Every change the server would refuse."""
    return [
        refused(
            "EXP003",
            flag.written,
            f"`{flag.written} {part[:60]}` is not KEY=TYPE:VALUE: the server would not start",
            f"`{flag.written} llama.context_length=int:8192`, with int, float, bool or str",
        )
        for flag in _given(flags)
        for part in _parts(flag.value)
        if parse(part) is None
    ]


def _given(flags: "Iterable[GivenFlag]") -> "list[GivenFlag]":
    return [flag for flag in flags if flag.name == OPTION and "$" not in flag.value]


def _parts(text: str) -> list[str]:
    """The list at its commas; within double quotes they part nothing."""
    found, quoted = [""], False
    for letter in text:
        if letter == '"':
            quoted = not quoted
        elif letter == "," and not quoted:
            found.append("")
        else:
            found[-1] += letter
    return found


def parse(text: str) -> KeyChange | None:
    """One change; None where the server would refuse it."""
    key, equals, rest = text.partition("=")
    kind, colon, value = rest.partition(":")
    if not equals or not colon or len(key.encode()) > TEXT_LIMIT:
        return None
    match kind:
        case "int":
            whole = _INT.match(value)
            return KeyChange(key=key, value=0 if whole is None else _clamped(int(whole[1])))
        case "float":
            number = _FLOAT.match(value)
            return KeyChange(key=key, value=0.0 if number is None else float(number[1]))
        case "bool":
            return KeyChange(key=key, value=value == "true") if value in ("true", "false") else None
        case "str":
            return KeyChange(key=key, value=value) if len(value.encode()) <= TEXT_LIMIT else None
        case _:
            return None


def _clamped(value: int) -> int:
    return min(max(value, -LONG_LIMIT), LONG_LIMIT - 1)
