"""Which processors and which memory an engine is bound to, on a host with several memory nodes (NUMA)."""

from enum import StrEnum

from llmops.domain.records import dataclass


class MemoryPolicy(StrEnum):
    """As systemd's NUMAPolicy= spells it: `preferred` spills over when the node is full, `interleave` spreads pages."""

    PREFERRED = "preferred"
    INTERLEAVE = "interleave"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostNode:
    """A memory node with processors: `threads` as the kernel lists them ("0-15,32-47"), its physical cores.

    `room_bytes` is what an engine may take of its memory.
    """

    index: int
    threads: str
    physical_cores: int
    room_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """`nodes` as a list ("0", "0-1"); `threads` None: on any processor of the host."""

    nodes: str
    policy: MemoryPolicy
    threads: str | None = None
