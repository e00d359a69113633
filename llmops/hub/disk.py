"""The disk under the store: durable renames, free space, and its errors as messages."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llmops.domain.errors import OutsideWorld
from llmops.domain.finding import Where
from llmops.domain.units import GIB, size_text
from llmops.hub.transport import AGAIN

RESERVE_BYTES = 1 * GIB
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
FICLONE = 0x40049409
"""The ioctl's number (linux/fs.h): the target shares the source's blocks until one of the two is written to."""

NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM})


class DiskTrouble(OutsideWorld):
    """This machine's disk is what refuses: no other server would help."""


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """An OSError inside becomes `OutsideWorld`, with `path` where the error names no file."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, path) from error


def disk_error(error: OSError, path: Path) -> DiskTrouble:
    """What a disk's refusal means, and what to do."""
    where = Where(file=str(error.filename or path))
    text = (error.strerror or str(error)).lower()
    if error.errno in FULL:
        quota = "the quota is used up" if error.errno == errno.EDQUOT else "the disk is full"
        return DiskTrouble(f"{quota}: nothing unverified is visible", hint=f"make room, then {AGAIN}", where=where)
    if error.errno in NOT_ALLOWED:
        hint = "`--store DIR` or `LLMOPS_STORE` names another place; /var/lib/llmops needs root"
        return DiskTrouble("no permission to write here", hint=hint, where=where)
    if error.errno == errno.EROFS:
        return DiskTrouble("the file system is read-only", hint="`--store DIR` names another place", where=where)
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return DiskTrouble("a file is in the way of a directory", hint="`--store DIR` names another place", where=where)
    if error.errno == errno.EFBIG:
        hint = "`--store DIR` on another file system; `ulimit -f` limits it, too"
        return DiskTrouble("the file is longer than this file system or limit allows", hint=hint, where=where)
    if error.errno == errno.EIO:
        return DiskTrouble("the disk reports an input/output error", hint="look at `dmesg`; " + AGAIN, where=where)
    return DiskTrouble(f"cannot be written: {text}", where=where)


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems have no fsync of directories
            raise
    finally:
        os.close(descriptor)


def reserve_bytes(path: Path) -> int:
    """What a pull leaves free: 1 GiB, or a twentieth of a smaller file system."""
    return min(RESERVE_BYTES, shutil.disk_usage(path).total // 20)


def check_space(path: Path, *, needed_bytes: int, new_files: int) -> None:
    """Raises `DiskTrouble` before anything is written when the bytes and the reserve, or the inodes, are not free."""
    if needed_bytes == 0:
        return
    with disk_errors(path):
        usage, reserve = os.statvfs(path), reserve_bytes(path)
    free = usage.f_bavail * usage.f_frsize
    if needed_bytes + reserve > free:
        missing = needed_bytes + reserve - free
        raise DiskTrouble(
            f"not enough space: {size_text(needed_bytes)} to write and {size_text(reserve)} to leave free, "
            f"{size_text(free)} are free",
            hint=f"make {size_text(missing)} of room, or `--store DIR` on another disk",
            where=Where(file=str(path)),
        )
    if usage.f_files and usage.f_favail < new_files:
        text = f"not enough inodes: {new_files} files to make, {usage.f_favail} are free"
        raise DiskTrouble(text, hint="`df -i`; `--store DIR` on another disk", where=Where(file=str(path)))


def clone(source: int, target: int) -> bool:
    """Share the blocks of one open file with another (btrfs, XFS, bcachefs …); False where that is not possible."""
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno in FULL:
            raise
        return False
    return True
