"""Graphs of RWKV: time mixing with a state, channel mixing.

Source: llama.cpp b11669, src/models/rwkv7-base.cpp;
checked node by node against graphs of the running server.
"""

from llmops.engines.llama_cpp_graph import (
    Graph,
    Node,
    copied,
    joined,
    product,
    reshape,
    same,
    view,
)
from llmops.engines.llama_cpp_network import Network
from llmops.engines.llama_cpp_states import States, state_elements


def rwkv7(net: Network) -> Graph:
    """Time mixing with a state, channel mixing; both shift their rows by one token (`build_rwkv7_time_mix`)."""
    width, tokens = net.width, net.tokens
    stream = net.norm(net.embedded(), "token_embd_norm", kind="norm")
    states = States(net)
    count, sequences = states.rows, states.sequences
    stream.sources[0].sources[0].backend = net.device(net.placement.layers[0]) if net.pins else -1
    first_value: Node | None = None
    for at, one in enumerate(net.shape.layers):
        head = state_elements(one) // width
        shift_cache, shifts = states.read(at, "window", 2 * width)
        state_cache, state = states.read(at, "state", width * head)
        shifts = reshape(shifts, width, 2, sequences)
        size = shifts.size - 4 * width
        time_shift = view(shifts, width, 1, sequences, strides="shift", size=size)
        channel_shift = view(shifts, width, 1, sequences, shifted=True, strides="shift", size=size)
        stream = reshape(stream, width, count, sequences)
        normed = net.norm(stream, "attn_norm", at, kind="norm")
        before = joined(time_shift, all_but_last(normed), 1)
        node, first_value, kept = time_mix_7(net, states, at, normed, before, state, first_value, head)
        net.graph.expand(copied(kept, view(state_cache, width * head * sequences)))
        between = same("add", reshape(node, width, count, sequences), stream)
        normed_2 = net.norm(between, "attn_norm_2", at, kind="norm")
        before = joined(channel_shift, all_but_last(normed_2), 1)
        new = joined(last(normed), last(normed_2), 1)
        new = view(new, 2 * width * sequences)
        net.graph.expand(copied(new, view(shift_cache, 2 * width * sequences)))
        flat = [reshape(values, width, tokens) for values in (between, normed_2, before)]
        residual, value, earlier = net.chosen_rows(at, *flat)
        delta = same("mul", same("sub", earlier, value), net.layer(at, "channel_mix_lerp_k"))
        node = product(net.layer(at, "channel_mix_key"), same("add", delta, value))
        node = product(net.layer(at, "channel_mix_value"), same("sqr", same("unary", node)))
        stream = same("add", node, residual)
    return net.finish(stream, kind="norm")


def all_but_last(values: Node) -> Node:
    """The rows of each sequence but its last."""
    width, count, sequences = values.dims[:3]
    return view(values, width, count - 1, sequences, strides="rows", size=values.size - 4 * width)


def last(values: Node) -> Node:
    """The last row of each sequence."""
    width, count, sequences = values.dims[:3]
    size = 4 * width * (count * (sequences - 1) + 1)
    return view(values, width, 1, sequences, shifted=True, strides="rows", size=size)


def time_mix_7(
    net: Network, states: States, at: int, node: Node, before: Node, state: Node, first_value: Node | None, head: int
) -> tuple[Node, Node, Node]:
    """`build_rwkv7_time_mix`: the result, the first layer's values, and the new state; gate and norm where the file has them."""
    width, tokens, heads = net.width, net.tokens, net.width // head
    shift = same("sub", before, node)
    mixes = net.layer(at, "time_mix_lerp_fused").dims[3]
    mixed = Node("repeat", "F32", (*shift.dims[:3], mixes), (shift,))
    mixed = same("add", same("mul", mixed, net.layer(at, "time_mix_lerp_fused")), node)
    r, w, k, v, a, *g = (view(mixed, width, tokens, shifted=number > 0) for number in range(mixes))

    def weight(name: str) -> Node:
        return net.layer(at, f"time_mix_{name}")

    receptance = product(weight("receptance"), r)
    decay = product(weight("w2"), same("unary", product(weight("w1"), w)))
    decay = same("unary", same("scale", same("unary", same("add", decay, weight("w0")))))
    keys = product(weight("key"), k)
    values = product(weight("value"), v)
    if first_value is None:
        first_value = values
    else:
        gate = same("unary", same("add", product(weight("v2"), product(weight("v1"), v)), weight("v0")))
        values = same("add", values, same("mul", same("sub", first_value, values), gate))
    open_ = product(weight("g2"), same("unary", product(weight("g1"), g[0]))) if g else None
    rate = same("unary", same("add", product(weight("a2"), product(weight("a1"), a)), weight("a0")))
    removal = Node(
        "l2_norm", "F32", (head, heads, tokens, 1), (reshape(same("mul", keys, weight("k_k")), head, heads, tokens),)
    )
    scaled = same("mul", keys, weight("k_a"))
    keys = same("add", keys, same("sub", same("mul", rate, scaled), scaled))
    receptance, decay, keys, values, rate = (
        reshape(one, head, heads, tokens) for one in (receptance, decay, keys, values, rate)
    )
    sources = (receptance, decay, keys, values, same("unary", removal), same("mul", removal, rate), state)
    result = Node("rwkv_wkv7", "F32", (width, tokens + head * states.sequences, 1, 1), sources)
    kept = view(result, width * head * states.sequences, shifted=True)
    node = view(result, width * tokens)
    if net.has_in(at, "time_mix_ln"):
        node = same("norm", reshape(node, head, heads, tokens))
        node = same("mul", reshape(node, width, tokens), net.layer(at, "time_mix_ln"))
        node = same("add", node, net.weight(f"blk.{at}.time_mix_ln.bias"))
    else:
        node = reshape(node, width, tokens)
    own = same("mul", same("mul", keys, receptance), reshape(weight("r_k"), head, heads))
    own = same("mul", values, Node("sum_rows", "F32", (1, heads, tokens, 1), (own,)))
    node = same("add", node, reshape(own, width, tokens))
    node = product(weight("output"), node if open_ is None else same("mul", node, open_))
    return node, first_value, kept
