"""Graphs of llama.cpp's recurrent models and hybrids: state spaces, gated delta nets, short convolutions, RWKV.

Source: llama.cpp b11669, src/models/mamba-base.cpp, delta-net-base.cpp, rwkv7-base.cpp and the families' own files;
`build_rs` of src/llama-graph.cpp; each checked node by node against graphs of the running server.
"""

from collections.abc import Callable

from llmops.domain.model import Layer
from llmops.engines.llama_cpp_graph import (
    Graph,
    Node,
    continuous,
    copied,
    gated,
    joined,
    product,
    reshape,
    rows,
    same,
    stored,
    transpose,
    view,
)
from llmops.engines.llama_cpp_network import Network
from llmops.engines.llama_cpp_transformers import Build


class States:
    """The recurrent cache of one network: one row a slot and layer, in two parts (convolution window, state)."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.sequences = net.sequences
        self.rows = net.tokens // net.sequences
        self.copies = net.input("state copies", "I32", net.slots)
        self.chosen = view(self.copies, self.sequences)
        self.kept = view(self.copies, net.slots - 1, shifted=True)

    def stored(self, at: int, part: str, width: int) -> Node:
        """The rows of a layer where its cache lies."""
        home = self.net.device(self.net.placement.cache(at))
        return stored("F32", width, self.net.slots, home=home, is_weight=False, name=f"{part} {at}")

    def read(self, at: int, part: str, width: int) -> tuple[Node, Node]:
        """`build_rs`: clear a new sequence's row, gather this batch's rows, keep the others. The cache, and the rows."""
        cache, whole = self._cleared(at, part, width)
        got = rows(whole, self.copies)
        main = view(got, width, self.sequences)
        self.net.graph.expand(main)
        self._keep_rest(cache, got, width)
        return cache, main

    def _cleared(self, at: int, part: str, width: int) -> tuple[Node, Node]:
        cache = self.stored(at, part, width)
        whole = reshape(cache, width, self.net.slots)
        one = view(whole, width)
        cleared = Node("scale", "F32", one.dims, (one,), origin=cache)
        self.net.graph.expand(cleared)
        return cache, whole

    def _keep_rest(self, cache: Node, got: Node, width: int) -> None:
        rest = self.net.slots - self.sequences
        self.net.graph.expand(copied(view(got, width, rest, shifted=True), view(cache, width, rest, shifted=True)))

    def scan(self, at: int, width: int, head: tuple[int, int, int], sources: "ScanSources") -> Node:
        """State and output of a selective scan, which gathers its rows itself (`ssm_scan`)."""
        net = self.net
        cache, whole = self._cleared(at, "state", width)
        states = reshape(whole, *head, net.slots)
        elements = sources.values.dims[0] * sources.values.dims[1] * sources.values.dims[2] * sources.values.dims[3]
        dims = (elements + width * self.sequences, 1, 1, 1)
        inputs = (states, sources.values, sources.steps, sources.decay, sources.into, sources.out, self.chosen)
        node = Node("ssm_scan", "F32", dims, inputs)
        net.graph.expand(node)
        kept = rows(whole, self.kept)
        rest = net.slots - self.sequences
        net.graph.expand(copied(view(kept, width, rest), view(cache, width, rest, shifted=True)))
        self.save(cache, view(node, width, self.sequences, shifted=True), width)
        return node

    def save(self, cache: Node, values: Node, width: int) -> None:
        """Write a batch's new rows back."""
        self.net.graph.expand(copied(values, view(cache, width, self.sequences)))

    def convolved(self, at: int, values: Node, channels: int, kept: int) -> Node:
        """The window of the last rows before this batch, and the batch; the new window is saved."""
        cache, main = self.read(at, "window", kept * channels)
        window = reshape(main, kept, channels, self.sequences)
        node = joined(window, transpose(values), 0)
        span = 4 * ((node.dims[0]) * (channels * self.sequences - 1) + kept)
        last = view(node, kept, channels, self.sequences, shifted=True, strides="window", size=span)
        self.save(cache, last, kept * channels)
        return node


