"""A file on its way: chunks that several connections fill at once, and its digest, taken in order behind them.

The name is the digest that is expected, so any later run of any process goes on with it, whatever repository it comes
from. What was written is read back once for the digest, right behind the connections, while it is still in the page cache.
"""

import errno
import os
import stat
from pathlib import Path
from threading import Condition

from llmops.domain.errors import OutsideWorld
from llmops.domain.finding import Where
from llmops.domain.model import Digest, DigestAlgorithm, ModelFile
from llmops.domain.units import MIB
from llmops.hub.disk import clone, disk_errors
from llmops.hub.hashing import Hash, new_hash
from llmops.hub.journal import Journal, journaled_bytes

CHUNK_BYTES = 32 * MIB
"""What one connection takes at a time. Chunks are taken in order, so what was written is still in memory when it is hashed."""

HASH_BYTES = 2 * MIB


def partial_key(digest: Digest) -> str:
    """The name of what is on its way, from the digest that is expected."""
    return f"{digest.algorithm.value}-{digest.value}"


def resumable_bytes(incoming: Path, file: ModelFile) -> int:
    """How much of a file is there already (for the count of free space; nothing is changed)."""
    if file.digest is None:
        return 0
    path = incoming / f"{partial_key(file.digest)}.partial"
    try:
        status = path.lstat()
    except OSError:
        return 0
    if not stat.S_ISREG(status.st_mode):
        return 0
    return journaled_bytes(path.with_suffix(".journal"), total_bytes=file.bytes, file_bytes=status.st_size)


class Lease:
    """A stretch that one connection fills: from `at` on to `end`, counted from the file's start."""

    def __init__(self, start: int, end: int, chunks: range) -> None:
        self.at = start
        self.end = end
        self.chunks = chunks

    @property
    def missing_bytes(self) -> int:
        """What it still lacks."""
        return self.end - self.at


