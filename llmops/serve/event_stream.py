"""Server-sent events, as a stream of bytes that may be cut anywhere.

Format: WHATWG HTML, section 9.2 (server-sent events): lines end with LF, CR or CRLF; `data:` lines of one event are joined
by LF; a line that starts with `:` is a comment (a keep-alive); an empty line ends the event; other fields are not ours.
"""

import codecs
import re

_LINE_END = re.compile(rb"\r\n|\r|\n")
EVENT_LIMIT_BYTES = 1 << 20


class EventTooLongError(Exception):
    """More than `EVENT_LIMIT_BYTES` without the end of an event: not a token stream."""


class EventStream:
    """Feed it what arrives; it gives back the data of the events that are complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._held_bytes = 0
        self._started = False

    def feed(self, piece: bytes) -> tuple[str, ...]:
        """The data of each event that `piece` completes. Raises `EventTooLongError`."""
        self._rest += piece
        events: list[str] = []
        while (line := self._next_line()) is not None:
            if not self._started:
                line = line.removeprefix(codecs.BOM_UTF8)
                self._started = True
            if line:
                self._take(line)
            elif self._data:
                events.append(b"\n".join(self._data).decode("utf-8", "replace"))
                self._data, self._held_bytes = [], 0
        if len(self._rest) + self._held_bytes > EVENT_LIMIT_BYTES:
            raise EventTooLongError
        return tuple(events)

    def _next_line(self) -> bytes | None:
        """The next complete line; a CR at the very end may be half of a CRLF, and waits for what follows."""
        found = _LINE_END.search(self._rest)
        if found is None or (found[0] == b"\r" and found.end() == len(self._rest)):
            return None
        line, self._rest = self._rest[: found.start()], self._rest[found.end() :]
        return line

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            value = value.removeprefix(b" ")
            self._data.append(value)
            self._held_bytes += len(value) + 1
