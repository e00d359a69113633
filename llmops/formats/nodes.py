"""The memory nodes of a host that engines can be bound to, from its facts."""

from typing import TYPE_CHECKING

from llmops.domain.binding import HostNode
from llmops.domain.reading import known

if TYPE_CHECKING:
    from llmops.domain.host import Cpu, Memory


def nodes(memory: "Memory", cpu: "Cpu") -> tuple[HostNode, ...]:
    """Those with processors. None where a process may not use all processors, or has a limit: binding would cut it further.

    A node does not tell what of its memory is page cache that the kernel would give back: what the whole host has in use is
    taken to lie on it, where that leaves more. Cores are told for the host as a whole; a node has its part of them by its
    part of the threads.
    """
    found = [(node, node.thread_count()) for node in known(memory.numa_nodes) or ()]
    with_cores = [(node, count) for node, count in found if count]
    threads, cores, quota = sum(count for _, count in with_cores), known(cpu.physical_cores), known(cpu.quota_threads)
    if not threads or threads != cpu.threads or cores is None or (quota is not None and quota < threads):
        return ()
    used = memory.total_bytes - memory.available_bytes
    return tuple(
        HostNode(
            index=node.index,
            threads=node.threads,
            physical_cores=max(1, cores * count // threads),
            room_bytes=max(node.free_bytes, node.total_bytes - used),
        )
        for node, count in with_cores
    )
