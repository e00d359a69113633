"""A few jobs in threads that end at once: on the first error, on Ctrl-C, on SIGTERM."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Condition, Event, Lock, Thread
from typing import Generic, TypeVar

T = TypeVar("T")
PATIENCE_SECONDS = 5.0
"""How long the end waits for threads that hang in the network (connecting cannot be cut); they then die with the process."""


class Halted(Exception):  # noqa: N818 - told to stop, nothing went wrong here
    """This job stops because another one failed or the user said so."""


class Halt:
    """The word to stop: asked between blocks, waited on instead of sleeping, and able to cut what blocks."""

    def __init__(self) -> None:
        self._event = Event()
        self._lock = Lock()
        self._cuts: set[Callable[[], None]] = set()

    def check(self) -> None:
        """Raises `Halted` when the word was said."""
        if self._event.is_set():
            raise Halted

    def wait(self, seconds: float) -> None:
        """Sleep, but not past the word. Raises `Halted`."""
        if self._event.wait(seconds):
            raise Halted

    @contextmanager
    def cutting(self, cut: Callable[[], None]) -> Iterator[None]:
        """While inside, the word calls `cut`, which makes a blocking read return."""
        with self._lock:
            self._cuts.add(cut)
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._cuts.discard(cut)

    @contextmanager
    def part(self) -> Iterator["Halt"]:
        """A word of one's own for some of the work: said with this one, and at the end of the context."""
        part = Halt()
        with self.cutting(part.say):
            try:
                yield part
            finally:
                part.say()

    def say(self) -> None:
        """Stop everything."""
        self._event.set()
        with self._lock:
            cuts = tuple(self._cuts)
        for cut in cuts:
            cut()


Job = Callable[[Halt], T]
LOOK_SECONDS = 0.1


def together(jobs: Sequence[Job[T]], *, workers: int) -> tuple[T, ...]:
    """The answers of `jobs` in their order. The first error stops the others and is raised, as is an interruption."""
    crew = _Crew(jobs)
    threads = [
        Thread(target=crew.work, name=f"llmops-hub-{number}", daemon=True)
        for number in range(min(max(workers, 1), len(jobs)))
    ]
    try:
        for thread in threads:
            thread.start()
        crew.wait()
    finally:
        crew.halt.say()
        deadline = time.monotonic() + PATIENCE_SECONDS
        for thread in threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
    return crew.results()


class _Crew(Generic[T]):
    def __init__(self, jobs: Sequence[Job[T]]) -> None:
        self.halt = Halt()
        self._waiting = deque(enumerate(jobs))
        self._count = len(jobs)
        self._done: dict[int, T] = {}
        self._errors: list[BaseException] = []
        self._changed = Condition()

    def work(self) -> None:
        """Take jobs until there is none, or the word is said."""
        while True:
            with self._changed:
                if not self._waiting or self._errors:
                    return
                number, job = self._waiting.popleft()
            try:
                self.halt.check()
                result = job(self.halt)
            except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, which raises it
                with self._changed:
                    self._errors.append(error)
                    self._changed.notify_all()
                return
            with self._changed:
                self._done[number] = result
                self._changed.notify_all()

    def wait(self) -> None:
        """Until all is done or something failed; in short waits, since a signal just before a long one would wait with it."""
        with self._changed:
            while not self._changed.wait_for(self._is_over, timeout=LOOK_SECONDS):
                pass

    def _is_over(self) -> bool:
        return len(self._done) == self._count or bool(self._errors)

    def results(self) -> tuple[T, ...]:
        """All answers in the jobs' order, or the first error (not one of those that only followed)."""
        real = [error for error in self._errors if not isinstance(error, Halted)]
        if real or self._errors:
            raise (real or self._errors)[0]
        return tuple(self._done[number] for number in range(self._count))
