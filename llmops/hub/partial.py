"""A file on its way: bytes in order, how many of them can be trusted, and their digests so far.

The name is the digest that is expected, so any later run of any process goes on with it, whatever repository it comes
from. All bytes count that were written since this machine started; after a power cut only those that were synced, which
a journal beside the file says.
"""

import fcntl
import json
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from llmops.domain.errors import OutsideWorld
from llmops.domain.finding import Where
from llmops.domain.model import Digest, DigestAlgorithm, ModelFile
from llmops.domain.units import MIB
from llmops.hub.disk import FULL, disk_errors
from llmops.hub.hashing import Hash, feed_file, new_hash

JOURNAL_SCHEMA = "llmops.incoming/1"
SYNC_BYTES = 256 * MIB
FICLONE = 0x40049409
"""The ioctl's number (linux/fs.h): the target shares the source's blocks until one of the two is written to."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def partial_key(digest: Digest) -> str:
    """The name of what is on its way, from the digest that is expected."""
    return f"{digest.algorithm.value}-{digest.value}"


def resumable_bytes(incoming: Path, file: ModelFile) -> int:
    """How much of a file is there already (for the count of free space; nothing is opened)."""
    if file.digest is None:
        return 0
    try:
        status = (incoming / f"{partial_key(file.digest)}.partial").lstat()
    except OSError:
        return 0
    return min(status.st_size, file.bytes) if stat.S_ISREG(status.st_mode) else 0


class Partial:
    """The bytes of one file so far. `done_bytes` of them are on disk and in the digests."""

    def __init__(self, incoming: Path, file: ModelFile, digest: Digest) -> None:
        self.path = incoming / f"{partial_key(digest)}.partial"
        self.done_bytes = 0
        self._journal = incoming / f"{partial_key(digest)}.json"
        self._file = file
        self._digest = digest
        self._synced_bytes = 0
        self._descriptor = self._open()
        self._sha256: Hash = new_hash(DigestAlgorithm.SHA256, total_bytes=file.bytes)
        self._sha1: Hash | None = None
        self._begin_digests()

    def resume(self, *, between: Callable[[int], None]) -> int:
        """Take in what an earlier run left, hashed again from the disk; how many bytes that was."""
        with disk_errors(self.path):
            trusted = self._trusted_bytes()
            os.ftruncate(self._descriptor, trusted)
            self.done_bytes = feed_file(self.path, self._hashes(), limit_bytes=trusted, between=between)
            os.lseek(self._descriptor, self.done_bytes, os.SEEK_SET)
            if self.done_bytes:
                os.fdatasync(self._descriptor)
            self._write_journal()
        return self.done_bytes

    def clone(self, source: int) -> bool:
        """Take all bytes of an open file by sharing its blocks; False where the file system cannot."""
        with disk_errors(self.path):
            if not clone(source, self._descriptor):
                return False
            self.done_bytes = feed_file(self.path, self._hashes(), limit_bytes=1 << 62, between=lambda _done: None)
        return True

    def start_over(self) -> None:
        """Forget all bytes."""
        with disk_errors(self.path):
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.done_bytes = self._synced_bytes = 0
        self._begin_digests()

    def append(self, block: memoryview) -> None:
        """Write the next bytes and take them into the digests."""
        with disk_errors(self.path):
            at = 0
            while at < len(block):
                written = os.write(self._descriptor, block[at:])
                for one in self._hashes():
                    one.update(block[at : at + written])
                at += written
                self.done_bytes += written  # counted piece by piece: a full disk ends the write in the middle
            if self.done_bytes - self._synced_bytes >= SYNC_BYTES:
                os.fdatasync(self._descriptor)
                self._write_journal()

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
            self._journal.unlink(missing_ok=True)

    def leave(self) -> None:
        """Remove the journal: the bytes have gone into the store under their own name."""
        with suppress(OSError):
            self._journal.unlink(missing_ok=True)

    def close(self) -> None:
        """Give the descriptor back; the bytes stay for the next run."""
        os.close(self._descriptor)

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

    def _trusted_bytes(self) -> int:
        size = min(os.fstat(self._descriptor).st_size, self._file.bytes)
        try:
            journal = json.loads(self._journal.read_text(encoding="utf-8"))
            boot, synced = str(journal["boot"]), int(journal["synced_bytes"])
        except (OSError, ValueError, KeyError, TypeError):
            boot, synced = "", 0
        self._synced_bytes = max(0, min(size, synced))
        return size if boot == _boot() else self._synced_bytes

    def _write_journal(self) -> None:
        """Say how far it is safe, with the start of the machine this is said in."""
        self._synced_bytes = self.done_bytes
        text = json.dumps(
            {
                "schema": JOURNAL_SCHEMA,
                "name": self._file.name,
                "bytes": self._file.bytes,
                "synced_bytes": self._synced_bytes,
                "boot": _boot(),
            }
        )
        new = self._journal.with_suffix(".json.new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)
        new.replace(self._journal)


def clone(source: int, target: int) -> bool:
    """Share the blocks of one open file with another (btrfs, XFS, bcachefs …); False where that is not possible."""
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno in FULL:
            raise
        return False
    return True


def _boot() -> str:
    """The id of this start of the machine; where the kernel has none, what was written before is not trusted unsynced."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"
