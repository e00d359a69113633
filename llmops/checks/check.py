"""A check: one fact that should hold of a host, with its public code."""

from collections.abc import Callable, Sequence

from llmops.domain.finding import Status
from llmops.domain.host import HostFacts
from llmops.domain.reading import Unknown
from llmops.domain.records import dataclass
from llmops.domain.references import References


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a check says of one host; `fix` is for this host, where the row's general one is not enough.

    `script` are lines of shell that do it: they may be run again, and change nothing where it is done already.
    """

    status: Status
    message: str
    fix: str | None = None
    script: tuple[str, ...] = ()


Judge = Callable[[HostFacts], Judgement | None]
"""None: the check does not apply, such as one of a card where there is none."""

Lookup = Callable[[HostFacts, References], Judgement | None]
"""A judge that looks things up in dated rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One row: a code is public and never used again for something else; `title` is the fact that should hold.

    `worst` is the most it ever says. `source`: what the rule rests on. `decides`: readiness hangs on it, so that where it
    cannot be known the host is at best ready with warnings. It has a `judge`, or a `lookup` where it needs the dated rows.
    """

    code: str
    title: str
    why: str
    fix: str
    source: str
    judge: Judge | None = None
    lookup: Lookup | None = None
    worst: Status = Status.WARN
    decides: bool = False

    def ask(self, host: HostFacts, references: References) -> Judgement | None:
        """What it says of the host."""
        if self.lookup is not None:
            return self.lookup(host, references)
        return self.judge(host) if self.judge is not None else None


def ok(message: str) -> Judgement:
    """It holds."""
    return Judgement(status=Status.OK, message=message)


def warn(message: str, fix: str | None = None, *, script: tuple[str, ...] = ()) -> Judgement:
    """It does not hold; serving is possible."""
    return Judgement(status=Status.WARN, message=message, fix=fix, script=script)


def fail(message: str, fix: str | None = None, *, script: tuple[str, ...] = ()) -> Judgement:
    """It does not hold, and this host is not ready: for faults of cards, driver and memory only."""
    return Judgement(status=Status.FAIL, message=message, fix=fix, script=script)


def unknown(reading: Unknown, what: str) -> Judgement:
    """It could not be known, with the reason."""
    return Judgement(status=Status.SKIP, message=f"{what}: {reading.reason}")


def together(answers: Sequence[Judgement]) -> Judgement | None:
    """Several answers of one check as one: the worst, with all their messages; an unknown outweighs an "in order"."""
    for status in (Status.FAIL, Status.WARN, Status.SKIP, Status.OK):
        same = [answer for answer in answers if answer.status is status]
        if same:
            messages = "; ".join(dict.fromkeys(answer.message for answer in same))
            script = tuple(dict.fromkeys(line for answer in same for line in answer.script))
            return Judgement(status=status, message=messages, fix=same[0].fix, script=script)
    return None
