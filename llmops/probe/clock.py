"""Whether the clock is kept right, as the kernel itself says (adjtimex(2)): the answer of every daemon, in a container too."""

import ctypes
from collections.abc import Sequence
from pathlib import Path

from llmops.domain.reading import Known, Unknown
from llmops.domain.records import dataclass
from llmops.domain.surroundings import Clock
from llmops.probe.text import text_or_none

DAEMONS = {
    "chronyd": "chrony", "systemd-timesyn": "systemd-timesyncd", "ntpd": "ntpd", "openntpd": "openntpd",
    "ptp4l": "linuxptp", "phc2sys": "linuxptp", "VBoxService": "VirtualBox",
}  # fmt: skip
"""Names of processes, which the kernel cuts at 15 characters."""

UNSYNCHRONIZED = 0x0040
"""STA_UNSYNC of linux/timex.h: set at boot, cleared by a daemon, and set again 16 s of possible error later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockText:
    """The kernel's status bits and the error it thinks possible; the names of all processes that are seen."""

    status: Known[int] | Unknown
    error_microseconds: int
    processes: Sequence[str]


class _Timex(ctypes.Structure):
    """The head of struct timex (linux/timex.h), and room for the rest of it."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


def ask(root: Path) -> ClockText:
    """Ask the kernel, and look who runs below `root`."""
    names = [text_or_none(folder / "comm") or "" for folder in (root / "proc").glob("[0-9]*")]
    timex = _Timex()
    try:
        code = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError) as error:
        return ClockText(status=Unknown(f"adjtimex: {error}"), error_microseconds=0, processes=names)
    if code < 0:
        return ClockText(status=Unknown("adjtimex is refused here"), error_microseconds=0, processes=names)
    return ClockText(status=Known(timex.status), error_microseconds=timex.maxerror, processes=names)


def read(text: ClockText) -> Clock:
    """The clock; in a container the host's daemon is not seen, its work is."""
    kept_by = next((DAEMONS[name] for name in text.processes if name in DAEMONS), None)
    if isinstance(text.status, Unknown):
        return Clock(synchronized=text.status, error_seconds=text.status, kept_by=Known(kept_by))
    return Clock(
        synchronized=Known(not text.status.value & UNSYNCHRONIZED),
        error_seconds=Known(max(0, text.error_microseconds) / 1e6),
        kept_by=Known(kept_by),
    )
