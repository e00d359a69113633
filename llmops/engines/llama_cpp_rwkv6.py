"""Graphs of RWKV 6, and of Qwen 2's feed-forward behind the time mixing of RWKV 6 and 7.

Source: llama.cpp b11669, src/models/rwkv6-base.cpp, rwkv6.cpp, rwkv6qwen2.cpp, arwkv7.cpp; checked node by node against
graphs of the running server.
"""

from collections.abc import Callable

from llmops.engines.llama_cpp_graph import (
    Graph,
    Node,
    continuous,
    copied,
    joined,
    permute,
    product,
    reshape,
    same,
    view,
)
from llmops.engines.llama_cpp_network import Network
from llmops.engines.llama_cpp_rwkv import all_but_last, last, time_mix_7
from llmops.engines.llama_cpp_states import States, state_elements

MIXES = 5
"""Decay, key, value, receptance and gate each read a mix of their own of a row and the one before it."""


def rwkv6(net: Network) -> Graph:
    """Time mixing with a state, channel mixing; both shift their rows by one token."""
    width, tokens = net.width, net.tokens
    stream = net.norm(net.embedded(), "token_embd_norm", kind="norm")
    net.pin(stream.sources[0].sources[0], 0)
    states = States(net)
    count, sequences = states.rows, states.sequences
    rescaled = net.shape.graph.rescale_every
    for at in range(net.count):
        shift_cache, shifts = states.read(at, "window", 2 * width)
        shifts = reshape(shifts, width, 2, sequences)
        size = shifts.size - 4 * width
        time_shift = view(shifts, width, 1, sequences, strides="shift", size=size)
        channel_shift = view(shifts, width, 1, sequences, shifted=True, strides="shift", size=size)
        stream = reshape(stream, width, count, sequences)
        normed = net.norm(stream, "attn_norm", at, kind="norm")
        node = _time_mix(net, states, at, normed, joined(time_shift, all_but_last(normed), 1))
        between = same("add", reshape(node, width, count, sequences), stream)
        normed_2 = net.norm(between, "attn_norm_2", at, kind="norm")
        before = joined(channel_shift, all_but_last(normed_2), 1)
        new = view(joined(last(normed), last(normed_2), 1), 2 * width * sequences)
        net.graph.expand(copied(new, view(shift_cache, 2 * width * sequences)))
        flat = [reshape(values, width, tokens) for values in (between, normed_2, before)]
        residual, value, earlier = net.chosen_rows(at, *flat)
        stream = same("add", _channel_mix(net, at, value, earlier), residual)
        if rescaled and (at + 1) % rescaled == 0:
            stream = same("scale", stream)
    return net.finish(stream, kind="norm")


def _channel_mix(net: Network, at: int, value: Node, earlier: Node) -> Node:
    delta = same("sub", earlier, value)
    for_keys = same("add", same("mul", delta, net.layer(at, "channel_mix_lerp_k")), value)
    for_gate = same("add", same("mul", delta, net.layer(at, "channel_mix_lerp_r")), value)
    gate = same("unary", product(net.layer(at, "channel_mix_receptance"), for_gate))
    keys = same("sqr", same("unary", product(net.layer(at, "channel_mix_key"), for_keys)))
    return same("mul", gate, product(net.layer(at, "channel_mix_value"), keys))


def _mixes(net: Network, at: int, node: Node, before: Node) -> list[Node]:
    """`MIXES` of each row and the one before it, by small matrices of the row itself."""
    width, tokens = net.width, net.tokens
    delta = reshape(same("sub", before, node), width, tokens)
    node = reshape(node, width, tokens)
    first, second = net.layer(at, "time_mix_w1"), net.layer(at, "time_mix_w2")
    rank = first.dims[1] // MIXES
    mixed = same("add", same("mul", delta, net.layer(at, "time_mix_lerp_x")), node)
    mixed = reshape(same("unary", product(first, mixed)), rank, 1, MIXES, tokens)
    mixed = continuous(permute(mixed, 0, 1, 3, 2))
    mixed = product(reshape(second, rank, width, 1, MIXES), mixed)
    if net.has_in(at, "time_mix_lerp_fused"):
        delta, node = reshape(delta, width, 1, tokens), reshape(node, width, 1, tokens)
        mixed = same("add", mixed, net.layer(at, "time_mix_lerp_fused"))
        mixed = same("add", same("mul", mixed, delta), node)
        return [view(mixed, width, tokens, shifted=number > 0) for number in range(MIXES)]
    parts = [view(mixed, width, tokens, shifted=number > 0) for number in range(MIXES)]
    weights = [net.layer(at, f"time_mix_lerp_{letter}") for letter in "wkvrg"]
    return [
        same("add", same("mul", same("add", part, weight), delta), node)
        for part, weight in zip(parts, weights, strict=True)
    ]


