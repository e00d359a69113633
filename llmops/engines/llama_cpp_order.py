"""In which order the nodes of a cut graph pass devices and layers: what a start over fewer layers or cards goes by."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from llmops.engines.llama_cpp_allocator import Seam
from llmops.engines.llama_cpp_graph import VIEWS, Node

BEGINNING = frozenset({"none", "norm", "rms_norm"})
"""What the next layer begins with, or the hand-over to the next card."""


def passes_in_order(nodes: Sequence[tuple[Node, int]], host: int) -> bool:
    """Whether the host's work is done before the cards', and each card's before that of the next."""
    order = [-1 if device == host else device for node, device in nodes if node.op not in VIEWS]
    return all(one <= other for one, other in pairwise(order))


def seam_ends(nodes: Sequence[tuple[Node, int]], seams: Sequence[Seam]) -> list[Seam]:
    """Seams between layers as seams between nodes."""
    ends = layer_ends(nodes, {layer for seam in seams for layer in seam})
    return [(ends[first], ends[second]) for first, second in seams]


def layer_ends(nodes: Sequence[tuple[Node, int]], layers: Iterable[int]) -> dict[int, int]:
    """Behind each of the layers, where little but its result is kept.

    That is behind the last node that reads one of its weights, and what follows it up to the next norm, weight or card.
    """
    wanted = {f"blk.{layer}.": layer for layer in layers}
    ends: dict[int, int] = {}
    end = len(nodes)
    for at in range(len(nodes) - 1, -1, -1):
        node, _ = nodes[at]
        if not wanted:
            break
        if node.op in BEGINNING:
            end = at
        for source in node.sources:
            name = source.name
            if name and name.startswith("blk."):  # most have none
                layer = wanted.pop(name[: name.index(".", 4) + 1], None)
                if layer is not None:
                    ends[layer] = end
                end = at
    return ends
