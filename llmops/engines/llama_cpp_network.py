"""The parts llama.cpp builds its graphs from: inputs, weights, norms, attention with its cache, feed-forward, experts.

Source: llama.cpp b11669, src/llama-graph.cpp (`build_inp_embd`, `build_norm`, `build_qkv`, `build_attn`, `build_attn_mha`,
`build_ffn`, `build_moe_ffn`) and src/llama-kv-cache.cpp (`cpy_k`, `cpy_v`, `get_k`, `get_v`); checked node by node against
graphs of the running server.
"""

from collections.abc import Callable

from llmops.domain.model import Attention, LatentAttention, Layer, Tensor
from llmops.engines.llama_cpp_adapters import applied, pairs_of
from llmops.engines.llama_cpp_compute import WIDE_POSITIONS, Case
from llmops.engines.llama_cpp_experts import Routing, expert_layer
from llmops.engines.llama_cpp_graph import (
    Graph,
    Node,
    continuous,
    flash_attention,
    gated,
    given,
    permute,
    product,
    reshape,
    rows,
    same,
    stored,
    transpose,
    view,
    with_adapted_rows,
    write_rows,
)
from llmops.engines.llama_cpp_placement import HOST, TIED_IN_RAM, Placement, weight_place

PIN_ROWS = 32
"""Below this many rows, or with everything on cards, a layer's norms are pinned to its card (`graph_get_cb`)."""


IMAGE_TOKENS = 8192
"""chameleon's, whose logits are put out of reach (src/models/chameleon.cpp)."""

GATINGS = {1: "softmax", 2: "sigmoid", 3: "weights"}
"""`expert_gating_func` of a file."""
ROWS_ALONE = frozenset({"lfm2", "lfm2moe"})
"""Families that make no logits where embeddings are asked for (src/models/lfm2.cpp)."""
ALL_KEYS = frozenset({"gating", "norm", "scale"})
"""What a loader may read of the routing of experts."""


