"""A bundle that is written, as a folder, one file or volumes: whole, or not there."""

from collections.abc import Iterator
from pathlib import Path

from llmops.bundle.archive import BLOCK, END_BYTES, body_bytes, header, member
from llmops.bundle.packed_text import pack
from llmops.bundle.pour import Cargo, pieces
from llmops.bundle.refusal import disk_errors
from llmops.bundle.staging import name_folder, refuse_existing, staged, sync, write_file
from llmops.bundle.stored_zstd import BLOCK_BYTES, marks
from llmops.bundle.volume_files import volume_name
from llmops.bundle.volumes import TEXT_LIMIT, Volume, lay_out
from llmops.domain.errors import WrongInput
from llmops.domain.transfer import Progress
from llmops.domain.units import padded, size_text


def write_folder(path: Path, cargo: Cargo, *, progress: Progress) -> None:
    """The bundle as a directory. Raises `OutsideWorld` when something is there already."""
    refuse_existing(path)
    size = sum(len(one) for one in cargo.texts.values()) + sum(one.bytes for one in cargo.large)
    with staged(path, size) as stage, disk_errors(path):
        folder = stage / path.name
        folder.mkdir(mode=0o755)
        for name, content in cargo.texts.items():
            write_file(folder / name, iter((memoryview(content),)))
        for file in cargo.large:
            write_file(folder / file.path, pieces(cargo, file, progress))
        name_folder(folder, path)


def write_archive(path: Path, cargo: Cargo, *, split: int | None, level: int, progress: Progress) -> tuple[Path, ...]:
    """The bundle as one file, or as volumes of at most `split` bytes; their paths. Raises as `write_folder`."""
    text = b"".join(member(name, content) for name, content in cargo.texts.items())
    if len(text) > TEXT_LIMIT:
        hint = "leave something out, or make the bundle as a directory"
        raise WrongInput(f"{size_text(len(text))} of text: a bundle has {TEXT_LIMIT >> 20} MiB at most", hint=hint)
    packed = pack(text, level=level)
    volumes = lay_out(bundle=cargo.checksums, text_bytes=len(packed), total=body_bytes(cargo.large), split=split)
    names = [path.with_name(volume_name(path.name, one.number, one.of)) for one in volumes]
    for name in (path, *names):
        refuse_existing(name)
    with staged(path, sum(one.size() for one in volumes)) as stage, disk_errors(path):
        source = _Blocks(_body(cargo, progress))
        for name, volume in zip(names, volumes, strict=True):
            write_file(stage / name.name, _content(volume, packed, source))
        for name in names:
            refuse_existing(name)
        for name in reversed(names):  # the first one last: with it all are there
            (stage / name.name).rename(name)
        sync(path.parent)
    return tuple(names)


def _body(cargo: Cargo, progress: Progress) -> Iterator[memoryview]:
    for file in cargo.large:
        yield memoryview(header(file.path, file.bytes))
        yield from pieces(cargo, file, progress)
        yield memoryview(bytes(padded(file.bytes, BLOCK) - file.bytes))
    yield memoryview(bytes(END_BYTES))


def _content(volume: Volume, packed: bytes, source: "_Blocks") -> Iterator[memoryview]:
    """One volume: label, text in the first one, and its stretch of the stored part in blocks and frames."""
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
