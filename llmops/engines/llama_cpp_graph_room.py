"""Whether a graph finds room in the scheduler's table of tensors, which is made for eight nodes a tensor of the file.

Source: llama.cpp b11669, src/llama-context.cpp `graph_max_nodes`, ggml/src/ggml-backend.cpp `ggml_backend_sched_new` and
ggml/src/ggml-impl.h:330, which ends a start whose table is full. Families with six tensors a layer come near it.
"""

from collections.abc import Sequence

from llmops.domain.engine import Device, EngineSettings
from llmops.domain.model import ModelShape
from llmops.engines.llama_cpp_compute import Case
from llmops.engines.llama_cpp_context import context
from llmops.engines.llama_cpp_network import Network
from llmops.engines.llama_cpp_placement import place
from llmops.engines.llama_cpp_simulation import NETWORKS

FEW_TENSORS = frozenset({"phi3", "falcon"})
"""Families of which the end of the table was measured, on models of 18 to 42 layers."""
SIZES = (1031, 2053, 4099, 8209, 16411, 32771)
"""`ggml_hash_size`: the primes a table may be long."""
NO_ROOM = "the graph has more tensors than b11669 makes room for in this family: it would not start"
LEAST_NODES, NODES_PER_TENSOR = 1024, 8


def lacks_room(shape: ModelShape, settings: EngineSettings, devices: Sequence[Device]) -> bool:
    """Whether the graph of a prompt has more tensors than the table; never said where that is not sure.

    One tensor a layer less was seen in the table than the graph has; a tensor may be loaded once more on each card.
    """
    beside = shape.companions
    if shape.architecture not in FEW_TENSORS or not shape.tensors or (beside is not None and beside.adapters):
        return False
    used = tuple(devices) if settings.use_gpu else ()
    loaded = len(shape.tensors) + 2 * len(used)
    least = max(LEAST_NODES, NODES_PER_TENSOR * loaded)
    room = next((size for size in SIZES if size >= least), None)
    if room is None:
        return False
    made = context(settings, trained_tokens=shape.context_length, is_causal=not shape.sees_later())
    case = Case(shape=shape, settings=settings, context=made)
    try:
        graph = NETWORKS[shape.architecture](Network(case, place(shape, settings, used)))
    except (LookupError, ValueError, ArithmeticError):  # a file whose tensors are not those of its family
        return False
    return len(graph.nodes) + len(graph.leafs) - len(shape.layers) > room
