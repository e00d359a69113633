"""Cases of the checks of system, processor, memory, disks, network and exposure: one host each that is well, spoiled, unknown."""

from dataclasses import replace

import hosts
from hosts import LOST, cpu, host, listener, system
from spoiled_hosts import (
    FAIL,
    GOOD,
    PROXY,
    UNREAD,
    WARN,
    Case,
    certified,
    listening,
    swap,
    two_nodes,
    with_cpu,
    with_disk,
    with_memory,
    with_surroundings,
    with_swaps,
    with_tuning,
)

from llmops.domain.exposure import Exposure
from llmops.domain.host import (
    Container,
    NvidiaState,
    SwapKind,
    UnreadDisk,
)
from llmops.domain.host_memory import HugePages
from llmops.domain.reading import Known
from llmops.domain.storage import Storage, StorageKind
from llmops.domain.surroundings import Clock, FileLimits, Hub
from llmops.domain.units import GIB, MIB

CASES = {
    "SYS001": Case(GOOD, host(system=system(os_id="fedora", os_version="44")), WARN, host(system=system(os_id=""))),
    "SYS002": Case(GOOD, host(system=system(python_version="3.10.9")), WARN, host(system=system(python_version="?"))),
    "SYS003": Case(
        GOOD, host(system=system(systemd_is_running=False)), WARN, host(system=system(systemd_version=LOST))
    ),
    "SYS004": Case(
        GOOD, host(system=system(container=Known(Container.PODMAN))), WARN, host(system=system(container=LOST))
    ),
    "SYS005": Case(GOOD, host(system=system(glibc=Known("2.17"))), WARN, host(system=system(glibc=LOST))),
    "SYS006": Case(GOOD, host(system=system(is_root=False)), WARN, None),
    "CPU001": Case(GOOD, with_cpu(vector_extensions=("sse4_2", "avx")), WARN, host(cpu=LOST)),
    "CPU002": Case(
        GOOD,
        host(cpu=Known(cpu(numa_nodes=Known(2))), nvidia=hosts.without_nvml(NvidiaState.LIBRARY_ABSENT)),
        WARN,
        with_cpu(numa_nodes=LOST),
    ),
    "CPU003": Case(GOOD, with_cpu(quota_threads=Known(2.0)), WARN, with_cpu(quota_threads=LOST)),
    "MEM001": Case(GOOD, with_memory(total_bytes=GIB // 2), FAIL, host(memory=LOST)),
    "MEM002": Case(GOOD, with_memory(limit_bytes=Known(8 * GIB)), WARN, with_memory(limit_bytes=LOST)),
    "MEM003": Case(GOOD, with_memory(swaps=Known((swap(SwapKind.ZRAM, 3 * GIB),))), WARN, with_memory(swaps=LOST)),
    "MEM004": Case(
        with_memory(swaps=Known((swap(SwapKind.ZRAM),))),
        with_memory(swaps=Known((swap(SwapKind.ZRAM), swap(SwapKind.FILE)))),
        WARN,
        with_memory(swaps=LOST),
    ),
    "DSK001": Case(GOOD, with_disk(free_bytes=3 * GIB), WARN, host(disks=LOST)),
    "DSK002": Case(
        GOOD, with_disk(read_only=True), WARN, host(unread_disks=(UnreadDisk(path="/mnt", reason="no answer"),))
    ),
    "DSK003": Case(with_disk(free_inodes=None), with_disk(free_inodes=7), WARN, host(disks=LOST)),
    "DSK004": Case(GOOD, with_disk(filesystem="nfs4"), WARN, with_disk(filesystem="")),
    "SYS007": Case(GOOD, host(system=system(kernel="3.10.0-1160.el7.x86_64")), WARN, host(system=system(kernel=""))),
    "SYS008": Case(GOOD, with_surroundings(cgroup_version=Known(1)), WARN, with_surroundings(cgroup_version=LOST)),
    "SYS009": Case(
        GOOD,
        with_surroundings(clock=Clock(synchronized=hosts.NO)),
        WARN,
        with_surroundings(clock=Clock(synchronized=LOST)),
    ),
    "SYS010": Case(
        GOOD,
        with_surroundings(files=Known(FileLimits(soft=1024, hard=4096, most_per_process=Known(4096)))),
        WARN,
        with_surroundings(files=LOST),
    ),
    "CPU004": Case(GOOD, with_cpu(threads=8), WARN, with_cpu(physical_cores=LOST)),
    "MEM005": Case(GOOD, with_memory(oom_kill_count=Known(2)), WARN, with_memory(oom_kill_count=LOST, oom_kills=LOST)),
    "MEM006": Case(GOOD, with_swaps(swap(SwapKind.FILE)), WARN, with_tuning(swappiness=LOST)),
    "MEM007": Case(
        with_swaps(swap(SwapKind.ZRAM)),
        with_swaps(replace(swap(SwapKind.ZRAM), size_bytes=48 * GIB)),
        WARN,
        with_memory(swaps=LOST),
    ),
    "MEM008": Case(GOOD, with_tuning(vfs_cache_pressure=Known(50)), WARN, with_tuning(vfs_cache_pressure=LOST)),
    "MEM009": Case(GOOD, with_tuning(overcommit=Known(2)), WARN, with_tuning(overcommit=LOST)),
    "MEM010": Case(
        GOOD,
        with_tuning(huge_pages=Known((HugePages(size_bytes=2 * MIB, total=8192, free=8192),))),
        WARN,
        with_tuning(huge_pages=LOST),
    ),
    "MEM011": Case(two_nodes(Known(0)), two_nodes(Known(1)), WARN, two_nodes(LOST)),
    "MEM013": Case(
        with_swaps(replace(swap(SwapKind.ZRAM), priority=100), swap(SwapKind.FILE)),
        with_swaps(swap(SwapKind.ZRAM), swap(SwapKind.FILE)),
        WARN,
        with_memory(swaps=LOST),
    ),
    "MEM012": Case(GOOD, with_memory(throttle_bytes=Known(8 * GIB)), WARN, with_memory(throttle_bytes=LOST)),
    "DSK005": Case(GOOD, with_disk(speed=Known(hosts.speed(90_000_000))), WARN, with_disk(speed=LOST)),
    "DSK006": Case(
        GOOD, with_disk(storage=Known(Storage(kind=StorageKind.HDD, name="sda"))), WARN, with_disk(storage=LOST)
    ),
    "NET003": Case(
        GOOD,
        with_surroundings(hub=Known(Hub(endpoint="https://hub.example", resolves=hosts.NO, status=None, seconds=1.0))),
        WARN,
        with_surroundings(hub=LOST),
    ),
    "NET004": Case(GOOD, with_surroundings(proxies=Known((PROXY,))), WARN, with_surroundings(proxies=LOST)),
    "OPN001": Case(GOOD, listening(keyless=hosts.YES), WARN, listening(keyless=LOST)),
    "OPN002": Case(
        GOOD,
        certified(5),
        WARN,
        host(exposure=Exposure(engines=Known(()), certificates=Known(()), unread_certificates=(UNREAD,))),
    ),
    "NET001": Case(GOOD, host(listeners=Known((listener(8443, "nginx"),))), WARN, host(listeners=LOST)),
    "NET002": Case(GOOD, host(listeners=Known((listener(8080),))), WARN, host(listeners=LOST)),
}
