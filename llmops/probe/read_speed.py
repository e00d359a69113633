"""How fast a disk reads in sequence: a file of random bytes is written, and read past the page cache (O_DIRECT).

The file has no name (O_TMPFILE, or unlinked before the first byte is written), so nothing stays behind however this ends.
Every 4 KiB of it are random and unlike all others: a filesystem that compresses or deduplicates gains nothing. Where the
bytes came from is looked up afterwards: a filesystem may take O_DIRECT and answer from memory all the same.
"""

import ctypes
import errno
import mmap
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from llmops.domain.reading import Known, Unknown
from llmops.domain.records import dataclass
from llmops.domain.storage import DiskSpeed
from llmops.domain.units import MIB, size_text
from llmops.probe.text import read_text
from llmops.probe.within import LOOK_SECONDS, answer_of, beside

IN_MEMORY = ("tmpfs", "ramfs", "devtmpfs", "rootfs")
"""Memory: Linux 6.6 and later accept O_DIRECT on tmpfs, and read it at the speed of copying."""

SECTOR_BYTES = 4096
CACHED_SHARE = 0.25
"""More of the file in the page cache than this says that reads came from there.

btrfs reads an eighth of each block of 4 MiB that way (Linux 6.18); these pages are let go of before each round.
"""

STORED_SHARE = 0.9
"""Of random bytes less than this on the disk: they were compressed after all, deduplicated, or are not written yet."""

PREFIX = ".llmops-read-speed-"
PATIENCE_SECONDS = 20.0
"""A disk that does not answer at all, such as one of a network that is down, is given up after this."""

