"""Waiting for sources that were asked at the same time, and saying which one holds the others up."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from llmops.domain.reading import Unknown
from llmops.domain.records import dataclass
from llmops.probe.within import answer_of

T = TypeVar("T")

LAST_SECONDS = 0.2

Waiting = Callable[[str], None]
"""Told what is waited for, "" when nothing is any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Waiting for answers until a moment of the monotonic clock."""

    until: float
    waiting: Waiting

    def answer(self, answer: "Future[T]", what: str, otherwise: Callable[[Unknown], T]) -> T:
        """The answer; past the limit `otherwise` of the reason. Its thread is then left behind."""
        self.waiting(what)
        try:
            # all were asked at the same time: one that has not answered by now gets a last moment
            return answer_of(answer, seconds=max(LAST_SECONDS, self.until - time.monotonic()))
        except TimeoutError:
            if answer.done():
                raise  # the question's own
            return otherwise(Unknown(f"{what} did not answer in time"))
