"""Host memory: /proc/meminfo, /proc/swaps and the control group's limit."""

import re
from pathlib import Path

from llmops.domain.host import Memory, Swap, SwapKind
from llmops.domain.reading import Known, Unknown
from llmops.domain.records import dataclass
from llmops.probe.cgroup import ask_memory_limit
from llmops.probe.text import read_text

_LINE = re.compile(r"(\w+):\s+(\d{1,18}) kB", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryText:
    """The files as read."""

    meminfo: Known[str] | Unknown
    swaps: Known[str] | Unknown
    limit_bytes: Known[int | None] | Unknown


def ask(root: Path) -> MemoryText:
    """Read the files below `root`."""
    return MemoryText(
        meminfo=read_text(root / "proc/meminfo"),
        swaps=read_text(root / "proc/swaps"),
        limit_bytes=ask_memory_limit(root),
    )


def read(text: MemoryText) -> Known[Memory] | Unknown:
    """The host's memory; swap areas and limit may be unknown on their own."""
    if isinstance(text.meminfo, Unknown):
        return text.meminfo
    sizes = {match[1]: int(match[2]) * 1024 for match in _LINE.finditer(text.meminfo.value)}
    if not sizes.get("MemTotal"):
        return Unknown("/proc/meminfo names no MemTotal")
    # MemAvailable is missing before Linux 3.14 and in some sandboxes: free memory alone is a lower bound of it
    available = sizes.get("MemAvailable", sizes.get("MemFree"))
    if available is None:
        return Unknown("/proc/meminfo names neither MemAvailable nor MemFree")
    swaps = read_swaps(text.swaps.value) if isinstance(text.swaps, Known) else text.swaps
    return Known(
        Memory(total_bytes=sizes["MemTotal"], available_bytes=available, limit_bytes=text.limit_bytes, swaps=swaps)
    )


def read_swaps(text: str) -> Known[tuple[Swap, ...]] | Unknown:
    """The areas of /proc/swaps: a head line, then name, type, size and use in KiB, priority. A blank in a name is octal."""
    lines = text.split("\n")
    if not lines or not lines[0].startswith("Filename"):
        return Unknown("/proc/swaps has no head line")
    swaps: list[Swap] = []
    for line in lines[1:]:
        if not line:
            continue
        match = re.fullmatch(r"(\S+)\s+(\S+)\s+(\d{1,18})\s+(\d{1,18})\s+(-?\d{1,9})\s*", line, re.ASCII)
        if match is None:
            return Unknown(f"a line of /proc/swaps is not understood: {line[:60]}")
        name = re.sub(r"\\([0-3][0-7]{2})", lambda code: chr(int(code[1], 8)), match[1])
        swaps.append(
            Swap(
                name=name,
                kind=_kind(name, match[2]),
                size_bytes=int(match[3]) * 1024,
                used_bytes=int(match[4]) * 1024,
                priority=int(match[5]),
            )
        )
    return Known(tuple(swaps))


def _kind(name: str, kind: str) -> SwapKind:
    if re.fullmatch(r"/dev/(block/)?zram\d+", name):
        return SwapKind.ZRAM
    return SwapKind.PARTITION if kind == "partition" else SwapKind.FILE
