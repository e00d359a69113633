"""Runs that are broken off, or end as a killed process does, at any call that changes the disk."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from llmops.cli.finishing import finish_earlier
from llmops.probe.programs import Programs

STEPS = ("mkdir", "open", "write", "fchmod", "fchown", "setxattr", "fsync", "rename", "unlink", "rmdir")


@contextmanager
def breaking(at: int, act: Callable[[], None]) -> Iterator[list[str]]:
    """Before the `at`-th call that changes the disk, `act`. Gives the names of the calls made."""
    calls: list[str] = []
    originals = {name: getattr(os, name) for name in STEPS}

    def wrapped(name: str) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            writes = name != "open" or bool(int(str(arguments[1])) & os.O_CREAT)
            if writes:
                calls.append(name)
                if len(calls) == at:
                    act()
            return originals[name](*arguments, **options)

        return call

    for name in STEPS:
        setattr(os, name, wrapped(name))
    try:
        yield calls
    finally:
        for name, original in originals.items():
            setattr(os, name, original)


def killed(at: int, act: Callable[[], object]) -> bool:
    """`act` in a process of its own that dies at the `at`-th call that changes the disk; whether it came that far."""

    def broken() -> None:
        with breaking(at, lambda: os._exit(9)):
            act()

    return died(broken)


def died(act: Callable[[], object]) -> bool:
    """`act` in a process of its own; whether it ended as a killed one does, with 9. What it raises ends that process alone."""
    child = os.fork()
    if child == 0:  # pragma: no cover - ends without a word
        try:
            act()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def taken_back(root: Path) -> tuple[str, ...]:
    """What every command that writes begins with: what an earlier run left is brought to an end."""
    return finish_earlier(root, runner=Programs(os.environ), now=datetime(2026, 11, 21, tzinfo=UTC))