def _time_mix(net: Network, states: States, at: int, node: Node, before: Node) -> Node:
    """`build_rwkv6_time_mix`; of Qwen's there is no bonus for the row itself, and keys and values may have few heads."""
    width, tokens = net.width, net.tokens
    head = state_elements(net.shape.layers[at]) // width
    heads = width // head
    is_qwen = not net.has_in(at, "time_mix_first")
    w, k, v, r, g = _mixes(net, at, node, before)
    receptance = net.linear(at, "time_mix_receptance", r)
    keys, values = net.linear(at, "time_mix_key", k), net.linear(at, "time_mix_value", v)
    gate = same("unary", product(net.layer(at, "time_mix_gate"), g))
    groups = keys.dims[0] // head
    if groups != heads:
        keys, values = (
            Node("repeat", "F32", (head, heads // groups, groups, tokens), (reshape(one, head, 1, groups, tokens),))
            for one in (keys, values)
        )
    keys, values, receptance = (reshape(one, head, heads, tokens) for one in (keys, values, receptance))
    decay = product(net.layer(at, "time_mix_decay_w1"), w)
    decay = product(net.layer(at, "time_mix_decay_w2"), same("unary", decay))
    decay = same("add", decay, net.layer(at, "time_mix_decay"))
    decay = same("unary", same("unary", same("unary", decay)))
    decay = reshape(decay, head, heads, tokens)
    if is_qwen:
        keys = same("sub", keys, same("mul", keys, decay))
    cache, state = states.read(at, "state", width * head)
    bonus = () if is_qwen else (net.layer(at, "time_mix_first"),)
    sources = (keys, values, receptance, *bonus, decay, state)
    op = "gated_linear_attn" if is_qwen else "rwkv_wkv6"
    result = Node(op, "F32", (width, tokens + head * states.sequences, 1, 1), sources)
    kept = view(result, width * head * states.sequences, shifted=True)
    net.graph.expand(copied(kept, view(cache, width * head * states.sequences)))
    result = view(result, width * tokens)
    if not is_qwen:
        result = reshape(same("norm", reshape(result, head, heads, tokens)), width, tokens)
        result = same("mul", result, net.layer(at, "time_mix_ln"))
        result = same("add", result, net.weight(f"blk.{at}.time_mix_ln.bias"))
    else:
        result = reshape(result, width, tokens)
    return product(net.layer(at, "time_mix_output"), same("mul", result, gate))


Mix = Callable[[Network, States, int, Node, Node], Node]


def _with_qwens_forward(net: Network, mix: Mix) -> Graph:
    """The time mixing shifts by one token; the feed-forward reads its row alone."""
    width, tokens = net.width, net.tokens
    stream = net.embedded()
    states = States(net)
    count, sequences = states.rows, states.sequences
    for at in range(net.count):
        shift_cache, shifts = states.read(at, "window", width)
        stream = reshape(stream, width, count, sequences)
        normed = net.norm(stream, "attn_norm", at)
        before = joined(reshape(shifts, width, 1, sequences), all_but_last(normed), 1)
        node = mix(net, states, at, normed, before)
        new = view(last(normed), width * sequences, size=4 * width * sequences)
        net.graph.expand(copied(new, view(shift_cache, width * sequences)))
        between = reshape(same("add", reshape(node, width, count, sequences), stream), width, tokens)
        (between,) = net.chosen_rows(at, between)
        node = net.feed_forward(at, net.norm(between, "ffn_norm", at))
        stream = same("add", node, between)
    return net.finish(stream)


def rwkv6qwen2(net: Network) -> Graph:
    """Time mixing of RWKV 6."""
    return _with_qwens_forward(net, _time_mix)


def arwkv7(net: Network) -> Graph:
    """Time mixing of RWKV 7, with or without its gate and norm."""
    first: list[Node] = []

    def mix(net: Network, states: States, at: int, node: Node, before: Node) -> Node:
        head = state_elements(net.shape.layers[at]) // net.width
        cache, state = states.read(at, "state", net.width * head)
        node, value, kept = time_mix_7(net, states, at, node, before, state, first[0] if first else None, head)
        first[:] = [value]
        net.graph.expand(copied(kept, view(cache, net.width * head * states.sequences)))
        return node

    return _with_qwens_forward(net, mix)
