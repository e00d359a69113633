"""The graph of a model's MTP blocks, which draft from its last hidden state. llama.cpp b11669, src/models/*.cpp `graph_mtp`.

One block is run: embedding and hidden state, each normed, side by side through `nextn.eh_proj`, a block as the model's own,
the head. Read node by node from graphs of the running server (bailingmoe3, glm4moe, qwen35, qwen35moe, qwen3next).
"""

from collections.abc import Callable

from llmops.engines.llama_cpp_delta import gated_attention
from llmops.engines.llama_cpp_graph import Graph, Node, given, joined, product, rows, same
from llmops.engines.llama_cpp_kimi import gated_latent
from llmops.engines.llama_cpp_network import Build, Network


def _plain_attention(net: Network, node: Node) -> Node:
    query, keys, values = net.queries_keys_values(0, node)
    if net.has_in(0, "attn_q_norm"):
        query, keys = net.norm(query, "attn_q_norm", 0), net.norm(keys, "attn_k_norm", 0)
    return net.attend(0, net.rotated(0, query), net.rotated(0, keys), values)


def _mixed(net: Network, values: Node) -> Node:
    return net.mixed(0, values)


def _routed(net: Network, values: Node) -> Node:
    """The experts weighed as the file's keys have it."""
    return net.routed(0, values, gating="sigmoid", normed=False)


Part = Callable[[Network, Node], Node]


def _build(
    net: Network,
    attention: Part,
    feed_forward: Part = _mixed,
    *,
    early: bool = False,
    forward: str = "post_attention_norm",
    end: str = "nextn.shared_head_norm",
) -> Graph:
    """`early`: only the rows that get logits go on behind attention, not all up to the head. Names of the last two norms."""
    table = "blk.0.nextn.embed_tokens" if net.has_in(0, "nextn.embed_tokens") else "token_embd"
    tokens = rows(net.weight(table), net.input("tokens", "I32", net.tokens))
    embedded = net.norm(tokens, "nextn.enorm", 0)
    hidden = net.norm(given("F32", net.width, net.tokens, name="hidden"), "nextn.hnorm", 0)
    before = product(net.layer(0, "nextn.eh_proj"), joined(embedded, hidden, 0))
    node = attention(net, net.norm(before, "attn_norm", 0))
    if early:
        node, before = rows(node, net.output_ids()), rows(before, net.output_ids())
    between = same("add", node, before)
    node = feed_forward(net, net.norm(between, forward, 0))
    node = same("add", node, between)
    if net.has_in(0, end):
        node = same("mul", same("rms_norm", node), net.layer(0, end))
    else:
        node = net.norm(node, "output_norm", output=True)
    node.is_output = True  # the next token is drafted from it
    head = net.layer(0, "nextn.shared_head_head") if net.has_in(0, "nextn.shared_head_head") else _output(net)
    net.graph.expand(product(head, node if early else rows(node, net.output_ids())))
    return net.graph


def _output(net: Network) -> Node:
    return net.weight("output" if net.has("output") else "token_embd", output=True)


def _glm4moe(net: Network) -> Graph:
    return _build(net, _plain_attention, _routed)


def _qwen(net: Network) -> Graph:
    return _build(net, lambda one, node: gated_attention(one, 0, node))


def _qwen3next(net: Network) -> Graph:
    return _build(net, lambda one, node: gated_attention(one, 0, node), early=True)


def _bailingmoe3(net: Network) -> Graph:
    return _build(
        net,
        lambda one, node: gated_latent(one, 0, node, turned=True),
        _routed,
        forward="ffn_norm",
        end="layer_output_norm",
    )


MTP_NETWORKS: dict[str, Build] = {
    "bailingmoe3": _bailingmoe3,
    "glm4moe": _glm4moe,
    "qwen35": _qwen,
    "qwen35moe": _qwen,
    "qwen3next": _qwen3next,
}
