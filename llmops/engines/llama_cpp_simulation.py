"""Compute buffers from the graph itself: build it, cut it as the scheduler does, allocate it as ggml does.

Source: llama.cpp b11669, src/llama-context.cpp `graph_reserve` (one batch of prompt rows), ggml-backend.cpp, ggml-alloc.c, and
the size rules of CUDA buffers, ggml/src/ggml-cuda/ggml-cuda.cu and fattn.cu.
"""

from dataclasses import replace

from llmops.domain.ledger import Confidence
from llmops.domain.tensor_types import TENSOR_TYPES
from llmops.domain.units import padded
from llmops.engines.llama_cpp_allocator import buffer_bytes
from llmops.engines.llama_cpp_compute import Case
from llmops.engines.llama_cpp_graph import Node
from llmops.engines.llama_cpp_network import Network
from llmops.engines.llama_cpp_placement import CUDA_ALIGNMENT, HOST_ALIGNMENT, Placement, row_tail_bytes
from llmops.engines.llama_cpp_recurrent import RECURRENT_NETWORKS
from llmops.engines.llama_cpp_repeats import with_fewer_layers
from llmops.engines.llama_cpp_scheduler import Machine, cut
from llmops.engines.llama_cpp_transformers import TRANSFORMERS

NETWORKS = TRANSFORMERS | RECURRENT_NETWORKS

_FLASH_TYPES = frozenset({"F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"})
_EQUAL_HEADS = frozenset({40, 64, 72, 80, 96, 112, 128, 256})
_GROUPED_HEADS = {(192, 128): 8, (320, 256): 32, (512, 512): 1, (576, 512): 1}
"""Heads with a kernel only for several query heads a KV head, by whole multiples."""


def has_flash_kernel(node: Node) -> bool:
    """Whether CUDA has a flash attention kernel for these heads and types (`ggml_cuda_get_best_fattn_kernel`)."""
    query, keys, values = node.sources[:3]
    if keys.kind not in _FLASH_TYPES or values.kind not in _FLASH_TYPES:
        return False
    heads = (keys.dims[0], values.dims[0])
    if heads[0] == heads[1] and heads[0] in _EQUAL_HEADS:
        return True
    group = query.dims[2] // keys.dims[2]
    return heads in _GROUPED_HEADS and group >= 2 and keys.dims[1] % 256 == 0 and group % _GROUPED_HEADS[heads] == 0


def cuda_bytes(node: Node) -> int:
    """`ggml_backend_cuda_buffer_type_get_alloc_size`: flash attention asks for f16 copies of K and V of other types."""
    size = node.size
    if node.op == "flash" and has_flash_kernel(node):
        keys, values = node.sources[1:3]
        is_view_of_keys = values.origin is not None and values.origin is keys.origin and values.shifted == keys.shifted
        if keys.kind != "F16":
            size = padded(size, CUDA_ALIGNMENT) + 2 * _elements(keys)
        if values.kind != "F16" and not is_view_of_keys:
            size = padded(size, CUDA_ALIGNMENT) + 2 * _elements(values)
    if TENSOR_TYPES[node.kind].quantized:
        size += row_tail_bytes(node.kind, node.dims[0])
    return size


def _elements(node: Node) -> int:
    return node.dims[0] * node.dims[1] * node.dims[2] * node.dims[3]


def _host_bytes(node: Node) -> int:
    return node.size


def _runs(device: int, node: Node) -> bool:
    del device
    return node.op != "flash" or has_flash_kernel(node)


def is_simulated(case: Case) -> bool:
    """Whether the graph of this model is known, with all its tensors."""
    return case.shape.architecture in NETWORKS and bool(case.shape.tensors)


def simulated_confidence(case: Case, placement: Placement) -> Confidence:
    """Exact, but for sparse attention whose layers are partly in RAM: there it came out over (never under)."""
    whole = placement.cards and placement.is_whole() and placement.kv_offload and not case.settings.cpu_moe_layers
    indexed = any(layer.indexer is not None for layer in case.shape.layers)
    return Confidence.CALIBRATED if indexed and not whole else Confidence.EXACT


def simulate(case: Case, placement: Placement, *, copies: int) -> tuple[tuple[int, ...], int]:
    """Compute bytes of each card, and of the host: a batch of a prompt, and, where the host takes part, one token a sequence.

    Below 32 rows no card takes over the host's work, so that generating can need more of the host than a prompt does.
    """
    shape, placement, settings = with_fewer_layers(case.shape, placement, case.settings)
    case = replace(case, shape=shape, settings=settings)
    sizes = _reserved(case, placement, copies=copies, single=False)
    if not placement.is_whole() or not placement.kv_offload or case.settings.cpu_moe_layers:
        one = _reserved(case, placement, copies=copies, single=True)
        sizes = tuple(max(pair) for pair in zip(sizes, one, strict=True))
    return sizes[:-1], sizes[-1]


def _reserved(case: Case, placement: Placement, *, copies: int, single: bool) -> tuple[int, ...]:
    graph = NETWORKS[case.shape.architecture](Network(case, placement, single=single))
    made = cut(graph, Machine(cards=placement.cards, runs=_runs, copies=copies))
    return buffer_bytes(
        leafs=made.leafs,
        nodes=made.nodes,
        alignments=[CUDA_ALIGNMENT] * placement.cards + [HOST_ALIGNMENT],
        size_of=[cuda_bytes] * placement.cards + [_host_bytes],
    )
