"""How far a transfer is: a bar per file on a terminal, else one line for each 5 % of the whole, or JSON lines."""

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from threading import Lock
from typing import TextIO

from llmops.domain.durations import duration_text
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
        yield _one_at_a_time(_json_lines(stream, Pace(total_bytes, time.monotonic)))
    elif stream.isatty() and environment.get("TERM") != "dumb":
        with _bars(stream, environment, total_bytes) as progress:
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


@contextmanager
def saying(style: ProgressStyle, stream: TextIO) -> Iterator[Callable[[str], None]]:
    """What is waited for, or will come, as a line on `stream` (stderr, above the bars while there are any)."""

    def say(why: str) -> None:
        to = sys.stderr if stream is sys.__stderr__ else stream
        to.write((json.dumps({"event": "notice", "why": why}) if style is ProgressStyle.JSON else why) + "\n")
        to.flush()

    yield (lambda _why: None) if style is ProgressStyle.NONE else say


class Pace:
    """How much of all files is done, how fast it went lately, and how long the rest takes at that speed."""

    WINDOW_SECONDS = 15.0

    def __init__(self, total_bytes: int, clock: Callable[[], float]) -> None:
        self.total_bytes = total_bytes
        self._clock = clock
        self._files: dict[str, int] = {}
        self._past: deque[tuple[float, int]] = deque()

    def take_in(self, event: Moved) -> int:
        """The bytes of all files that are done, with this event."""
        now = self._clock()
        if event.name in self._files or not self._past:
            self._files[event.name] = event.done_bytes
        else:  # what an earlier run left of this file was not brought now
            self._files[event.name] = event.done_bytes
            self._past = deque((at, done + event.done_bytes) for at, done in self._past)
        done = sum(self._files.values())
        self._past.append((now, done))
        while len(self._past) > 2 and now - self._past[0][0] > self.WINDOW_SECONDS:
            self._past.popleft()
        return done

    def bytes_per_second(self) -> float | None:
        """Lately; None when that is not known yet."""
        (begun, first), (now, last) = self._past[0], self._past[-1]
        return (last - first) / (now - begun) if now - begun >= 1 and last > first else None

    def seconds_left(self) -> float | None:
        """At that speed."""
        speed = self.bytes_per_second()
        return (self.total_bytes - self._past[-1][1]) / speed if speed else None


class Lines:
    """`35 %  1.72 GiB of 4.92 GiB  45.1 MiB/s  72 s left`: one line when another 5 % of all files are done."""

    def __init__(self, stream: TextIO, *, total_bytes: int, verb: str, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._total_bytes = total_bytes
        self._verb = verb
        self._pace = Pace(total_bytes, clock)
        self._shown_percent = 0

    def __call__(self, event: Moved) -> None:
        """Take in how far one file is."""
        if event.trouble:
            self._stream.write(f"{_trouble(event)}\n")
            self._stream.flush()
        done = self._pace.take_in(event)
        percent = 100 * done // self._total_bytes
        if percent < self._shown_percent + STEP_PERCENT and not (percent >= 100 > self._shown_percent):
            return
        self._shown_percent = percent - percent % STEP_PERCENT
        text = f"{self._verb} {percent:3} %  {size_text(done)} of {size_text(self._total_bytes)}"
        self._stream.write(f"{text}{self._rate()}\n")
        self._stream.flush()

    def _rate(self) -> str:
        speed, left = self._pace.bytes_per_second(), self._pace.seconds_left()
        if speed is None or left is None:
            return ""
        rest = f"  {duration_text(left)} left" if left else ""
        return f"  {size_text(int(speed))}/s{rest}"


def _trouble(event: Moved) -> str:
    return f"{event.name}: {event.trouble}"


def _json_lines(stream: TextIO, pace: Pace) -> Progress:
    def moved(event: Moved) -> None:
        all_done = pace.take_in(event)
        speed, left = pace.bytes_per_second(), pace.seconds_left()
        line = {
            "event": "progress",
            "file": event.name,
            "done_bytes": event.done_bytes,
            "total_bytes": event.total_bytes,
            "all_done_bytes": all_done,
            "all_total_bytes": pace.total_bytes,
            "bytes_per_second": None if speed is None else round(speed),
            "seconds_left": None if left is None else round(left, 1),
        }
        if event.trouble:
            line |= {"event": "retry", "why": event.trouble}
        stream.write(json.dumps(line) + "\n")
        stream.flush()

    return moved


@contextmanager
def _bars(stream: TextIO, environment: Mapping[str, str], total_bytes: int) -> Iterator[Progress]:
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
        done: dict[str, int] = {}
        whole = bars.add_task("all files", total=total_bytes, visible=False)

        def moved(event: Moved) -> None:
            if event.trouble:
                console.print(_trouble(event), markup=False, highlight=False)
            if event.name not in tasks:
                tasks[event.name] = bars.add_task(event.name[-40:], total=event.total_bytes, completed=event.done_bytes)
            bars.update(tasks[event.name], completed=event.done_bytes)
            done[event.name] = event.done_bytes
            bars.update(whole, completed=sum(done.values()), visible=len(tasks) > 1)

        yield moved
