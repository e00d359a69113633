"""MEM: the kernel's settings of memory, and what is said of them without being so.

GPU memory is never swapped, and the page cache lies in RAM: no setting here moves either. What they govern is host memory:
weights that are mapped, layers and caches left to the processor, an engine's own buffers.
"""

from llmops.checks.check import Check, Judgement, ok, unknown, warn
from llmops.domain.host import HostFacts, Memory, NvidiaState, SwapKind
from llmops.domain.host_memory import swap_bytes
from llmops.domain.reading import Known, Unknown, known
from llmops.domain.units import size_text

SWAPPINESS_ON_DISK = 10
"""What the host-tuning target writes: pages of an engine are the last to go to a disk. With zram alone the default is right."""

LIMIT_OF_ZRAM = 2
"""A share of RAM. Compressed pages lie in the same RAM: at the usual 2:1, a full zram of half the RAM takes a quarter of it."""

SMALL_SHARE = 20
"""One part in so many of the host's memory is not worth a word."""

HIGHEST_PRIORITY = 32767
"""Of swap, swapon(8)."""


def _of(host: HostFacts) -> Memory | None:
    return known(host.memory)


def nothing_was_killed_for_memory(host: HostFacts) -> Judgement:
    """The kernel has killed no process for want of memory since boot."""
    if isinstance(host.memory, Unknown):
        return unknown(host.memory, "memory")
    kills, count = host.memory.value.oom_kills, host.memory.value.oom_kill_count
    named = known(kills) or ()
    total = max(known(count) or 0, len(named))
    if total:
        last = named[0] if named else None
        who = f"; the last was {last.program}" if last is not None else ""
        limit = " (a control group's limit was passed)" if last is not None and last.in_control_group else ""
        return warn(f"the kernel killed {total} process{'es' if total != 1 else ''} for memory since boot{who}{limit}")
    if isinstance(count, Unknown):  # the log may no longer hold them
        return unknown(count, "kills for memory")
    return ok("nothing was killed for memory since boot")


def swappiness_suits_the_swap(host: HostFacts) -> Judgement:
    """At most 10 where swap is on a disk; of no weight without swap, and right as it is with zram alone."""
    if isinstance(host.memory, Unknown):
        return unknown(host.memory, "memory")
    memory = host.memory.value
    if isinstance(memory.swaps, Unknown):
        return unknown(memory.swaps, "swap")
    on_disk = any(swap.kind is not SwapKind.ZRAM for swap in memory.swaps.value)
    swappiness = memory.tuning.swappiness
    if isinstance(swappiness, Unknown):
        return unknown(swappiness, "vm.swappiness")
    if not memory.swaps.value:
        return ok(f"vm.swappiness {swappiness.value}, and no swap it would govern")
    if on_disk and swappiness.value > SWAPPINESS_ON_DISK:
        return warn(
            f"vm.swappiness is {swappiness.value}, with swap on a disk: an idle engine's memory is paged out",
            "the `host-tuning` target writes `vm.swappiness = 10`; units have MemorySwapMax=0 in any case",
            script=(
                "printf 'vm.swappiness = 10\\n' > /etc/sysctl.d/60-llmops.conf",
                "sysctl -q -w vm.swappiness=10",
            ),
        )
    return ok(f"vm.swappiness {swappiness.value}")


def zram_comes_before_the_disk(host: HostFacts) -> Judgement | None:
    """The kernel fills swap of the highest priority first, and equal ones in turn."""
    if isinstance(host.memory, Unknown):
        return unknown(host.memory, "memory")
    swaps = host.memory.value.swaps
    if isinstance(swaps, Unknown):
        return unknown(swaps, "swap")
    zram = [swap for swap in swaps.value if swap.kind is SwapKind.ZRAM]
    disk = [swap for swap in swaps.value if swap.kind is not SwapKind.ZRAM]
    if not zram or not disk:
        return None
    last, first = min(zram, key=lambda one: one.priority), max(disk, key=lambda one: one.priority)
    if last.priority > first.priority:
        return ok(f"{last.name} ({last.priority}) is filled before {first.name} ({first.priority})")
    order = "after" if last.priority < first.priority else "in turn with"
    zram_first, disk_last = f"swapon -p {max(first.priority + 1, 100)} {last.name}", f"swapon {first.name}"
    # Where the disk has the highest priority there is, it goes down: without one the kernel puts what comes last behind all.
    name, again = (last.name, zram_first) if first.priority < HIGHEST_PRIORITY else (first.name, disk_last)
    return warn(
        f"{last.name} (priority {last.priority}) is filled {order} {first.name} ({first.priority})",
        f"`swapoff {name} && {again}`, and the same where it is set up",
    )