class Partial:
    """The bytes of one file so far: written in leases by any thread, hashed in order by one."""

    def __init__(self, incoming: Path, file: ModelFile, digest: Digest, *, chunk_bytes: int = CHUNK_BYTES) -> None:
        self.path = incoming / f"{partial_key(digest)}.partial"
        self.hashed_bytes = 0
        self.changed = Condition()
        self._file = file
        self._digest = digest
        self._leased: set[int] = set()
        self._first = 0  # every chunk before is whole
        self._sent: dict[int, int] = {}  # of the chunks that are being filled: how much the disk was told to begin with
        self._users = 1
        self._descriptor = self._open()
        try:
            with disk_errors(self.path):
                size = os.fstat(self._descriptor).st_size
                self._journal = Journal(
                    self.path.with_suffix(".journal"), total_bytes=file.bytes, chunk_bytes=chunk_bytes, file_bytes=size
                )
        except BaseException:
            os.close(self._descriptor)
            raise
        self.done_bytes = sum(self._journal.written)
        self._sha256: Hash
        self._sha1: Hash | None = None
        self._begin_digests()

    @property
    def is_whole(self) -> bool:
        """Whether every byte is written; the digest may lag."""
        return self.done_bytes == self._file.bytes

    def lease(self, *, rest: bool = False) -> Lease | None:
        """The first stretch nobody fills: of one chunk, or with `rest` from the first missing byte to the file's end.

        `rest` forgets what was written beyond: for a server that sends the file only as a whole.
        """
        with self.changed:
            written, size = self._journal.written, self._journal.size
            for chunk in range(self._first, len(written)):
                if written[chunk] == size(chunk) or chunk in self._leased:
                    continue
                last = len(written) if rest else chunk + 1
                if rest:
                    self.done_bytes -= sum(written[chunk + 1 :])
                    self._journal.forget(chunk + 1)
                start = chunk * self._journal.chunk_bytes
                end = min(last * self._journal.chunk_bytes, self._file.bytes)
                self._leased |= set(range(chunk, last))
                self._sent.setdefault(chunk, 0)
                self._users += 1
                return Lease(start + written[chunk], end, range(chunk, last))
            return None

    def has_more(self) -> bool:
        """Whether `lease` would give one."""
        with self.changed:
            written, size = self._journal.written, self._journal.size
            chunks = range(self._first, len(written))
            return any(written[one] < size(one) and one not in self._leased for one in chunks)

    def is_leased(self) -> bool:
        """Whether anyone fills a stretch."""
        with self.changed:
            return bool(self._leased)

    def give_back(self, lease: Lease) -> None:
        """A lease ends, filled or not."""
        with self.changed:
            self._leased -= set(lease.chunks)
            self.changed.notify_all()
        self._leave()

    def write(self, lease: Lease, block: memoryview) -> None:
        """The next bytes of a lease; counted piece by piece, since a full disk ends a write in the middle."""
        with disk_errors(self.path):
            at = 0
            while at < len(block):
                count = os.pwrite(self._descriptor, block[at:], lease.at)
                self._count(lease.at, count)
                lease.at += count
                at += count

    def append(self, block: memoryview) -> None:
        """The next bytes of a file that is copied in order, by one thread."""
        start = self.done_bytes
        with disk_errors(self.path):
            if start + len(block) > self._file.bytes:
                raise OSError(errno.EFBIG, "longer than it was", str(self.path))
            at = 0
            while at < len(block):
                count = os.pwrite(self._descriptor, block[at:], start + at)
                for one in self._hashes():
                    one.update(block[at : at + count])
                self._count(start + at, count)
                self.hashed_bytes += count
                at += count

    def _count(self, start: int, count: int) -> None:
        """`count` bytes from `start` are in the file, within one chunk or over its end."""
        with self.changed:
            chunk_bytes, end = self._journal.chunk_bytes, start + count
            for chunk in range(start // chunk_bytes, (end - 1) // chunk_bytes + 1):
                there = min(end - chunk * chunk_bytes, self._journal.size(chunk))
                self.done_bytes += there - self._journal.written[chunk]
                self._journal.advance(chunk, there)
            self.changed.notify_all()

    def hash_some(self, buffer: memoryview) -> bool:
        """Take the next bytes that are there without a gap into the digests; False when there are none just now."""
        ready = min(self._ready_bytes() - self.hashed_bytes, len(buffer))
        if ready <= 0:
            return False
        with disk_errors(self.path):
            count = os.preadv(self._descriptor, [buffer[:ready]], self.hashed_bytes)
            if not count:
                raise OSError(errno.EIO, "the file became shorter", str(self.path))
        for one in self._hashes():
            one.update(buffer[:count])
        self.hashed_bytes += count
        return True

    def wait(self, hashed_bytes: int, seconds: float) -> None:
        """Until there is more to hash, a lease ends, or the time is over."""
        with self.changed:
            if self._ready_bytes() <= hashed_bytes:
                self.changed.wait(seconds)

    def _ready_bytes(self) -> int:
        """How many bytes are written from the file's start without a gap."""
        with self.changed:
            written, size = self._journal.written, self._journal.size
            while self._first < len(written) and written[self._first] == size(self._first):
                self._first += 1
            here = written[self._first] if self._first < len(written) else 0
            return min(self._first * self._journal.chunk_bytes + here, self._file.bytes)

    @property
    def unsynced_bytes(self) -> int:
        """What a power cut could take."""
        with self.changed:
            return self.done_bytes - sum(self._journal.synced)

    def begin_writing(self) -> None:
        """Have the disk begin with what was written since: it is busy from the first bytes on, and a sync finds little to do.

        Linux starts the write and returns; of pages that are not on the disk yet it forgets none (mm/fadvise.c of 6.18).
        """
        if not hasattr(os, "posix_fadvise"):
            return
        with self.changed:
            chunk_bytes, written = self._journal.chunk_bytes, self._journal.written
            going = {chunk: written[chunk] for chunk in {*self._leased, *self._sent}}
            begun = self._sent
            self._sent = {chunk: going[chunk] for chunk in self._leased}
        for chunk, end in sorted(going.items()):
            start = begun.get(chunk, 0)
            if end > start:
                at = chunk * chunk_bytes + start
                os.posix_fadvise(self._descriptor, at, end - start, os.POSIX_FADV_DONTNEED)

    def sync(self) -> None:
        """Bring what was written so far to the disk, and say so in the journal."""
        with self.changed:
            written = list(self._journal.written)
        with disk_errors(self.path):
            os.fdatasync(self._descriptor)
            with self.changed:
                self._journal.synced_to(written)

    def start_over(self) -> None:
        """Forget all bytes. No lease may be out."""
        with disk_errors(self.path), self.changed:
            self._journal.forget()
            os.ftruncate(self._descriptor, 0)
        self.done_bytes = self.hashed_bytes = self._first = 0
        self._begin_digests()

    def clone(self, source: int) -> bool:
        """Take all bytes of an open file by sharing its blocks; False where the file system cannot."""
        with disk_errors(self.path):
            if not clone(source, self._descriptor):
                return False
            if os.fstat(self._descriptor).st_size != self._file.bytes:
                raise OSError(errno.EFBIG, "its length changed", str(self.path))
        if self._file.bytes:
            self._count(0, self._file.bytes)
        buffer = memoryview(bytearray(HASH_BYTES))
        while self.hash_some(buffer):
            pass
        return True

    def digest_now(self) -> str:
        """The digest so far, by the algorithm that was expected."""
        return self._sha1.hexdigest() if self._sha1 is not None else self._sha256.hexdigest()

    def sha256_now(self) -> str:
        """The sha256 so far, which the store goes by."""
        return self._sha256.hexdigest()

    def discard(self) -> None:
        """Remove it: its bytes are wrong."""
        with disk_errors(self.path):
            self.path.unlink(missing_ok=True)
            self._journal.remove()

    def leave(self) -> None:
        """Remove the journal: the bytes have gone into the store under their own name."""
        self._journal.remove()

    def close(self) -> None:
        """Give the descriptors back when the last lease has ended; the bytes stay for the next run."""
        self._leave()

    def _leave(self) -> None:
        with self.changed:
            self._users -= 1
            if self._users == 0:  # a number that was given back could stand for another file by now
                os.close(self._descriptor)
                self._journal.close()

    def __enter__(self) -> "Partial":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with disk_errors(self.path):
            try:
                descriptor = os.open(self.path, flags, 0o600)
            except PermissionError:  # a run ended between making it read-only and renaming it
                self.path.chmod(0o600)
                descriptor = os.open(self.path, flags, 0o600)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OutsideWorld("this is not a regular file", where=Where(file=str(self.path)))
        return descriptor

    def _begin_digests(self) -> None:
        self._sha256 = new_hash(DigestAlgorithm.SHA256, total_bytes=self._file.bytes)
        if self._digest.algorithm is not DigestAlgorithm.SHA256:
            self._sha1 = new_hash(self._digest.algorithm, total_bytes=self._file.bytes)

    def _hashes(self) -> tuple[Hash, ...]:
        return (self._sha256,) if self._sha1 is None else (self._sha256, self._sha1)
