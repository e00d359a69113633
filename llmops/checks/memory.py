"""MEM: host memory, its limit, and where pages go when it is short."""

from llmops.checks.check import Check, Judgement, fail, ok, unknown, warn
from llmops.domain.finding import Status
from llmops.domain.host import HostFacts, Memory, SwapKind
from llmops.domain.reading import Unknown
from llmops.domain.units import GIB, size_text

LEAST_BYTES = 1 * GIB
"""Below this, no model of the catalogue starts beside the operating system, not even with its layers on a card."""

LOW_BYTES = 4 * GIB
"""Below this, little more than a 3B model at four bits runs on the CPU, and loaders of larger ones are short."""

SWAP_IN_USE_BYTES = 64 << 20
"""Idle pages of services are swapped out on any host; more than this says that memory was short."""


def memory_is_enough_to_serve(host: HostFacts) -> Judgement:
    """At least 1 GiB may be used at all (else it fails), and 4 GiB are available."""
    if isinstance(host.memory, Unknown):
        return unknown(host.memory, "memory")
    memory = host.memory.value
    usable = _usable_bytes(memory)
    if usable < LEAST_BYTES:
        return fail(f"{size_text(usable)} of memory may be used: no model starts")
    if isinstance(memory.limit_bytes, Unknown):
        return unknown(memory.limit_bytes, "memory limit")
    available = min(usable, memory.available_bytes)
    if available < LOW_BYTES:
        return warn(f"{size_text(available)} of {size_text(memory.total_bytes)} is available: small models only")
    return ok(f"{size_text(available)} of {size_text(memory.total_bytes)} is available")


def no_limit_below_the_hosts_memory(host: HostFacts) -> Judgement:
    """No control group limits this process below what the host has."""
    if isinstance(host.memory, Unknown):
        return unknown(host.memory, "memory")
    memory = host.memory.value
    if isinstance(memory.limit_bytes, Unknown):
        return unknown(memory.limit_bytes, "memory limit")
    limit = memory.limit_bytes.value
    if limit is not None and limit < memory.total_bytes:
        return warn(f"a control group limits memory to {size_text(limit)} of {size_text(memory.total_bytes)}")
    return ok("no limit below the host's memory")


def swap_is_not_in_use(host: HostFacts) -> Judgement:
    """At most a little on disk; zram is memory."""
    if isinstance(host.memory, Unknown):
        return unknown(host.memory, "memory")
    swaps = host.memory.value.swaps
    if isinstance(swaps, Unknown):
        return unknown(swaps, "swap")
    used = sum(swap.used_bytes for swap in swaps.value)
    if used > SWAP_IN_USE_BYTES:
        return warn(f"{size_text(used)} is swapped out: memory was short")
    return ok("swap is hardly used" if swaps.value else "no swap")


def swap_is_not_on_a_disk(host: HostFacts) -> Judgement:
    """None, or zram only."""
    if isinstance(host.memory, Unknown):
        return unknown(host.memory, "memory")
    swaps = host.memory.value.swaps
    if isinstance(swaps, Unknown):
        return unknown(swaps, "swap")
    on_disk = [swap.name for swap in swaps.value if swap.kind is not SwapKind.ZRAM]
    if on_disk:
        return warn(
            f"swap on a disk: {', '.join(on_disk)}",
            f"`swapoff {on_disk[0]}` and take it out of /etc/fstab, or give engine units `MemorySwapMax=0`",
        )
    return ok("swap is on zram only" if swaps.value else "no swap")


def _usable_bytes(memory: Memory) -> int:
    """Total memory, or the limit in force where that is known and smaller."""
    if isinstance(memory.limit_bytes, Unknown) or memory.limit_bytes.value is None:
        return memory.total_bytes
    return min(memory.total_bytes, memory.limit_bytes.value)


CHECKS = (
    Check(
        code="MEM001",
        title="Memory is enough to serve",
        judge=memory_is_enough_to_serve,
        why="Weights pass through host memory also where a card serves them, and the engine needs some for itself.",
        fix="stop what uses memory (`ps aux --sort -rss | head`), or take a larger host",
        decides=True,
        source="the catalogue: its smallest model",
        worst=Status.FAIL,
    ),
    Check(
        code="MEM002",
        title="No control group limits memory below what the host has",
        judge=no_limit_below_the_hosts_memory,
        why="An engine that passes the limit is killed, although the host has memory left. A unit is bound by "
        "its own limits, not by this shell's.",
        fix="lift the limit (`docker run --memory`, `MemoryMax=` of the slice), or plan with what it leaves",
        decides=True,
        source="Linux, Documentation/admin-guide/cgroup-v2.rst, memory.max",
    ),
    Check(
        code="MEM003",
        title="Swap is not in use",
        judge=swap_is_not_in_use,
        why="Memory was short once; with a model loaded it will be again, and an engine that is swapped out answers in minutes.",
        fix="find what needs the memory: `ps aux --sort -rss | head`",
        source="Linux, Documentation/admin-guide/sysctl/vm.rst; proc_swaps(5)",
    ),
    Check(
        code="MEM004",
        title="Swap is not on a disk",
        judge=swap_is_not_on_a_disk,
        why="Weights or KV cache paged to a disk make each token wait for it. zram holds pages in memory and is "
        "harmless. Card memory is never swapped.",
        fix="use zram (`apt-get install systemd-zram-generator`), or give engine units `MemorySwapMax=0`",
        source="Linux, Documentation/admin-guide/blockdev/zram.rst; systemd.resource-control(5), MemorySwapMax=",
    ),
)
