"""How other programs are started: one runner, implemented in `probe.programs` and handed in by `cli`."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import PurePath
from typing import Protocol

from llmops.domain.reading import Known, Unknown
from llmops.domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A program that ended: its argv, exit code (negative: a signal) and output, each cut at the runner's limit."""

    argv: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str


class Running(Protocol):
    """A server that was started and runs until the context ends (SIGTERM, then SIGKILL)."""

    @property
    def pid(self) -> int:
        """The process id."""
        ...

    def ended(self) -> int | None:
        """The exit code when it has ended by itself, else None."""
        ...

    def log(self) -> str:
        """What it printed so far, stdout and stderr together."""
        ...


class Runner(Protocol):
    """Starts programs: argv without a shell, stdin closed, `LC_ALL=C.UTF-8`, a time limit, output limited."""

    def find(self, program: str) -> str | None:
        """The full path of `program` on the PATH, /usr/sbin and /sbin included; None when it is not there."""
        ...

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_seconds: float = 10.0,
        environment: Mapping[str, str] | None = None,
        directory: PurePath | None = None,
    ) -> Known[Ran] | Unknown:
        """The ended program; `Unknown` when it is missing, not executable or ran past the time limit."""
        ...

    def serve(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        directory: PurePath | None = None,
    ) -> AbstractContextManager[Running]:
        """Start a server and stop it when the context ends. Raises `OutsideWorld` when it cannot be started."""
        ...