def swap_has_a_sensible_size(host: HostFacts) -> Judgement:
    """Of zram at most half the RAM, swap on a disk at most the RAM: more holds what would better be refused."""
    if isinstance(host.memory, Unknown):
        return unknown(host.memory, "memory")
    memory = host.memory.value
    if isinstance(memory.swaps, Unknown):
        return unknown(memory.swaps, "swap")
    zram = sum(swap.size_bytes for swap in memory.swaps.value if swap.kind is SwapKind.ZRAM)
    disk = sum(swap.size_bytes for swap in memory.swaps.value if swap.kind is not SwapKind.ZRAM)
    right = swap_bytes(memory.total_bytes)
    rule = f"{size_text(right)} of zram is right here: a quarter of the RAM, at most 8 GiB, for what runs beside the engines"
    if zram * LIMIT_OF_ZRAM > memory.total_bytes:
        return warn(
            f"{size_text(zram)} of zram in {size_text(memory.total_bytes)} of RAM: it takes from what it is to save",
            rule,
        )
    if disk > memory.total_bytes:
        return warn(f"{size_text(disk)} of swap on a disk, more than the RAM: an engine in it answers in minutes", rule)
    if not memory.swaps.value:
        return ok(f"no swap; {rule}")
    return ok(f"{size_text(zram + disk)} of swap")


def the_kernels_caches_are_left_alone(host: HostFacts) -> Judgement:
    """vm.vfs_cache_pressure is 100. It governs caches of names and inodes, no weights and no card's memory."""
    if isinstance(host.memory, Unknown):
        return unknown(host.memory, "memory")
    pressure = host.memory.value.tuning.vfs_cache_pressure
    if isinstance(pressure, Unknown):
        return unknown(pressure, "vm.vfs_cache_pressure")
    if pressure.value == 0:
        return warn(
            "vm.vfs_cache_pressure is 0: names and inodes are never given back, until memory runs out",
            CACHES,
            script=RESET,
        )
    if pressure.value != 100:
        return warn(
            f"vm.vfs_cache_pressure is {pressure.value}: it does nothing for weights or GPU memory",
            CACHES,
            script=RESET,
        )
    return ok("vm.vfs_cache_pressure 100")


RESET = ("sysctl -q -w vm.vfs_cache_pressure=100",)
CACHES = "take it out of /etc/sysctl.d and `sysctl -w vm.vfs_cache_pressure=100`"


def memory_may_be_reserved_freely(host: HostFacts) -> Judgement:
    """vm.overcommit_memory is not 2: CUDA reserves addresses for all of a card's memory, and mapped files count too."""
    if isinstance(host.memory, Unknown):
        return unknown(host.memory, "memory")
    tuning = host.memory.value.tuning
    if isinstance(tuning.overcommit, Unknown):
        return unknown(tuning.overcommit, "vm.overcommit_memory")
    if tuning.overcommit.value == 2:
        limit = known(tuning.commit_limit_bytes)
        most = f" (at most {size_text(limit)})" if limit is not None else ""
        return warn(
            f"vm.overcommit_memory is 2{most}: an engine that reserves more addresses than that is refused",
            "`sysctl -w vm.overcommit_memory=0`, and the same below /etc/sysctl.d",
            script=("sysctl -q -w vm.overcommit_memory=0",),
        )
    return ok(f"vm.overcommit_memory {tuning.overcommit.value}")


def no_memory_is_set_aside(host: HostFacts) -> Judgement:
    """Huge pages set aside by hand are no engine's to use."""
    if isinstance(host.memory, Unknown):
        return unknown(host.memory, "memory")
    pages = host.memory.value.tuning.huge_pages
    if isinstance(pages, Unknown):
        return unknown(pages, "huge pages")
    idle = sum(page.free * page.size_bytes for page in pages.value)
    if idle * SMALL_SHARE > host.memory.value.total_bytes:
        return warn(f"{size_text(idle)} lies idle in huge pages set aside by hand")
    return ok("no memory lies idle in huge pages")


def pages_stay_with_their_threads(host: HostFacts) -> Judgement | None:
    """Where the processor serves on several nodes, the kernel does not move pages about (llama.cpp warns of it, too)."""
    if isinstance(host.memory, Unknown):
        return unknown(host.memory, "memory")
    nodes = known(host.cpu.value.numa_nodes) if isinstance(host.cpu, Known) else None
    if nodes is not None and (nodes < 2 or host.nvidia.state is NvidiaState.READY):
        return None
    balancing = host.memory.value.tuning.numa_balancing
    if nodes is None:
        return unknown(Unknown("it is not known whether there are several"), "NUMA nodes")
    if isinstance(balancing, Unknown):
        return unknown(balancing, "kernel.numa_balancing")
    if balancing.value:
        return warn(
            "kernel.numa_balancing is on: it moves the weights from node to node while they are read",
            "`sysctl -w kernel.numa_balancing=0` on a host that serves on its processors, and `--numa distribute`",
            script=(
                "printf 'kernel.numa_balancing = 0\\n' > /etc/sysctl.d/61-llmops-numa.conf",
                "sysctl -q -w kernel.numa_balancing=0",
            ),
        )
    return ok("kernel.numa_balancing is off")


