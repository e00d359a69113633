"""Options that cannot all be meant: each command lists its own as `CLASHES`, and they are refused before it begins."""

from collections.abc import Mapping, Sequence

from llmops.domain.errors import WrongUsage
from llmops.domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """`option` typed beside one of `others`: one of them would be passed over in silence. `why` completes the sentence.

    With `unless` the value of the other that says the same (`--json` beside `--format json`).
    """

    option: str
    others: tuple[str, ...]
    why: str
    hint: str
    unless: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """Each of `options` typed without `needed` has no effect."""

    options: tuple[str, ...]
    needed: str


def refuse(typed: Mapping[str, str], rows: Sequence[Clash | Alone]) -> None:
    """`typed` are the options of the command line itself with their values: the environment's are for every command."""
    for row in rows:
        if isinstance(row, Alone):
            without = [one for one in row.options if one in typed]
            if without and row.needed not in typed:
                raise WrongUsage(f"`{without[0]}` is for `{row.needed}`", hint=f"add `{row.needed}`, or leave it out")
            continue
        others = [one for one in row.others if typed.get(one, row.unless) != row.unless]
        if row.option in typed and others:
            raise WrongUsage(f"`{row.option}` {row.why}: `{others[0]}` has no place beside it", hint=row.hint)
