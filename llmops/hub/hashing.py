"""Digests of files: sha256, and git's sha1 that the hub gives for small files."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from llmops.domain.model import DigestAlgorithm
from llmops.domain.units import MIB

BLOCK_BYTES = 4 * MIB


class Hash(Protocol):
    """What hashlib's objects can do and is needed here."""

    def update(self, data: "bytes | bytearray | memoryview", /) -> None:
        """Take in more bytes."""
        ...

    def hexdigest(self) -> str:
        """The digest so far."""
        ...


def new_hash(algorithm: DigestAlgorithm, *, total_bytes: int) -> Hash:
    """A hash to feed; git's sha1 is over the word `blob`, the size and a zero byte first, so it needs the length."""
    if algorithm is DigestAlgorithm.SHA256:
        return hashlib.sha256()
    return hashlib.sha1(f"blob {total_bytes}\0".encode(), usedforsecurity=False)


def feed_file(path: Path, hashes: tuple[Hash, ...], *, limit_bytes: int, between: Callable[[int], None]) -> int:
    """Feed a file's first bytes, up to the limit, to every hash; `between` is called with the count after each block.

    Links are not followed. Returns how many bytes there were.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        buffer = bytearray(min(BLOCK_BYTES, os.fstat(file.fileno()).st_size + 1))  # small files: no 4 MiB to clear
        view, done = memoryview(buffer), 0
        while done < limit_bytes:
            count = file.readinto(view[: min(len(buffer), limit_bytes - done)])
            if not count:
                break
            for one in hashes:
                one.update(view[:count])
            done += count
            between(done)
    return done


def file_digests(
    path: Path, algorithms: tuple[DigestAlgorithm, ...], *, between: Callable[[int], None] = lambda _done: None
) -> tuple[str, ...]:
    """The digests of a whole file, read once."""
    size = path.lstat().st_size
    hashes = tuple(new_hash(algorithm, total_bytes=size) for algorithm in algorithms)
    feed_file(path, hashes, limit_bytes=1 << 62, between=between)
    return tuple(one.hexdigest() for one in hashes)
