"""Graphs of the vision encoders whose patches are merged in ways of their own. llama.cpp b11669, tools/mtmd/models/*.cpp.

Each was read node by node from graphs of the running server, like those of `llama_cpp_towers`.
"""

from collections.abc import Callable

from llmops.engines.llama_cpp_graph import (
    Graph,
    Node,
    continuous,
    flat,
    gated,
    joined,
    permute,
    product,
    reshape,
    rows,
    same,
    transpose,
    view,
)
from llmops.engines.llama_cpp_tower import Encoder


def _placed(one: Encoder, node: Node, name: str) -> Node:
    """Learned positions of a table whose rows are chosen."""
    return same("add", node, rows(one.weight("v.position_embd"), one.input(name, "I32", one.count)))


def _by_axis(one: Encoder, node: Node) -> Node:
    """Two tables of learned positions, of columns and of rows."""
    table = one.weight("v.position_embd")
    for at, name in enumerate(("columns", "rows")):
        half = view(table, one.width, table.dims[1], shifted=at > 0)
        node = same("add", node, rows(half, one.input(name, "I32", one.count)))
    return node


def _gemma4v(one: Encoder) -> Graph:
    """Patches, a transformer with limits on every product, an average of squares of patches."""
    one.clamps = True
    node = flat(_by_axis(one, one.patches(same("scale", one.pixels()))))
    node = flat(one.transformer(node, kind="rms_norm", turns=("columns", "rows")))
    each = one.tower.merge
    wide, high = one.wide // each, one.high // each
    node = Node(
        "pool", "F32", (wide, high, one.width, 1), (continuous(transpose(node), one.wide, one.high, one.width),)
    )
    node = same("scale", continuous(transpose(reshape(node, wide * high, one.width))))
    if one.has("v.std_bias") and one.has("v.std_scale"):
        node = same("mul", same("sub", node, one.weight("v.std_bias")), one.weight("v.std_scale"))
    return one.done(one.linear("mm.input_projection", same("rms_norm", node)))


def _gemma4uv(one: Encoder) -> Graph:
    """No transformer: patches of three by three, norms, positions, one product."""
    side, each = one.weight("v.patch_embd").dims[0], one.tower.merge
    pixels, patch = one.pixels(), one.tower.patch_size * each
    one.wide, one.high, one.count = one.wide // each, one.high // each, one.count // each**2
    kernel = Node("none", "F32", (patch, patch, 3, 1), name="kernel")
    node = reshape(Node("im2col", "F32", (side, one.wide, one.high, 1), (kernel, pixels)), side, one.count)
    node = product(one.weight("v.patch_embd"), one.norm(node, "v.patch_norm.1", kind="norm"))
    node = one.norm(same("add", node, one.weight("v.patch_embd.bias")), "v.patch_norm.2", kind="norm")
    node = one.norm(_by_axis(one, node), "v.patch_norm.3", kind="norm")
    one.clamps = True
    return one.done(one.linear("mm.input_projection", same("rms_norm", node)))


