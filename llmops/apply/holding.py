"""Holding the only apply below a root, and what the system says when it refuses one."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath

from llmops.apply.root import Root
from llmops.domain.changes import GENERATIONS
from llmops.domain.errors import OutsideWorld
from llmops.domain.finding import Where


@contextmanager
def locked(root: Root) -> Iterator[tuple[PurePosixPath, ...]]:
    """Hold the only apply below `root`; gives the directories made for it. They go again when nothing was applied."""
    made: tuple[PurePosixPath, ...] = ()
    try:
        made = root.missing_directories(GENERATIONS)
        for path in made:
            root.make_directory(path)
        with root.directory(GENERATIONS) as walked:
            descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=walked)
    except OSError as error:
        remove_directories(root, made)
        raise refused(error, root) from None
    try:
        _lock(descriptor, root)
        yield made
    finally:
        os.close(descriptor)
        remove_directories(root, made)


def _lock(descriptor: int, root: Root) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN):
            raise
        raise OutsideWorld(
            "another `llmops render --apply` is running",
            hint="wait for it to end",
            where=Where(file=root.shown(GENERATIONS)),
        ) from None


def refused(error: OSError, root: Root) -> OutsideWorld:
    """What the system refused before anything was in place, with a way out."""
    where = where_of(error) or Where(file=str(root.path))
    return OutsideWorld(f"{words(error)}; nothing was written", hint=hint_of(error), where=where)


def remove_directories(root: Root, directories: tuple[PurePosixPath, ...]) -> None:
    """Those that are empty."""
    for path in reversed(directories):
        with suppress(OSError):
            root.remove_directory(path)


def words(error: OSError) -> str:
    """What the system said."""
    return (error.strerror or str(error)).lower()


def where_of(error: OSError) -> Where | None:
    """The file it said it of."""
    return Where(file=str(error.filename)) if error.filename else None


def hint_of(error: OSError) -> str | None:
    """A way out, where there is one to name."""
    match error.errno:
        case errno.EACCES | errno.EPERM:
            return "run it as root, or write elsewhere: `--root DIR --apply` or `--out DIR`"
        case errno.ENOSPC | errno.EDQUOT:
            return "free some space and run it again"
        case errno.EROFS:
            return "the file system is read-only: remount it, or write elsewhere with `--root DIR --apply`"
        case _:
            return None
