"""Processes that the kernel killed for want of memory: its count since boot, and what its log says of each.

Source: Linux, mm/oom_kill.c (`__oom_kill_process`, `dump_oom_victim`); the wording since 5.0, and that of 4.x.
"""

import re
from pathlib import Path

from llmops.domain.host_memory import OomKill
from llmops.domain.reading import Known, Unknown, mapped
from llmops.probe.text import read_text

KILLS_LIMIT = 20
"""The last ones; a host that kills in circles has thousands."""

_KILLED = re.compile(
    r"(?:\[\s*(\d{1,10}\.\d{1,9})\])?[^\n]{0,200}?"
    r"(Memory cgroup out of memory: |Out of memory(?: \([^)\n]{1,60}\))?: |)Killed process (\d{1,9}) \(([^\n]{1,15}?)\)"
    r"(?:,[^\n]{0,20}?)? total-vm:\d+kB, anon-rss:(\d{1,15})kB(?:, file-rss:(\d{1,15})kB)?"
)
_GROUP = re.compile(
    r"oom-kill:constraint=(\w+),[^\n]*?(?:oom_memcg=([^,\n]+),)?task_memcg=[^,\n]*,task=[^\n]*?,pid=(\d{1,9}),"
)


def ask_count(root: Path) -> Known[int] | Unknown:
    """`oom_kill` of /proc/vmstat (since Linux 4.13): any user may read it, the log not."""
    return read_count(read_text(root / "proc/vmstat"))


def read_count(text: Known[str] | Unknown) -> Known[int] | Unknown:
    """The count in the text of /proc/vmstat."""
    found = mapped(text, lambda value: re.search(r"^oom_kill (\d{1,18})$", value, re.MULTILINE | re.ASCII))
    if isinstance(found, Unknown):
        return found
    return Known(int(found.value[1])) if found.value else Unknown("/proc/vmstat names no oom_kill")


def read_kills(log: Known[str] | Unknown) -> Known[tuple[OomKill, ...]] | Unknown:
    """The last kills of the kernel's log, the newest first."""
    return mapped(log, lambda text: tuple(_kills(text)))


def _kills(text: str) -> list[OomKill]:
    groups = {match[3]: (match[1], match[2]) for match in _GROUP.finditer(text)}
    kills = []
    for match in list(_KILLED.finditer(text))[-KILLS_LIMIT:]:
        constraint, group = groups.get(match[3], ("", None))
        in_group = match[2].startswith("Memory cgroup") or constraint == "CONSTRAINT_MEMCG"
        kills.append(
            OomKill(
                program=match[4],
                pid=int(match[3]),
                in_control_group=in_group,
                resident_bytes=(int(match[5]) + int(match[6] or 0)) * 1024,
                group=group,
                seconds_after_boot=float(match[1]) if match[1] else None,
            )
        )
    return kills[::-1]
