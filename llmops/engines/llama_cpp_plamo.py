"""The graph of PLaMo 2: Mamba with heads and norms of its own, every other layer attention, norms before and behind.

Source: llama.cpp b11669, src/models/plamo2.cpp; checked node by node against graphs of the running server.
"""

from llmops.engines.llama_cpp_graph import Graph, Node, continuous, gated, permute, product, reshape, same, view
from llmops.engines.llama_cpp_network import Network
from llmops.engines.llama_cpp_states import ScanSources, States, part_of, state_elements


def plamo2(net: Network) -> Graph:
    """Each layer has four norms."""
    stream = net.embedded()
    states = States(net)
    for at, one in enumerate(net.shape.layers):
        node = net.norm(stream, "attn_norm", at)
        node = _attention(net, at, node) if one.recurrent is None else _mamba(net, states, at, node)
        node, before = net.chosen_rows(at, node, stream)
        between = same("add", net.norm(node, "post_attention_norm", at), before)
        node = net.feed_forward(at, net.norm(between, "ffn_norm", at))
        stream = same("add", net.norm(node, "post_ffw_norm", at), between)
    return net.finish(stream)


def _attention(net: Network, at: int, node: Node) -> Node:
    query, keys, values = net.queries_keys_values(at, node)
    query, keys = net.norm(query, "attn_q_norm", at), net.norm(keys, "attn_k_norm", at)
    return net.attend(at, net.rotated(at, query), net.rotated(at, keys), values)


def _mamba(net: Network, states: States, at: int, node: Node) -> Node:
    """`build_plamo2_mamba_layer`: gate and values lie side by side in each head."""
    count, sequences = states.rows, states.sequences
    inner, kept = net.layer(at, "ssm_conv1d").dims[1], net.layer(at, "ssm_conv1d").dims[0] - 1
    rank, heads = net.layer(at, "ssm_dt").dims[:2]
    size, length = state_elements(net.shape.layers[at]) // inner, inner // heads
    mixed = product(net.layer(at, "ssm_in"), reshape(node, net.width, count, sequences))
    mixed = continuous(permute(mixed, 0, 2, 1, 3), 2 * length, heads, count, sequences)
    gate = part_of(mixed, length, heads, count, sequences, shifted=False)
    values = continuous(part_of(mixed, length, heads, count, sequences, shifted=True), inner, count, sequences)
    window = states.convolved(at, values, inner, kept)
    cells = Node("ssm_conv", "F32", (inner, count, sequences, 1), (window, net.layer(at, "ssm_conv1d")))
    cells = same("unary", cells)
    parts = product(net.layer(at, "ssm_x"), cells)
    into = net.norm(part_of(parts, size, count, sequences, shifted=False), "ssm_b_norm", at)
    out = net.norm(part_of(parts, size, count, sequences, shifted=True), "ssm_c_norm", at)
    steps = net.norm(part_of(parts, rank, count, sequences, shifted=True), "ssm_dt_norm", at)
    steps = same("add", product(net.layer(at, "ssm_dt"), steps), net.weight(f"blk.{at}.ssm_dt.bias"))
    decay = reshape(net.weight(f"blk.{at}.ssm_a"), 1, heads)
    values = view(cells, length, heads, count, sequences)
    into, out = (view(one, size, 1, count, sequences) for one in (into, out))
    scanned = states.scan(at, size * inner, (size, length, heads), ScanSources(values, steps, decay, into, out))
    result = view(scanned, length, heads, count, sequences)
    result = same("add", result, same("mul", values, reshape(net.weight(f"blk.{at}.ssm_d"), 1, heads)))
    result = gated(continuous(gate), result)
    result = product(net.layer(at, "ssm_out"), view(result, inner, count, sequences))
    return reshape(result, net.width, net.tokens)
