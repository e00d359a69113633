"""How much of a file on its way can be trusted, chunk by chunk: what the next run, or the next start of the machine, reads.

A header and one line of fixed width per chunk: bytes written, bytes known to be on the disk. A line is changed in place by
one small write after the bytes it speaks of, so a killed process loses no more than the block it was writing. After a power
cut, told by the id of the machine's start, only what was synced counts. Whatever is unreadable counts as nothing.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

SCHEMA = "llmops.incoming/2"
HEADER_BYTES = 512
LINE_BYTES = 24
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Journal:
    """The counts of one file's chunks, in memory and on disk. `written[n]` bytes of chunk n are in the file, from its start."""

    def __init__(self, path: Path, *, total_bytes: int, chunk_bytes: int, file_bytes: int) -> None:
        """Take in what an earlier run left; `file_bytes` is the length of the file it speaks of."""
        self.chunk_bytes = chunk_bytes
        self.written: list[int] = []
        self._path = path
        self._total_bytes = total_bytes
        self._begin(_read(path, total_bytes), file_bytes)
        self.synced = list(self.written)
        self._descriptor = self._write_anew()

    def size(self, chunk: int) -> int:
        """The length of a chunk: the last one is shorter."""
        return min(self.chunk_bytes, self._total_bytes - chunk * self.chunk_bytes)

    def advance(self, chunk: int, written: int) -> None:
        """So many bytes of a chunk are in the file now."""
        self.written[chunk] = written
        self._write_line(chunk)

    def synced_to(self, written: list[int]) -> None:
        """What `written` was before the file was synced is on the disk."""
        for chunk, count in enumerate(written):
            if self.synced[chunk] < count <= self.written[chunk]:
                self.synced[chunk] = count
                self._write_line(chunk)

    def forget(self, first: int = 0) -> None:
        """Nothing is there from chunk `first` on."""
        for chunk in range(first, len(self.written)):
            self.written[chunk] = self.synced[chunk] = 0
            self._write_line(chunk)

    def close(self) -> None:
        """Give the descriptor back; the journal stays."""
        os.close(self._descriptor)

    def remove(self) -> None:
        """The file it speaks of has gone."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _begin(self, left: "tuple[int, str, list[tuple[int, int]]] | None", file_bytes: int) -> None:
        if left is not None:
            self.chunk_bytes = left[0]
        count = -(-self._total_bytes // self.chunk_bytes)
        self.written = [0] * count
        if left is None:
            return
        boot = _boot()
        for chunk, (written, synced) in enumerate(left[2][:count]):
            trusted = written if boot is not None and left[1] == boot else synced
            there = min(self.size(chunk), max(0, file_bytes - chunk * self.chunk_bytes))
            self.written[chunk] = max(0, min(trusted, there))

    def _write_anew(self) -> int:
        header = {
            "schema": SCHEMA, "bytes": self._total_bytes, "chunk_bytes": self.chunk_bytes, "boot": _boot() or "",
        }  # fmt: skip
        text = json.dumps(header).ljust(HEADER_BYTES - 1) + "\n"
        text += "".join(self._line(chunk) for chunk in range(len(self.written)))
        new = self._path.with_suffix(".journal.new")
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(new, flags, 0o600)
        try:
            os.pwrite(descriptor, text.encode(), 0)
            new.replace(self._path)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _line(self, chunk: int) -> str:
        return f"{self.written[chunk]:>11} {self.synced[chunk]:>11}\n"

    def _write_line(self, chunk: int) -> None:
        os.pwrite(self._descriptor, self._line(chunk).encode(), HEADER_BYTES + chunk * LINE_BYTES)


def journaled_bytes(path: Path, *, total_bytes: int, file_bytes: int) -> int:
    """How much of a file an earlier run left that will be trusted; nothing is changed."""
    left = _read(path, total_bytes)
    if left is None:
        return 0
    boot = _boot()
    trusted = sum(written if boot is not None and left[1] == boot else synced for written, synced in left[2])
    return max(0, min(trusted, total_bytes, file_bytes))


def _read(path: Path, total_bytes: int) -> "tuple[int, str, list[tuple[int, int]]] | None":
    """Chunk length, start of the machine, and the counts; None for what is not a journal of a file of this length."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            header = json.loads(file.read(HEADER_BYTES))
            chunk_bytes, boot = int(header["chunk_bytes"]), str(header["boot"])
            if header["schema"] != SCHEMA or int(header["bytes"]) != total_bytes or chunk_bytes < 1:
                return None
            lines = file.read(LINE_BYTES * -(-total_bytes // chunk_bytes))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return chunk_bytes, boot, [_counts(lines[at : at + LINE_BYTES]) for at in range(0, len(lines), LINE_BYTES)]


def _counts(line: bytes) -> tuple[int, int]:
    """Bytes written and synced; a line that is not whole, or zeros after a power cut, says nothing."""
    try:
        written, synced = (int(word) for word in line.split())
    except ValueError:
        return 0, 0
    return max(0, written), max(0, min(written, synced))


def _boot() -> str | None:
    """The id of this start of the machine; None where the kernel has none: then nothing unsynced is trusted."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None
