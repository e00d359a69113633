"""Tokens that are drafted are sampled where the logits are: what the graph gets behind them. llama.cpp b11669.

Source: src/llama-graph.cpp `build_sampling`, src/llama-sampler.cpp (`top_k` on a backend), common/speculative.cpp; read node by
node from the graphs a running server reserves a second time, when its drafting context has its samplers.
"""

from llmops.engines.llama_cpp_graph import Graph, Node, reshape, rows, view

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
