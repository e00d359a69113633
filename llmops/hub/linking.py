"""A name for verified bytes: a hard link, else a file that shares their blocks, else a relative symbolic link."""

import os
from pathlib import Path

from llmops.hub.disk import clone

FILE_MODE = 0o444
STAMP_NS = 1_000_000_000
"""The time stamp of verified bytes (1970-01-01T00:00:01, as Nix does): whoever writes to them leaves another one."""


def link(blob: Path, target: Path, *, new: Path) -> None:
    """`target` becomes the blob, in one step by way of `new`, which is on the same file system and not there yet."""
    try:
        new.hardlink_to(blob)
    except OSError:  # no hard links here, too many, or not ours (fs.protected_hardlinks)
        if not _reflink(blob, new):
            new.symlink_to(os.path.relpath(blob, target.parent))
    new.replace(target)


def is_same_file(path: Path, blob: Path) -> bool:
    """Whether `path` is the blob by another name."""
    try:
        return path.samefile(blob)
    except FileNotFoundError:
        return False


def _reflink(blob: Path, new: Path) -> bool:
    """A file of its own that shares the blob's blocks; False where the file system has no such thing."""
    descriptor = os.open(blob, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    target = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        is_shared = clone(descriptor, target)
        if is_shared:
            os.fchmod(target, FILE_MODE)
            os.utime(target, ns=(STAMP_NS, STAMP_NS))
            os.fsync(target)
    finally:
        os.close(target)
        os.close(descriptor)
    if not is_shared:
        new.unlink()
    return is_shared
