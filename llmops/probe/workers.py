"""Since when a server has the configuration it runs with: its youngest worker was started for it.

nginx and HAProxy (master-worker) read their files at a start and at a reload, and start workers anew for what they read. A
reload that is refused starts none: systemd counts it as done all the same, the workers tell. One that crashed and was started
again has the master's configuration and looks younger than that is; the file's change is then seen after the next one.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

PROC = Path("/proc")


def loaded_at(main_pid: int, *, proc: Path = PROC, now: datetime | None = None) -> datetime | None:
    """When the youngest child of `main_pid` was started; None where it has none, or that cannot be read."""
    if main_pid <= 0:
        return None
    try:
        children = (proc / f"{main_pid}/task/{main_pid}/children").read_text().split()
        uptime = (proc / "uptime").read_text()
    except OSError:
        return None
    stats: list[str] = []
    for child in children:
        try:
            stats.append((proc / child / "stat").read_text(errors="replace"))
        except OSError:  # it ended since
            continue
    return read_youngest(stats, uptime, ticks=os.sysconf("SC_CLK_TCK"), now=now or datetime.now(UTC))


def read_youngest(stats: Sequence[str], uptime: str, *, ticks: int, now: datetime) -> datetime | None:
    """From `/proc/PID/stat` of each child and `/proc/uptime` (proc(5): field 22 is the start in ticks since boot)."""
    starts = [start for text in stats if (start := _start_ticks(text)) is not None]
    up = uptime.split()[:1]
    if not starts or not up or not up[0].replace(".", "", 1).isdecimal():
        return None
    age = float(up[0]) - max(starts) / ticks
    return datetime.fromtimestamp(now.timestamp() - max(age, 0.0), UTC)


def _start_ticks(text: str) -> int | None:
    fields = text.rpartition(")")[2].split()  # a name may hold blanks and brackets
    return int(fields[19]) if len(fields) > 19 and fields[19].isdecimal() else None
