"""What was applied, what of it is still so, and what was taken back, for people."""

from collections.abc import Sequence
from dataclasses import dataclass

from llmops.domain.changes import Action, Change, Generation
from llmops.domain.drift import Drift, DriftState, UnitState
from llmops.domain.finding import Finding
from llmops.views.screen import Screen, Tone, show_findings


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """A way back, shown or done. `goal` in words."""

    goal: str
    changes: tuple[Change, ...]
    diff: str
    applied: bool
    generation: int | None
    commands: tuple[str, ...]
    next_commands: tuple[str, ...]
    findings: tuple[Finding, ...]


def show_taken_back(taken: TakenBack, to: Screen) -> None:
    """The diff before it is done; after it, every file and what to type next."""
    if taken.diff and not taken.applied:
        to.verbatim(taken.diff)
        to.line()
    rows = [(str(one.path), one.words()) for one in taken.changes if one.action is not Action.KEEP or one.is_news]
    if rows:
        to.table(("file", ""), rows)
    count = sum(one.action.writes() or one.action is Action.CONFLICT for one in taken.changes)
    if not rows:
        words = f"Nothing to do: the files are as at {taken.goal}."
    elif taken.applied:
        number = f", as generation {taken.generation}" if taken.generation is not None else ""
        words = f"{'1 file is' if count == 1 else f'{count} files are'} as at {taken.goal}{number}."
    else:
        words = f"{count} {'file' if count == 1 else 'files'} would become as at {taken.goal}; nothing was changed."
    to.line(words, tone=Tone.TITLE)
    show_findings(to, taken.findings)
    if taken.commands:
        to.line()
        to.line("Done for it:", tone=Tone.TITLE)
        to.verbatim("".join(f"  {command}\n" for command in taken.commands))
    if taken.next_commands:
        to.line()
        words = "Left to do" if taken.commands else "Nothing was started, stopped or reloaded. Next"
        to.line(f"{words}, as root:", tone=Tone.TITLE)
        to.verbatim("".join(f"  {command}\n" for command in taken.next_commands))


def show_status(
    drift: Sequence[Drift],
    generations: Sequence[Generation],
    units: Sequence[UnitState],
    findings: Sequence[Finding],
    to: Screen,
) -> None:
    """What is not as it was applied, then what runs, then the generations."""
    changed = [one for one in drift if one.state is not DriftState.CLEAN]
    if changed:
        to.table(("file", "", ""), [(str(one.path), one.state.value, one.why) for one in changed])
    kept = sum(one.state is DriftState.KEPT for one in drift)
    words = f"; {kept} more with an edit that was kept" if kept else ""
    tone = Tone.GOOD if all(one.state.is_fine() for one in drift) else Tone.BAD
    to.line(f"{len(drift) - len(changed)} of {len(drift)} files are as they were applied{words}.", tone=tone)
    if units:
        to.table(
            ("unit", "", "at boot", ""),
            [(one.name, one.active, one.enabled, one.words()) for one in units],
        )
    show_findings(to, findings)
    to.table(
        ("generation", "when", "what", "files changed"),
        [
            (str(one.number), one.applied_at, one.what, str(sum(file.action.writes() for file in one.files)))
            for one in generations
        ],
        right=(0, 3),
    )
