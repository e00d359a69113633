"""Facts without characters that are none: process names, paths and error texts may hold any byte."""

import unicodedata

from llmops.domain.forms import Json, dump, load
from llmops.domain.host import HostFacts

NOT_TEXT = ("Cc", "Cs", "Zl", "Zp")
"""Controls (escape sequences for a terminal among them), halves of surrogate pairs, line and paragraph separators."""


def plain(facts: HostFacts) -> HostFacts:
    """The same facts, every such character shown as U+FFFD: they are printed, and read back from JSON."""
    return load(HostFacts, _plain(dump(facts)))


def _plain(data: Json) -> Json:
    match data:
        case str():
            return "".join(_letter(letter) for letter in data)
        case list():
            return [_plain(item) for item in data]
        case dict():
            return {key: _plain(item) for key, item in data.items()}
        case None | bool() | int() | float():
            return data


def _letter(letter: str) -> str:
    is_text = letter != "\ufeff" and unicodedata.category(letter) not in NOT_TEXT
    return letter if is_text else "\ufffd"