WORDS = {
    errno.ENOSPC: "no space left on the device",
    errno.EDQUOT: "this user's quota is full",
    errno.EROFS: "the filesystem is read-only",
    errno.EACCES: "no permission to write there",
    errno.EPERM: "no permission to write there",
    errno.EINVAL: "the filesystem does not take O_DIRECT",
    errno.EOPNOTSUPP: "the filesystem does not take O_DIRECT",
    errno.EFBIG: "this process may not write a file of that size",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How much is written and read, `requests` blocks at a time: loaders and the readahead keep a disk as busy."""

    file_bytes: int = 256 * MIB
    least_bytes: int = 32 * MIB
    spare_bytes: int = 256 * MIB
    block_bytes: int = 4 * MIB
    requests: int = 4
    write_seconds: float = 2.5
    round_seconds: float = 0.5
    rounds: int = 5
    read_seconds: float = 4.0


Told = Callable[[float], None]
"""Called with how far the measurement is, from 0 to 1."""


def ask(
    directories: Sequence[Path],
    *,
    filesystem: str,
    free_bytes: int,
    told: Told = lambda _: None,
    trial: Trial | None = None,
) -> Known[DiskSpeed] | Unknown:
    """Measured in the first of `directories` (all on one filesystem) that takes a file; else `Unknown` with the reason."""
    trial = trial or Trial()
    if filesystem in IN_MEMORY:
        return Unknown(f"{filesystem} is memory: there is no disk to read")
    if filesystem == "zfs" and (reason := _zfs_reason(read_text(Path("/sys/module/zfs/version")))):
        return Unknown(reason)
    size = affordable_bytes(free_bytes, trial)
    if size is None:
        least = size_text(trial.least_bytes + trial.spare_bytes)
        return Unknown(f"no space to write a file for it: {size_text(free_bytes)} free, {least} are needed")
    ended = threading.Event()
    answer = beside(lambda: _first(directories, size, trial, told, ended))
    try:
        return answer_of(answer, seconds=PATIENCE_SECONDS)
    except TimeoutError:
        return Unknown(f"the disk did not answer within {PATIENCE_SECONDS:g} s")
    finally:
        ended.set()  # also on Ctrl-C: the threads stop at their next block
        if not answer.done():
            with suppress(Exception):
                answer_of(answer, seconds=10 * LOOK_SECONDS)


def affordable_bytes(free_bytes: int, trial: Trial) -> int | None:
    """Whole blocks: the file, or what leaves the spare free; None where that is too little to tell anything."""
    size = min(trial.file_bytes, free_bytes - trial.spare_bytes)
    size -= size % trial.block_bytes
    return size if size >= trial.least_bytes else None


def _zfs_reason(version: Known[str] | Unknown) -> str | None:
    """Before 2.3, ZFS takes O_DIRECT and answers from its own cache (OpenZFS 2.3.0, release notes: Direct IO)."""
    if isinstance(version, Unknown):
        return "ZFS of a version that is not known: before 2.3 it answers from its own cache"
    major, _, rest = version.value.strip().partition(".")
    minor = rest.partition(".")[0]
    if major.isdigit() and minor.isdigit() and (int(major), int(minor)) >= (2, 3):
        return None
    return f"ZFS {version.value.strip()[:20]} takes O_DIRECT and answers from its own cache (direct since 2.3)"


def _first(
    directories: Sequence[Path], size: int, trial: Trial, told: Told, ended: threading.Event
) -> Known[DiskSpeed] | Unknown:
    reading: Known[DiskSpeed] | Unknown = Unknown("no directory to write in")
    for directory in directories:
        try:
            with _nameless(directory) as file:
                return _measure(file, size, trial, told, ended)
        except OSError as error:
            said = WORDS.get(error.errno or 0, (error.strerror or str(error)).lower())
            reading = Unknown(f"{said}: {directory}")
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR):
                return reading
    return reading


@contextmanager
def _nameless(directory: Path) -> Iterator[int]:
    """A file descriptor of an empty file without a name, for reading and writing past the page cache."""
    flags = os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC
    try:
        file = os.open(directory, flags | os.O_TMPFILE, 0o600)
    except OSError as error:
        # not every filesystem has O_TMPFILE, and one without O_DIRECT answers EINVAL to this too
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):
            raise
        file = _unlinked(directory, flags)
    try:
        yield file
    finally:
        os.close(file)


def _unlinked(directory: Path, flags: int) -> int:
    """Made and unlinked before anything is written: kill -9 between the two leaves an empty file. Ctrl-C waits for this."""
    path = directory / f"{PREFIX}{os.getpid()}-{threading.get_ident()}"
    # made without O_DIRECT first: a filesystem that refuses it makes the file all the same
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    try:
        return os.open(path, flags)
    finally:
        path.unlink()


def _measure(file: int, size: int, trial: Trial, told: Told, ended: threading.Event) -> Known[DiskSpeed] | Unknown:
    written = _write(file, size, trial, lambda share: told(0.35 * share), ended)
    if written < min(size, trial.least_bytes):
        return Unknown(f"writing is too slow to measure reading: {size_text(written)} in {trial.write_seconds:g} s")
    status = os.fstat(file)
    if status.st_blocks * 512 < written * STORED_SHARE:
        return Unknown(
            f"{size_text(status.st_blocks * 512)} on the disk after {size_text(written)} of random bytes: "
            "the filesystem compresses, deduplicates or has not written them yet"
        )
    rates, read_bytes = _read(file, written, trial, lambda share: told(0.35 + 0.65 * share), ended)
    if ended.is_set() or not rates:
        return Unknown("interrupted")
    if _cached_share(file, written) > CACHED_SHARE:
        return Unknown("the reads were answered from memory: the filesystem takes O_DIRECT and does not obey it")
    told(1.0)
    return Known(
        DiskSpeed(
            median_bytes_per_second=round(statistics.median(rates)),
            low_bytes_per_second=round(min(rates)),
            high_bytes_per_second=round(max(rates)),
            rounds=len(rates),
            read_bytes=read_bytes,
            file_bytes=written,
            block_bytes=trial.block_bytes,
            requests=trial.requests,
        )
    )


def _write(file: int, size: int, trial: Trial, told: Told, ended: threading.Event) -> int:
    """How many bytes are on the disk: whole blocks, `size` or what was written when the time was over."""
    block = trial.block_bytes
    # random bytes cost 7 ms a MiB here, so one block of them is mixed with 4 KiB of others for each further one
    first = int.from_bytes(os.urandom(block), "little")
    deadline = time.monotonic() + trial.write_seconds
    written = 0
    with mmap.mmap(-1, block) as page:  # aligned to a page, as O_DIRECT wants it
        while written < size and time.monotonic() < deadline and not ended.is_set():
            mixed = first ^ int.from_bytes(os.urandom(SECTOR_BYTES) * (block // SECTOR_BYTES), "little")
            page[:] = mixed.to_bytes(block, "little")
            if os.pwrite(file, page, written) < block:
                break  # the disk is full: what is whole counts
            written += block
            told(written / size)
    os.fsync(file)
    # btrfs writes through the page cache where it keeps checksums, also with O_DIRECT: what is left there must go first
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    return written


def _read(file: int, size: int, trial: Trial, told: Told, ended: threading.Event) -> tuple[list[float], int]:
    """Bytes a second of each round, and all bytes read: one round goes on where the one before it stopped."""
    blocks = size // trial.block_bytes
    rates: list[float] = []
    place = total = 0
    start = time.monotonic()
    for number in range(trial.rounds):
        if ended.is_set() or (number >= 3 and time.monotonic() - start > trial.read_seconds):
            break
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        begun = time.monotonic()
        count = _round(file, place, blocks, trial, ended)
        rates.append(count * trial.block_bytes / (time.monotonic() - begun))
        place, total = place + count, total + count * trial.block_bytes
        told((number + 1) / trial.rounds)
    return rates, total


def _round(file: int, place: int, blocks: int, trial: Trial, ended: threading.Event) -> int:
    """How many blocks were read, by several threads in turn, from block `place` on and around the file's end."""
    lock = threading.Lock()
    deadline = time.monotonic() + trial.round_seconds
    count = 0
    faults: list[OSError] = []

    def read() -> None:
        nonlocal count
        with mmap.mmap(-1, trial.block_bytes) as page:
            while not ended.is_set():
                with lock:
                    if count and time.monotonic() >= deadline:
                        return
                    at, count = place + count, count + 1
                try:
                    if os.preadv(file, [page], at % blocks * trial.block_bytes) < trial.block_bytes:
                        raise OSError(errno.EIO, "the file ended before its size")
                except OSError as error:
                    faults.append(error)
                    return

    threads = [threading.Thread(target=read, daemon=True) for _ in range(trial.requests)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return count


def _cached_share(file: int, size: int) -> float:
    """How much of the file is in the page cache (mincore(2)); 0 where that cannot be asked."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        pages = -(-size // mmap.PAGESIZE)
        states = (ctypes.c_ubyte * pages)()
        with mmap.mmap(file, size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE) as view:
            first = ctypes.c_char.from_buffer(view)
            failed = library.mincore(ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(size), states)
            del first  # the view cannot be closed while something points into it
    except (OSError, ValueError, AttributeError):
        return 0.0
    return 0.0 if failed else sum(state & 1 for state in states) / pages
