"""The quickstart for people: what was done, where the files are, what to type next."""

from collections.abc import Sequence

from llmops.domain.finding import Finding, Status
from llmops.domain.records import dataclass
from llmops.views.screen import Screen, Tone, show_findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command of the loop: what it came to, and how long it took."""

    command: str
    outcome: str
    seconds: float
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All that is shown, in this order."""

    scratch: str
    steps: tuple[Step, ...]
    known_model: tuple[str, ...]
    files: tuple[tuple[str, str, str], ...]
    findings: tuple[Finding, ...]
    verdict: str
    ok: bool
    next_commands: tuple[str, ...]


def show_quickstart(summary: Summary, to: Screen) -> None:
    """Steps, the known model's plan, files, what was not perfect, and three commands."""
    to.line(f"in {summary.scratch}", tone=Tone.DIM)
    to.table(
        ("step", "result", "s"),
        [
            (step.command, ("" if step.ok else "FAILED: ") + step.outcome, f"{step.seconds:.2f}")
            for step in summary.steps
        ],
        right=(2,),
    )
    to.line()
    for line in summary.known_model:
        to.line(line)
    to.line()
    to.table((f"file below {summary.scratch}/root", "mode and owner", "target"), summary.files)
    notable = [finding for finding in summary.findings if finding.status is not Status.OK]
    if notable:
        to.line()
        show_findings(to, notable)
    to.line()
    to.line(summary.verdict, tone=Tone.GOOD if summary.ok else Tone.BAD)
    show_next(summary.next_commands, to)


def show_next(commands: Sequence[str], to: Screen) -> None:
    """The commands to type for a real model."""
    to.line("next, for a real model:")
    for command in commands:
        to.verbatim(f"  {command}")
