"""Graphs of blocks that run more than once (HRM-Text), or by other matrices for images (CogVLM).

Source: llama.cpp b11669, src/models/hrm-text.cpp, cogvlm.cpp; checked node by node against graphs of the running server.
"""

from llmops.engines.llama_cpp_graph import Graph, Node, given, product, rows, same
from llmops.engines.llama_cpp_network import Network


def hrm_text(net: Network) -> Graph:
    """A low stack of blocks runs some times, then a high one, all that some times; each time with caches of its own."""
    keys = net.shape.graph
    count = keys.stack_layers
    high = net.embedded(factor=keys.embedding_scale not in (None, 0.0))
    low = net.weight("hrm.z_l_init")
    at = 0
    while at < net.count:
        for _ in range(keys.stack_turns):
            low = _stack(net, at, 0, same("add", high, low))
            at += count
        high = _stack(net, at, count, same("add", high, low))
        at += count
    return net.finish(rows(high, net.output_ids()), is_normed=True)


def _stack(net: Network, first: int, block: int, stream: Node) -> Node:
    """Blocks from `block` on, with the caches of the layers from `first` on; norms have no weights."""
    for step in range(net.shape.graph.stack_layers):
        at, own = first + step, block + step
        one = net.shape.layers[at]
        node = same("rms_norm", stream)
        query, keys, values = (
            net.heads(own, name, node, heads, length)
            for name, heads, length in (
                ("attn_q", one.heads, one.key_length),
                ("attn_k", one.kv_heads, one.key_length),
                ("attn_v", one.kv_heads, one.value_length),
            )
        )
        result = net.attend(at, net.rotated(own, query), net.rotated(own, keys), values, output=None)
        gate = same("unary", product(net.layer(own, "attn_gate"), node))
        between = same("add", net.linear(own, "attn_output", same("mul", result, gate)), stream)
        stream = same("add", net.feed_forward(own, same("rms_norm", between)), between)
    return same("rms_norm", stream)


def cogvlm(net: Network) -> Graph:
    """Text alone is reserved, by its own matrices; every row has logits."""
    found = rows(net.weight("token_embd"), net.input("tokens", "I32", net.tokens))
    net.graph.expand(found)
    net.graph.expand(given("F32", net.width, net.tokens, name="embedded"))
    stream = found
    for at in range(net.count):
        query, keys, values = net.queries_keys_values(at, net.norm(stream, "attn_norm", at))
        node = net.attend(at, net.rotated(at, query), net.rotated(at, keys), values)
        between = same("add", node, stream)
        stream = same("add", net.feed_forward(at, net.norm(between, "ffn_norm", at)), between)
    return net.finish(stream)