class ScanSources:
    """What a selective scan reads beside its states."""

    def __init__(self, values: Node, steps: Node, decay: Node, into: Node, out: Node) -> None:
        self.values = values
        self.steps = steps
        self.decay = decay
        self.into = into
        self.out = out


def _part(of: Node, *dims: int, shifted: bool) -> Node:
    """A slice of each row."""
    wide = _product_of(dims) // _product_of(of.dims[1:])
    return view(of, *dims, shifted=shifted, strides=("slice", of.dims[0]), size=of.size - 4 * (of.dims[0] - wide))


def _product_of(dims: tuple[int, ...]) -> int:
    total = 1
    for one in dims:
        total *= one
    return total


def _mamba2(net: Network, states: States, at: int, node: Node) -> Node:
    """`build_mamba2_layer`."""
    channels, kept = net.layer(at, "ssm_conv1d").dims[1], net.layer(at, "ssm_conv1d").dims[0] - 1
    heads, inner = net.tensors[f"blk.{at}.ssm_a"].dims[1], net.layer(at, "ssm_out").dims[0]
    groups = net.layer(at, "ssm_norm").dims[1] if net.has_in(at, "ssm_norm") else 1
    length, size = inner // heads, (channels - inner) // (2 * groups)
    count, sequences = states.rows, states.sequences
    mixed = product(net.layer(at, "ssm_in"), node)
    mixed = reshape(mixed, mixed.dims[0], count, sequences)
    gate = _part(mixed, length, heads, count, sequences, shifted=False)
    moved = _part(mixed, channels, count, sequences, shifted=True)
    steps = _part(mixed, heads, count, sequences, shifted=True)
    window = states.convolved(at, moved, channels, kept)
    cells = Node("ssm_conv", "F32", (channels, count, sequences, 1), (window, net.layer(at, "ssm_conv1d")))
    cells = same("unary", same("add", cells, net.weight(f"blk.{at}.ssm_conv1d.bias")))
    values = _part(cells, length, heads, count, sequences, shifted=False)
    into = _part(cells, size, groups, count, sequences, shifted=True)
    out = _part(cells, size, groups, count, sequences, shifted=True)
    steps = same("add", continuous(steps), net.weight(f"blk.{at}.ssm_dt.bias"))
    sources = ScanSources(values, steps, net.weight(f"blk.{at}.ssm_a"), into, out)
    scanned = states.scan(at, size * inner, (size, length, heads), sources)
    result = view(scanned, length, heads, count, sequences)
    result = same("add", result, same("mul", values, net.weight(f"blk.{at}.ssm_d")))
    result = gated(continuous(gate), result)
    if net.has_in(at, "ssm_norm"):
        result = net.norm(reshape(result, inner // groups, groups, count, sequences), "ssm_norm", at)
    return product(net.layer(at, "ssm_out"), reshape(result, inner, net.tokens))


def _mamba1(net: Network, states: States, at: int, node: Node) -> Node:
    """`build_mamba_layer`."""
    inner, kept = net.layer(at, "ssm_conv1d").dims[1], net.layer(at, "ssm_conv1d").dims[0] - 1
    size, rank = net.tensors[f"blk.{at}.ssm_a"].dims[0], net.layer(at, "ssm_dt").dims[0]
    count, sequences = states.rows, states.sequences
    mixed = product(net.layer(at, "ssm_in"), reshape(node, net.width, count, sequences))
    moved = _part(mixed, inner, count, sequences, shifted=False)
    gate = _part(mixed, inner, count, sequences, shifted=True)
    window = states.convolved(at, moved, inner, kept)
    cells = Node("ssm_conv", "F32", (inner, count, sequences, 1), (window, net.layer(at, "ssm_conv1d")))
    cells = same("unary", same("add", cells, net.weight(f"blk.{at}.ssm_conv1d.bias")))
    parts = product(net.layer(at, "ssm_x"), cells)
    steps = _part(parts, rank, count, sequences, shifted=False)
    into = _part(parts, size, 1, count, sequences, shifted=True)
    out = _part(parts, size, 1, count, sequences, shifted=True)
    if net.has_in(at, "ssm_dt_norm"):
        steps = net.norm(steps, "ssm_dt_norm", at)
        into, out = net.norm(into, "ssm_b_norm", at), net.norm(out, "ssm_c_norm", at)
    else:
        steps = continuous(steps)
    steps = same("add", product(net.layer(at, "ssm_dt"), steps), net.weight(f"blk.{at}.ssm_dt.bias"))
    values = reshape(cells, 1, inner, count, sequences)
    sources = ScanSources(values, steps, net.weight(f"blk.{at}.ssm_a"), into, out)
    scanned = states.scan(at, size * inner, (size, 1, inner), sources)
    result = view(scanned, inner, count, sequences)
    result = same("add", result, same("mul", cells, net.weight(f"blk.{at}.ssm_d")))
    result = gated(continuous(gate), result)
    return reshape(product(net.layer(at, "ssm_out"), result), net.width, net.tokens)


def _only_states(net: Network, block: Callable[[Network, States, int, Node], Node]) -> Graph:
    stream = net.embedded()
    states = States(net)
    for at in range(net.count):
        node = block(net, states, at, net.norm(stream, "attn_norm", at))
        node, before = net.chosen_rows(at, node, stream)
        stream = same("add", node, before)
    return net.finish(stream)


def _mamba1_only(net: Network) -> Graph:
    return _only_states(net, _mamba1)


def _mamba2_only(net: Network) -> Graph:
    return _only_states(net, _mamba2)


def _attention(net: Network, at: int, node: Node, *, turned: bool = False) -> Node:
    query, keys, values = net.queries_keys_values(at, node)
    if turned:
        query, keys = net.rotated(at, query), net.rotated(at, keys)
    return net.attend(at, query, keys, values)


def _jamba(net: Network) -> Graph:
    stream = net.embedded()
    states = States(net)
    for at, one in enumerate(net.shape.layers):
        node = net.norm(stream, "attn_norm", at)
        node = _attention(net, at, node) if one.recurrent is None else _mamba1(net, states, at, node)
        node, before = net.chosen_rows(at, node, stream)
        between = same("add", before, node)
        node = net.mixed(at, net.norm(between, "ffn_norm", at), normed=False)
        stream = same("add", between, node)
    return net.finish(stream)


def _falcon_h1(net: Network) -> Graph:
    """Each layer has both, side by side."""
    stream = net.embedded()
    states = States(net)
    for at in range(net.count):
        node = net.norm(stream, "attn_norm", at)
        attended = _attention(net, at, node, turned=True)
        node = _mamba2(net, states, at, net.norm(stream, "attn_norm", at))
        (between,) = net.chosen_rows(at, same("add", same("add", attended, node), stream))
        node = net.feed_forward(at, net.norm(between, "ffn_norm", at))
        stream = same("add", node, between)
    return net.finish(stream)


def _granitehybrid(net: Network) -> Graph:
    stream = net.embedded(factor=True)
    states = States(net)
    for at, one in enumerate(net.shape.layers):
        node = net.norm(stream, "attn_norm", at)
        node = _attention(net, at, node, turned=True) if one.recurrent is None else _mamba2(net, states, at, node)
        node, before = net.chosen_rows(at, node, stream)
        between = same("add", same("scale", node), before)
        node = net.mixed(at, net.norm(between, "ffn_norm", at))
        stream = same("add", same("scale", node), between)
    return net.finish(stream, scaled=True)


def _nemotron_h(net: Network) -> Graph:
    """One of state, attention, feed-forward a block."""
    stream = net.embedded()
    states = States(net)
    for at, one in enumerate(net.shape.layers):
        node = net.norm(stream, "attn_norm", at)
        if one.recurrent is not None:
            node = _mamba2(net, states, at, node)
        elif one.kv_heads:
            node = _attention(net, at, node)
        elif one.experts:
            node = net.mixed(at, node, gating="sigmoid", act="relu²")
        else:
            node = net.feed_forward(at, node, act="relu²")
        node, before = net.chosen_rows(at, node, stream)
        stream = same("add", node, before)
    return net.finish(stream)


def _lfm2(net: Network) -> Graph:
    stream = net.embedded()
    states = States(net)
    for at, one in enumerate(net.shape.layers):
        node = net.norm(stream, "attn_norm", at)
        if one.recurrent is None:
            query, keys, values = net.queries_keys_values(at, node)
            query, keys = net.norm(query, "attn_q_norm", at), net.norm(keys, "attn_k_norm", at)
            node = net.attend(at, net.rotated(at, query), net.rotated(at, keys), values)
        else:
            node = _short_convolution(net, states, at, node)
        node, before = net.chosen_rows(at, node, stream)
        between = same("add", before, node)
        node = net.norm(between, "ffn_norm", at)
        node = net.mixed(at, node, gating="sigmoid")
        stream = same("add", between, node)
    return net.finish(stream)


def _short_convolution(net: Network, states: States, at: int, node: Node) -> Node:
    kept, wide, count, sequences = net.layer(at, "shortconv.conv").dims[0] - 1, net.width, states.rows, states.sequences
    mixed = product(net.layer(at, "shortconv.in_proj"), reshape(node, wide, count, sequences))
    first = _part(mixed, wide, count, sequences, shifted=False)
    second = _part(mixed, wide, count, sequences, shifted=True)
    third = _part(mixed, wide, count, sequences, shifted=True)
    window = states.convolved(at, same("mul", first, third), wide, kept)
    cells = Node("ssm_conv", "F32", (wide, count, sequences, 1), (window, net.layer(at, "shortconv.conv")))
    result = product(net.layer(at, "shortconv.out_proj"), same("mul", second, cells))
    return reshape(result, wide, net.tokens)


def _qwen(net: Network, *, joined_gates: bool, wide_heads: bool) -> Graph:
    """qwen3next, qwen35: three gated delta nets, then attention with a gate of its own."""
    stream = net.embedded()
    states = States(net)
    for at, one in enumerate(net.shape.layers):
        node = net.norm(stream, "attn_norm", at)
        net.graph.expand(node)
        if one.recurrent is None:
            node = _gated_attention(net, at, node)
        else:
            node = _delta_net(net, states, at, node, joined_gates=joined_gates, wide_heads=wide_heads)
        node, before = net.chosen_rows(at, node, stream)
        between = same("add", node, before)
        node = net.mixed(at, net.norm(between, "post_attention_norm", at))
        stream = same("add", node, between)
    return net.finish(stream)


def _gated_attention(net: Network, at: int, node: Node) -> Node:
    one, tokens = net.shape.layers[at], net.tokens
    length = one.key_length
    both = net.linear(at, "attn_q", node)
    size = both.size - 4 * length
    query = view(both, length, one.heads, tokens, strides=("gate", length), size=size)
    query = net.norm(query, "attn_q_norm", at)
    gate = view(both, length, one.heads, tokens, shifted=True, strides=("gate", length), size=size)
    keys = net.norm(net.heads(at, "attn_k", node, one.kv_heads, length), "attn_k_norm", at)
    values = net.heads(at, "attn_v", node, one.kv_heads, one.value_length)
    query, keys = net.rotated(at, query), net.rotated(at, keys)
    result = net.attend(at, query, keys, values, output=None)
    gate = same("unary", continuous(gate, length * one.heads, tokens))
    return net.linear(at, "attn_output", same("mul", result, gate))


def _delta_net(net: Network, states: States, at: int, node: Node, *, joined_gates: bool, wide_heads: bool) -> Node:
    """`build_layer_attn_linear`: convolve queries, keys, values; a gated delta rule with its state; a gated norm."""
    one = net.shape.layers[at]
    count, sequences, tokens = states.rows, states.sequences, net.tokens
    channels, kept = net.layer(at, "ssm_conv1d").dims[1], net.layer(at, "ssm_conv1d").dims[0] - 1
    inner, heads = net.layer(at, "attn_gate").dims[1], net.tensors[f"blk.{at}.ssm_dt.bias"].dims[0]
    length = inner // heads
    size = _state_elements(one) // inner
    groups = (channels - inner) // (2 * size)
    mixed = net.linear(at, "attn_qkv", node)
    gate_source = node
    window = states.convolved(at, reshape(mixed, channels, count, sequences), channels, kept)
    cache, state = states.read(at, "state", size * inner)
    cells = Node("ssm_conv", "F32", (channels, count, sequences, 1), (window, net.layer(at, "ssm_conv1d")))
    cells = same("unary", cells)
    query = same("scale", same("rms_norm", _part(cells, size, groups, count, sequences, shifted=False)))
    keys = same("scale", same("rms_norm", _part(cells, size, groups, count, sequences, shifted=True)))
    values = _part(cells, length, heads, count, sequences, shifted=True)
    if wide_heads and heads != groups:
        query, keys = (_repeated(one_, size, groups, heads, count, sequences) for one_ in (query, keys))
    gate, beta = _delta_gates(net, at, node, heads, groups, count, sequences, joined_gates=joined_gates)
    state = reshape(state, length, length if size == length else size, heads, sequences)
    result = Node(
        "gated_delta_net", "F32", (inner, tokens + size * sequences, 1, 1), (query, keys, values, gate, beta, state)
    )
    new = view(result, length, size, heads, sequences, shifted=True)
    states.save(cache, new, size * inner)
    result = view(result, length, heads, count, sequences)
    open_ = reshape(product(net.layer(at, "attn_gate"), gate_source), length, heads, count, sequences)
    result = same("mul", net.norm(result, "ssm_norm", at), same("unary", open_))
    result = product(net.layer(at, "ssm_out"), reshape(result, inner, count, sequences))
    return reshape(result, net.width, tokens)


def _state_elements(layer: Layer) -> int:
    """Elements of one sequence's state."""
    return layer.recurrent.state_elements if layer.recurrent is not None else 0


def _repeated(values: Node, size: int, groups: int, heads: int, count: int, sequences: int) -> Node:
    node = reshape(values, size, 1, groups, count * sequences)
    node = Node("repeat", "F32", (size, heads // groups, groups, count * sequences), (node,))
    return reshape(node, size, heads, count, sequences)


def _delta_gates(
    net: Network, at: int, node: Node, heads: int, groups: int, count: int, sequences: int, *, joined_gates: bool
) -> tuple[Node, Node]:
    """How much of the state is kept, and how much of the new is written."""
    bias, decay = net.weight(f"blk.{at}.ssm_dt.bias"), net.weight(f"blk.{at}.ssm_a")
    if joined_gates:
        both = product(net.layer(at, "ssm_ba"), node)
        each = heads // groups
        both = reshape(both, 2 * each, groups, count, sequences)
        beta = _part(both, each, groups, count, sequences, shifted=False)
        alpha = continuous(_part(both, each, groups, count, sequences, shifted=True), heads, count, sequences)
        beta = reshape(same("unary", beta), 1, heads, count, sequences)
    else:
        beta = reshape(product(net.layer(at, "ssm_beta"), node), 1, heads, count, sequences)
        beta = same("unary", beta)
        alpha = reshape(product(net.layer(at, "ssm_alpha"), node), heads, count, sequences)
    gate = same("mul", same("unary", same("add", alpha, bias)), decay)
    return reshape(gate, 1, heads, count, sequences), beta


def _qwen3next(net: Network) -> Graph:
    return _qwen(net, joined_gates=True, wide_heads=True)


def _qwen35(net: Network) -> Graph:
    return _qwen(net, joined_gates=False, wide_heads=False)


def _rwkv7(net: Network) -> Graph:
    """Time mixing with a state, channel mixing; both shift their rows by one token (`build_rwkv7_time_mix`)."""
    width, tokens = net.width, net.tokens
    stream = net.norm(net.embedded(), "token_embd_norm", kind="norm")
    states = States(net)
    count, sequences = states.rows, states.sequences
    stream.sources[0].sources[0].backend = net.device(net.placement.layers[0]) if net.pins else -1
    first_value: Node | None = None
    for at, one in enumerate(net.shape.layers):
        head = _state_elements(one) // width
        shift_cache, shifts = states.read(at, "window", 2 * width)
        state_cache, state = states.read(at, "state", width * head)
        shifts = reshape(shifts, width, 2, sequences)
        size = shifts.size - 4 * width
        time_shift = view(shifts, width, 1, sequences, strides="shift", size=size)
        channel_shift = view(shifts, width, 1, sequences, shifted=True, strides="shift", size=size)
        stream = reshape(stream, width, count, sequences)
        normed = net.norm(stream, "attn_norm", at, kind="norm")
        before = joined(time_shift, _all_but_last(normed), 1)
        node, first_value, kept = _time_mix(net, states, at, normed, before, state, first_value, head)
        net.graph.expand(copied(kept, view(state_cache, width * head * sequences)))
        between = same("add", reshape(node, width, count, sequences), stream)
        normed_2 = net.norm(between, "attn_norm_2", at, kind="norm")
        before = joined(channel_shift, _all_but_last(normed_2), 1)
        new = joined(_last(normed), _last(normed_2), 1)
        new = view(new, 2 * width * sequences)
        net.graph.expand(copied(new, view(shift_cache, 2 * width * sequences)))
        flat = [reshape(values, width, tokens) for values in (between, normed_2, before)]
        residual, value, earlier = net.chosen_rows(at, *flat)
        delta = same("mul", same("sub", earlier, value), net.layer(at, "channel_mix_lerp_k"))
        node = product(net.layer(at, "channel_mix_key"), same("add", delta, value))
        node = product(net.layer(at, "channel_mix_value"), same("sqr", same("unary", node)))
        stream = same("add", node, residual)
    return net.finish(stream, kind="norm")


def _all_but_last(values: Node) -> Node:
    width, count, sequences = values.dims[:3]
    return view(values, width, count - 1, sequences, strides="rows", size=values.size - 4 * width)


def _last(values: Node) -> Node:
    width, count, sequences = values.dims[:3]
    size = 4 * width * (count * (sequences - 1) + 1)
    return view(values, width, 1, sequences, shifted=True, strides="rows", size=size)


def _time_mix(
    net: Network, states: States, at: int, node: Node, before: Node, state: Node, first_value: Node | None, head: int
) -> tuple[Node, Node, Node]:
    width, tokens, heads = net.width, net.tokens, net.width // head
    shift = same("sub", before, node)
    mixed = Node("repeat", "F32", (*shift.dims[:3], 6), (shift,))
    mixed = same("add", same("mul", mixed, net.layer(at, "time_mix_lerp_fused")), node)
    r, w, k, v, a, g = (view(mixed, width, tokens, shifted=number > 0) for number in range(6))

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
    open_ = product(weight("g2"), same("unary", product(weight("g1"), g)))
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
    node = same("norm", reshape(node, head, heads, tokens))
    node = same("mul", reshape(node, width, tokens), net.layer(at, "time_mix_ln"))
    node = same("add", node, net.weight(f"blk.{at}.time_mix_ln.bias"))
    own = same("mul", same("mul", keys, receptance), reshape(weight("r_k"), head, heads))
    own = same("mul", values, Node("sum_rows", "F32", (1, heads, tokens, 1), (own,)))
    node = same("add", node, reshape(own, width, tokens))
    node = product(weight("output"), same("mul", node, open_))
    return node, first_value, kept


RECURRENT_NETWORKS: dict[str, Build] = {
    "mamba": _mamba1_only,
    "mamba2": _mamba2_only,
    "jamba": _jamba,
    "falcon-h1": _falcon_h1,
    "granitehybrid": _granitehybrid,
    "nemotron_h": _nemotron_h,
    "nemotron_h_moe": _nemotron_h,
    "lfm2": _lfm2,
    "lfm2moe": _lfm2,
    "rwkv7": _rwkv7,
    "qwen3next": _qwen3next,
    "qwen35": _qwen35,
    "qwen35moe": _qwen35,
}
