"""A file as `read(offset, length)`: on this disk, or at the hub by a few ranges of its beginning.

A header's reader knows best how much it needs (a GGUF header is 0.7 to 17 MB, a later part's 200 kB): what it asks for in
one piece is one request. Small pieces bring more with them, since the next one is asked for soon; reads far beyond go by
themselves.
"""

import os
from pathlib import Path
from typing import Protocol

from llmops.domain.errors import OutsideWorld, WrongInput
from llmops.domain.finding import Where
from llmops.domain.model import ModelFile, ModelRef
from llmops.domain.units import KIB, MIB, size_text
from llmops.hub.remote import Piece, RemoteFile, resolve_url
from llmops.hub.transport import CHECK_NETWORK, Passing, Patience, patiently, shown

STEPS_BYTES = (4 * MIB, 8 * MIB, 20 * MIB)
"""What a small piece brings with it: the first, the second, and every later one."""
SMALL_BYTES = 128 * KIB
Content = bytes
"""The built-in type: a reader's own `bytes` is the file's size."""

KEPT_BYTES = 128 * MIB
"""No header is longer; reads beyond this are not kept."""


class Reader(Protocol):
    """What header readers take: `read`, and what it cost."""

    @property
    def bytes(self) -> int:
        """The file's size."""
        ...

    @property
    def requests(self) -> int:
        """Requests sent so far; 0 for a local file."""
        ...

    def read(self, offset: int, length: int) -> Content:
        """Up to `length` bytes from `offset`, fewer only at the end of the file."""
        ...


class LocalReader:
    """A file on this disk."""

    requests = 0

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("rb", buffering=0)
            self.bytes = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise unreadable(path, error) from error
        self._path = path

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`."""
        try:
            return os.pread(self._file.fileno(), max(0, min(length, self.bytes - offset)), offset)
        except OSError as error:
            raise unreadable(self._path, error) from error

    def close(self) -> None:
        """Give the descriptor back."""
        self._file.close()

    def __enter__(self) -> "LocalReader":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class RemoteReader:
    """A file at the hub. What was read of its beginning is kept; `requests` counts redirects as well."""

    def __init__(self, file: RemoteFile) -> None:
        self._file = file
        self._head = b""
        self._total = file.expected_bytes
        self._steps = list(STEPS_BYTES)

    @property
    def bytes(self) -> int:
        """The size by the hub's listing, which every answer is held against; without one what the server states."""
        if self._total is None:
            self._extend(1)
        return self._total or 0

    @property
    def requests(self) -> int:
        """Requests sent, redirects included."""
        return self._file.requests

    @property
    def commit(self) -> str | None:
        """The commit the hub said it answers for."""
        return self._file.commit

    @property
    def etag(self) -> str | None:
        """The entity tag all parts had in common."""
        return self._file.etag

    def read(self, offset: int, length: int) -> Content:
        """Up to `length` bytes from `offset`, from what is kept where possible."""
        end = min(offset + length, self.bytes)
        if end <= offset:
            return b""
        if end > len(self._head) and end > KEPT_BYTES:
            return self._fetched(offset, end - offset)
        if end > len(self._head):
            self._extend(end)
        return self._head[offset:end]

    def _extend(self, end: int) -> None:
        """Read on from what is kept, to `end`; by the next step where that is near."""
        target = end
        if end - len(self._head) < SMALL_BYTES:
            target = len(self._head) + (self._steps.pop(0) if self._steps else STEPS_BYTES[-1])
        if self._total is not None:
            target = min(target, self._total)
        self._head += self._fetched(len(self._head), target - len(self._head))

    def _fetched(self, start: int, length: int) -> Content:
        return patiently(lambda: self._attempt(start, length), patience=self._file.patience, hint=CHECK_NETWORK)

    def _attempt(self, start: int, length: int) -> Content:
        piece = self._file.open(start, length)
        with piece.response:
            self._total = piece.total_bytes
            wanted = min(length, piece.total_bytes - start)
            if piece.start != start:
                self._skip(piece, start)
            data = piece.response.read(wanted)
        if len(data) < wanted:
            raise Passing(f"the connection ended after {len(data)} of {wanted} bytes")
        return data

    def _skip(self, piece: Piece, start: int) -> None:
        """A server without ranges sends all from the beginning: read past it, within reason."""
        if start > KEPT_BYTES:
            text = f"the server ignores ranges: {size_text(start)} would have to be read to look at one place"
            raise OutsideWorld(
                text, hint="`llmops pull` fetches the whole file", where=Where(file=shown(self._file.url))
            )
        if len(piece.response.read(start)) < start:
            raise Passing("the connection ended early")


def local_reader(path: Path | str) -> LocalReader:
    """Read a file on this disk. Raises `WrongInput` when it is not there or not readable."""
    return LocalReader(Path(path))


def remote_reader(
    url: str,
    *,
    endpoint: str,
    repository: str,
    token: str | None = None,
    commit: str | None = None,
    expected: ModelFile | None = None,
    patience: Patience | None = None,
) -> RemoteReader:
    """Read a file at the hub by its resolve address."""
    return RemoteReader(
        RemoteFile(
            url,
            endpoint=endpoint,
            repository=repository,
            token=token,
            patience=patience or Patience(),
            commit=commit,
            expected_bytes=expected.bytes if expected else None,
            digest=expected.digest if expected else None,
        )
    )


def open_file(
    ref: ModelRef, file: ModelFile, *, endpoint: str, token: str | None, patience: Patience | None = None
) -> RemoteReader:
    """Read one file of a model at the hub, at the commit it is pinned to."""
    if ref.repository is None or ref.commit is None:
        raise WrongInput(f"`{ref.source}` is not pinned to a commit of a repository")
    url = resolve_url(endpoint=endpoint, repository=ref.repository, commit=ref.commit, name=file.name)
    return remote_reader(
        url,
        endpoint=endpoint,
        repository=ref.repository,
        token=token,
        commit=ref.commit,
        expected=file,
        patience=patience,
    )


def unreadable(path: Path, error: OSError) -> WrongInput | OutsideWorld:
    """A local file that cannot be read: not there is a wrong input; no permission or a bad disk the outside world."""
    where = Where(file=str(path))
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return WrongInput("there is no such file", where=where)
    if isinstance(error, IsADirectoryError):
        return WrongInput("this is a directory, not a file", where=where)
    return OutsideWorld(f"cannot be read: {(error.strerror or str(error)).lower()}", where=where)