def _glm4v(one: Encoder) -> Graph:
    """Two frames, a transformer, a convolution over squares of patches, a gated block."""
    node = one.two_frames()
    if one.has("v.patch_embd.bias"):
        node = same("add", node, one.weight("v.patch_embd.bias"))
    if one.has("v.norm_embd"):
        node = one.norm(node, "v.norm_embd", kind="rms_norm")
    places = continuous(one.resized_positions(), 2 * one.width, one.wide // 2, one.high)
    node = flat(same("add", node, one.interleaved(places)))
    node = one.ended(one.transformer(node, kind="rms_norm", turns=("positions",), turn_width=4), kind="rms_norm")
    each = one.tower.merge
    tokens = one.count // each**2
    node = continuous(permute(reshape(node, one.width, each, each, tokens), 2, 0, 1, 3))
    node = one.folded("mm.patch_merger", node, each)
    node = same("add", reshape(node, node.dims[2], node.dims[3]), one.weight("mm.patch_merger.bias"))
    node = product(one.weight("mm.model.fc"), node)
    node = same("unary", one.norm(node, "mm.post_norm", kind="norm"))
    gate = one.linear("mm.gate", node)
    return one.done(one.linear("mm.down", gated(gate, one.linear("mm.up", node))))


def _minicpmv(one: Encoder) -> Graph:
    """A transformer, then some learned queries that attend to all patches."""
    node = _placed(one, one.patches(), "positions")
    node = one.ended(one.transformer(flat(node)))
    wide, count = one.weight("resampler.kv").dims[1], one.count
    queries = one.norm(one.weight("resampler.query"), "resampler.ln_q", kind="norm")
    values = one.norm(product(one.weight("resampler.kv"), node), "resampler.ln_kv", kind="norm")
    omega = one.input("omega", "F32", wide // 4)
    turned = Node("repeat", "F32", (wide // 4, count, 1, 1), (omega,))
    parts = []
    for name in ("columns", "rows"):
        angle = same("mul", turned, one.input(name, "F32", 1, count))
        parts.append(joined(same("wave", angle), same("wave", angle), 0))
    keys = same("add", values, joined(parts[0], parts[1], 0))
    length = 128
    heads = wide // length
    query = reshape(one.linear("resampler.attn.q", queries), length, heads, queries.dims[1])
    keys = reshape(one.linear("resampler.attn.k", keys), length, heads, count)
    values = reshape(one.linear("resampler.attn.v", values), length, heads, count)
    node = one.linear("resampler.attn.out", one.attended(query, keys, values))
    node = one.norm(node, "resampler.ln_post", kind="norm")
    return one.done(product(one.weight("resampler.proj"), node))


def _without_first(one: Encoder, node: Node, many: int) -> Node:
    """The rows of the patches, where others stand before them (`many`) or behind them (0)."""
    size = 4 * one.width * one.count
    return view(flat(node), one.width, one.count, shifted=many > 0, strides="rows of patches", size=size)


def _llama4(one: Encoder) -> Graph:
    patch = one.tower.patch_size
    table = one.weight("v.patch_embd")
    kernel = reshape(table, patch, patch, 3, one.width)
    columns = Node("im2col", "F32", (table.dims[0], one.wide, one.high, 1), (kernel, one.pixels()))
    node = reshape(product(table, columns), one.width, one.count)
    node = joined(node, one.weight("v.class_embd"), 1)
    node = flat(same("add", node, one.weight("v.position_embd")))
    if one.has("v.pre_ln"):
        node = one.norm(node, "v.pre_ln", kind="norm")
    node = one.ended(one.transformer(node, turns=("columns", "rows")))
    each = one.tower.merge
    node = reshape(_without_first(one, node, 0), one.width * each, one.wide // each, one.high)
    node = permute(node, 0, 2, 1, 3)
    node = continuous(node, one.width * each * each, one.wide // each, one.high // each)
    node = continuous(permute(node, 0, 2, 1, 3), node.dims[0], node.dims[1] * node.dims[2])
    for name in ("mm.model.mlp.1", "mm.model.mlp.2"):
        node = same("unary", product(one.weight(name), node))
    return one.done(product(one.weight("mm.model.fc"), node))


def _seen(one: Encoder, *, resized: bool = False, turns: tuple[str, ...] = (), turn_width: int = 1) -> Node:
    """Patches, learned positions, a plain transformer."""
    places = one.resized_positions() if resized else one.weight("v.position_embd")
    node = flat(same("add", one.patches(), places))
    if one.has("v.pre_ln"):
        node = one.norm(node, "v.pre_ln", kind="norm")
    return one.ended(one.transformer(node, turns=turns, turn_width=turn_width))


def _lfm2(one: Encoder) -> Graph:
    node = one.merged(_seen(one, resized=True), one.tower.merge)
    if one.has("mm.input_norm"):
        node = one.norm(node, "mm.input_norm", kind="norm")
    return one.done(one.projected("mm.1", "mm.2", node))


def _janus(one: Encoder) -> Graph:
    return one.done(one.projected("mm.0", "mm.1", _seen(one)))


def _phi4(one: Encoder) -> Graph:
    return one.done(one.projected("mm.0", "mm.2", _seen(one, resized=True)))


def _dots(one: Encoder) -> Graph:
    node = one.convolved("v.patch_embd.weight", one.pixels())
    if one.has("v.patch_embd.bias"):
        node = same("add", node, one.weight("v.patch_embd.bias"))
    node = continuous(permute(node, 1, 2, 0, 3), one.width, one.count)
    if one.has("v.norm_embd"):
        node = one.norm(node, "v.norm_embd", kind="rms_norm")
    node = one.transformer(flat(node), kind="rms_norm", turns=("positions",), turn_width=4)
    node = one.norm(one.norm(node, "mm.post_norm", kind="rms_norm"), "mm.input_norm", kind="norm")
    each = one.tower.merge**2
    node = reshape(node, one.width * each, one.count // each)
    return one.done(one.projected("mm.0", "mm.2", node))


def _paddle(one: Encoder) -> Graph:
    node = one.norm(_seen(one, resized=True, turns=("positions",), turn_width=4), "mm.input_norm", kind="norm")
    each = one.tower.merge**2
    return one.done(one.projected("mm.1", "mm.2", view(node, one.width * each, one.count // each)))


def _kimik25(one: Encoder) -> Graph:
    table = one.weight("v.position_embd")
    if (one.wide, one.high) == (table.dims[1], table.dims[2]):
        places = continuous(table, one.width, one.count)
    else:
        places = Node("upscale", "F32", (one.high, one.wide, one.width, 1), (permute(table, 2, 1, 0, 3),))
        places = continuous(permute(places, 2, 1, 0, 3), one.width, one.count)
    node = one.ended(one.transformer(flat(same("add", one.patches(), places)), turns=("columns", "rows")))
    node = one.merged(node, one.tower.merge)
    single = view(node, one.width, node.dims[0] * node.dims[1] // one.width)
    normed = one.norm(single, "mm.input_norm", kind="norm")
    return one.done(one.projected("mm.1", "mm.2", view(normed, node.dims[0], node.dims[1])))


def _nemotron(one: Encoder) -> Graph:
    registers = one.weight("v.class_embd")
    node = joined(registers, same("add", one.patches(), one.resized_positions()), 1)
    node = one.ended(one.transformer(flat(node)))
    node = one.merged(_without_first(one, node, registers.dims[1]), one.tower.merge)
    node = one.linear("mm.model.mlp.1", one.norm(node, "mm.model.mlp.0", kind="rms_norm"))
    return one.done(one.linear("mm.model.mlp.3", same("sqr", same("unary", node))))


def _cogvlm(one: Encoder) -> Graph:
    """Norms behind attention and behind the feed-forward part."""
    node = joined(one.patches(), one.weight("v.class_embd"), 1)
    node = flat(same("add", node, one.weight("v.position_embd")))
    for at in range(one.tower.layers):
        name, before = f"v.blk.{at}", node
        query, keys, values = one.heads(at, node)
        node = one.norm(one.attend(at, query, keys, values), f"{name}.ln1", kind="norm")
        between = same("add", node, before)
        node = same("add", one.norm(one.feed_forward(at, between), f"{name}.ln2", kind="norm"), between)
    node = product(one.weight("mm.model.fc"), _without_first(one, node, 1))
    node = same("unary", one.norm(node, "mm.post_fc_norm", kind="norm"))
    hidden, gate = one.linear("mm.up", node), one.linear("mm.gate", node)
    node = one.linear("mm.down", gated(gate, hidden))
    return one.done(joined(joined(one.weight("v.boi"), node, 1), one.weight("v.eoi"), 1))


def _hunyuan(one: Encoder) -> Graph:
    """Positions from the host, two convolutions, a row's end behind each row."""
    places = one.input("places", "F32", one.width, one.count)
    node = one.ended(one.transformer(flat(same("add", one.patches(), places))))
    node = one.norm(node, "mm.pre_norm", kind="rms_norm")
    begin = reshape(one.weight("mm.image_begin"), one.weight("mm.image_begin").dims[0], 1)
    one.graph.expand(begin)
    node = continuous(permute(reshape(node, one.width, one.wide, one.high), 2, 0, 1, 3))
    for at, (name, each) in enumerate((("mm.0", one.tower.merge), ("mm.2", 1))):
        node = one.folded(name, node, each)
        if one.has(f"{name}.bias"):
            node = same("add", node, reshape(one.weight(f"{name}.bias"), 1, 1, node.dims[2]))
        node = same("unary", node) if at == 0 else node
    wide, high, deep, _ = node.dims
    ends = Node("repeat", "F32", (1, high, deep, 1), (reshape(one.weight("v.image_newline"), 1, 1, deep),))
    node = continuous(permute(joined(node, ends, 0), 1, 2, 0, 3), deep, (wide + 1) * high)
    node = joined(begin, one.linear("mm.model.fc", node), 1)
    node = joined(node, reshape(one.weight("mm.image_end"), node.dims[0], 1), 1)
    return one.done(one.norm(node, "mm.post_norm", kind="rms_norm"))


def _youtu(one: Encoder) -> Graph:
    """Patches by copying, windows but in the named blocks."""
    patch, each = one.tower.patch_size, 2
    wide, high = one.wide // each, one.high // each
    node = reshape(one.pixels(), one.wide * patch, each * patch, high, 3)
    node = continuous(permute(node, 1, 2, 3, 0), each * patch * 3, wide, each * patch, high)
    node = continuous(permute(node, 0, 2, 1, 3), each * patch * 3, patch, each, wide * high)
    node = continuous(permute(node, 1, 0, 2, 3), patch, 3, patch, one.count)
    node = continuous(permute(node, 2, 0, 1, 3), 3 * patch * patch, one.count)
    node = product(one.weight("v.patch_embd"), node)
    if one.has("v.patch_embd.bias"):
        node = same("add", node, one.weight("v.patch_embd.bias"))
    node = reshape(node, one.width, one.count)
    whole = frozenset(one.tower.window_layers)
    mask = None
    if whole:
        node = one.windowed(node, "into windows")
        mask = one.input("window mask", "F16" if one.flash else "F32", one.count, one.count)
    for at in range(one.tower.layers):
        seen = None if at in whole else mask
        node = one.transformer(node, layers=at + 1, first=at, turns=("positions",), turn_width=4, mask=seen)
    if whole:
        node = one.windowed(node, "out of windows")
    node = one.norm(one.ended(node), "mm.input_norm", kind="rms_norm")
    node = reshape(node, one.width * each * each, one.count // each**2)
    return one.done(one.projected("mm.0", "mm.2", node))


def _minicpmv46(one: Encoder) -> Graph:
    """After one block squares of patches attend to themselves and become one; after the last once more."""
    node = same("add", one.patches(), rows(one.weight("v.position_embd"), one.input("positions", "I32", one.count)))
    if one.has("v.pre_ln"):
        node = one.norm(node, "v.pre_ln", kind="norm")
    after = one.tower.window_layers[0] + 1 if one.tower.window_layers else 0
    before = node = one.transformer(flat(node), layers=after)
    node = one.chosen(one.norm(node, "v.vit_merger.ln1", kind="norm"), "into windows", one.count)
    length, heads = one.width // one.tower.heads, one.tower.heads
    parts = [reshape(one.linear(f"v.vit_merger.attn_{part}", node), length, heads, one.count) for part in "qkv"]
    mask = one.input("window mask", "F16" if one.flash else "F32", one.count, one.count)
    node = one.linear("v.vit_merger.attn_out", one.attended(parts[0], parts[1], parts[2], mask))
    node = same("add", one.chosen(node, "out of windows", one.count), before)
    quarters, row = _quarters(one, node, "first")
    mean = same("add", same("add", same("add", quarters[0], quarters[1]), quarters[2]), quarters[3])
    mean = same("scale", mean)
    row = one.norm(row, "v.vit_merger.ds_ln", kind="norm")
    node = same("add", one.projected("v.vit_merger.ds_ffn_up", "v.vit_merger.ds_ffn_down", row), mean)
    node = one.ended(one.transformer(node, first=after))
    _, row = _quarters(one, node, "second")
    return one.done(one.projected("mm.up", "mm.down", one.norm(row, "mm.input_norm", kind="norm")))


def _quarters(one: Encoder, node: Node, name: str) -> tuple[list[Node], Node]:
    """The four patches of each square, and all four side by side."""
    quarters = [one.chosen(node, f"{name} {at}", node.dims[1] // 4) for at in range(4)]
    row = quarters[0]
    for quarter in quarters[1:]:
        row = joined(row, quarter, 0)
    return quarters, row


MERGERS: dict[str, Callable[[Encoder], Graph]] = {
    "gemma4v": _gemma4v,
    "gemma4uv": _gemma4uv,
    "glm4v": _glm4v,
    "resampler": _minicpmv,
    "llama4": _llama4,
    "lfm2": _lfm2,
    "janus_pro": _janus,
    "phi4": _phi4,
    "dots_ocr": _dots,
    "paddleocr": _paddle,
    "kimik25": _kimik25,
    "nemotron_v2_vl": _nemotron,
    "cogvlm": _cogvlm,
    "hunyuanvl": _hunyuan,
    "youtuvl": _youtu,
    "minicpmv4_6": _minicpmv46,
}
"""By the name in `clip.projector_type`."""
