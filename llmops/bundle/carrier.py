"""A bundle that is read, whether it is a directory or one or several files: its text, and its large files at any place."""

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from llmops.bundle.archive import BLOCK, body_bytes, header, member_bytes, members
from llmops.bundle.packed_text import unpack
from llmops.bundle.refusal import COPY_AGAIN, UNPACK, disk_errors, refusal
from llmops.bundle.volume_files import VolumeFiles, open_volumes
from llmops.bundle.volumes import TEXT_LIMIT
from llmops.domain.bundle import CHECKSUMS, MANIFEST, SIGNATURES, Bundle, BundleFile, ReadAt
from llmops.domain.errors import WrongInput
from llmops.domain.file_names import PATH_LIMIT
from llmops.domain.finding import Where

_LINKS = frozenset({errno.ENOTDIR, errno.ELOOP, errno.ENXIO})
"""What opening a link, or a file in the place of a directory, or a socket ends with."""


class Carrier(Protocol):
    """What a bundle lies in. Nothing that it gives is verified yet."""

    @property
    def name(self) -> str:
        """Its path, for messages."""
        ...

    def text(self, path: str) -> bytes | None:
        """A text file; None where there is none. Raises `WrongInput` for one that is too large, or no file."""
        ...

    def expect(self, bundle: Bundle) -> None:
        """Hold it against its manifest: what is missing, of another length, or there without being named is refused."""
        ...

    def opened(self, file: BundleFile) -> AbstractContextManager[ReadAt]:
        """A large file to read, after `expect`."""
        ...


@contextmanager
def open_bundle(path: Path) -> Iterator[Carrier]:
    """The bundle at `path`. Raises `WrongInput` when there is none, or its volumes do not belong together."""
    with disk_errors(path, reading=True):
        is_folder = path.is_dir()
    if is_folder:
        with _open_folder(path) as folder:
            yield folder
        return
    with open_volumes(path) as volumes:
        yield _Archive(volumes)


class _Archive:
    """One file, or volumes."""

    def __init__(self, volumes: VolumeFiles) -> None:
        self._volumes = volumes
        self.name = volumes.name
        text = unpack(volumes.packed_text(), limit=TEXT_LIMIT, name=self.name)
        self._text: Mapping[str, bytes] = dict(members(text, name=self.name))
        self._places: dict[str, int] = {}

    def text(self, path: str) -> bytes | None:
        return self._text.get(path)

    def expect(self, bundle: Bundle) -> None:
        named = {one.path for one in bundle.small()} | {MANIFEST, CHECKSUMS, *SIGNATURES}
        for one in bundle.small():
            if one.path not in self._text:
                raise refusal(self.name, f"`{one.path}` is missing", hint=COPY_AGAIN)
        foreign = set(self._text) - named
        if foreign:
            raise refusal(self.name, f"`{min(foreign)}` is not in its manifest: refused", hint=UNPACK)
        if body_bytes(bundle.large()) != self._volumes.total:
            text = (
                f"it holds {self._volumes.total} bytes of large files, its manifest says {body_bytes(bundle.large())}"
            )
            raise refusal(self.name, text, hint="make the bundle again")
        at = 0
        for one in bundle.large():
            self._places[one.path] = at
            self._check_header(one, at)
            at += member_bytes(one.bytes)

    def _check_header(self, file: BundleFile, at: int) -> None:
        found = bytearray(BLOCK)
        _fill(self._volumes.read, at, memoryview(found))
        if bytes(found) != header(file.path, file.bytes):
            raise refusal(self.name, f"another file lies where `{file.path}` should: refused", hint=UNPACK)

    @contextmanager
    def opened(self, file: BundleFile) -> Iterator[ReadAt]:
        begin = self._places[file.path] + BLOCK

        def read(at: int, buffer: memoryview) -> int:
            return self._volumes.read(begin + at, buffer[: max(0, file.bytes - at)])

        yield read


def _fill(read: ReadAt, at: int, buffer: memoryview) -> None:
    done = 0
    while done < len(buffer) and (count := read(at + done, buffer[done:])):
        done += count


