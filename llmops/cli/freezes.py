"""Windows in which nothing is changed: `apply` and `uninstall` are held by them, a way back is not, and says so.

A rollback is what a person does when something is broken; held up by a freeze, it would keep the host broken. `keys` is
not held either: a key that leaked is revoked at once.

Days begin and end at midnight in this machine's time zone: that is the clock of those who wrote them.
"""

from collections.abc import Sequence
from datetime import date, datetime

from llmops.domain.errors import ApplyFailed
from llmops.domain.finding import Finding, Status, Where
from llmops.domain.records import dataclass
from llmops.formats.listen import freeze_window


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """One window, both days in it, the time zone they are days of, and its place among those of `change.freeze`."""

    at: int
    begins: date
    ends: date
    zone: str

    def text(self) -> str:
        """In words."""
        return f"from {self.begins} to {self.ends} ({self.zone})"


def freeze_now(windows: Sequence[str], now: datetime) -> Freeze | None:
    """The window that `now`, in this machine's time zone, lies in."""
    today = now.astimezone()
    for at, text in enumerate(windows):
        window = freeze_window(text)
        if window is not None and window[0] <= today.date() <= window[1]:
            return Freeze(at=at, begins=window[0], ends=window[1], zone=today.tzname() or "UTC")
    return None


def respect_freeze(windows: Sequence[str], now: datetime, *, reason: str | None, file: str | None) -> None:
    """Raises `ApplyFailed` within a window, unless there is a reason that is recorded. `file`: where the windows stand."""
    freeze = freeze_now(windows, now)
    if freeze is not None and not (reason or "").strip():
        raise ApplyFailed(
            f"changes are frozen {freeze.text()}, nothing was written",
            hint="`--override-freeze REASON` does it all the same; who and why are recorded",
            where=Where(file=file, key=f"change.freeze[{freeze.at}]"),
        )


def way_back_findings(freeze: Freeze | None) -> tuple[Finding, ...]:
    """That a way back goes on within a window."""
    if freeze is None:
        return ()
    text = f"changes are frozen {freeze.text()}; a way back is not held up by that, and is recorded"
    return (Finding(code="RND016", status=Status.WARN, message=text),)
