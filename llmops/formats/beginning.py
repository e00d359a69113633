"""The beginning of a file, fetched in few large reads.

A header's size is known only at its end: a tokenizer of 128,000 tokens has no index. So the reader asks for 4 MiB, and when
that is not enough for as much as it then expects; the expectation is the parser's, who has seen the counts by then.
"""

from collections.abc import Callable

from llmops.domain.errors import WrongInput
from llmops.domain.units import KIB, MIB, size_text
from llmops.formats.refusal import refusal

Read = Callable[[int, int], bytes]
"""`read(offset, length)`: up to `length` bytes, fewer only at the file's end."""

FIRST_READ_BYTES = 4 * MIB
EXPECTED_LIMIT_BYTES = 32 * MIB
"""What is asked for on an expectation alone. The largest header known is 17 MB (Gemma 4: 262,144 tokens, 514,906 merges)."""
HEADER_LIMIT_BYTES = 64 * MIB
"""More than any header known by a factor of four; the limit bounds time and memory for hostile files."""


class Beginning:
    """The bytes read so far, and how many more to ask for. `file_bytes` None: the length is not known.

    `piece_bytes`: where a read costs no round trip, no more is asked for at once: each finds the memory of the one before.
    """

    __slots__ = ("_piece_bytes", "_read", "_requests", "buffer", "expected_bytes", "file_bytes", "name")

    def __init__(
        self,
        read: Read,
        *,
        name: str,
        file_bytes: int | None,
        first_read_bytes: int = FIRST_READ_BYTES,
        piece_bytes: int | None = None,
    ) -> None:
        self.name = name
        self.file_bytes = file_bytes
        self.buffer = bytearray()
        self.expected_bytes = 0
        self._read = read
        self._piece_bytes = piece_bytes
        self._requests = 0
        self._fetch(first_read_bytes)

    def need(self, end: int) -> None:
        """Have the bytes up to `end`. Raises `WrongInput` where the file or the limit ends before."""
        while len(self.buffer) < end:
            if self.file_bytes is not None and end > self.file_bytes:
                raise self.truncated()
            if end > HEADER_LIMIT_BYTES:
                raise self.wrong(
                    f"its header would be larger than {size_text(HEADER_LIMIT_BYTES)}",
                    hint="no real model has such a header: fetch the file again from where it is published",
                )
            self._fetch(max(end, self._goal()))

    def _goal(self) -> int:
        """To where the next read goes: the expected end and some slack, more of it at every further read.

        Past the limit of what is expected it goes in steps: a file made so must not be read eight bytes at a time.
        """
        slack = (64 * KIB, 64 * KIB, 1 * MIB, 8 * MIB)[min(self._requests, 3)]
        expected = self.expected_bytes + self.expected_bytes // 20 if self.expected_bytes else 2 * len(self.buffer)
        goal = min(max(expected + slack, len(self.buffer) + slack), EXPECTED_LIMIT_BYTES)
        return goal if goal > len(self.buffer) else len(self.buffer) + slack

    def _fetch(self, goal: int) -> None:
        at = len(self.buffer)
        goal = min(goal, HEADER_LIMIT_BYTES)
        if self.file_bytes is not None:
            goal = min(goal, self.file_bytes)
        if goal <= at:
            return
        self._requests += 1
        while at < goal:
            length = min(self._piece_bytes or goal, goal - at)
            self.buffer += self._read(at, length)[:length]
            if len(self.buffer) < at + length:
                break
            at += length
        if len(self.buffer) < goal:
            if self.file_bytes is not None:
                raise self.wrong(
                    f"it has {len(self.buffer)} bytes where {self.file_bytes} were announced",
                    hint="it changes while it is read, or its transfer was cut: try again when it is complete",
                )
            self.file_bytes = len(self.buffer)

    def truncated(self) -> WrongInput:
        """The file ends inside its own header."""
        return self.wrong(
            f"it ends after {self.file_bytes} bytes, inside its header",
            hint="the download was cut: fetch it again (`llmops pull` resumes and verifies)",
        )

    def wrong(self, message: str, *, hint: str | None = None) -> WrongInput:
        """A refusal that names the file."""
        return refusal(self.name, message, hint=hint)
