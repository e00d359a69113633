"""How the kernel treats memory: /proc/sys/vm, /sys/kernel/mm, its nodes and compressed devices.

Sources: Linux, Documentation/admin-guide/sysctl/vm.rst, mm/transhuge.rst, mm/hugetlbpage.rst, blockdev/zram.rst and
Documentation/ABI/stable/sysfs-devices-node.
"""

import re
from pathlib import Path

from llmops.domain.host_memory import HugePages, MemoryTuning, NumaNode, Zram
from llmops.domain.reading import Known, Unknown, mapped
from llmops.probe.text import read_text, text_or_none, whole_number

NODES_LIMIT = 1024
_NODE_LINE = re.compile(r"Node \d+ (MemTotal|MemFree):\s+(\d{1,15}) kB", re.ASCII)


def ask_tuning(root: Path, meminfo: Known[str] | Unknown) -> MemoryTuning:
    """The settings below `root`, and what /proc/meminfo says of commitments."""
    vm = root / "proc/sys/vm"
    huge = root / "sys/kernel/mm/transparent_hugepage/enabled"
    balancing = root / "proc/sys/kernel/numa_balancing"
    return MemoryTuning(
        swappiness=_number(vm / "swappiness"),
        vfs_cache_pressure=_number(vm / "vfs_cache_pressure"),
        overcommit=_number(vm / "overcommit_memory"),
        commit_limit_bytes=_of_meminfo(meminfo, "CommitLimit"),
        committed_bytes=_of_meminfo(meminfo, "Committed_AS"),
        max_map_count=_number(vm / "max_map_count"),
        # a kernel without them has no such directory, but one without /sys tells nothing
        transparent_huge_pages=_choice(read_text(huge)) if _is_told(root, huge) else Known(None),
        huge_pages=ask_huge_pages(root),
        numa_balancing=Known(None) if vm.exists() and not balancing.exists() else _number_or_none(balancing),
        zone_reclaim=_number(vm / "zone_reclaim_mode"),
    )


def _is_told(root: Path, path: Path) -> bool:
    return path.exists() or not (root / "sys/kernel/mm").is_dir()


def read_choice(text: str) -> Known[str | None] | Unknown:
    """`madvise` of `always [madvise] never`."""
    match = re.search(r"\[(\w{1,20})\]", text)
    return Known(match[1]) if match is not None else Unknown(f"none of `{text.strip()[:60]}` is chosen")


def _choice(text: Known[str] | Unknown) -> Known[str | None] | Unknown:
    return read_choice(text.value) if isinstance(text, Known) else text


def ask_huge_pages(root: Path) -> Known[tuple[HugePages, ...]] | Unknown:
    """Every size of which pages are set aside; empty: none."""
    folder = root / "sys/kernel/mm/hugepages"
    if not (root / "sys/kernel/mm").is_dir():
        return Unknown(f"{folder}: no such directory")
    found = []
    for size in sorted(folder.glob("hugepages-*kB")):
        kib = whole_number(size.name.removeprefix("hugepages-").removesuffix("kB"))
        total, free = (whole_number(text_or_none(size / name)) for name in ("nr_hugepages", "free_hugepages"))
        if kib and total:
            found.append(HugePages(size_bytes=kib * 1024, total=total, free=free or 0))
    return Known(tuple(found))


def ask_nodes(root: Path) -> Known[tuple[NumaNode, ...]] | Unknown:
    """Every memory node by its number; `Unknown` where /sys has none (a kernel without NUMA has no such directory)."""
    folder = root / "sys/devices/system/node"
    places = sorted(folder.glob("node[0-9]*"), key=lambda one: (len(one.name), one.name))[:NODES_LIMIT]
    nodes = []
    for place in places:
        text = read_text(place / "meminfo")
        node = (
            read_node(place.name, text.value, text_or_none(place / "cpulist") or "")
            if isinstance(text, Known)
            else None
        )
        if node is None:
            return text if isinstance(text, Unknown) else Unknown(f"{place}/meminfo is not understood")
        nodes.append(node)
    return Known(tuple(nodes)) if nodes else Unknown(f"{folder}: no node")


def read_node(name: str, meminfo: str, threads: str) -> NumaNode | None:
    """One node of its directory's name and its meminfo; None where that is none."""
    sizes = {match[1]: int(match[2]) * 1024 for match in _NODE_LINE.finditer(meminfo)}
    index = whole_number(name.removeprefix("node"))
    if index is None or not {"MemTotal", "MemFree"} <= sizes.keys():
        return None
    free = min(sizes["MemFree"], sizes["MemTotal"])
    return NumaNode(index=index, total_bytes=sizes["MemTotal"], free_bytes=free, threads=threads)


def ask_zrams(root: Path) -> Known[tuple[Zram, ...]] | Unknown:
    """Every zram device, also one that is not set up."""
    folder = root / "sys/class/block"
    if not folder.is_dir():
        folder = root / "sys/block"
    if not folder.is_dir():
        return Unknown(f"{folder}: no such directory")
    return Known(
        tuple(
            read_zram(
                place.name,
                algorithms=text_or_none(place / "comp_algorithm") or "",
                disksize=text_or_none(place / "disksize") or "",
                statistics=text_or_none(place / "mm_stat") or "",
            )
            for place in sorted(folder.glob("zram[0-9]*"))
        )
    )


def read_zram(name: str, *, algorithms: str, disksize: str, statistics: str) -> Zram:
    """`statistics` is mm_stat: the first number is what is stored, uncompressed, the third the memory it takes."""
    chosen = re.search(r"\[([\w-]{1,30})\]", algorithms)
    numbers = [whole_number(word) for word in statistics.split()]
    return Zram(
        name=name,
        algorithm=chosen[1] if chosen else "",
        size_bytes=whole_number(disksize) or 0,
        stored_bytes=numbers[0] if len(numbers) > 2 else None,
        used_bytes=numbers[2] if len(numbers) > 2 else None,
    )


def _number_or_none(path: Path) -> Known[int | None] | Unknown:
    return mapped(_number(path), lambda number: number)


def _number(path: Path) -> Known[int] | Unknown:
    text = read_text(path)
    if isinstance(text, Unknown):
        return text
    number = whole_number(text.value)
    return Known(number) if number is not None else Unknown(f"{path}: not a number")


def _of_meminfo(meminfo: Known[str] | Unknown, name: str) -> Known[int] | Unknown:
    found = mapped(meminfo, lambda text: re.search(rf"^{name}:\s+(\d{{1,18}}) kB", text, re.MULTILINE | re.ASCII))
    if isinstance(found, Unknown):
        return found
    return Known(int(found.value[1]) * 1024) if found.value else Unknown(f"/proc/meminfo names no {name}")
