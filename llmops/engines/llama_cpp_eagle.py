"""Draft models that read the hidden rows of the model they draft for: EAGLE-3. llama.cpp b11669, src/models/eagle3.cpp.

One block over token and hidden row side by side; the head gives logits for every row of a batch, not for one a slot. What the
file leaves out (embedding, head) is read where the model has it. Read node by node from graphs of the running server.
"""

from dataclasses import replace

from llmops.domain.model import ModelShape, Tensor
from llmops.engines.llama_cpp_compute import Case
from llmops.engines.llama_cpp_graph import Graph, Node, given, joined, product, reshape, rows, same, write_rows
from llmops.engines.llama_cpp_network import Build, Network
from llmops.engines.llama_cpp_placement import Placement

_EMBEDDING, _OUTPUT = "token_embd.weight", "output.weight"


def eagle3(net: Network) -> Graph:
    """The graph that drafts; what fuses the model's rows before it needs less."""
    hidden = given("F32", net.width, net.tokens, name="hidden")
    found = rows(net.weight("token_embd"), net.input("tokens", "I32", net.tokens))
    embedded = net.norm(found, "attn_norm", 0)
    normed = same("mul", same("rms_norm", hidden), net.layer(0, "attn_norm_2"))
    both = joined(embedded, normed, 0)
    query, keys, values = net.queries_keys_values(0, both)
    factors = "rope_freqs" if net.has("rope_freqs") else None
    node = net.attend(0, net.rotated(0, query, factors), net.rotated(0, keys, factors), values)
    between = same("add", node, normed if net.shape.graph.norm_before_residual else hidden)
    node = net.feed_forward(0, net.norm(between, "ffn_norm", 0))
    node = same("add", node, between)
    node.is_output = True  # the next token is drafted from it
    node = product(net.weight("output", output=True), net.norm(node, "output_norm", output=True))
    net.graph.expand(_in_full_vocabulary(net, node) if "d2t" in net.tensors else node)
    return net.graph


def _in_full_vocabulary(net: Network, logits: Node) -> Node:
    """Logits of a reduced vocabulary, each put where its token is in the model's."""
    few, count = logits.dims[0], logits.dims[1]
    wide = net.shape.vocabulary
    empty = same("fill", Node("none", "F32", (1, wide, count, 1), name="no logits"))
    empty.is_output = True  # the logits are a view of it
    mapped = write_rows(empty, reshape(logits, 1, few, count), reshape(net.weight("d2t"), few))
    return reshape(mapped, wide, count)


READ_ROWS = 3
"""Rows of the model that EAGLE-3 reads, each kept from the first request on; one start was 1 of them above its first buffers."""


def read_bytes(case: Case) -> int:
    """At most what that adds to the model's own buffers, on every device with layers."""
    return READ_ROWS * 4 * case.rows() * case.shape.embedding_length


DRAFTERS: dict[str, Build] = {"eagle3": eagle3}


def with_borrowed(draft: ModelShape, model: ModelShape) -> ModelShape:
    """The draft with the embedding and the head that its file leaves to the model's."""
    own = {tensor.name for tensor in draft.tensors}
    theirs = {tensor.name: tensor for tensor in model.tensors}
    table = theirs[_EMBEDDING]
    head = theirs.get(_OUTPUT, table)
    borrowed = [
        Tensor(name, one.dims, one.type) for name, one in ((_EMBEDDING, table), (_OUTPUT, head)) if name not in own
    ]
    return replace(draft, tensors=(*draft.tensors, *borrowed))


def with_borrowed_places(own: Placement, draft: ModelShape, model: Placement, cards: tuple[int, ...]) -> Placement:
    """Where the borrowed ends lie, by the draft's own numbers of its cards; `ValueError`: on a card that is none of them."""
    names = {tensor.name for tensor in draft.tensors}
    moves = dict(own.moves)
    for name, place in (
        (_EMBEDDING, model.moves.get(_EMBEDDING, -1)),
        (_OUTPUT, model.moves.get(_OUTPUT, model.output)),
    ):
        if name not in names:
            moves[name] = place if place < 0 else cards.index(place)
    return replace(own, moves=moves)
