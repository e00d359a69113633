"""Tokens that are drafted are sampled where the logits are: what the graph gets behind them. llama.cpp b11669.

Source: src/llama-graph.cpp `build_sampling`, src/llama-sampler.cpp (`top_k` on a backend), common/speculative.cpp; read node by
node from the graphs a running server reserves a second time, when its drafting context has its samplers.
"""

from dataclasses import replace

from llmops.domain.engine import FlashAttention, Speculation
from llmops.engines.llama_cpp_buffers import PIPELINE_COPIES, is_pipelined
from llmops.engines.llama_cpp_compute import Case
from llmops.engines.llama_cpp_graph import Graph, Node, reshape, rows, view
from llmops.engines.llama_cpp_leafs import PIN_ROWS
from llmops.engines.llama_cpp_network import Build, Network
from llmops.engines.llama_cpp_placement import HOST, Placement
from llmops.engines.llama_cpp_simulation import allocated, flash_devices, with_margin

CANDIDATES = 10
"""`LLAMA_DRAFT_TOP_K`."""


def with_samplers(graph: Graph, slots: int) -> Graph:
    """A row more than there are logits, so that idle slots have one to read, and the best candidates of each slot."""
    logits = graph.nodes[-1]
    logits.is_output = True
    width, count = logits.dims[0], logits.dims[1]
    padded_rows = Node("pad", "F32", (width, count + 1, 1, 1), (logits,))
    for slot in range(slots):
        mine = reshape(view(padded_rows, width, shifted=slot > 0), width)
        best = Node("top_k", "I32", (min(CANDIDATES, width), 1, 1, 1), (mine,))
        chosen = rows(reshape(mine, 1, width), best)
        best.is_output = chosen.is_output = True
        graph.expand(chosen)
    return graph


def with_flash_resolved(build: Build, case: Case, placement: Placement) -> Case:
    """`-fa auto` of a drafting context: off where a fused attention would run elsewhere than its layer (`resolve_fused_ops`)."""
    if case.settings.flash_attention is not FlashAttention.AUTO or not placement.cards or placement.metal:
        return case
    if case.is_quantized(case.settings.kv_cache_type_v):  # which switches it on
        return case
    homes = [home for home, layer in zip(placement.layers, case.shape.layers, strict=True) if layer.kv_heads]
    there = flash_devices(build(Network(case, placement, single=True)), placement)
    if all(device == (placement.cards if home == HOST else home) for device, home in zip(there, homes, strict=False)):
        return case
    return replace(case, flash_refused=True)


def drafting_bytes(
    build: Build, case: Case, alone: Placement, where: Placement, *, asked: Speculation
) -> tuple[int, ...]:
    """The buffers of a drafting context, cards first: what a batch takes and what one token a slot takes, sampled or not.

    `case` and `alone` are of what is drafted with, `where` of the whole model: it says whether everything is on cards.
    """
    copies = PIPELINE_COPIES if is_pipelined(where) else 1
    case = with_flash_resolved(build, case, alone)
    sizes: list[tuple[int, ...]] = []
    for single in (False, True):
        for is_sampled in (False, True) if asked.backend_sampling else (False,):
            net = Network(case, alone, single=single)
            net.pins = where.is_whole() or net.tokens < PIN_ROWS
            graph = build(net)
            graph = with_samplers(graph, net.slots) if is_sampled else graph
            sizes.append(allocated(graph, alone, copies=copies))
    cards, ram = with_margin(case, where, tuple(max(each) for each in zip(*sizes, strict=True)))
    return *cards, ram