@contextmanager
def _open_folder(path: Path) -> Iterator["_Folder"]:
    with disk_errors(path, reading=True):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield _Folder(path, descriptor)
    finally:
        os.close(descriptor)


class _Folder:
    """A directory. Every path is walked from it without following a link."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.name = str(path)
        self._path = path
        self._descriptor = descriptor

    def text(self, path: str) -> bytes | None:
        try:
            with self._file(path) as descriptor:
                data = os.pread(descriptor, TEXT_LIMIT + 1, 0)
                while len(data) <= TEXT_LIMIT and (more := os.pread(descriptor, TEXT_LIMIT + 1 - len(data), len(data))):
                    data += more
        except FileNotFoundError:
            return None
        if len(data) > TEXT_LIMIT:
            raise refusal(str(self._path / path), f"more than {TEXT_LIMIT >> 20} MiB: refused")
        return data

    def expect(self, bundle: Bundle) -> None:
        sizes = {one.path: one.bytes for one in bundle.files}
        with disk_errors(self._path, reading=True):
            for path, status in _tree(self._descriptor, ""):
                place = str(self._path / path)
                if path not in sizes and path not in (MANIFEST, CHECKSUMS, *SIGNATURES):
                    text = f"`{path[:200]}` is not part of this bundle: nothing vouches for it"
                    raise refusal(place, text, hint=f"move `{place}` away")
                if not stat.S_ISREG(status.st_mode):
                    raise refusal(place, f"{_kind(status.st_mode)}: a bundle has regular files only")
                if status.st_size != sizes.pop(path, status.st_size):
                    raise refusal(place, f"{status.st_size} bytes, its manifest says another length")
        if sizes:
            raise refusal(self.name, f"{len(sizes)} of its files are missing, the first is `{min(sizes)}`")

    @contextmanager
    def opened(self, file: BundleFile) -> Iterator[ReadAt]:
        place = self._path / file.path
        try:
            with self._file(file.path) as descriptor:

                def read(at: int, buffer: memoryview) -> int:
                    with disk_errors(place, reading=True):
                        return os.preadv(descriptor, [buffer[: max(0, file.bytes - at)]], at) if buffer else 0

                yield read
        except FileNotFoundError:
            raise refusal(str(place), "it is missing") from None

    @contextmanager
    def _file(self, path: str) -> Iterator[int]:
        *folders, last = path.split("/")
        place = self._path / path
        descriptor = os.dup(self._descriptor)
        try:
            for folder in folders:
                descriptor = self._step(descriptor, folder, os.O_RDONLY | os.O_DIRECTORY, place)
            descriptor = self._step(descriptor, last, os.O_RDONLY | os.O_NONBLOCK, place)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise refusal(str(place), f"{_kind(os.fstat(descriptor).st_mode)}: a bundle has regular files only")
            yield descriptor
        finally:
            os.close(descriptor)

    def _step(self, descriptor: int, name: str, flags: int, place: Path) -> int:
        try:
            following = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
        except FileNotFoundError:
            raise
        except OSError as error:
            error.filename = str(place)
            if error.errno in _LINKS:
                raise WrongInput(
                    "a symbolic link, or not what should be there: a bundle has regular files only",
                    hint=COPY_AGAIN,
                    where=Where(file=str(place)),
                ) from None
            with disk_errors(place, reading=True):
                raise
        os.close(descriptor)
        return following


def _tree(descriptor: int, above: str) -> Iterator[tuple[str, os.stat_result]]:
    """Every name that is no directory, links not followed; by an open directory, so that nothing can be swapped below it.

    A directory deeper than any path of a bundle is such a name, too.
    """
    with os.scandir(descriptor) as entries:
        names = sorted(one.name for one in entries)
    for name in names:
        status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode) or len(above) > PATH_LIMIT:
            yield f"{above}{name}", status
            continue
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
        try:
            yield from _tree(inner, f"{above}{name}/")
        finally:
            os.close(inner)


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISLNK, "a symbolic link"), (stat.S_ISDIR, "a directory"), (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"), (stat.S_ISSOCK, "a socket"),
    )  # fmt: skip
    return next((words for is_one, words in kinds if is_one(mode)), "not a regular file")
