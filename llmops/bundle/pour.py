"""What is packed: text in memory, and large files that are read and hashed once more while they are written."""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path

from llmops.bundle.refusal import disk_errors
from llmops.domain.bundle import BundleFile
from llmops.domain.errors import WrongInput
from llmops.domain.finding import Where
from llmops.domain.records import dataclass
from llmops.domain.transfer import Moved, Progress
from llmops.domain.units import MIB

PIECE_BYTES = 4 * MIB
REPORT_BYTES = 32 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Cargo:
    """`texts` in the order they are written, the checksums first; `sources` where each of `large` is read from."""

    checksums: str
    texts: Mapping[str, bytes]
    large: tuple[BundleFile, ...]
    sources: Mapping[str, Path]
    names: Mapping[str, str] = field(default_factory=dict)
    hints: Mapping[str, str] = field(default_factory=dict)


def pieces(cargo: Cargo, file: BundleFile, progress: Progress) -> Iterator[memoryview]:
    """A large file's bytes. Raises `WrongInput` at the end when they are not what its digest says."""
    path, name = cargo.sources[file.path], cargo.names.get(file.path, file.path)
    digest, done, reported = hashlib.sha256(), 0, 0
    buffer = memoryview(bytearray(PIECE_BYTES))
    with disk_errors(path, reading=True):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise WrongInput("not a regular file", where=Where(file=str(path)))
        while True:
            with disk_errors(path, reading=True):
                count = os.readv(descriptor, [buffer])
            if not count or done + count > file.bytes:
                done += count
                break
            digest.update(buffer[:count])
            done += count
            yield buffer[:count]
            if done - reported >= REPORT_BYTES:
                reported = done
                progress(Moved(name=name, done_bytes=done, total_bytes=file.bytes))
    finally:
        os.close(descriptor)
    if done != file.bytes or digest.hexdigest() != file.sha256:
        raise WrongInput(
            f"`{name}` is not what it was: its bytes do not have the sha256 {file.sha256[:16]}…",
            hint=cargo.hints.get(file.path),
            where=Where(file=str(path)),
        )
    progress(Moved(name=name, done_bytes=file.bytes, total_bytes=file.bytes))
