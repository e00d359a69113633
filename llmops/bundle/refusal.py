"""Saying what is wrong with a bundle, and with the disk it lies on or goes to."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llmops.domain.errors import OutsideWorld, WrongInput
from llmops.domain.finding import Where

COPY_AGAIN = "copy the bundle again from where it was made"
UNPACK = "one that was packed again: `tar -xf FILE`, then give the folder llmops-bundle"
_MISTAKES = {
    errno.ENOENT: "there is no such file",
    errno.ENOTDIR: "a part of the path is not a directory",
    errno.EISDIR: "a directory, where a file is expected",
    errno.ELOOP: "a symbolic link: a bundle has regular files only",
    errno.ENAMETOOLONG: "the path is too long",
}
_WAYS_OUT = {
    errno.ENOSPC: "make room, then run the same command again",
    errno.EDQUOT: "make room, then run the same command again",
    errno.EACCES: "run it as a user who may, or name another place",
    errno.EPERM: "run it as a user who may, or name another place",
    errno.EROFS: "name a place on another file system",
    errno.EIO: "the disk or its connection fails: see `dmesg`",
    errno.EFBIG: "`--tar --split 4GiB`: no file may be longer than the file system allows",
}


def refusal(
    name: str, message: str, *, hint: str | None = COPY_AGAIN, key: str | None = None, line: int | None = None
) -> WrongInput:
    """`message` about the bundle, or the file of it, at `name`."""
    return WrongInput(message, hint=hint, where=Where(file=name, key=key, line=line))


@contextmanager
def disk_errors(path: Path, *, reading: bool = False) -> Iterator[None]:
    """An OSError inside becomes `OutsideWorld`; with `reading`, a mistake in what was named `WrongInput`."""
    try:
        yield
    except OSError as error:
        name = error.filename if isinstance(error.filename, str) and "/" in error.filename else str(path)
        where = Where(file=name)
        if reading and error.errno in _MISTAKES:
            raise WrongInput(_MISTAKES[error.errno], hint=COPY_AGAIN, where=where) from None
        text = (error.strerror or str(error)).lower()
        raise OutsideWorld(text, hint=_WAYS_OUT.get(error.errno or 0), where=where) from None
    except ValueError as error:  # a zero byte in a path
        if "null" not in str(error):
            raise
        raise WrongInput("not a path", where=Where(file=repr(str(path)))) from None
