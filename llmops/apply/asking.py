"""What a consumer is asked with, and what it said: the parts that the checks of all programs share."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath

from llmops.domain.deployment import RenderedFile, Site
from llmops.domain.finding import Status
from llmops.domain.programs import Ran, Runner
from llmops.domain.reading import Known, Unknown
from llmops.domain.records import dataclass

TIMEOUT_SECONDS = 20.0

EnvProblems = Callable[[str], Sequence[str]]
"""What is wrong with the text of a .env file, in words; empty when its three readers agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What a consumer is asked with: its files, the paths of all that is rendered, the site, a stage of its own, the runner."""

    files: tuple[RenderedFile, ...]
    rendered: frozenset[PurePosixPath]
    site: Site
    stage: Path
    runner: Runner
    env_problems: EnvProblems
    is_there: Callable[[str], bool]
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a consumer said; `said` empty: nothing to complain about."""

    status: Status
    said: str = ""
    stood_in: tuple[str, ...] = ()


def write(stage: Path, path: PurePosixPath | str, text: str, *, mode: int = 0o644) -> Path:
    """A file of the target below `stage`."""
    place = stage / str(path).lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")
    place.chmod(mode)
    return place


def _missing(ran: Known[Ran] | Unknown) -> Verdict:
    """The program could not be asked."""
    return Verdict(status=Status.SKIP, said=ran.reason if isinstance(ran, Unknown) else "not installed")


def judged(ran: Known[Ran] | Unknown, complains: Callable[[Ran], bool], stood_in: Sequence[str] = ()) -> Verdict:
    """The verdict of a run: a failure where it exited so, or where `complains` finds a word of refusal."""
    if isinstance(ran, Unknown):
        return _missing(ran)
    said = (ran.value.stderr + ran.value.stdout).strip()
    if ran.value.exit_code != 0 or complains(ran.value):
        return Verdict(status=Status.FAIL, said=said or f"exit code {ran.value.exit_code}", stood_in=tuple(stood_in))
    return Verdict(status=Status.OK, stood_in=tuple(stood_in))
