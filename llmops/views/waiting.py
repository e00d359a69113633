"""What is waited for: one line on a terminal that counts seconds and goes away; elsewhere one line when it takes long."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

Waiting = Callable[[str], None]
"""Called with what is waited for, "" when nothing is."""

SHOW_SECONDS = 0.7
LONG_SECONDS = 5.0
STEP_SECONDS = 0.2


@contextmanager
def show_waiting(stream: TextIO, environment: Mapping[str, str], *, quiet: bool = False) -> Iterator[Waiting]:
    """A `Waiting` that shows on `stream` (stderr) until the context ends: only what takes longer than most."""
    if quiet:
        yield lambda _: None
        return
    clock = Clock(stream, is_terminal=stream.isatty() and environment.get("TERM") != "dumb")
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(STEP_SECONDS):
            clock.tick()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield clock.wait_for
    finally:
        ended.set()
        thread.join(timeout=1)
        clock.wait_for("")


class Clock:
    """What is waited for, and since when."""

    def __init__(self, stream: TextIO, *, is_terminal: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._is_terminal = is_terminal
        self._clock = clock
        self._lock = threading.Lock()
        self._what = ""
        self._since = 0.0
        self._shown = ""

    def wait_for(self, what: str) -> None:
        """From now on `what`; the line of the one before goes away."""
        with self._lock:
            self._clear()
            self._what, self._since, self._shown = what, self._clock(), ""

    def tick(self) -> None:
        """Show it, where it takes long."""
        with self._lock:
            seconds = self._clock() - self._since
            if not self._what or seconds < (SHOW_SECONDS if self._is_terminal else LONG_SECONDS):
                return
            if self._is_terminal:
                text = f"waiting for {self._what}: {seconds:.0f} s"
                if text != self._shown:
                    self._write(f"\r\x1b[K{text}")
                    self._shown = text
            elif not self._shown:
                self._shown = f"waiting for {self._what}"
                self._write(f"{self._shown}\n")

    def _clear(self) -> None:
        if self._shown and self._is_terminal:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._what = ""  # nobody looks any more
