"""Whether a lock still follows from its profile."""

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
        if checked.planned_again:
            to.line(f"{checked.lock} ({checked.written}) follows from {against}", tone=Tone.GOOD)
            return
        to.line(
            f"{checked.lock} ({checked.written}) was NOT planned again: what could be compared agrees with {against}",
            tone=Tone.WARN,
        )
        return
    to.line(f"{checked.lock} ({checked.written}) against {against}", tone=Tone.TITLE)
    for one in checked.differences[:SHOWN]:
        to.line(f"  {one.key}: {_short(one.locked)} in the lock, {_short(one.computed)} now", tone=Tone.BAD)
    left = len(checked.differences) - SHOWN
    if left > 0:
        to.line(f"  … and {left} more; `--json` has all of them", tone=Tone.DIM)


def _short(text: str | None) -> str:
    if text is None:
        return "nothing"
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"
