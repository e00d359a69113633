"""Graphs of Kimi Linear: delta attention with a decay a channel (KDA), every fourth layer latent attention without RoPE.

Source: llama.cpp b11669, src/models/kimi-linear.cpp, delta-net-base.cpp; checked node by node against graphs of the running
server.
"""

from llmops.engines.llama_cpp_graph import (
    Graph,
    Node,
    continuous,
    copied,
    joined,
    product,
    reshape,
    same,
    transpose,
    view,
)
from llmops.engines.llama_cpp_latent import latent_attention
from llmops.engines.llama_cpp_network import Network
from llmops.engines.llama_cpp_states import States


def kimi_linear(net: Network) -> Graph:
    """Dense layers first, then experts with a shared one."""
    stream = net.embedded()
    states = States(net)
    for at, one in enumerate(net.shape.layers):
        node = net.norm(stream, "attn_norm", at)
        net.graph.expand(node)
        is_latent = one.recurrent is None
        node = latent_attention(net, at, node, turned=False) if is_latent else _delta_attention(net, states, at, node)
        node, before = net.chosen_rows(at, node, stream)
        between = same("add", node, before)
        node = net.norm(between, "ffn_norm", at)
        node = net.routed(at, node, gating="sigmoid", normed=True, reads=frozenset({"gating", "scale"}))
        stream = same("add", node, between)
    return net.finish(stream)


def _delta_attention(net: Network, states: States, at: int, node: Node) -> Node:
    """Queries, keys and values are convolved apart; a gated delta rule; a norm with a gate of low rank."""
    count, sequences, tokens = states.rows, states.sequences, net.tokens
    length = net.layer(at, "ssm_norm").dims[0]
    inner = net.layer(at, "attn_q").dims[1]
    heads = inner // length
    query, keys, values = _convolved(net, states, at, node, length)
    query, keys = (same("scale", same("rms_norm", one)) for one in (query, keys))
    cache, state = states.read(at, "state", length * inner)
    decay = product(net.layer(at, "ssm_f_b"), product(net.layer(at, "ssm_f_a"), node))
    decay = same("unary", same("add", decay, net.weight(f"blk.{at}.ssm_dt.bias")))
    decay = same("mul", reshape(decay, length, heads, tokens), reshape(net.weight(f"blk.{at}.ssm_a"), 1, heads, 1))
    decay = reshape(decay, length, heads, count, sequences)
    beta = same("unary", reshape(product(net.layer(at, "ssm_beta"), node), 1, heads, count, sequences))
    state = reshape(state, length, length, heads, sequences)
    dims = (inner, tokens + length * sequences, 1, 1)
    result = Node("gated_delta_net", "F32", dims, (query, keys, values, decay, beta, state))
    states.save(cache, view(result, length, length, heads, sequences, shifted=True), length * inner)
    result = continuous(view(result, length, heads, count, sequences))
    result = net.norm(reshape(result, length, heads, tokens), "ssm_norm", at)
    flat = reshape(reshape(node, net.width, count, sequences), net.width, tokens)
    gate = product(net.layer(at, "ssm_g_b"), product(net.layer(at, "ssm_g_a"), flat))
    result = same("mul", result, same("unary", reshape(gate, length, heads, tokens)))
    return product(net.layer(at, "attn_output"), continuous(result, inner, tokens))


def _convolved(net: Network, states: States, at: int, node: Node, length: int) -> list[Node]:
    """Of one row of the window's cache each takes its third, and leaves the last tokens of this batch there."""
    count, sequences, tokens = states.rows, states.sequences, net.tokens
    kept = net.layer(at, "ssm_conv1d_q").dims[0] - 1
    inner = net.layer(at, "attn_q").dims[1]
    cache, main = states.read(at, "window", 3 * kept * inner)
    third = 4 * kept * inner * (3 * (sequences - 1) + 1)
    windows = []
    for number, name in enumerate("qkv"):
        part = view(main, kept, inner, sequences, shifted=number > 0, strides=("third", inner), size=third)
        mixed = reshape(product(net.layer(at, f"attn_{name}"), node), inner, count, sequences)
        window = joined(part, transpose(mixed), 0)
        span = 4 * (window.dims[0] * (inner * sequences - 1) + kept)
        last = view(window, kept, inner, sequences, shifted=True, strides="window", size=span)
        target = view(cache, kept, inner, sequences, shifted=number > 0, strides=("third", inner), size=third)
        net.graph.expand(copied(last, target))
        windows.append((name, window))
    made = []
    for name, window in windows:
        weight = net.layer(at, f"ssm_conv1d_{name}")
        cells = Node("ssm_conv", "F32", (inner, count, sequences, 1), (window, reshape(weight, weight.dims[0], inner)))
        cells = same("unary", reshape(cells, inner, tokens))
        made.append(reshape(cells, length, inner // length, count, sequences))
    return made
