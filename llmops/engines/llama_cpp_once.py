"""What is worked out once for a shape: a search asks for some twenty ledgers of the same model."""

from collections.abc import Callable
from typing import Generic, TypeVar

from llmops.domain.model import ModelShape

T = TypeVar("T")


class Once(Generic[T]):
    """A function of a shape that keeps its answers for the last `kept` shapes, told apart by identity: they do not change."""

    __slots__ = ("_answers", "_kept", "_make")

    def __init__(self, make: Callable[[ModelShape], T], *, kept: int = 8) -> None:
        self._make = make
        self._kept = kept
        self._answers: dict[int, tuple[ModelShape, T]] = {}

    def __call__(self, shape: ModelShape) -> T:
        """The shape's answer."""
        found = self._answers.get(id(shape))
        if found is not None and found[0] is shape:
            return found[1]
        answer = self._make(shape)
        if len(self._answers) >= self._kept:
            self._answers.pop(next(iter(self._answers)), None)
        self._answers[id(shape)] = (shape, answer)
        return answer
