"""A bundle that is written: beside its place first, then it gets its name, whole. What a broken run left is cleared away."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from llmops.bundle.archive import BLOCK, END_BYTES, body_bytes, header, member
from llmops.bundle.packed_text import pack
from llmops.bundle.pour import Cargo, pieces
from llmops.bundle.refusal import disk_errors
from llmops.bundle.stored_zstd import BLOCK_BYTES, marks
from llmops.bundle.volume_files import volume_name
from llmops.bundle.volumes import TEXT_LIMIT, Volume, lay_out
from llmops.domain.errors import OutsideWorld, WrongInput
from llmops.domain.finding import Where
from llmops.domain.transfer import Progress
from llmops.domain.units import MIB, padded, size_text

STAMP_NS = 1_000_000_000
"""Every file's time stamp, as in the archive and in the store: when it was made says nothing about what it is."""

RESERVE_BYTES = 16 * MIB
"""What a bundle leaves free on the disk it is written to: often a stick of its own, which may be filled."""

SYNC_BYTES = 256 * MIB


def write_folder(path: Path, cargo: Cargo, *, progress: Progress) -> None:
    """The bundle as a directory. Raises `OutsideWorld` when something is there already."""
    size = sum(len(one) for one in cargo.texts.values()) + sum(one.bytes for one in cargo.large)
    with _staged(path, (path,), size) as stage:
        folder = stage / path.name
        with disk_errors(folder):
            folder.mkdir(mode=0o755)
            for name, content in cargo.texts.items():
                _write_file(folder / name, iter((memoryview(content),)))
            for file in cargo.large:
                _write_file(folder / file.path, pieces(cargo, file, progress))
            for inside, _, _ in os.walk(folder, topdown=False):
                _sync(Path(inside))
            _refuse_existing(path)
            folder.rename(path)
            _sync(path.parent)


def write_archive(path: Path, cargo: Cargo, *, split: int | None, level: int, progress: Progress) -> tuple[Path, ...]:
    """The bundle as one file, or as volumes of at most `split` bytes; their paths. Raises as `write_folder`."""
    text = b"".join(member(name, content) for name, content in cargo.texts.items())
    if len(text) > TEXT_LIMIT:
        hint = "leave something out, or make the bundle as a directory"
        raise WrongInput(f"{size_text(len(text))} of text: a bundle has {TEXT_LIMIT >> 20} MiB at most", hint=hint)
    packed = pack(text, level=level)
    volumes = lay_out(bundle=cargo.checksums, text_bytes=len(packed), total=body_bytes(cargo.large), split=split)
    names = [path.with_name(volume_name(path.name, one.number, one.of)) for one in volumes]
    with _staged(path, (path, *names), sum(one.size() for one in volumes)) as stage:
        _Volumes(stage, names, volumes).write(packed, _body(cargo, progress))
        with disk_errors(path):
            for name in names:
                _refuse_existing(name)
            for name in reversed(names):  # the first one last: with it all are there
                (stage / name.name).rename(name)
            _sync(path.parent)
    return tuple(names)


def _body(cargo: Cargo, progress: Progress) -> Iterator[memoryview]:
    for file in cargo.large:
        yield memoryview(header(file.path, file.bytes))
        yield from pieces(cargo, file, progress)
        yield memoryview(bytes(padded(file.bytes, BLOCK) - file.bytes))
    yield memoryview(bytes(END_BYTES))


class _Volumes:
    """Cuts the stored part into blocks, frames and volumes."""

    def __init__(self, stage: Path, names: list[Path], volumes: tuple[Volume, ...]) -> None:
        self._stage = stage
        self._left = list(zip(names, volumes, strict=True))

    def write(self, packed: bytes, body: Iterator[memoryview]) -> None:
        """All volumes, from the packed text and the rest."""
        source = _Blocks(body)
        for name, volume in self._left:
            path = self._stage / name.name
            with disk_errors(path):
                _write_file(path, self._volume(volume, packed, source))

    def _volume(self, volume: Volume, packed: bytes, source: "_Blocks") -> Iterator[memoryview]:
        yield memoryview(volume.label())
        if volume.text_bytes:
            yield memoryview(packed)
        for at in range(0, volume.length, BLOCK_BYTES):
            yield memoryview(marks(at, volume.length))
            yield from source.take(min(BLOCK_BYTES, volume.length - at))


class _Blocks:
    """Pieces of any length, given out in lengths that are asked for."""

    def __init__(self, pieces: Iterator[memoryview]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def take(self, count: int) -> Iterator[memoryview]:
        """The next `count` bytes. Each must be used before the next is asked for."""
        while count:
            if not self._rest:
                self._rest = next(self._pieces)
                continue
            piece = self._rest[:count]
            self._rest = self._rest[len(piece) :]
            count -= len(piece)
            yield piece


def _write_file(path: Path, content: Iterator[memoryview]) -> None:
    """A new file, synced now and then, so that the end does not wait for all of it."""
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


@contextmanager
def _staged(path: Path, names: tuple[Path, ...], size: int) -> Iterator[Path]:
    """A folder beside `path` that only this run has; it goes at the end, however that is."""
    for name in names:
        _refuse_existing(name)
    stage = path.with_name(f".{path.name}.part")
    with disk_errors(path):
        stage.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(stage, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = "another run writes this bundle"
            raise OutsideWorld(text, hint="wait for it", where=Where(file=str(path))) from None
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


def _refuse_existing(path: Path) -> None:
    if os.path.lexists(path):
        text = "there is something of this name already, and it stays as it is"
        raise OutsideWorld(text, hint="give another name, or move it away first", where=Where(file=str(path)))


def _sync(folder: Path) -> None:
    with suppress(OSError):  # some file systems cannot sync a directory; the files themselves are safe
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
