"""On which memory node an engine computes: the one its cards hang on, or the one its weights fit in.

Weights in RAM are read once per token, and reading another socket's memory is markedly slower; so is copying to a card that
hangs on another socket. llama.cpp is to have one thread per physical core (its own default, common/common.cpp,
`cpu_get_num_math`), so its threads are the cores of that node.
"""

from collections.abc import Sequence
from dataclasses import replace

from llmops.domain.binding import Binding, HostNode, MemoryPolicy
from llmops.domain.engine import Device, HostDevice
from llmops.domain.ledger import Ledger


def binding(cards: Sequence[Device], ledger: Ledger, host: HostDevice) -> Binding | None:
    """None on a host of one node, where the nodes are not known, and for cards on several nodes or on one that is not told."""
    if len(host.nodes) < 2:
        return None
    node = _node_of(cards, host) if cards else _with_room(ledger, host)
    if node is not None:
        return Binding(nodes=str(node.index), policy=MemoryPolicy.PREFERRED, threads=node.threads)
    if cards:
        return None
    return Binding(nodes=",".join(str(one.index) for one in host.nodes), policy=MemoryPolicy.INTERLEAVE)


def threads(bound: Binding | None, host: HostDevice) -> int | None:
    """One per physical core of what it is bound to; None where the cores are not known."""
    if bound is None or bound.threads is None:
        return host.physical_cores
    return next(one.physical_cores for one in host.nodes if one.threads == bound.threads)


def words(bound: Binding, cards: Sequence[Device], host: HostDevice) -> str:
    """Why, for a person."""
    if bound.threads is None:
        return f"no memory node holds it alone: its memory is spread over nodes {bound.nodes}, on all cores"
    count = threads(bound, host)
    reason = "its cards hang on it" if cards else "the weights fit in it"
    return f"bound to memory node {bound.nodes} ({count} cores, processors {bound.threads}): {reason}"


def left_by(bound: Binding | None, ledger: Ledger, host: HostDevice) -> HostDevice:
    """The host's nodes with what an engine takes of the one it is bound to, or of all in equal parts."""
    if bound is None:
        return host
    taken = ledger.host.total_bytes() // (1 if bound.threads is not None else len(host.nodes))
    nodes = tuple(
        replace(one, room_bytes=max(0, one.room_bytes - taken)) if bound.threads in (None, one.threads) else one
        for one in host.nodes
    )
    return replace(host, nodes=nodes)


def _node_of(cards: Sequence[Device], host: HostDevice) -> HostNode | None:
    near = {card.numa_node for card in cards}
    if len(near) != 1:
        return None
    return next((node for node in host.nodes if node.index in near), None)


def _with_room(ledger: Ledger, host: HostDevice) -> HostNode | None:
    """The emptiest node (the first of equals) where all of it fits."""
    node = max(host.nodes, key=lambda one: (one.room_bytes, -one.index))
    return node if ledger.host.total_bytes() <= node.room_bytes else None
