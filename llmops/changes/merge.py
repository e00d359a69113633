"""Two changes of one file, joined line by line: what was rendered last, what lies there, what would be rendered now.

Regions that all three share are kept; between two of them, a side that is as it was gives way to the one that changed.
Changes that touch count as one region (as in `git merge-file`), so what nobody looked at side by side is never joined.
"""

from difflib import SequenceMatcher

from llmops.domain.changes import Clash
from llmops.domain.records import dataclass

LIMIT_BYTES = 1 << 20
"""The comparison is quadratic at worst; nothing that is rendered comes near it."""

Lines = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The text with every change that clashes with no other; `clashes`: those that do, of which the text has `here`."""

    text: str
    clashes: tuple[Clash, ...]


def lines(text: str) -> Lines:
    """The lines with their ends; only a line feed ends one."""
    parts = text.split("\n")
    return tuple(f"{part}\n" for part in parts[:-1]) + ((parts[-1],) if parts[-1] else ())


def merge(last: str, here: str, now: str) -> Merged:
    """`last` was rendered, `here` is what became of it, `now` would be rendered."""
    base, left, right = lines(last), lines(here), lines(now)
    out: list[str] = []
    clashes: list[Clash] = []
    at = (0, 0, 0)
    for begin, length in (*_shared(base, left, right), ((len(base), len(left), len(right)), 0)):
        parts = tuple(side[start:end] for side, start, end in zip((base, left, right), at, begin, strict=True))
        if parts[2] in (parts[0], parts[1]):
            out += parts[1]
        elif parts[1] == parts[0]:
            out += parts[2]
        else:
            clashes.append(Clash(line=at[1] + 1, last=parts[0], here=parts[1], now=parts[2]))
            out += parts[1]
        out += base[begin[0] : begin[0] + length]
        at = (begin[0] + length, begin[1] + length, begin[2] + length)
    return Merged(text="".join(out), clashes=tuple(clashes))


def _shared(base: Lines, left: Lines, right: Lines) -> list[tuple[tuple[int, int, int], int]]:
    """Runs of lines that all three have, in order: where each begins in the three, and how long it is."""
    in_left, in_right = _matches(base, left), _matches(base, right)
    runs: list[tuple[tuple[int, int, int], int]] = []
    one = two = 0
    while one < len(in_left) and two < len(in_right):
        (base_1, at_left, length_1), (base_2, at_right, length_2) = in_left[one], in_right[two]
        begin, end = max(base_1, base_2), min(base_1 + length_1, base_2 + length_2)
        if begin < end:
            runs.append(((begin, at_left + begin - base_1, at_right + begin - base_2), end - begin))
        if base_1 + length_1 < base_2 + length_2:
            one += 1
        else:
            two += 1
    return runs


def _matches(base: Lines, side: Lines) -> list[tuple[int, int, int]]:
    return [(a, b, size) for a, b, size in SequenceMatcher(None, base, side, autojunk=False).get_matching_blocks()]
