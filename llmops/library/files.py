"""The user's own files: read as text, written whole or not at all."""

import contextlib
import errno
import os
from pathlib import Path

from llmops.domain.errors import OutsideWorld, WrongInput
from llmops.domain.finding import Where

LIMIT_BYTES = 64 << 20
"""No text this program reads is larger; a model file named by mistake is not read into memory."""

_READ = {
    errno.ENOENT: "there is no such file",
    errno.ENOTDIR: "a part of the path is not a directory",
    errno.EISDIR: "a directory, where a file is expected",
    errno.ENAMETOOLONG: "the path is too long",
    errno.ELOOP: "the link leads back to itself",
}
"""Mistakes in the path that was given; anything else (permission, a failing disk) is the outside world's."""

_WRITE = {
    errno.ENOENT: "the directory does not exist",
    errno.ENOTDIR: "a part of the path is not a directory",
    errno.EISDIR: "a directory, where a file is expected",
    errno.EACCES: "no permission to write here",
    errno.EPERM: "writing here is not permitted",
    errno.ENOSPC: "no space left on the device",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.ENAMETOOLONG: "the path is too long",
    errno.ELOOP: "the link leads back to itself",
}

_NOT_ALLOWED = "run it as a user who may, or name another place"

WAYS_OUT = {
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.ENOSPC: "free some space and run it again",
    errno.EDQUOT: "free some space and run it again",
    errno.EROFS: "name a place on another file system",
    errno.EISDIR: "name a file in it",
    errno.EIO: "the disk or its connection fails: see `dmesg`",
}
"""What to do next, where the caller has no better word."""


def read_text(path: Path, *, hint: str | None = None) -> str:
    """The text of a file (UTF-8, a byte order mark is dropped). Raises `WrongInput` when it is missing or not text."""
    where = Where(file=str(path))
    try:
        with path.open("rb") as file:
            data = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        if error.errno in _READ:
            raise WrongInput(_READ[error.errno], hint=hint, where=where) from None
        message = f"cannot be read: {(error.strerror or str(error)).lower()}"
        raise OutsideWorld(message, hint=WAYS_OUT.get(error.errno or 0), where=where) from None
    except ValueError:  # a zero byte in the path
        raise WrongInput("not a path", where=Where(file=repr(str(path)))) from None
    if len(data) > LIMIT_BYTES:
        raise WrongInput(f"larger than {LIMIT_BYTES >> 20} MiB: not a file of this program", hint=hint, where=where)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise WrongInput("not text (UTF-8)", hint=hint, where=Where(file=str(path), line=line)) from None


def write_new(path: Path, text: str, *, mode: int = 0o644, hint: str | None = None) -> None:
    """Write a file that is not there yet; it appears whole. Raises `OutsideWorld` when something is there already."""
    try:
        temporary = _write_beside(path, text, mode)
        try:
            _publish_new(temporary, path, text, mode)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
        _sync_directory(path.parent)
    except FileExistsError:
        hint = hint or "give another name, or move it away first"
        raise OutsideWorld(
            "the file is there already, and stays as it is", hint=hint, where=Where(file=str(path))
        ) from None
    except OSError as error:
        raise _cannot_write(path, error) from None


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Replace or create a file: readers see the old text or the new one. A link is followed, not replaced."""
    target = Path(os.path.realpath(path))
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a directory")
        temporary = _write_beside(target, text, mode)
        try:
            temporary.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _sync_directory(target.parent)
    except OSError as error:
        raise _cannot_write(path, error) from None


def _write_beside(path: Path, text: str, mode: int) -> Path:
    """A finished file next to `path` (so that a rename is atomic), its bytes on the disk; the umask narrows `mode`."""
    import secrets  # brings hashlib and OpenSSL: a command that only reads needs neither

    temporary = path.parent / f".llmops-{secrets.token_hex(8)}.part"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
    except BaseException:  # an interruption, too, leaves nothing behind
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    return temporary


def _publish_new(temporary: Path, path: Path, text: str, mode: int) -> None:
    try:
        os.link(temporary, path)  # unlike a rename, it fails when `path` exists
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        _write_directly(path, text, mode)


def _write_directly(path: Path, text: str, mode: int) -> None:
    """For filesystems without hard links (FAT, some network mounts)."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def _sync_directory(directory: Path) -> None:
    """Make the new name survive a power cut; some filesystems cannot sync a directory, the file itself is safe."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _cannot_write(path: Path, error: OSError) -> OutsideWorld:
    reason = _WRITE.get(error.errno or 0, (error.strerror or str(error)).lower())
    hint = f"`mkdir -p {path.parent}`" if error.errno == errno.ENOENT else WAYS_OUT.get(error.errno or 0)
    return OutsideWorld(reason, hint=hint, where=Where(file=str(path)))
