"""One run at a time on one thing, or many that only one may not disturb: locks that the kernel gives back when a run dies."""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from llmops.domain.errors import OutsideWorld
from llmops.domain.finding import Where
from llmops.hub.disk import disk_error

WAIT_SECONDS = 20.0
POLL_SECONDS = 0.1


@contextmanager
def held(
    path: Path, *, what: str, wait_seconds: float = WAIT_SECONDS, wait: Callable[[float], object] = time.sleep
) -> Iterator[None]:
    """Hold `path` (flock). Raises `OutsideWorld` when another run has held it for longer than `wait_seconds`.

    The file is removed at the end, so what was locked is compared with what lies there.
    """
    deadline = time.monotonic() + wait_seconds
    while (descriptor := _try(path)) is None:
        if time.monotonic() >= deadline:
            raise OutsideWorld(
                f"{what} is held by another run{_holder(path)}",
                hint="wait for it, then run the same command again: nothing is transferred twice",
                where=Where(file=str(path)),
            )
        wait(POLL_SECONDS)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


@contextmanager
def shared(
    path: Path, *, what: str, wait_seconds: float = WAIT_SECONDS, wait: Callable[[float], object] = time.sleep
) -> Iterator[None]:
    """Hold `path` together with any number of others, so that nobody gets it `alone`. The file stays.

    Raises `OutsideWorld` when `what`, which has it alone, goes on for longer than `wait_seconds`.
    """
    deadline = time.monotonic() + wait_seconds
    descriptor = _opened(path)
    try:
        while not _flocked(descriptor, fcntl.LOCK_SH, path):
            if time.monotonic() >= deadline:
                raise OutsideWorld(f"{what} runs", hint="wait for it, then run it again", where=Where(file=str(path)))
            wait(POLL_SECONDS / 10)  # whoever is alone is so for a moment
        yield
    finally:
        os.close(descriptor)


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Hold `path` while nobody else does; False, and nothing is held, when somebody does."""
    descriptor = _opened(path)
    try:
        yield _flocked(descriptor, fcntl.LOCK_EX, path)
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise disk_error(error, path) from error


def _flocked(descriptor: int, how: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise disk_error(error, path) from error
    return True


def _try(path: Path) -> int | None:
    descriptor = _opened(path)
    try:
        if _flocked(descriptor, fcntl.LOCK_EX, path) and _is_same(descriptor, path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            return descriptor
    except OSError as error:
        os.close(descriptor)
        raise disk_error(error, path) from error
    except OutsideWorld:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _is_same(descriptor: int, path: Path) -> bool:
    """Whether the name still stands for what was locked: the last holder may have removed it in between."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    with suppress(OSError, ValueError):
        return f" (pid {int(path.read_text(encoding='ascii')[:20])})"
    return ""
