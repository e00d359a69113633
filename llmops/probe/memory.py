"""Host memory: /proc/meminfo, /proc/swaps, the control group's limits, and how the kernel is told to treat it."""

import re
from dataclasses import field
from pathlib import Path

from llmops.domain.host import Memory, Swap, SwapKind
from llmops.domain.host_memory import MemoryTuning, NumaNode, Zram
from llmops.domain.reading import NOT_ASKED, Known, Unknown
from llmops.domain.records import dataclass
from llmops.probe import memory_settings, oom
from llmops.probe.cgroup import ask_memory_limit, ask_swap_limit, ask_throttle
from llmops.probe.text import read_text

_LINE = re.compile(r"(\w+):\s+(\d{1,18}) kB", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryText:
    """The files as read."""

    meminfo: Known[str] | Unknown
    swaps: Known[str] | Unknown
    limit_bytes: Known[int | None] | Unknown
    throttle_bytes: Known[int | None] | Unknown = NOT_ASKED
    swap_limit_bytes: Known[int | None] | Unknown = NOT_ASKED
    lock_limit_bytes: Known[int | None] | Unknown = NOT_ASKED
    tuning: MemoryTuning = field(default_factory=MemoryTuning)
    nodes: Known[tuple[NumaNode, ...]] | Unknown = NOT_ASKED
    zrams: Known[tuple[Zram, ...]] | Unknown = NOT_ASKED
    oom_kill_count: Known[int] | Unknown = NOT_ASKED
    kernel_log: Known[str] | Unknown = NOT_ASKED


def ask(root: Path, kernel_log: Known[str] | Unknown = NOT_ASKED) -> MemoryText:
    """Read the files below `root`; the limit of locked memory is this process's own."""
    meminfo = read_text(root / "proc/meminfo")
    return MemoryText(
        meminfo=meminfo,
        swaps=read_text(root / "proc/swaps"),
        limit_bytes=ask_memory_limit(root),
        throttle_bytes=ask_throttle(root),
        swap_limit_bytes=ask_swap_limit(root),
        lock_limit_bytes=read_limit(read_text(root / "proc/self/limits")),
        tuning=memory_settings.ask_tuning(root, meminfo),
        nodes=memory_settings.ask_nodes(root),
        zrams=memory_settings.ask_zrams(root),
        oom_kill_count=oom.ask_count(root),
        kernel_log=kernel_log,
    )


def read(text: MemoryText) -> Known[Memory] | Unknown:
    """The host's memory; swap areas, limits and the rest may be unknown on their own."""
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
        Memory(
            total_bytes=sizes["MemTotal"],
            available_bytes=available,
            limit_bytes=text.limit_bytes,
            swaps=swaps,
            throttle_bytes=text.throttle_bytes,
            swap_limit_bytes=text.swap_limit_bytes,
            lock_limit_bytes=text.lock_limit_bytes,
            tuning=text.tuning,
            numa_nodes=text.nodes,
            zrams=text.zrams,
            oom_kill_count=text.oom_kill_count,
            oom_kills=oom.read_kills(text.kernel_log),
        )
    )


def read_limit(limits: Known[str] | Unknown) -> Known[int | None] | Unknown:
    """The soft `Max locked memory` of /proc/self/limits in bytes, None for `unlimited`."""
    if isinstance(limits, Unknown):
        return limits
    match = re.search(r"^Max locked memory\s+(unlimited|\d{1,19})\s", limits.value, re.MULTILINE | re.ASCII)
    if match is None:
        return Unknown("/proc/self/limits names no limit of locked memory")
    return Known(None if match[1] == "unlimited" else int(match[1]))


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
