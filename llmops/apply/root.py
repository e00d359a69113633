"""The files of one host, below a root directory: every path is walked from an open directory, never out of the root."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from llmops.domain.errors import OutsideWorld
from llmops.domain.finding import Where
from llmops.domain.records import dataclass

READ_LIMIT_BYTES = 16 << 20
"""No configuration file is larger; a device or a log mistaken for one must not fill memory."""

PRIVATE = frozenset({PurePosixPath("/etc/llmops/secrets"), PurePosixPath("/var/lib/llmops/generations")})
"""Directories made 0700; all others 0755."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A regular file as it lies on disk; owner and group by number, its SELinux label where it has one."""

    content: bytes
    mode: int
    user_id: int
    group_id: int
    label: str = ""


class Root:
    """`/` or the top of another tree. Below another tree a symbolic link on the way is refused: it would lead out of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_host = os.path.realpath(path) == "/"

    def shown(self, path: PurePosixPath) -> str:
        """The path as a person would type it here."""
        return str(path) if self.is_host else str(self.path / str(path).lstrip("/"))

    @contextmanager
    def directory(self, path: PurePosixPath) -> Iterator[int]:
        """A descriptor of the directory `path`. Raises FileNotFoundError when it is not there."""
        descriptor = self._walk(path)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _naming(self, path: PurePosixPath) -> Iterator[None]:
        """Errors say the whole path, not the last name of a walk."""
        try:
            yield
        except OSError as error:
            error.filename = self.shown(path)
            raise

    def _walk(self, path: PurePosixPath) -> int:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        descriptor = os.open(self.path, flags)
        walked = PurePosixPath("/")
        for part in path.relative_to("/").parts:
            walked /= part
            try:
                following = os.open(part, flags | (0 if self.is_host else os.O_NOFOLLOW), dir_fd=descriptor)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR):
                    raise self._refused(walked, "is a symbolic link or not a directory") from None
                raise
            finally:
                os.close(descriptor)
            descriptor = following
        return descriptor

    def _refused(self, path: PurePosixPath, why: str) -> OutsideWorld:
        shown = self.shown(path)
        return OutsideWorld(f"{shown} {why}", hint=f"look at it: `ls -ld {shown}`", where=Where(file=shown))

    def has_directory(self, path: PurePosixPath) -> bool:
        """Whether it is there."""
        try:
            with self._naming(path), self.directory(path):
                return True
        except FileNotFoundError:
            return False

    def is_directory(self, path: PurePosixPath) -> bool:
        """Whether the name itself is a directory; a link to one is not."""
        try:
            with self._naming(path), self.directory(path.parent) as parent:
                return stat.S_ISDIR(os.stat(path.name, dir_fd=parent, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return False

    def make_directory(self, path: PurePosixPath) -> None:
        """One directory, its parent is there; already there is fine."""
        with self._naming(path), self.directory(path.parent) as parent, suppress(FileExistsError):
            os.mkdir(path.name, 0o700, dir_fd=parent)
            os.chmod(path.name, 0o700 if path in PRIVATE else 0o755, dir_fd=parent)
            sync(parent)

    def missing_directories(self, path: PurePosixPath) -> tuple[PurePosixPath, ...]:
        """`path` and the parents of it that are not there, outermost first."""
        chain = [one for one in (path, *path.parents) if not self.has_directory(one)]
        return tuple(reversed(chain))

    def read(self, path: PurePosixPath) -> Found | None:
        """The regular file `path`, None when it is not there. Links, devices and directories are refused."""
        try:
            with self._naming(path), self.directory(path.parent) as parent:
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                descriptor = os.open(path.name, flags, dir_fd=parent)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise self._refused(path, "is a symbolic link") from None
            raise
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise self._refused(path, "is not a regular file")
        with self._naming(path), os.fdopen(descriptor, "rb") as file:
            content = file.read(READ_LIMIT_BYTES + 1)
            label = label_of(descriptor)
        if len(content) > READ_LIMIT_BYTES:
            raise self._refused(path, f"is larger than {READ_LIMIT_BYTES} bytes")
        return Found(
            content=content,
            mode=stat.S_IMODE(status.st_mode),
            user_id=status.st_uid,
            group_id=status.st_gid,
            label=label,
        )

    def changed_at(self, path: PurePosixPath) -> datetime | None:
        """When the content of a file was last written; None when it is not there."""
        try:
            with self._naming(path), self.directory(path.parent) as parent:
                seconds = os.stat(path.name, dir_fd=parent, follow_symlinks=False).st_mtime
        except FileNotFoundError:
            return None
        return datetime.fromtimestamp(seconds, UTC)

    def stage(
        self, path: PurePosixPath, content: bytes, *, mode: int, owner: tuple[int, int] | None, label: str = ""
    ) -> bool:
        """Write `content` beside `path` under its staging name, on disk for good, with its final mode, owner and label.

        Without a label it gets that of the file it is to replace. Whether the label could be set.
        """
        with self._naming(path), self.directory(path.parent) as parent:
            label = label or _label_at(parent, path.name)
            with suppress(FileNotFoundError):
                os.unlink(staged(path), dir_fd=parent)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(staged(path), flags, 0o600, dir_fd=parent)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                if owner is not None:
                    os.fchown(descriptor, *owner)
                os.fchmod(descriptor, mode)
                is_labelled = _set_label(descriptor, label)
                os.fsync(descriptor)
        return is_labelled

    def switch(self, path: PurePosixPath) -> None:
        """Put the staged file in its place, in one step."""
        with self._naming(path), self.directory(path.parent) as parent:
            os.rename(staged(path), path.name, src_dir_fd=parent, dst_dir_fd=parent)
            sync(parent)

    def remove(self, path: PurePosixPath) -> None:
        """Remove a file; not there is fine."""
        with suppress(FileNotFoundError), self._naming(path), self.directory(path.parent) as parent:
            os.unlink(path.name, dir_fd=parent)
            sync(parent)

    def unstage(self, path: PurePosixPath) -> None:
        """Remove what `stage` left."""
        self.remove(path.with_name(staged(path)))

    def remove_directory(self, path: PurePosixPath) -> None:
        """Remove a directory that is empty; any other stays."""
        with suppress(FileNotFoundError), self._naming(path), self.directory(path.parent) as parent:
            try:
                os.rmdir(path.name, dir_fd=parent)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                    raise

    def names(self, path: PurePosixPath) -> tuple[str, ...]:
        """The names in a directory, sorted; none when it is not there."""
        try:
            with self._naming(path), self.directory(path) as directory:
                readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
        except FileNotFoundError:
            return ()
        try:
            return tuple(sorted(os.listdir(readable)))  # noqa: PTH208 - of a descriptor
        finally:
            os.close(readable)

    def rename(self, old: PurePosixPath, new: PurePosixPath) -> None:
        """Rename within one directory, on disk for good."""
        with self._naming(new), self.directory(old.parent) as parent:
            os.rename(old.name, new.name, src_dir_fd=parent, dst_dir_fd=parent)
            sync(parent)


LABEL = "security.selinux"


def label_of(descriptor: int) -> str:
    """The SELinux label of an open file; empty where it has none."""
    try:
        return os.getxattr(descriptor, LABEL).rstrip(b"\0").decode("ascii", "replace")
    except OSError:
        return ""


def _label_at(directory: int, name: str) -> str:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return ""
    try:
        return label_of(descriptor)
    finally:
        os.close(descriptor)


def _set_label(descriptor: int, label: str) -> bool:
    if not label or label == label_of(descriptor):
        return True
    try:
        os.setxattr(descriptor, LABEL, label.encode() + b"\0")
    except OSError:
        return False
    return True


def staged(path: PurePosixPath) -> str:
    """The name a file has before it is put in its place: in the same directory, so that a rename is enough."""
    return f".{path.name}.llmops-new"


def sync(directory: int) -> None:
    """Make a directory's entries last: a descriptor for that is opened from the walked one."""
    readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        os.fsync(readable)
    finally:
        os.close(readable)
