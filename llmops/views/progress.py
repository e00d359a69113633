"""How far a transfer is: a bar per file on a terminal, else one line for each 5 % of the whole, or JSON lines."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from threading import Lock
from typing import TextIO

from llmops.domain.transfer import Moved, Progress, silent
from llmops.domain.units import size_text

STEP_PERCENT = 5


class ProgressStyle(StrEnum):
    """`auto` is a bar on a terminal and lines elsewhere."""

    AUTO = "auto"
    JSON = "json"
    NONE = "none"


@contextmanager
def show_progress(
    style: ProgressStyle, stream: TextIO, environment: Mapping[str, str], *, total_bytes: int, verb: str
) -> Iterator[Progress]:
    """A `Progress` that shows on `stream` (stderr) until the context ends. `total_bytes` is that of all files."""
    if style is ProgressStyle.NONE or total_bytes == 0:
        yield silent
    elif style is ProgressStyle.JSON:
        yield _one_at_a_time(_json_lines(stream))
    elif stream.isatty() and environment.get("TERM") != "dumb":
        with _bars(stream, environment) as progress:
            yield _one_at_a_time(progress)
    else:
        yield _one_at_a_time(Lines(stream, total_bytes=total_bytes, verb=verb, clock=time.monotonic))


def _one_at_a_time(progress: Progress) -> Progress:
    """The files' threads take turns."""
    lock = Lock()

    def moved(event: Moved) -> None:
        with lock:
            progress(event)

    return moved


class Lines:
    """`35 %  1.72 GiB of 4.92 GiB  45.1 MiB/s`: one line when another 5 % of all files are done."""

    def __init__(self, stream: TextIO, *, total_bytes: int, verb: str, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._total_bytes = total_bytes
        self._verb = verb
        self._clock = clock
        self._done: dict[str, int] = {}
        self._shown_percent = 0
        self._first: tuple[float, int] | None = None

    def __call__(self, event: Moved) -> None:
        """Take in how far one file is."""
        if event.trouble:
            self._stream.write(f"{_trouble(event)}\n")
            self._stream.flush()
        self._done[event.name] = event.done_bytes
        done, now = sum(self._done.values()), self._clock()
        self._first = self._first or (now, done)
        percent = 100 * done // self._total_bytes
        if percent < self._shown_percent + STEP_PERCENT and not (percent >= 100 > self._shown_percent):
            return
        self._shown_percent = percent - percent % STEP_PERCENT
        text = f"{self._verb} {percent:3} %  {size_text(done)} of {size_text(self._total_bytes)}"
        self._stream.write(f"{text}{self._rate(done, now)}\n")
        self._stream.flush()

    def _rate(self, done: int, now: float) -> str:
        since, at_first = self._first or (now, done)
        seconds = now - since
        return f"  {size_text(int((done - at_first) / seconds))}/s" if seconds >= 1 else ""


def _trouble(event: Moved) -> str:
    return f"{event.name}: {event.trouble}"


def _json_lines(stream: TextIO) -> Progress:
    def moved(event: Moved) -> None:
        line = {
            "event": "progress",
            "file": event.name,
            "done_bytes": event.done_bytes,
            "total_bytes": event.total_bytes,
        }
        if event.trouble:
            line |= {"event": "retry", "why": event.trouble}
        stream.write(json.dumps(line) + "\n")
        stream.flush()

    return moved


@contextmanager
def _bars(stream: TextIO, environment: Mapping[str, str]) -> Iterator[Progress]:
    from rich import progress as rich_progress
    from rich.console import Console

    columns = (
        rich_progress.TextColumn("{task.description}", markup=False),
        rich_progress.BarColumn(),
        rich_progress.DownloadColumn(binary_units=True),
        rich_progress.TransferSpeedColumn(),
        rich_progress.TimeRemainingColumn(),
    )
    console = Console(file=stream, no_color=bool(environment.get("NO_COLOR")))
    with rich_progress.Progress(*columns, console=console) as bars:
        tasks: dict[str, rich_progress.TaskID] = {}

        def moved(event: Moved) -> None:
            if event.trouble:
                console.print(_trouble(event), markup=False, highlight=False)
            if event.name not in tasks:
                tasks[event.name] = bars.add_task(event.name[-40:], total=event.total_bytes, completed=event.done_bytes)
            bars.update(tasks[event.name], completed=event.done_bytes)

        yield moved
