"""How a host treats its memory: the kernel's settings, nodes, zram, limits, and who was killed for it."""

import re

from llmops.domain.reading import NOT_ASKED, Known, Unknown
from llmops.domain.records import dataclass
from llmops.domain.units import GIB

SWAP_SHARE = 4
SWAP_LIMIT_BYTES = 8 * GIB
SWAP_ROOM = 2
"""Policy: a quarter of the RAM, at most 8 GiB, for what runs beside the engines; a file takes at most half of what is free.

zram-generator's own default is min(ram / 2, 4 GiB) (zram-generator.conf(5)); half the RAM is more than an engine leaves.
"""


def swap_bytes(ram_bytes: int) -> int:
    """What is right for a host with so much RAM, in zram or in a file."""
    return min(ram_bytes // SWAP_SHARE, SWAP_LIMIT_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class HugePages:
    """One size of pages that are set aside at boot or by hand; `total` and `free` count pages."""

    size_bytes: int
    total: int
    free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryTuning:
    """Settings under /proc/sys/vm and /sys/kernel/mm.

    `overcommit` is `vm.overcommit_memory` (2: an allocation beyond `commit_limit_bytes` is refused); `transparent_huge_pages`
    is the word in brackets ("always", "madvise", "never"); `numa_balancing` is None where the kernel has none.
    """

    swappiness: Known[int] | Unknown = NOT_ASKED
    vfs_cache_pressure: Known[int] | Unknown = NOT_ASKED
    overcommit: Known[int] | Unknown = NOT_ASKED
    commit_limit_bytes: Known[int] | Unknown = NOT_ASKED
    committed_bytes: Known[int] | Unknown = NOT_ASKED
    max_map_count: Known[int] | Unknown = NOT_ASKED
    transparent_huge_pages: Known[str | None] | Unknown = NOT_ASKED
    huge_pages: Known[tuple[HugePages, ...]] | Unknown = NOT_ASKED
    numa_balancing: Known[int | None] | Unknown = NOT_ASKED
    zone_reclaim: Known[int] | Unknown = NOT_ASKED


@dataclass(frozen=True, slots=True, kw_only=True)
class NumaNode:
    """One memory node: a node without processors (`threads` empty) is memory of a card or of CXL."""

    index: int
    total_bytes: int
    free_bytes: int
    threads: str

    def thread_count(self) -> int:
        """How many threads are its own."""
        return count_of(self.threads)


@dataclass(frozen=True, slots=True, kw_only=True)
class Zram:
    """A compressed memory device: `size_bytes` is 0 where it is not set up, `stored_bytes` what it holds uncompressed."""

    name: str
    algorithm: str
    size_bytes: int
    stored_bytes: int | None = None
    used_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OomKill:
    """A process the kernel killed for want of memory; `in_control_group`: a group's limit was passed, not the host's."""

    program: str
    pid: int
    in_control_group: bool
    resident_bytes: int | None = None
    group: str | None = None
    seconds_after_boot: float | None = None


_PART = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?", re.ASCII)


def count_of(text: str) -> int:
    """How many numbers a list such as `0-15,32-47` names; 0 where it is none."""
    count = 0
    for part in text.strip().split(","):
        match = _PART.fullmatch(part)
        if match is None or (match[2] is not None and int(match[2]) < int(match[1])):
            return 0
        count += int(match[2] or match[1]) - int(match[1]) + 1
    return count
