"""What checks look things up in: dated rows that come with the program or lie on the host, and today's date."""

import datetime
from dataclasses import dataclass

from llmops.domain.advisories import Advisories
from llmops.domain.engine_matrix import EngineMatrix

OLD_DAYS = 180
"""NVIDIA's driver bulletins come about every four months, the engines' advisories every month."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """One set of rows: the day they were last looked at, and where they were read ("shipped", or a file)."""

    name: str
    as_of: str
    place: str

    def age_days(self, today: datetime.date) -> int | None:
        """Days since then; None where that is no date, or lies in the future (a clock that is wrong)."""
        try:
            days = (today - datetime.date.fromisoformat(self.as_of)).days
        except ValueError:
            return None
        return days if days >= 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """The engine matrix, the advisories, where they came from, and the day."""

    matrix: EngineMatrix
    advisories: Advisories
    editions: tuple[Edition, ...]
    today: datetime.date
