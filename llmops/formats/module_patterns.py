"""Which modules a checkpoint leaves unquantized: names, endings, wildcards and `re:` patterns of its own config.

A pattern comes from a stranger: it is matched piece by piece between its `.*`, never by backtracking over all of them.
"""

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum

PATTERNS_LIMIT = 100
"""Patterns with wildcards in one list; plain names may be as many as the file holds."""
PATTERN_LENGTH = 300
ROOTS = ("model.", "model.language_model.", "language_model.model.", "backbone.")
"""How the names of published checkpoints begin, of text models and of their multimodal forms."""
_ROOT = re.compile(r"(?:thinker\\?\.)?(?:model\\?\.|language_model\\?\.|backbone\\?\.){1,3}(?=layers)")
_ANY = re.compile(r"\.[*+]\??")
_SAFE = re.compile(
    r"(?: [A-Za-z0-9_/:-] | \\[.dw_/-] | \\d\+ | \. | \[[A-Za-z0-9_^-]{1,40}\][+]? | \((?:\?:)?[A-Za-z0-9_.|\\d-]{0,200}\)\?? )*",
    re.VERBOSE,
)
"""Literals, classes and alternatives; a repetition only of digits and classes."""


class Flavour(StrEnum):
    """How a method reads its list: the name or its end (fp8), any part of it (awq, bitsandbytes), `*` (modelopt)."""

    NAME = "name"
    PART = "part"
    WILDCARD = "wildcard"


class Modules:
    """A list of modules; `unclear` are the entries that are not understood.

    Modules are asked for by their name below the root (`layers.7.mlp.up_proj`, `lm_head`), and entries are kept so.
    """

    __slots__ = ("_names", "_parts", "_patterns", "_rooted", "unclear")

    def __init__(self, entries: Sequence[str], flavour: Flavour) -> None:
        plain = {entry for entry in entries if not entry.startswith("re:") and "*" not in entry}
        self._names = {_ROOT.sub("", entry, count=1) for entry in plain}
        self._parts = sorted(plain)[:200] if flavour is Flavour.PART else []
        self._patterns: list[tuple[re.Pattern[str], ...]] = []
        self._rooted: list[tuple[re.Pattern[str], ...]] = []
        unclear: list[str] = []
        written = dict.fromkeys(entry for entry in entries if entry.startswith("re:") or "*" in entry)
        for entry in written:
            text = _ROOT.sub("", entry.removeprefix("re:").removeprefix("^"), count=1)
            pieces = _regex(text) if entry.startswith("re:") else _wildcard(text)
            if pieces is None or len(self._patterns) + len(self._rooted) >= PATTERNS_LIMIT:
                unclear.append(entry)
            elif not pieces[0].pattern or pieces[0].pattern.startswith("layers"):
                self._patterns.append(pieces)
            else:
                self._rooted.append(pieces)
        self.unclear = tuple(unclear)

    def has(self, names: Iterable[str]) -> bool:
        """Whether one of a module's possible names is in the list."""
        return any(self._has(name) for name in names)

    def _has(self, name: str) -> bool:
        if any(ending in self._names for ending in _endings(name)) or any(
            start in self._names for start in _starts(name)
        ):
            return True
        whole = f"model.{name}"
        if any(part in whole for part in self._parts) or any(_matches(pieces, name) for pieces in self._patterns):
            return True
        if not self._rooted:
            return False
        rooted = [name, *(root + name for root in ROOTS)]
        return any(_matches(pieces, one) for pieces in self._rooted for one in rooted)


def _endings(name: str) -> Iterable[str]:
    parts = name.split(".")
    return (".".join(parts[at:]) for at in range(len(parts)))


def _starts(name: str) -> Iterable[str]:
    parts = name.split(".")
    return (".".join(parts[:at]) for at in range(1, len(parts)))


def _wildcard(entry: str) -> tuple[re.Pattern[str], ...] | None:
    if len(entry) > PATTERN_LENGTH:
        return None
    pieces = [re.escape(piece) for piece in entry.split("*")]
    return (*(re.compile(piece) for piece in pieces[:-1]), re.compile(pieces[-1] + r"\Z"))


def _regex(text: str) -> tuple[re.Pattern[str], ...] | None:
    """The pieces between `.*`; None for what is more than literals, classes and alternatives."""
    if len(text) > PATTERN_LENGTH:
        return None
    body, is_whole = text.removeprefix("^"), text.endswith("$") and not text.endswith("\\$")
    pieces = _ANY.split(body.removesuffix("$") if is_whole else body)
    if not all(_SAFE.fullmatch(piece) and piece.count("+") <= 2 for piece in pieces):
        return None
    try:
        compiled = [re.compile(piece) for piece in pieces[:-1]]
        return (*compiled, re.compile(pieces[-1] + (r"\Z" if is_whole else "")))
    except re.error:
        return None


def _matches(pieces: tuple[re.Pattern[str], ...], name: str) -> bool:
    """The first piece at the start (`re.match`), each next one where it first fits; the last may have to reach the end."""
    first = pieces[0].match(name)
    if first is None:
        return False
    at = first.end()
    for piece in pieces[1:]:
        found = piece.search(name, at)
        if found is None:
            return False
        at = found.end()
    return True
