"""The graph of K2 Horizon: norms over groups, values of chosen experts, a bent gate behind attention.

Source: llama.cpp b11669, src/models/k2-horizon.cpp; checked node by node against graphs of the running server.
"""

from llmops.engines.llama_cpp_experts import choose
from llmops.engines.llama_cpp_graph import Graph, Node, continuous, expert_product, product, reshape, same, view
from llmops.engines.llama_cpp_network import Network


def k2_horizon(net: Network) -> Graph:
    """Dense layers first, then experts, whose values may be of experts as well."""
    stream = net.embedded()
    for at, one in enumerate(net.shape.layers):
        normed = _grouped_norm(net, at, "attn_norm", stream)
        query = net.linear(at, "attn_q", normed)
        keys = net.linear(at, "attn_k", normed)
        routed = net.has_in(at, "attn_v_exps")
        values = _routed_values(net, at, normed) if routed else net.linear(at, "attn_v", normed)
        query = reshape(query, one.key_length, one.heads, net.tokens)
        keys = reshape(keys, one.key_length, one.kv_heads, net.tokens)
        values = reshape(values, one.value_length, one.kv_heads, net.tokens)
        query, keys = _head_norm(net, at, "attn_q_norm", query), _head_norm(net, at, "attn_k_norm", keys)
        is_gated = net.has_in(at, "attn_gate")
        node = net.attend(
            at,
            net.rotated(at, query),
            net.rotated(at, keys),
            values,
            output=None if is_gated else "attn_output",
        )
        if is_gated:
            gate = same("scale", same("unary", same("scale", product(net.layer(at, "attn_gate"), normed))))
            node = net.linear(at, "attn_output", same("mul", node, gate))
        node, before = net.chosen_rows(at, node, stream)
        between = same("add", node, before)
        node = _grouped_norm(net, at, "ffn_norm", between)
        stream = same("add", net.routed(at, node, gating="sigmoid", normed=False), between)
    return net.finish(stream)


def _grouped_norm(net: Network, at: int, name: str, values: Node) -> Node:
    groups, rows = net.shape.graph.norm_groups or 1, values.dims[1]
    node = same("rms_norm", reshape(values, net.width // groups, groups, rows))
    return same("mul", reshape(node, net.width, rows), net.layer(at, name))


def _head_norm(net: Network, at: int, name: str, values: Node) -> Node:
    """A weight of its own for every head, where the file has them."""
    if not net.has_in(at, name):
        return values
    node = same("rms_norm", values)
    net.pin(node, at)
    return same("mul", node, net.layer(at, name))


def _routed_values(net: Network, at: int, node: Node) -> Node:
    """The weighted sum of what some experts make of a row."""
    matrix = net.layer(at, "attn_v_exps")
    used, tokens = net.shape.graph.value_experts_used, net.tokens
    how = net.routing(gating="sigmoid", normed=False)
    bias = f"blk.{at}.attn_v_gate.bias"
    chosen, weights = choose(
        product(net.layer(at, "attn_v_gate"), node),
        used,
        bias=net.weight(bias) if bias in net.tensors else None,
        **how,  # type: ignore[arg-type]
    )
    made = same("unary", expert_product(matrix, reshape(node, net.width, 1, tokens), chosen))
    made = same("mul", made, weights)
    net.graph.expand(made)
    size = 4 * matrix.dims[1] * ((tokens - 1) * used + 1)
    parts = [
        view(made, matrix.dims[1], 1, tokens, shifted=number > 0, strides="expert", size=size) for number in range(used)
    ]
    for one in parts:
        net.graph.expand(one)
    total = parts[0]
    for one in parts[1:]:
        total = same("add", total, one)
        net.graph.expand(total)
    return total if used > 1 else continuous(total)
