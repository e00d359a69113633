"""The filesystems behind given paths: kind and mount from mountinfo, free space from statvfs, the device from /sys."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from llmops.domain.host import Disk, UnreadDisk
from llmops.domain.reading import NOT_ASKED, Known, Unknown
from llmops.domain.records import dataclass
from llmops.domain.storage import Storage
from llmops.probe import storage
from llmops.probe.mounts import Mount, mount_of
from llmops.probe.mounts import read as read_mounts
from llmops.probe.text import read_text
from llmops.probe.within import within

ANSWER_SECONDS = 1.5
"""A network filesystem whose server is gone lets every call on it wait for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskText:
    """What was asked of one path: where it really lies (the nearest part that exists), and statvfs's numbers."""

    path: str
    real: str
    total_bytes: int
    free_bytes: int
    total_inodes: int
    free_inodes: int
    read_only: bool


def ask(root: Path, path: Path) -> Known[DiskText] | Unknown:
    """The filesystem of `path`, or of its nearest parent that exists; `Unknown` when it does not answer."""
    return within(ANSWER_SECONDS, lambda: _ask(root, path), what=f"the filesystem of {path}")


def _ask(root: Path, path: Path) -> Known[DiskText] | Unknown:
    if "\0" in str(path):
        return Unknown("not a path: it holds a zero byte")
    try:
        place = root / path.absolute().relative_to("/")
        while not os.path.lexists(place) or not _exists(place):
            if place == place.parent:
                return Unknown(f"{path}: no part of it exists")
            place = place.parent
        real = place.resolve()
        numbers = os.statvfs(real)
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of links
        return Unknown(str(getattr(error, "strerror", None) or error).lower())
    # f_bavail leaves out what is reserved for root, as `df` does: a service does not run as root
    shown = "/" / real.relative_to(root.resolve()) if real.is_relative_to(root.resolve()) else real
    return Known(
        DiskText(
            path=str(path),
            real=str(shown),
            total_bytes=numbers.f_blocks * numbers.f_frsize,
            free_bytes=numbers.f_bavail * numbers.f_frsize,
            total_inodes=numbers.f_files,
            free_inodes=numbers.f_favail,
            read_only=bool(numbers.f_flag & os.ST_RDONLY),
        )
    )


def _exists(place: Path) -> bool:
    try:
        place.stat()
    except PermissionError:
        return False  # something is there, but only its parent can be asked
    except OSError:
        return False
    return True


def read(mounts: tuple[Mount, ...], text: DiskText, device: Known[Storage] | Unknown = NOT_ASKED) -> Disk:
    """The disk of one path; its filesystem's name is empty where mountinfo does not tell."""
    mount = mount_of(mounts, PurePosixPath(text.real))
    return Disk(
        path=text.path,
        mount=mount.point if mount is not None else "",
        filesystem=mount.filesystem if mount is not None else "",
        total_bytes=max(text.total_bytes, 0),
        free_bytes=max(text.free_bytes, 0),
        free_inodes=max(text.free_inodes, 0) if text.total_inodes > 0 else None,
        read_only=text.read_only or (mount is not None and mount.read_only),
        source=_shown_source(mount) if mount is not None else "",
        storage=device,
    )


def _shown_source(mount: Mount) -> str:
    """What is mounted, without a user and password in it (sshfs, davfs and cifs take them there)."""
    before, at, after = mount.source.partition("@")
    return f"{before.rpartition('/')[0]}/{after}" if at and "//" in before else after if at else before


def disks(root: Path, paths: Sequence[Path]) -> tuple[Known[tuple[Disk, ...]] | Unknown, tuple[UnreadDisk, ...]]:
    """The disks of all `paths`, and the paths that did not answer; `Unknown` when none did."""
    mountinfo = read_text(root / "proc/self/mountinfo")
    mounts = read_mounts(mountinfo.value) if isinstance(mountinfo, Known) else ()
    asked = [(path, ask(root, path)) for path in dict.fromkeys(paths)]
    unread = tuple(UnreadDisk(path=str(path), reason=text.reason) for path, text in asked if isinstance(text, Unknown))
    known = tuple(
        read(mounts, text.value, _device(root, text.value, mounts)) for _, text in asked if isinstance(text, Known)
    )
    if unread and not known:
        return Unknown(unread[0].reason), unread
    return Known(known), unread


def _device(root: Path, text: DiskText, mounts: tuple[Mount, ...]) -> Known[Storage] | Unknown:
    mount = mount_of(mounts, PurePosixPath(text.real))
    if mount is None:
        return Unknown("/proc/self/mountinfo does not tell what is mounted there")
    return within(ANSWER_SECONDS, lambda: storage.ask(root, mount, mounts), what=f"the device of {text.path}")