def no_group_is_slowed_down(host: HostFacts) -> Judgement:
    """No control group throttles this process below what the host has (memory.high)."""
    if isinstance(host.memory, Unknown):
        return unknown(host.memory, "memory")
    high, total = host.memory.value.throttle_bytes, host.memory.value.total_bytes
    if isinstance(high, Unknown):
        return unknown(high, "memory.high")
    if high.value is not None and high.value < total:
        return warn(f"a control group slows programs down above {size_text(high.value)} of {size_text(total)}")
    return ok("no control group slows programs down")


CHECKS = (
    Check(
        code="MEM005",
        title="Nothing was killed for want of memory",
        judge=nothing_was_killed_for_memory,
        why="What was short once will be short again, and the kernel takes the largest process: the engine.",
        fix="`journalctl -k -g 'Out of memory|oom-kill'` names them; plan smaller, or stop what else runs",
        source="/proc/vmstat, oom_kill; the kernel's log",
    ),
    Check(
        code="MEM006",
        title="vm.swappiness suits the kind of swap",
        judge=swappiness_suits_the_swap,
        why="It weighs paging out programs against dropping file pages. GPU memory is neither: the kernel never swaps it.",
        fix="sysctl -w vm.swappiness=10",
        source="Linux, Documentation/admin-guide/sysctl/vm.rst, swappiness",
    ),
    Check(
        code="MEM007",
        title="Swap has a size that helps",
        judge=swap_has_a_sensible_size,
        why="Swap is for the rest of the host; engines have MemorySwapMax=0. Too much of it hides a plan that does not fit.",
        fix="the `host-tuning` target sets up zram of min(RAM / 4, 8 GiB)",
        source="zram-generator.conf(5), its default min(ram / 2, 4096); the host-tuning target",
    ),
    Check(
        code="MEM013",
        title="zram is filled before the disk",
        judge=zram_comes_before_the_disk,
        why="Beside a disk of the same or a higher priority, zram stays empty while pages go to the disk.",
        fix="give zram the higher priority: `swapon --show` tells both",
        source="swapon(8), -p; zram-generator.conf(5), swap-priority (100)",
    ),
    Check(
        code="MEM008",
        title="The kernel's caches are left alone",
        judge=the_kernels_caches_are_left_alone,
        why="vm.vfs_cache_pressure is often recommended for model servers. It reclaims dentries and inodes, no weights; and "
        "the page cache is RAM that is given back when needed, not memory of a card.",
        fix=CACHES,
        source="Linux, Documentation/admin-guide/sysctl/vm.rst, vfs_cache_pressure",
    ),
    Check(
        code="MEM009",
        title="Memory may be reserved freely",
        judge=memory_may_be_reserved_freely,
        why="Engines reserve far more addresses than they use; strict accounting refuses that.",
        fix="sysctl -w vm.overcommit_memory=0",
        source="Linux, Documentation/mm/overcommit-accounting.rst; CUDA unified addressing",
    ),
    Check(
        code="MEM010",
        title="No memory lies idle in huge pages",
        judge=no_memory_is_set_aside,
        why="Pages set aside for a database or a virtual machine are lost to everything else. Engines do not ask for them.",
        fix="`sysctl -w vm.nr_hugepages=0`, if nothing else on the host uses them",
        source="Linux, Documentation/admin-guide/mm/hugetlbpage.rst",
    ),
    Check(
        code="MEM011",
        title="Pages stay with the threads that read them",
        judge=pages_stay_with_their_threads,
        why="Automatic balancing unmaps pages to see who reads them; with weights read over and over that costs each token.",
        fix="sysctl -w kernel.numa_balancing=0",
        source="llama.cpp, ggml/src/ggml-cpu/ggml-cpu.c: its own warning",
    ),
    Check(
        code="MEM012",
        title="No control group slows programs down for memory",
        judge=no_group_is_slowed_down,
        why="Above memory.high the kernel stops a program again and again: loading a model takes for ever and never fails.",
        fix="lift `MemoryHigh=` of the slice, or plan below it",
        source="Linux, Documentation/admin-guide/cgroup-v2.rst, memory.high",
    ),
)
