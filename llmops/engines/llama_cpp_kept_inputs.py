"""Starts with several copies of their inputs: where inputs alone are longer, so are the buffers, by as much.

Source: llama.cpp b11669, ggml/src/ggml-backend.cpp `ggml_backend_sched_split_graph` (with copies an input is an output as well)
and ggml/src/ggml-alloc.c `ggml_gallocr_alloc_graph_impl` (inputs come first; outputs are never freed). So all inputs lie below
the rest of a buffer to the end, and the rest lies as it did, further up. Held to the whole graph by
`tests/test_llama_cpp_repeats.py`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from llmops.domain.units import padded
from llmops.engines.llama_cpp_graph import Graph, SizeOf
from llmops.engines.llama_cpp_scheduler import Cut

Inputs = tuple[tuple[int, str, int], ...]
"""Device, name and bytes of each."""


class Sample(NamedTuple):
    """A graph with one layer of every kind: its inputs' bytes by name, and what the other nodes are and read."""

    inputs: Mapping[str, int]
    others: tuple[tuple[object, ...], ...]


def sample_of(graph: Graph, size_of: SizeOf) -> Sample | None:
    """None where two inputs of one name differ. Nodes that lie in another's bytes have no size of their own."""
    inputs: dict[str, int] = {}
    for leaf in graph.leafs:
        if leaf.is_input and inputs.setdefault(leaf.name, leaf.size) != leaf.size:
            return None
    places = {id(node): at for at, node in enumerate(graph.nodes)}
    others = []
    for node in graph.nodes:
        read = tuple(places.get(id(source), -1) for source in node.sources)
        own = (node.kind, node.dims, size_of(node)) if node.origin is None else ()
        others.append((node.op, read, *own))
    return Sample(inputs, tuple(others))


def kept_inputs(made: Cut) -> Inputs | None:
    """All that lies below the rest; None where that is not so, or where a part of what is stored is copied as well."""
    if any(node.op == "none" and node.origin is not None and node.origin.home is not None for node, _ in made.nodes):
        return None
    found: dict[int, tuple[int, str, int]] = {}
    for leaf, device in made.leafs:
        if leaf.is_input:
            if not leaf.is_output:
                return None
            found.setdefault(id(leaf), (device, leaf.name, leaf.size))
    return tuple(found.values())


class Kept(NamedTuple):
    """Buffers of a start, and the inputs in them."""

    sizes: tuple[int, ...]
    inputs: Inputs

    def with_inputs(self, inputs: Mapping[str, int], alignments: Sequence[int]) -> tuple[int, ...]:
        """The buffers of a start that differs in the bytes of its inputs."""
        sizes = list(self.sizes)
        for device, name, before in self.inputs:
            alignment = alignments[device]
            sizes[device] += padded(inputs.get(name, before), alignment) - padded(before, alignment)
        return tuple(sizes)
