"""What a probe knows, or why it does not."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """A value that was read."""

    value: T


@dataclass(frozen=True, slots=True)
class Unknown:
    """No value, and the reason a person can act on ("`nvidia-smi` is not installed")."""

    reason: str


NOT_ASKED = Unknown("these facts were made before this was looked at")
"""The default of a field that older facts documents do not have."""

Reading = Known[T] | Unknown
"""A fact about a host. Never replaced by a default: combining with an `Unknown` gives `Unknown`."""


def known(reading: Known[T] | Unknown) -> T | None:
    """The value, or None; for places that only show it."""
    return reading.value if isinstance(reading, Known) else None


def mapped(reading: Known[T] | Unknown, function: Callable[[T], U]) -> Known[U] | Unknown:
    """`function` of the value; an `Unknown` stays what it is."""
    return Known(function(reading.value)) if isinstance(reading, Known) else reading
