"""Plain data to YAML: keys in the order given, small tables and lists on one line, the same bytes every time.

Written here rather than by PyYAML so that the bytes of a lock do not depend on a library's version. What is written
means the same to readers of YAML 1.1 and 1.2: a word that either takes for something else than text is quoted.
"""

import json
import math
import re

from llmops.domain.forms import Json

WIDTH = 120

_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan", "inf"}
_FLOW = re.compile(
    r"(?:[A-Za-z_/]|-{1,2}[A-Za-z]|\.\.?/)[A-Za-z0-9_./@+=%~()$^|<>;-]*(?:[ :][A-Za-z0-9_./@+=%~()$^|<>;-]+)*"
)
"""Text that needs no quotes anywhere: blanks and colons only between other characters, never together."""
_BLOCK = re.compile(
    r"(?:[A-Za-z_/]|-{1,2}[A-Za-z]|\.\.?/)[A-Za-z0-9_./@+=%~()$^|<>;,'-]*(?:[ :][A-Za-z0-9_./@+=%~()$^|<>;,'-]+)*"
)


def write_yaml(data: dict[str, Json]) -> str:
    """The document, with a line end at its end."""
    return "\n".join(_table(data, "")) + "\n"


def quoted(text: str) -> str:
    """A text as a value in double quotes, whatever is in it."""
    escaped = json.dumps(text, ensure_ascii=False)
    return "".join(one if one.isprintable() else _escape(one) for one in escaped)


def _table(data: dict[str, Json], indent: str) -> list[str]:
    lines: list[str] = []
    for key, value in data.items():
        lines += _entry(f"{indent}{_text(key, flow=True)}:", value, indent)
    return lines


def _entry(head: str, value: Json, indent: str) -> list[str]:
    """`key: value` on one line where it fits, else the value below."""
    if not isinstance(value, dict | list):
        return [f"{head} {_scalar(value, flow=False)}"]
    line = f"{head} {_flow(value)}"
    if (len(line) <= WIDTH and _depth(value) <= 2) or not value:
        return [line]
    if isinstance(value, dict):
        return [head, *_table(value, indent + "  ")]
    words = [_scalar(item, flow=True) for item in value if not isinstance(item, dict | list)]
    if len(words) == len(value):
        return _wrapped(head, words, indent + "  ")
    lines = [head]
    for item in value:
        lines += _item(item, indent + "  ")
    return lines


def _item(item: Json, indent: str) -> list[str]:
    line = f"{indent}- {_flow(item)}"
    if not isinstance(item, dict) or not item or (len(line) <= WIDTH and _depth(item) <= 2):
        return [line]
    first, *rest = _table(item, indent + "  ")
    return [f"{indent}- {first.lstrip(' ')}", *rest]


def _wrapped(head: str, words: list[str], indent: str) -> list[str]:
    lines, line = [f"{head} ["], indent
    for word in words:
        if len(line) + 2 + len(word) > WIDTH and line.strip():
            lines.append(line)
            line = indent
        line += f"{word}," if line == indent else f" {word},"
    return [*lines, line, f"{indent[2:]}]"]


def _depth(value: Json) -> int:
    if isinstance(value, dict):
        return 1 + max((_depth(one) for one in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((_depth(one) for one in value), default=0)
    return 0


def _flow(value: Json) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key, flow=True)}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(one) for one in value) + "]"
    return _scalar(value, flow=True)


def _scalar(value: bool | int | float | str | None, *, flow: bool) -> str:  # noqa: FBT001 - a value, not a switch
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value, flow=flow)
        case float():
            return _float(value)
        case _:
            return str(value)


def _float(value: float) -> str:
    """`1.0e-05`: readers of YAML 1.1 take `1e-05` for text."""
    if not math.isfinite(value):
        raise TypeError(f"no YAML form for the number {value}")
    text = repr(value)
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


def _text(text: str, *, flow: bool) -> str:
    pattern = _FLOW if flow else _BLOCK
    if pattern.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return quoted(text)


def _escape(one: str) -> str:
    return f"\\u{ord(one):04x}" if ord(one) < 0x10000 else f"\\U{ord(one):08x}"
