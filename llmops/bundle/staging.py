"""What is written aside first, by one run at a time, and then gets its name. What a broken run left is cleared away."""

import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from llmops.bundle.refusal import disk_errors
from llmops.domain.errors import OutsideWorld
from llmops.domain.finding import Where
from llmops.domain.units import MIB, size_text

STAMP_NS = 1_000_000_000
"""Every file's time stamp, as in the archive and in the store: when it was made says nothing about what it is."""

RESERVE_BYTES = 16 * MIB
"""What is left free on the disk that is written to: often a stick of its own, which may be filled."""

SYNC_BYTES = 256 * MIB
"""So much is written before it is brought to the disk, so that the end does not wait for all of it."""


@contextmanager
def staged(path: Path, size: int) -> Iterator[Path]:
    """A folder beside `path`, on its file system, that only this run has; it goes at the end, however that is.

    Raises `OutsideWorld` where `size` bytes have no room, another run has it, or somebody else made it.
    """
    stage = path.with_name(f".{path.name}.part")
    descriptor = _locked(stage, path)
    try:
        with disk_errors(path):
            _empty(stage)
            _check_space(path, size)
        try:
            yield stage
        finally:
            with suppress(OSError):
                _empty(stage)
                stage.rmdir()
    finally:
        os.close(descriptor)


def refuse_existing(path: Path) -> None:
    """Raises `OutsideWorld` where something has the name."""
    if os.path.lexists(path):
        text = "there is something of this name already, and it stays as it is"
        raise OutsideWorld(text, hint="give another name, or move it away first", where=Where(file=str(path)))


def write_file(path: Path, content: Iterator[memoryview]) -> None:
    """A new file with the bundle's mode and time stamp, on the disk for good."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        unsynced = 0
        with os.fdopen(os.dup(descriptor), "wb", buffering=MIB) as file:
            for piece in content:
                file.write(piece)
                unsynced += len(piece)
                if unsynced >= SYNC_BYTES:
                    file.flush()
                    os.fdatasync(descriptor)
                    unsynced = 0
        os.fchmod(descriptor, 0o644)
        os.utime(descriptor, ns=(STAMP_NS, STAMP_NS))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def name_folder(folder: Path, path: Path) -> None:
    """A staged folder gets its name, after all in it is on the disk."""
    for inside, _, _ in os.walk(folder, topdown=False):
        Path(inside).chmod(0o755)  # whatever the umask: it is the same bundle, and others read it where it goes
        sync(Path(inside))
    refuse_existing(path)
    folder.rename(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Make the names in a folder survive a power cut; some file systems cannot, the files themselves are safe."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _locked(stage: Path, path: Path) -> int:
    """The stage, made where it is not there, open and locked: the one that has the name now, not one a run just gave up."""
    while True:
        with disk_errors(path):
            stage.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(stage, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _refuse_of_others(descriptor, stage)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_named(descriptor, stage):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            hint = "wait for it, or give another name"
            raise OutsideWorld("another run is writing this", hint=hint, where=Where(file=str(path))) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_named(descriptor: int, stage: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), stage.lstat())
    except FileNotFoundError:
        return False


def _refuse_of_others(descriptor: int, stage: Path) -> None:
    """In a folder like /tmp anyone may make the stage first, and then swap what is in it for links."""
    is_shared = stage.parent.stat().st_mode & stat.S_ISVTX
    if is_shared and os.fstat(descriptor).st_uid != os.geteuid():
        hint = "give a place that only you may write to"
        raise OutsideWorld("another user made this", hint=hint, where=Where(file=str(stage)))


def _empty(stage: Path) -> None:
    for one in stage.iterdir():
        if one.is_dir() and not one.is_symlink():
            shutil.rmtree(one)
        else:
            one.unlink()


def _check_space(path: Path, size: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if size + RESERVE_BYTES > free:
        text = f"not enough space: {size_text(size)} to write, {size_text(free)} are free"
        hint = f"make {size_text(size + RESERVE_BYTES - free)} of room, or write it elsewhere"
        raise OutsideWorld(text, hint=hint, where=Where(file=str(path.parent)))
