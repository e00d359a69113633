"""A check: one fact that should hold of a host, with its public code."""

from collections.abc import Callable

from llmops.domain.finding import Status
from llmops.domain.host import HostFacts
from llmops.domain.reading import Unknown
from llmops.domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a check says of one host; `fix` is for this host, where the row's general one is not enough."""

    status: Status
    message: str
    fix: str | None = None


Judge = Callable[[HostFacts], Judgement | None]
"""None: the check does not apply, such as one of a card where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One row: a code is public and never used again for something else; `title` is the fact that should hold.

    `decides`: readiness hangs on it, so that where it cannot be known the host is at best ready with warnings.
    """

    code: str
    title: str
    judge: Judge
    why: str
    fix: str
    decides: bool = False


def ok(message: str) -> Judgement:
    """It holds."""
    return Judgement(status=Status.OK, message=message)


def warn(message: str, fix: str | None = None) -> Judgement:
    """It does not hold; serving is possible."""
    return Judgement(status=Status.WARN, message=message, fix=fix)


def fail(message: str, fix: str | None = None) -> Judgement:
    """It does not hold, and this host is not ready: for faults of cards, driver and memory only."""
    return Judgement(status=Status.FAIL, message=message, fix=fix)


def unknown(reading: Unknown, what: str) -> Judgement:
    """It could not be known, with the reason."""
    return Judgement(status=Status.SKIP, message=f"{what}: {reading.reason}")
