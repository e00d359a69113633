"""One run at a time on one thing: a lock file with the holder's process id, given back by the kernel when it dies."""

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


def is_held(path: Path) -> bool:
    """Whether a run holds this lock now; a file that a killed run left is not held."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _try(path: Path) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise disk_error(error, path) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_same(descriptor, path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            return descriptor
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            os.close(descriptor)
            raise disk_error(error, path) from error
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
