"""A time limit for a call that may never come back, such as one on a dead network filesystem."""

import threading
from collections.abc import Callable
from typing import TypeVar

from llmops.domain.reading import Known, Unknown

T = TypeVar("T")


def within(seconds: float, function: Callable[[], Known[T] | Unknown], *, what: str) -> Known[T] | Unknown:
    """What `function` gives, or `Unknown` after `seconds`. Its thread is left behind and does not hold up the exit."""
    answers: list[Known[T] | Unknown] = []
    thread = threading.Thread(target=lambda: answers.append(function()), daemon=True)
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else Unknown(f"{what} did not answer within {seconds:g} s")
