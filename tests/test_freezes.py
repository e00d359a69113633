"""A change freeze is of days in the machine's time zone: its first and its last minute, also where clocks are changed."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from llmops.cli.freezes import freeze_now, respect_freeze
from llmops.domain.errors import ApplyFailed

CHRISTMAS, SPRING, AUTUMN = "2026-12-20/2027-01-03", "2026-03-29/2026-03-29", "2026-10-25/2026-10-25"
"""Over two years; the days on which Central Europe's clocks are changed, of 23 and 25 hours."""

BERLIN, LOS_ANGELES, KOLKATA = "CET-1CEST,M3.5.0,M10.5.0/3", "PST8PDT,M3.2.0,M11.1.0", "IST-5:30"
"""As rules, for a machine that has no list of time zones."""

EDGES = {
    ("UTC0", CHRISTMAS): ("2026-12-20T00:00", "2027-01-03T23:59"),
    (BERLIN, CHRISTMAS): ("2026-12-19T23:00", "2027-01-03T22:59"),
    (LOS_ANGELES, CHRISTMAS): ("2026-12-20T08:00", "2027-01-04T07:59"),
    (KOLKATA, CHRISTMAS): ("2026-12-19T18:30", "2027-01-03T18:29"),
    (BERLIN, SPRING): ("2026-03-28T23:00", "2026-03-29T21:59"),
    (BERLIN, AUTUMN): ("2026-10-24T22:00", "2026-10-25T22:59"),
}
"""By time zone and window: the first and the last minute in it, UTC."""

MINUTE = 60


@pytest.fixture
def clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process in this time zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize(("clock", "window"), EDGES, indirect=["clock"])
@pytest.mark.usefixtures("clock")
def test_a_freeze_begins_and_ends_at_midnight_of_the_machine(window: str) -> None:
    first, last = (datetime.fromisoformat(f"{text}+00:00").timestamp() for text in EDGES[os.environ["TZ"], window])
    windows = ("2020-01-01/2020-01-02", window)
    inside = [freeze_now(windows, _at(moment)) for moment in (first, (first + last) / 2, last)]
    assert [one.at if one else None for one in inside] == [1, 1, 1]
    assert freeze_now(windows, _at(first - MINUTE)) is None
    assert freeze_now(windows, _at(last + MINUTE)) is None


@pytest.mark.parametrize("clock", [BERLIN], indirect=True)
@pytest.mark.usefixtures("clock")
def test_the_refusal_says_whose_days_they_are() -> None:
    with pytest.raises(ApplyFailed, match=r"frozen from 2026-12-20 to 2027-01-03 \(CET\)"):
        respect_freeze([CHRISTMAS], datetime(2026, 12, 19, 23, 30, tzinfo=UTC), reason=" ", file="llmops.lock")
