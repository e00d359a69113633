"""Compute buffers from the graph itself: build it, cut it as the scheduler does, allocate it as ggml does.

Source: llama.cpp b11669, src/llama-context.cpp `graph_reserve` (one batch of prompt rows), ggml-backend.cpp, ggml-alloc.c, and
the size rules of CUDA buffers, ggml/src/ggml-cuda/ggml-cuda.cu and fattn.cu.
"""

from dataclasses import replace

from llmops.domain.ledger import Confidence
from llmops.domain.model import ModelShape
from llmops.domain.tensor_types import TENSOR_TYPES
from llmops.domain.units import padded
from llmops.engines.llama_cpp_allocator import buffer_bytes
from llmops.engines.llama_cpp_compute import Case
from llmops.engines.llama_cpp_encoders import ENCODER_NETWORKS
from llmops.engines.llama_cpp_graph import Graph, Node
from llmops.engines.llama_cpp_metal import metal_bytes
from llmops.engines.llama_cpp_network import Network
from llmops.engines.llama_cpp_placement import (
    CUDA_ALIGNMENT,
    HOST,
    HOST_ALIGNMENT,
    Placement,
    cuda_tensor_bytes,
    is_arranged,
    row_tail_bytes,
)
from llmops.engines.llama_cpp_recurrent import RECURRENT_NETWORKS
from llmops.engines.llama_cpp_repeats import with_fewer_layers
from llmops.engines.llama_cpp_scheduler import Machine, cut
from llmops.engines.llama_cpp_transformers import TRANSFORMERS

NETWORKS = TRANSFORMERS | RECURRENT_NETWORKS | ENCODER_NETWORKS

_FLASH_TYPES = frozenset({"F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"})
EQUAL_HEADS = frozenset({40, 64, 72, 80, 96, 112, 128, 256})
_GROUPED_HEADS = {(192, 128): 8, (320, 256): 32, (512, 512): 1, (576, 512): 1}
"""Heads with a kernel only for several query heads a KV head, by whole multiples."""


def has_flash_kernel(node: Node) -> bool:
    """Whether CUDA has a flash attention kernel for these heads and types (`ggml_cuda_get_best_fattn_kernel`)."""
    query, keys, values = node.sources[:3]
    if keys.kind not in _FLASH_TYPES or values.kind not in _FLASH_TYPES:
        return False
    heads = (keys.dims[0], values.dims[0])
    if heads[0] == heads[1] and heads[0] in EQUAL_HEADS:
        return True
    group = query.dims[2] // keys.dims[2]
    return heads in _GROUPED_HEADS and group >= 2 and keys.dims[1] % 256 == 0 and group % _GROUPED_HEADS[heads] == 0


def has_flash_heads(shape: ModelShape) -> bool:
    """Whether CUDA has a kernel for the heads of every layer; `-fa auto` is off where one has none."""
    if shape.latent is not None:
        return True
    pairs = {(one.key_length, one.value_length) for one in shape.layers if one.kv_heads and one.key_length}
    return all((key == value and key in EQUAL_HEADS) or (key, value) in _GROUPED_HEADS for key, value in pairs)


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


def _every(device: int, node: Node) -> bool:
    """Metal has a kernel for all heads the known families have."""
    del device, node
    return True


def is_simulated(case: Case) -> bool:
    """Whether the graph of this model is known, with all its tensors."""
    return case.shape.architecture in NETWORKS and bool(case.shape.tensors)


def simulated_confidence(case: Case, placement: Placement) -> Confidence:
    """Exact, but where `slack_bytes` widens it, and for sparse attention on several cards or without its fused kernel."""
    indexed = any(layer.indexer is not None for layer in case.shape.layers)
    plain = case.flash() and placement.cards == 1 and not placement.is_overridden
    if indexed and not plain:
        return Confidence.CALIBRATED
    return Confidence.CALIBRATED if slack_bytes(case, placement, compute=SPARSE_SLACK[False]) else Confidence.EXACT


METAL_ALIGNMENT = 32

