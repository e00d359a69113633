"""The graph of Granite Switch: adapters in the file, of which attention of its own chooses one for every token.

Source: llama.cpp b11669, src/models/granite-switch.cpp; checked node by node against graphs of the running server.
"""

from llmops.engines.llama_cpp_graph import Graph, Node, continuous, expert_product, product, reshape, rows, same, view
from llmops.engines.llama_cpp_network import Network


def graniteswitch(net: Network) -> Graph:
    """The last layer is the router's: one head, without matrices; it runs first."""
    keys = net.shape.graph
    tokens, router = net.tokens, net.count - 1
    length = net.shape.layers[router].key_length
    stream = rows(net.weight("token_embd"), net.input("substitutes", "I32", tokens))
    if keys.embedding_scale:
        stream = same("scale", stream)
    query, key, value = (
        Node("pad", "F32", (length, 1, tokens, 1), (reshape(net.input(f"router {part}", "F32", tokens), 1, 1, tokens),))
        for part in ("query", "key", "value")
    )
    found = net.attend(router, query, key, value, output=None)
    first = view(found, 1, tokens, strides=("first", length), size=found.size - 4 * (length - 1))
    node = reshape(continuous(first), tokens)
    node = same("unary", same("clamp", node))
    chosen = Node("cpy", "I32", node.dims, (node,))
    for at in range(router):
        stream, chosen = _block(net, at, stream, chosen, is_last=at == router - 1)
    return net.finish(stream, scaled=True)


def _block(net: Network, at: int, stream: Node, chosen: Node, *, is_last: bool) -> tuple[Node, Node]:
    one, tokens, before = net.shape.layers[at], net.tokens, stream
    node = net.norm(stream, "attn_norm", at)
    fused = product(net.layer(at, "attn_qkv"), node)
    query, keys, values = (
        reshape(
            same("add", _part(fused, heads * length, number), _delta(net, at, name, node, chosen)),
            length,
            heads,
            tokens,
        )
        for number, (name, heads, length) in enumerate(
            (
                ("attn_q", one.heads, one.key_length),
                ("attn_k", one.kv_heads, one.key_length),
                ("attn_v", one.kv_heads, one.value_length),
            )
        )
    )
    if net.shape.graph.turns is not False:
        query, keys = net.rotated(at, query), net.rotated(at, keys)
    node = net.attend(at, query, keys, values, output=None)
    node = _adapted(net, at, "attn_output", node, chosen)
    if is_last:
        node, before = rows(node, net.output_ids()), rows(before, net.output_ids())
        chosen = rows(reshape(chosen, 1, tokens), net.output_ids())
        chosen = reshape(chosen, chosen.dims[1])
    between = same("add", _scaled(net, node), before)
    node = net.norm(between, "ffn_norm", at)
    gate = _adapted(net, at, "ffn_gate", node, chosen)
    up = _adapted(net, at, "ffn_up", node, chosen)
    node = _adapted(net, at, "ffn_down", same("mul", same("unary", gate), up), chosen)
    return same("add", _scaled(net, node), between), chosen


def _part(fused: Node, wide: int, number: int) -> Node:
    some = view(
        fused,
        wide,
        fused.dims[1],
        shifted=number > 0,
        strides=("part", fused.dims[0]),
        size=fused.size - 4 * (fused.dims[0] - wide),
    )
    return continuous(some)


def _scaled(net: Network, node: Node) -> Node:
    return same("scale", node) if net.shape.graph.residual_scale else node


def _adapted(net: Network, at: int, name: str, node: Node, chosen: Node) -> Node:
    return same("add", product(net.layer(at, name), node), _delta(net, at, name, node, chosen))


def _delta(net: Network, at: int, name: str, node: Node, chosen: Node) -> Node:
    """What the chosen adapter adds: two matrices a token."""
    count = node.dims[1]
    which = reshape(chosen, 1, count)
    first = expert_product(net.layer(at, f"{name}.lora_a"), reshape(node, node.dims[0], 1, count), which)
    second = expert_product(net.layer(at, f"{name}.lora_b"), first, which)
    return reshape(second, second.dims[0], count)
