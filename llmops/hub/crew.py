"""A few jobs in threads that end at once: on the first error, on Ctrl-C, on SIGTERM."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from threading import Event, Lock
from typing import TypeVar

T = TypeVar("T")


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

    def say(self) -> None:
        """Stop everything."""
        self._event.set()
        with self._lock:
            cuts = tuple(self._cuts)
        for cut in cuts:
            cut()


def together(jobs: Sequence[Callable[[Halt], T]], *, workers: int) -> tuple[T, ...]:
    """The answers of `jobs` in their order. The first error stops the others and is raised, as is an interruption."""
    halt = Halt()
    pool = ThreadPoolExecutor(max_workers=max(1, min(workers, len(jobs))), thread_name_prefix="llmops-hub")
    try:
        futures = [pool.submit(job, halt) for job in jobs]
        wait(futures, return_when=FIRST_EXCEPTION)
        failed = _first_error(futures)
        if failed is not None:
            raise failed
        return tuple(future.result() for future in futures)
    finally:
        halt.say()
        with suppress(KeyboardInterrupt):  # a second Ctrl-C while the threads put their files away
            pool.shutdown(wait=True, cancel_futures=True)


def _first_error(futures: Sequence[Future[T]]) -> BaseException | None:
    for future in futures:
        if future.done() and not future.cancelled():
            error = future.exception()
            if error is not None and not isinstance(error, Halted):
                return error
    return None