SPARSE_SLACK = {False: 16, True: 6}
"""One part in so many more for sparse attention partly in RAM, by whether flash attention is on: of some 100 measured starts four
were under by 4.4 % at most, one with it on by 14 %."""


def slack_bytes(case: Case, placement: Placement, *, compute: int, first: bool = True) -> int:
    """What is added to a card's simulated `compute` where it once came out under: 0 everywhere else.

    Weights moved to another card than their layer's: one row of the stream (one of 300 measured starts was under, by 2 %).
    Metal: the keys of the layer with the longest heads (six starts of Gemma 4 12B, b10950, had 4 · 512 bytes a row more).
    On the `first` card, which works on what lies in RAM: the two largest matrices that moved there, for a recurrent model whose
    state is in RAM as well (one of 40 was under), and for plamo, whose feed-forward runs beside the attention (one of 6).
    """
    if any(layer.indexer is not None for layer in case.shape.layers):
        return compute // SPARSE_SLACK[case.flash()] if placement.is_mixed() else 0
    moves = placement.moves
    card = 4 * case.rows() * case.shape.embedding_length if placement.crosses() else 0
    if placement.metal:
        longest = max(case.shape.layers, key=lambda layer: layer.key_length)
        card += 4 * case.rows() * longest.key_width()
    recurrent = any(layer.recurrent is not None for layer in case.shape.layers)
    odd = (recurrent and not placement.kv_offload) or case.shape.architecture == "plamo"
    if first and odd and HOST in moves.values():
        moved = (cuda_tensor_bytes(one) for one in case.shape.tensors if moves.get(one.name) == HOST)
        card += sum(sorted(moved, reverse=True)[:2])
    return card


def simulate(case: Case, placement: Placement, *, copies: int) -> tuple[tuple[int, ...], int]:
    """Compute bytes of each card, and of the host: a batch of a prompt, and, where the host takes part, one token a sequence.

    Below 32 rows no card takes over the host's work, so that generating can need more of the host than a prompt does.
    """
    given = case, placement
    shape, placement = with_fewer_layers(case.shape, placement)
    case = replace(case, shape=shape)
    sizes = _reserved(case, placement, copies=copies, single=False)
    if placement.is_mixed() or placement.is_overridden:
        one = _reserved(case, placement, copies=copies, single=True)
        sizes = tuple(max(pair) for pair in zip(sizes, one, strict=True))
    cards = (one and one + slack_bytes(*given, compute=one, first=at == 0) for at, one in enumerate(sizes[:-1]))
    return tuple(cards), sizes[-1]


def _machine(placement: Placement, copies: int) -> Machine:
    arranged = is_repacked if placement.cards and placement.repacked else None
    return Machine(
        cards=placement.cards,
        runs=_every if placement.metal else _runs,
        copies=copies,
        op_offload=placement.op_offload,
        is_arranged=arranged,
    )


def is_repacked(node: Node) -> bool:
    """Whether a weight in RAM lies in the processor's own arrangement, which only the processor can read; no table of rows."""
    is_table = node.name.startswith(("token_embd.", "per_layer_token_embd."))
    return not is_table and is_arranged(node.name, node.kind, node.dims)


def _reserved(case: Case, placement: Placement, *, copies: int, single: bool) -> tuple[int, ...]:
    graph = NETWORKS[case.shape.architecture](Network(case, placement, single=single))
    return allocated(graph, placement, copies=copies)


def allocated(graph: Graph, placement: Placement, *, copies: int = 1) -> tuple[int, ...]:
    """Buffers of a graph that is cut over the devices of a placement: cards first, the host last."""
    made = cut(graph, _machine(placement, copies))
    return buffer_bytes(
        leafs=made.leafs,
        nodes=made.nodes,
        alignments=[METAL_ALIGNMENT if placement.metal else CUDA_ALIGNMENT] * placement.cards + [HOST_ALIGNMENT],
        size_of=[metal_bytes if placement.metal else cuda_bytes] * placement.cards + [_host_bytes],
    )