class Network:
    """One graph while it is built: `tokens` rows of one batch, `outputs` of them with logits. `single`: one a sequence.

    `alone`: all rows are of one sequence, which is what recurrent layers are then made for.
    """

    def __init__(self, case: Case, placement: Placement, *, single: bool = False, alone: bool = False) -> None:
        self.case = case
        self.placement = placement
        self.graph = Graph()
        self.shape = case.shape
        self.slots = case.context.slots
        self.sequences = 1 if alone else case.context.slots
        self.tokens = case.context.slots if single else case.rows()
        self.outputs = self.tokens if single else case.context.prompt_outputs()
        self.width = case.shape.embedding_length
        self.count = len(case.shape.layers)
        self.tensors = {tensor.name: tensor for tensor in case.shape.tensors}
        beside = case.shape.companions
        self.pairs = pairs_of(applied(beside.adapters)) if beside is not None else {}
        self.weights: dict[tuple[str, int], Node] = {}
        self.inputs: dict[str, Node] = {}
        self.caches: dict[tuple[int, str], Node] = {}
        self.pins = placement.is_whole() or self.tokens < PIN_ROWS

    # -- weights, inputs, caches

    def device(self, place: int) -> int:
        """The scheduler's number of a place: cards first, the host last."""
        return self.placement.cards if place == HOST else place

    def has(self, name: str) -> bool:
        """Whether the file has the tensor, `.weight` understood."""
        return name in self.tensors or f"{name}.weight" in self.tensors

    def weight(self, name: str, *, at: int | None = None, output: bool = False) -> Node:
        """A weight by its name, `.weight` understood; `at`: the layer that reads one of many copies."""
        full = name if name in self.tensors else f"{name}.weight"
        tensor = self.tensors[full]
        place = weight_place(full, self.placement, at=at, output=output)
        key = (full, place)
        node = self.weights.get(key)
        if node is None:
            node = self.weights[key] = stored(tensor.type, *tensor.dims, home=self.device(place), name=full)
            if self.pairs:
                node.adapters = tuple(
                    (self._half(pair.first, place), self._half(pair.second, place)) for pair in self.pairs.get(full, ())
                )
        return node

    def _half(self, tensor: Tensor, place: int) -> Node:
        """An adapter's buffers are not marked as weights: what multiplies with them runs where its neighbours do."""
        return stored(tensor.type, *tensor.dims, home=self.device(place), is_weight=False, name=tensor.name)

    def layer(self, at: int, name: str) -> Node:
        """A weight of one block."""
        return self.weight(f"blk.{at}.{name}")

    def has_in(self, at: int, name: str) -> bool:
        """Whether a block has the tensor."""
        return self.has(f"blk.{at}.{name}")

    def input(self, name: str, kind: str, *dims: int) -> Node:
        """An input, made once."""
        if name not in self.inputs:
            self.inputs[name] = given(kind, *dims, name=name)
        return self.inputs[name]

    def positions(self) -> Node:
        """Positions of the rows, four a row where they are of several dimensions."""
        return self.input("positions", "I32", self.tokens * self.positions_per_token())

    def positions_per_token(self) -> int:
        """Four with M-RoPE."""
        return 4 if self.shape.architecture in WIDE_POSITIONS else 1

    def output_ids(self) -> Node:
        """Which rows get logits."""
        return self.input("output ids", "I32", self.outputs)

    def cache(self, at: int, part: str, kind: str, width: int, cells: int) -> Node:
        """A layer's cache, made once."""
        key = (at, part)
        if key not in self.caches:
            home = self.device(self.placement.cache(at))
            streams = self.case.context.streams
            self.caches[key] = stored(
                kind.upper(), width, cells, streams, home=home, is_weight=False, name=f"{part} {at}"
            )
        return self.caches[key]

    # -- beginning and end

    def latent(self) -> LatentAttention:
        """The model's latent attention; a family whose graph needs it has the keys, or its file is refused."""
        if self.shape.latent is None:
            raise ValueError(f"{self.shape.architecture} without latent attention")
        return self.shape.latent

    def embedded(self, *, scaled: bool = False, factor: bool = False) -> Node:
        """`build_inp_embd`: three ways in, of which one runs; all are allocated. `scaled`: row by row, `factor`: as a whole."""
        table = self.weight("token_embd")
        tokens = self.input("tokens", "I32", self.tokens)
        mixed_tokens = given("I32", self.tokens, name="mixed tokens")
        found, mixed = rows(table, tokens), rows(table, mixed_tokens)
        self.graph.expand(found)
        self.graph.expand(mixed if table.adapters else mixed_tokens)
        found, mixed = with_adapted_rows(found, table, tokens), with_adapted_rows(mixed, table, mixed_tokens)
        self.graph.expand(found)
        self.graph.expand(given("F32", self.width, self.tokens, name="embedded"))
        base = same("dup", given("F32", self.width, self.tokens, name="mixed embedded"))
        self.graph.expand(write_rows(base, mixed, given("I64", self.tokens, name="mixed slots")))
        if scaled:
            found = same("mul", found, given("F32", 1, self.tokens, name="scales"))
        if factor:
            found = same("scale", found)
        self.graph.expand(found)
        return found

    def norm(self, values: Node, name: str, at: int = -1, *, kind: str = "rms_norm", output: bool = False) -> Node:
        """`build_norm`: the norm, its weight, its bias; a layer's norm is pinned where the layer is."""
        node = same(kind, values)
        full = name if at < 0 else f"blk.{at}.{name}"
        if at >= 0 and self.pins:
            node.backend = self.device(self.placement.layers[at])
        node = same("mul", node, self.weight(full, output=output))
        return same("add", node, self.weight(f"{full}.bias", output=output)) if f"{full}.bias" in self.tensors else node

    def pin(self, node: Node, at: int) -> None:
        """A layer's norm without weights is computed where the layer is."""
        if self.pins:
            node.backend = self.device(self.placement.layers[at])

    def chosen_rows(self, at: int, *values: Node) -> tuple[Node, ...]:
        """In the last layer only the rows that get logits go on."""
        if at != self.count - 1:
            return values
        return tuple(rows(one, self.output_ids()) for one in values)

    def finish(
        self,
        values: Node,
        *,
        kind: str = "rms_norm",
        scaled: bool = False,
        capped: bool = False,
        scaled_before: bool = False,
        without_images: bool = False,
    ) -> Graph:
        """The output norm and the logits."""
        name = next((name for name in ("output_norm", "token_embd_norm") if self.has(name)), "")
        node = self.norm(values, name, kind=kind, output=True) if name else same(kind, values)
        if self.case.pooling() is not None:
            return self.resulting(node)
        if self.case.settings.embeddings and self.shape.architecture in ROWS_ALONE:
            self.graph.expand(node)
            return self.graph
        if scaled_before:
            node.is_output = True  # the rows as embeddings: what follows does not take their place
            node = same("scale", node)
        tied = not self.has("output")
        copied = self.shape.architecture not in TIED_IN_RAM
        node = product(self.weight("token_embd" if tied else "output", output=copied), node)
        if "output.bias" in self.tensors:
            node = same("add", node, self.weight("output.bias"))
        if scaled:
            node = same("scale", node)
        if capped:
            node = same("scale", same("unary", same("scale", node)))
        if without_images:
            hidden = same("clamp", Node("none", "F32", (IMAGE_TOKENS, 1, 1, 1), name="image logits"))
            node = Node("set", "F32", node.dims, (node, hidden))
        self.graph.expand(node)
        return self.graph

    def resulting(self, node: Node) -> Graph:
        """`build_pooling`: one vector a text where embeddings are asked for, else the rows as they are."""
        how = self.case.pooling()
        if how == "mean":
            mean = self.input("mean", "F32", self.tokens, self.slots)
            node = product(continuous(transpose(node)), mean)
        elif how is not None:
            node = rows(node, self.input("chosen rows", "I32", self.slots))
        if how == "rank" and self.has("cls"):
            node = self._headed("cls", node)
            node = self._headed("cls.output", same("unary", node)) if self.has("cls.output") else node
        elif how == "rank" and self.has("cls.output"):
            node = self._headed("cls.output", node)
        self.graph.expand(node)
        return self.graph

    def _headed(self, name: str, node: Node) -> Node:
        node = product(self.weight(name), node)
        return same("add", node, self.weight(f"{name}.bias")) if f"{name}.bias" in self.tensors else node

    # -- attention

    def linear(self, at: int, name: str, values: Node) -> Node:
        """A product with a layer's matrix, and its bias."""
        node = product(self.layer(at, name), values)
        bias = f"blk.{at}.{name}.bias"
        return same("add", node, self.weight(bias)) if bias in self.tensors else node

    def heads(self, at: int, name: str, values: Node, heads: int, length: int, *, clamped: bool = False) -> Node:
        """A projection, seen head by head."""
        flat = self.linear(at, name, values)
        return reshape(same("clamp", flat) if clamped else flat, length, heads, self.tokens)

    def queries_keys_values(self, at: int, values: Node, *, clamped: bool = False) -> tuple[Node, Node, Node]:
        """`build_qkv`: three products, or one whose parts are views; `clamped`: before they are seen head by head."""
        one = self.shape.layers[at]
        if self.has_in(at, "attn_qkv"):
            fused = self.linear(at, "attn_qkv", values)
            fused = same("clamp", fused) if clamped else fused
            parts = ((one.heads, one.key_length), (one.kv_heads, one.key_length), (one.kv_heads, one.value_length))
            made = [
                view(
                    fused,
                    length,
                    heads,
                    self.tokens,
                    shifted=number > 0,
                    strides=("part", fused.dims[0]),
                    size=fused.size - 4 * (fused.dims[0] - length * heads),
                )
                for number, (heads, length) in enumerate(parts)
            ]
            return made[0], made[1], made[2]
        return (
            self.heads(at, "attn_q", values, one.heads, one.key_length, clamped=clamped),
            self.heads(at, "attn_k", values, one.kv_heads, one.key_length, clamped=clamped),
            self.heads(at, "attn_v", values, one.kv_heads, one.value_length, clamped=clamped),
        )

    def rotated(self, at: int, values: Node, factors: str | None = None) -> Node:
        """RoPE, with the file's frequency factors where it has some."""
        sources = [self.positions()]
        if factors is not None and self.has(factors):
            sources.append(self.weight(factors, at=at))
        return same("rope", values, *sources)

    def is_sliding(self, one: Layer) -> bool:
        """Whether the layer's cache is the window's."""
        return one.attention in (Attention.SLIDING, Attention.CHUNKED) and self.case.is_windowed()

    def spread(self, values: Node, side: int, part: str) -> Node:
        """The rotation of a quantized cache (`llama_mul_mat_hadamard`)."""
        wide = values.dims[0] * values.dims[1] * values.dims[2] * values.dims[3]
        matrix = self.input(f"rotation {part}", "F32", side, side)
        flat = reshape(self.packed(values), side, wide // side)
        return reshape(product(matrix, flat), *values.dims)

    def packed(self, values: Node) -> Node:
        """Copied where it is a part of wider rows: what is seen in other dimensions has to be contiguous."""
        return continuous(values) if values.strides is not None and self.tokens > 1 else values

    def attend(
        self,
        at: int,
        query: Node,
        keys: Node | None,
        values: Node | None,
        *,
        sinks: bool = False,
        capped: bool = False,
        output: str | None = "attn_output",
        source: int | None = None,
        windows: bool | None = None,
    ) -> Node:
        """`build_attn`: write K and V, read the cache, project; `source`: the layer whose cache is read."""
        owner = at if source is None else source
        one = self.shape.layers[owner]
        case, graph = self.case, self.graph
        sliding = self.is_sliding(one)
        part = "window" if sliding else "full"
        key_side, value_side = case.rotation_sides(windowed=sliding)
        if key_side:
            query = self.spread(query, key_side, f"{part} keys")
            keys = None if keys is None else self.spread(keys, key_side, f"{part} keys")
        if value_side and values is not None:
            values = self.spread(values, value_side, f"{part} values")
        graph.expand(query)
        with_windows = case.is_windowed() if windows is None else windows
        for node in (keys, values) if with_windows else (values, keys):
            if node is not None:
                graph.expand(node)
        cells, streams = case.cells(one), case.context.streams
        kind_k, kind_v = case.settings.kv_cache_type_k, case.settings.kv_cache_type_v
        wide = one.value_width() if case.keeps_rows() else case.widest_value()
        cache_k = self.cache(owner, f"{part} keys", kind_k, one.key_width(), cells)
        cache_v = self.cache(owner, f"{part} values", kind_v, wide, cells)
        if keys is not None and values is not None:
            self.write(cache_k, keys, one.key_width(), part, transposed=False)
            self.write(cache_v, values, one.value_width(), part, transposed=not case.keeps_rows())
        query = permute(view(query, one.key_length, query.dims[1], self.tokens // streams, streams), 0, 2, 1, 3)
        read_k = permute(view(cache_k, one.key_length, one.kv_heads, cells, streams, strides="cache"), 0, 2, 1, 3)
        mask = self.mask(part, cells)
        if case.flash():
            read_v = permute(view(cache_v, one.value_length, one.kv_heads, cells, streams, strides="cache"), 0, 2, 1, 3)
            if cache_k.kind == "F32":
                read_k = Node("cpy", "F16", read_k.dims, (read_k,))
            if cache_v.kind == "F32":
                read_v = Node("cpy", "F16", read_v.dims, (read_v,))
            sink = self.layer(at, "attn_sinks") if sinks else None
            node = flash_attention(query, read_k, read_v, mask, sink)
            node = reshape(node, node.dims[0] * node.dims[1], self.tokens)
        else:
            read_v = self._turned_values(one, cache_v)
            node = self.scores(at, query, read_k, read_v, mask, sinks=sinks, capped=capped)
        graph.expand(node)
        if value_side:
            node = self.spread(node, value_side, f"{part} values")
        return node if output is None else self.linear(at, output, node)

    def _turned_values(self, one: Layer, cache: Node) -> Node:
        """V as the scores need it: as it lies, or copied where it lies for the fused kernel, which no card has for the heads."""
        cells, streams = cache.dims[1], cache.dims[2]
        if not self.case.keeps_rows():
            found = view(cache, cells, one.kv_heads, one.value_length, streams, strides="cache")
            return permute(found, 0, 2, 1, 3)
        found = view(cache, one.value_length, one.kv_heads, cells, streams, strides="cache")
        return continuous(transpose(permute(found, 0, 2, 1, 3)))

    def scores(self, at: int, query: Node, keys: Node, values: Node, mask: Node, *, sinks: bool, capped: bool) -> Node:
        """Attention without the fused kernel: all scores at once."""
        node = product(keys, query)
        if capped:
            node = same("scale", same("unary", same("scale", node)))
        node = same("softmax", node, mask, *([self.layer(at, "attn_sinks")] if sinks else []))
        node = permute(product(values, node), 0, 2, 1, 3)
        node = continuous(node, node.dims[0] * node.dims[1], node.dims[2] * node.dims[3])
        if not self.placement.kv_offload:
            node.backend = self.placement.cards
        return node

    def write(self, cache: Node, values: Node, width: int, part: str, *, transposed: bool) -> None:
        """`cpy_k`, `cpy_v`: rows of the batch into rows of the cache; one element a row where V lies transposed."""
        flat = view(values, width, self.tokens)
        wide, cells, streams = cache.dims[0], cache.dims[1], cache.dims[2]
        if transposed:
            values = self.packed(values)
            flat = view(values, width, self.tokens)
            index = self.input(f"{part} value indices", "I64", self.tokens * wide)
            if width < wide:
                flat = Node("pad", "F32", (wide, self.tokens, 1, 1), (flat,))
            flat = reshape(values, width, self.tokens) if width == wide else flat
            single = reshape(cache, 1, wide * cells * streams)
            self.graph.expand(write_rows(single, reshape(flat, 1, wide * self.tokens), index))
            return
        which = "key" if "keys" in cache.name else "value"
        index = self.input(f"{part} {which} indices", "I64", self.tokens)
        target = reshape(cache, wide, cells * streams) if streams > 1 else cache
        self.graph.expand(write_rows(target, flat, index))

    def mask(self, part: str, cells: int) -> Node:
        """The mask of the full cache, the window's or the indexer's, which is of 16 bits whatever attention is like."""
        streams = self.case.context.streams
        kind = "F16" if self.case.flash() or part == "indexer" else "F32"
        return self.input(f"{part} mask", kind, cells, self.tokens // streams, 1, streams)

    # -- feed-forward

    def feed_forward(self, at: int, values: Node, *, suffix: str = "", act: str = "silu") -> Node:
        """`build_ffn`: gated, fused gate and up, or plain with an activation (`relu²` is two steps)."""
        up = self.linear(at, f"ffn_up{suffix}", values)
        if self.has_in(at, f"ffn_gate{suffix}"):
            node = gated(self.linear(at, f"ffn_gate{suffix}", values), up)
        elif up.dims[0] == 2 * self.layer(at, f"ffn_down{suffix}").dims[0]:
            node = gated(up)
        else:
            node = same("unary", up)
            if act == "relu²":
                node = same("sqr", node)
        if self.has_in(at, f"ffn_sub_norm{suffix}"):
            node = self.norm(node, f"ffn_sub_norm{suffix}", at)
        return self.linear(at, f"ffn_down{suffix}", node)

    def experts(self, at: int, values: Node, *, logits: Node | None = None, **how: object) -> Node:
        """`build_moe_ffn`; `how` is `llama_cpp_experts.Routing`, `logits` the router's where it reads something else."""
        return expert_layer(self, at, values, Routing(**how), logits)  # type: ignore[arg-type]

    def routed(
        self, at: int, values: Node, *, gating: str, normed: bool, reads: frozenset[str] = ALL_KEYS, **how: object
    ) -> Node:
        """`mixed`, with the routing as the file's keys have it, as far as the family's loader `reads` them."""
        keys, scaled = self.shape.graph, False
        if "gating" in reads:
            gating = GATINGS.get(keys.expert_gating or 0, gating)
        if "norm" in reads and keys.expert_weights_norm is not None:
            normed = keys.expert_weights_norm
        if "scale" in reads:
            scaled = keys.expert_weights_scale not in (None, 0.0, 1.0)
        return self.mixed(at, values, gating=gating, normed=normed, scaled=scaled, **how)  # type: ignore[arg-type]

    def mixed(self, at: int, values: Node, *, silu_gate: bool = False, **how: object) -> Node:
        """Experts where the layer has them, with the shared one beside; else the dense feed-forward."""
        if not self.shape.layers[at].experts:
            return self.feed_forward(at, values)
        node = self.experts(at, values, **how)  # type: ignore[arg-type]
        if not self.has_in(at, "ffn_up_shexp"):
            return node
        beside = self.feed_forward(at, values, suffix="_shexp")
        if self.has_in(at, "ffn_gate_inp_shexp"):
            gate = product(self.layer(at, "ffn_gate_inp_shexp"), values)
            open_ = same("div", same("unary", gate), gate) if silu_gate else same("unary", gate)
            beside = same("mul", beside, open_)
        return same("add", node, beside)


Build = Callable[[Network], Graph]
"""A family: from a network without nodes to its graph."""
