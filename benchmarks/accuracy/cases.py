"""One row of a measured file: what was predicted, what was measured, or why there is no prediction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Refusal(StrEnum):
    """Why a row that says enough has no prediction: all reasons there are."""

    UNKNOWN_MODEL = "the row's model is not described"
    UNKNOWN_SETTING = "a setting of the row is not known"
    COMMAND_LINE = "the command line is refused"
    HEADER = "the header is refused"
    INCOMPLETE = "the row is not complete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One quantity on one device, in bytes. `resolution` is how finely the measurement was printed: half of it is no error."""

    quantity: str
    place: str
    predicted: int
    measured: float
    resolution: float = 0.0

    def is_exact(self) -> bool:
        """Whether the prediction, printed like the measurement, is the measurement."""
        return abs(self.predicted - self.measured) <= self.resolution

    def is_under(self) -> bool:
        """Whether less was predicted than measured, beyond what printing hides."""
        return self.predicted < self.measured - self.resolution

    def error(self) -> float:
        """Relative and signed; where nothing was measured, anything predicted is wrong by all of itself."""
        if self.is_exact():
            return 0.0
        return (self.predicted - self.measured) / self.measured if self.measured else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`left_out` is a rule: the row does not count as one that could be answered."""

    id: str | int
    figures: tuple[Figure, ...] = ()
    refused: Refusal | None = None
    left_out: str | None = None
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Quantities the row has that are not compared, with the rule."""


UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError)
"""What reading a row of another form runs into: keys that are missing, values of another kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One file. `rules` are all there are for rows or quantities that are not compared, with what they mean."""

    file: str
    kind: str
    rows: Sequence[Row]
    rules: Mapping[str, str]
