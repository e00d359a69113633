"""Calls that may never come back, such as one on a dead network filesystem: made beside, waited for within a limit."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from llmops.domain.reading import Known, Unknown

T = TypeVar("T")


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


def within(seconds: float, function: Callable[[], Known[T] | Unknown], *, what: str) -> Known[T] | Unknown:
    """What `function` gives, or `Unknown` after `seconds`; its thread is then left behind."""
    answer = beside(function)
    try:
        return answer.result(timeout=seconds)
    except TimeoutError:
        if answer.done():
            raise  # the function's own
        return Unknown(f"{what} did not answer within {seconds:g} s")
