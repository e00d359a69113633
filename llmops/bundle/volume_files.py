"""The volumes of a bundle as files: found, held against each other, and read at any place as if they were one archive."""

import os
import re
import stat
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from llmops.bundle.refusal import COPY_AGAIN, disk_errors, refusal
from llmops.bundle.stored_zstd import BLOCK_BYTES, FRAME_BYTES, marks, place
from llmops.bundle.volumes import LABEL_BYTES, Volume, parse_label

_NUMBERED = re.compile(r"(.+)\.(\d{3,4})", re.DOTALL)
BLOCKS_AT_ONCE = 32
"""Four MiB in one read."""


def volume_name(base: str, number: int, of: int) -> str:
    """The name of a volume: `FILE` alone, else `FILE.001`, `FILE.002`, and so on."""
    return base if of == 1 else f"{base}.{number:03}"


def volume_paths(path: Path) -> tuple[Path, ...]:
    """All files of the bundle that `path` stands for: one file, its name without number, or any of its volumes."""
    match = _NUMBERED.fullmatch(path.name)
    base = match[1] if match is not None else path.name
    if path.exists() and (match is None or not path.with_name(f"{base}.001").exists()):
        return (path,)  # `bundle.2026` is a name, not a number
    volume = re.compile(re.escape(base) + r"\.\d{3,4}", re.DOTALL)
    with disk_errors(path, reading=True):
        found = [one for one in path.parent.iterdir() if volume.fullmatch(one.name)]
    return tuple(sorted(found, key=lambda one: int(one.name.rpartition(".")[2]))) or (path,)


class VolumeFiles:
    """Open volumes. `read` gives the stored part's bytes, by their place in the archive behind the text."""

    def __init__(self, files: Sequence[tuple[Path, int, Volume]]) -> None:
        self._files = files
        self._starts = [volume.start for _, _, volume in files]

    @property
    def name(self) -> str:
        """The first file."""
        return str(self._files[0][0])

    @property
    def total(self) -> int:
        """Bytes of the stored part."""
        return self._files[0][2].total

    def packed_text(self) -> bytes:
        """The first frame."""
        path, descriptor, volume = self._files[0]
        with disk_errors(path, reading=True):
            data = os.pread(descriptor, volume.text_bytes, LABEL_BYTES)
        if len(data) < volume.text_bytes:
            raise refusal(str(path), "it became shorter", hint=COPY_AGAIN)
        return data

    def read(self, at: int, buffer: memoryview) -> int:
        """Bytes from `at` on into the buffer; fewer than it holds at the end of a stretch, 0 at the end of all."""
        if at >= self.total or not buffer:
            return 0
        path, descriptor, volume = self._files[bisect_right(self._starts, at) - 1]
        first = (at - volume.start) // BLOCK_BYTES * BLOCK_BYTES
        frame_end = first // FRAME_BYTES * FRAME_BYTES + FRAME_BYTES
        until = min(volume.length, frame_end, first + BLOCKS_AT_ONCE * BLOCK_BYTES, at - volume.start + len(buffer))
        begin = LABEL_BYTES + volume.text_bytes + place(first)
        last = (until - 1) // BLOCK_BYTES * BLOCK_BYTES
        end = LABEL_BYTES + volume.text_bytes + place(last) + len(marks(last, volume.length)) + until - last
        with disk_errors(path, reading=True):
            raw = memoryview(os.pread(descriptor, end - begin, begin))
        if len(raw) < end - begin:
            raise refusal(str(path), "it became shorter", hint=COPY_AGAIN)
        return _without_marks(raw, first, until, at - volume.start, volume, path, buffer)


def _without_marks(
    raw: memoryview, first: int, until: int, wanted: int, volume: Volume, path: Path, buffer: memoryview
) -> int:
    """The content in `raw` from `wanted` on; every mark is held against what it must be."""
    here, done = 0, 0
    for block in range(first, until, BLOCK_BYTES):
        mark = marks(block, volume.length)
        if raw[here : here + len(mark)] != mark:
            raise refusal(str(path), "its inner marks are damaged, or another program packed it", hint=COPY_AGAIN)
        here += len(mark)
        size = min(BLOCK_BYTES, until - block)
        skip = max(0, wanted - block)
        buffer[done : done + size - skip] = raw[here + skip : here + size]
        here += size
        done += size - skip
    return done


@contextmanager
def open_volumes(path: Path) -> Iterator[VolumeFiles]:
    """The volumes of one bundle. Raises `WrongInput` for one that is missing, cut short, of another bundle or twice there."""
    paths = volume_paths(path)
    if paths == (path,) and not path.exists():
        raise refusal(
            str(path), "there is no such file or directory", hint="give a bundle's folder, its file, or a volume"
        )
    descriptors: list[int] = []
    try:
        files = []
        for one in paths:
            descriptor, volume = _open(one)
            descriptors.append(descriptor)
            files.append((one, descriptor, volume))
        _check_together(files)
        yield VolumeFiles(files)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _open(path: Path) -> tuple[int, Volume]:
    with disk_errors(path, reading=True):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise refusal(str(path), "not a regular file", hint="give a bundle's directory or file")
            volume = parse_label(os.pread(descriptor, LABEL_BYTES, 0), name=str(path))
            if status.st_size != volume.size():
                how = "cut short" if status.st_size < volume.size() else "too long"
                text = f"volume {volume.number} of {volume.of} is {how}: {status.st_size} of {volume.size()} bytes"
                raise refusal(str(path), text, hint=COPY_AGAIN)
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor, volume


def _check_together(files: Sequence[tuple[Path, int, Volume]]) -> None:
    first = files[0][2]
    name = str(files[0][0])
    at, start = 0, 0
    for path, _, volume in files:
        if (volume.bundle, volume.of, volume.total) != (first.bundle, first.of, first.total):
            raise refusal(str(path), f"a volume of another bundle than {files[0][0].name}", hint=COPY_AGAIN)
        at += 1
        if volume.number > at:
            raise refusal(str(path), f"volume {at} of {first.of} is missing before this one", hint=COPY_AGAIN)
        if volume.number < at:
            text = f"this is volume {volume.number} of {first.of}, where volume {at} is expected"
            raise refusal(str(path), text, hint="give the volumes the names they were made with")
        if volume.start != start:
            raise refusal(str(path), "it does not go on where the volume before it ends", hint=COPY_AGAIN)
        start += volume.length
    if at != first.of:
        raise refusal(name, f"volume {at + 1} of {first.of} is missing", hint="put all volumes into one folder")
    if start != first.total:
        raise refusal(name, f"the volumes hold {start} bytes, not {first.total}", hint=COPY_AGAIN)
