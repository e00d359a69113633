"""llama.cpp's files of options (`--models-preset`, `config.ini`): sections of `key = value`.

A section that comes again begins anew; what stands before the first is `default`, which is none where it only says the
file's `version`. Source: llama.cpp b11669,
common/preset.cpp (`parse_ini_from_file`), whose grammar this is.
"""

import re

from llmops.domain.errors import WrongInput
from llmops.domain.finding import Where
from llmops.domain.records import dataclass

DEFAULT = "default"
BLANKS = " \t"
_HEADER = re.compile(r"\[([^]]+)\][ \t]*(?:[;#].*)?")
_PAIR = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=([^;#]*)(?:[;#].*)?", re.ASCII)
_EMPTY = re.compile(r"[ \t]*(?:[;#].*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetOption:
    """One option as it is written, and its 1-based line."""

    key: str
    value: str
    line: int


def sections(text: str, *, file: str) -> dict[str, tuple[PresetOption, ...]]:
    """Every section with the options that count. Raises `WrongInput` for a line the server does not read."""
    found: dict[str, dict[str, PresetOption]] = {}
    name = DEFAULT
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        if _EMPTY.fullmatch(line):
            continue
        header, pair = _HEADER.fullmatch(line), _PAIR.fullmatch(line)
        if header is not None:
            name = header[1].lstrip(BLANKS) or header[1][-1]
            found[name] = {}
        elif pair is not None:
            value = pair[2].strip(BLANKS)
            found.setdefault(name, {})[pair[1]] = PresetOption(key=pair[1], value=value, line=number)
        else:
            hint = "`[model]`, `key = value` from the first column, `; a comment`"
            message = "the server does not read this line and would not start"
            raise WrongInput(message, hint=hint, where=Where(file=file, line=number))
    if set(found.get(DEFAULT, {"": None})) == {"version"}:
        del found[DEFAULT]
    return {section: tuple(table.values()) for section, table in found.items()}
