"""Calls that may never come back, such as one on a dead network filesystem: made beside, waited for within a limit."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from llmops.domain.reading import Known, Unknown

T = TypeVar("T")

LOOK_SECONDS = 0.1
"""A signal that comes just before a wait without limit would be answered when the wait ends: the wait is cut into these."""


def beside(function: Callable[[], T]) -> "Future[T]":
    """Start `function` in a thread that holds up neither Ctrl-C nor the exit, as those of a thread pool do."""
    answer: Future[T] = Future()

    def call() -> None:
        try:
            answer.set_result(function())
        except BaseException as error:  # noqa: BLE001 - handed to the caller, who raises it
            answer.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    return answer


def answer_of(answer: "Future[T]", *, seconds: float = float("inf")) -> T:
    """What was asked `beside`, waited for so that Ctrl-C is answered at once. Raises `TimeoutError` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not answer.done() and time.monotonic() < deadline:
        try:
            return answer.result(timeout=min(LOOK_SECONDS, max(0.0, deadline - time.monotonic())))
        except TimeoutError:
            continue
    return answer.result(timeout=0)


def within(seconds: float, function: Callable[[], Known[T] | Unknown], *, what: str) -> Known[T] | Unknown:
    """What `function` gives, or `Unknown` after `seconds`; its thread is then left behind."""
    answer = beside(function)
    try:
        return answer_of(answer, seconds=seconds)
    except TimeoutError:
        if answer.done():
            raise  # the function's own
        return Unknown(f"{what} did not answer within {seconds:g} s")
