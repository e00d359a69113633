"""Graphs of llama.cpp's transformers, family by family.

Source: llama.cpp b11669, src/models/<family>.cpp; each checked node by node against graphs of the running server.
"""

from collections.abc import Callable

from llmops.domain.model import Attention, Indexer
from llmops.domain.tensor_types import TENSOR_TYPES
from llmops.engines.llama_cpp_graph import (
    Graph,
    Node,
    continuous,
    flash_attention,
    given,
    joined,
    permute,
    product,
    reshape,
    rows,
    same,
    transpose,
    view,
    write_rows,
)
from llmops.engines.llama_cpp_network import Network

Build = Callable[[Network], Graph]


def _plain(
    net: Network,
    *,
    kind: str = "rms_norm",
    norm: str = "attn_norm",
    forward_norm: str = "ffn_norm",
    factors: str | None = None,
    head_norm: str | None = None,
    residual: bool = False,
    embedding: bool = False,
    logits: bool = False,
    gating: str = "softmax",
    normed: bool = True,
    first: bool = False,
    act: str = "silu",
    sinks: bool = False,
    silu_gate: bool = False,
    scaled_queries: bool = False,
    unrotated_every: int = 0,
    stream_first: bool = False,
) -> Graph:
    """Norm, attention, sum, norm, feed-forward, sum. `head_norm`: before (`head`), over the whole width, or after RoPE."""
    stream = net.embedded(factor=embedding)
    for at, one in enumerate(net.shape.layers):
        before = stream
        node = net.norm(stream, norm, at, kind=kind) if norm else stream
        query, keys, values = net.queries_keys_values(at, node)
        if head_norm == "head" and net.has_in(at, "attn_q_norm"):
            query, keys = net.norm(query, "attn_q_norm", at), net.norm(keys, "attn_k_norm", at)
        if not unrotated_every or (at + 1) % unrotated_every:
            query, keys = net.rotated(at, query, factors), net.rotated(at, keys, factors)
        if scaled_queries:
            query = same("scale", query)
        node = net.attend(at, query, keys, values, sinks=sinks)
        node, before = net.chosen_rows(at, node, before)
        if residual:
            node = same("scale", node)
        between = same("add", node, before)
        node = net.norm(between, forward_norm, at, kind=kind)
        if one.experts:
            node = net.mixed(at, node, gating=gating, normed=normed, first=first, silu_gate=silu_gate)
        else:
            node = net.feed_forward(at, node, act=act)
        if residual:
            node = same("scale", node)
        stream = same("add", between, node) if stream_first else same("add", node, between)
    return net.finish(stream, kind=kind, scaled=logits)


def _llama(net: Network) -> Graph:
    return _plain(net, factors="rope_freqs")


def _phi3(net: Network) -> Graph:
    return _plain(net, factors="rope_factors_short", scaled_queries=True, stream_first=True)


def _qwen3(net: Network) -> Graph:
    return _plain(net, head_norm="head")


def _smollm3(net: Network) -> Graph:
    return _plain(net, unrotated_every=4)


def _granite(net: Network) -> Graph:
    return _plain(net, residual=True, embedding=True, logits=True)


def _minicpm(net: Network) -> Graph:
    return _plain(net, residual=True, embedding=True, logits=True)


def _arcee(net: Network) -> Graph:
    return _plain(net, act="relu²")


def _seed_oss(net: Network) -> Graph:
    return _plain(net, forward_norm="post_attention_norm")


def _starcoder2(net: Network) -> Graph:
    return _plain(net, kind="norm")


def _qwen2moe(net: Network) -> Graph:
    return _plain(net, normed=False, silu_gate=True)


def _glm4moe(net: Network) -> Graph:
    return _plain(net, forward_norm="post_attention_norm", head_norm="head", gating="sigmoid", normed=False)


def _gpt_oss(net: Network) -> Graph:
    return _plain(net, forward_norm="post_attention_norm", gating="weights", normed=False, sinks=True)


def _wide_norms(net: Network, *, gating: str, normed: bool) -> Graph:
    """olmoe, minimax-m2: queries and keys are normed over their whole width, before they are seen head by head."""
    stream = net.embedded()
    for at, one in enumerate(net.shape.layers):
        before = stream
        node = net.norm(stream, "attn_norm", at)
        query = net.norm(net.linear(at, "attn_q", node), "attn_q_norm", at)
        keys = net.norm(net.linear(at, "attn_k", node), "attn_k_norm", at)
        values = net.heads(at, "attn_v", node, one.kv_heads, one.value_length)
        query = net.rotated(at, reshape(query, one.key_length, one.heads, net.tokens))
        keys = net.rotated(at, reshape(keys, one.key_length, one.kv_heads, net.tokens))
        node = net.attend(at, query, keys, values)
        node, before = net.chosen_rows(at, node, before)
        between = same("add", node, before)
        node = net.mixed(at, net.norm(between, "ffn_norm", at), gating=gating, normed=normed)
        stream = same("add", node, between)
    return net.finish(stream)


def _olmoe(net: Network) -> Graph:
    return _wide_norms(net, gating="softmax", normed=False)


def _minimax_m2(net: Network) -> Graph:
    return _wide_norms(net, gating="sigmoid", normed=True)


def _olmo2(net: Network) -> Graph:
    """No norm before, one after attention and after feed-forward; windows have RoPE of their own."""
    stream = net.embedded()
    for at, one in enumerate(net.shape.layers):
        before = stream
        query = net.norm(net.linear(at, "attn_q", stream), "attn_q_norm", at)
        keys = net.norm(net.linear(at, "attn_k", stream), "attn_k_norm", at)
        values = net.heads(at, "attn_v", stream, one.kv_heads, one.value_length)
        query = net.rotated(at, reshape(query, one.key_length, one.heads, net.tokens))
        keys = net.rotated(at, reshape(keys, one.key_length, one.kv_heads, net.tokens))
        node = net.attend(at, query, keys, values)
        stream = _normed_after(net, at, node, before, "post_attention_norm", "post_ffw_norm")
    return net.finish(stream)


def _normed_after(net: Network, at: int, node: Node, before: Node, attention: str, forward: str) -> Node:
    node, before = net.chosen_rows(at, node, before)
    between = same("add", net.norm(node, attention, at), before)
    node = net.norm(net.feed_forward(at, between), f"blk.{at}.{forward}")
    return same("add", node, between)


def _exaone4(net: Network) -> Graph:
    stream = net.embedded()
    windows = net.case.is_windowed()
    for at, one in enumerate(net.shape.layers):
        before = stream
        query, keys, values = net.queries_keys_values(at, stream)
        query, keys = net.norm(query, "attn_q_norm", at), net.norm(keys, "attn_k_norm", at)
        if not windows or one.attention is Attention.SLIDING:
            query, keys = net.rotated(at, query, "rope_freqs"), net.rotated(at, keys, "rope_freqs")
        node = net.attend(at, query, keys, values)
        stream = _normed_after(net, at, node, before, "post_attention_norm", "post_ffw_norm")
    return net.finish(stream)


def _glm4(net: Network) -> Graph:
    stream = net.embedded()
    for at in range(net.count):
        before = stream
        node = net.norm(stream, "attn_norm", at)
        query, keys, values = net.queries_keys_values(at, node)
        node = net.attend(at, net.rotated(at, query), net.rotated(at, keys), values)
        node, before = net.chosen_rows(at, node, before)
        between = same("add", net.norm(node, "post_attention_norm", at), before)
        node = net.feed_forward(at, net.norm(between, "ffn_norm", at))
        stream = same("add", net.norm(node, "post_ffw_norm", at), between)
    return net.finish(stream)


def _command_r(net: Network) -> Graph:
    return _side_by_side(net, always_rotated=True)


def _cohere2(net: Network) -> Graph:
    return _side_by_side(net, always_rotated=False)


def _side_by_side(net: Network, *, always_rotated: bool) -> Graph:
    """Attention and feed-forward read the same norm and are added to the stream together."""
    stream = net.embedded()
    for at, one in enumerate(net.shape.layers):
        before = stream
        normed = net.norm(stream, "attn_norm", at, kind="norm")
        query, keys, values = net.queries_keys_values(at, normed)
        if always_rotated or one.attention is Attention.SLIDING:
            query, keys = net.rotated(at, query), net.rotated(at, keys)
        node = net.attend(at, query, keys, values)
        node, before, normed = net.chosen_rows(at, node, before, normed)
        beside = net.feed_forward(at, normed)
        stream = same("add", same("add", beside, before), node)
    return net.finish(stream, kind="norm", scaled=True)


def _gemma2(net: Network) -> Graph:
    return _gemma(net, capped=True)


def _gemma3(net: Network) -> Graph:
    return _gemma(net, capped=False)


def _gemma(net: Network, *, capped: bool) -> Graph:
    """Norms on both sides of attention and feed-forward; queries are scaled. Only gemma2 caps scores and logits."""
    stream = net.embedded(factor=capped, scaled=not capped)
    for at in range(net.count):
        before = stream
        node = net.norm(stream, "attn_norm", at)
        query, keys, values = net.queries_keys_values(at, node)
        if net.has_in(at, "attn_q_norm"):
            query, keys = net.norm(query, "attn_q_norm", at), net.norm(keys, "attn_k_norm", at)
        query, keys = same("scale", net.rotated(at, query)), net.rotated(at, keys)
        node = net.attend(at, query, keys, values, capped=capped)
        node, before = net.chosen_rows(at, node, before)
        between = same("add", net.norm(node, "post_attention_norm", at), before)
        node = net.feed_forward(at, net.norm(between, "ffn_norm", at))
        stream = same("add", net.norm(node, f"blk.{at}.post_ffw_norm"), between)
    return net.finish(stream, capped=capped)


def _gemma4(net: Network) -> Graph:
    """Values are normed too; layers without a cache read an earlier one's; a small embedding enters each layer."""
    layers, tokens = net.shape.layers, net.tokens
    small = net.tensors["per_layer_proj_norm.weight"].dims[0] if net.has("per_layer_proj_norm") else 0
    stream = embedded = net.embedded(scaled=True)
    selected = None
    if small:
        selected = rows(net.weight("per_layer_token_embd"), given("I32", tokens, name="layer tokens"))
        net.graph.nodes.insert(0, selected)
        selected.visited = True
        net.graph.leafs[:0] = [*selected.sources]
        for source_ in selected.sources:
            source_.visited = True
    extra: Node | None = None
    owners = [at for at, one in enumerate(layers) if one.owns_kv_cache]
    for at, one in enumerate(layers):
        before = stream
        node = net.norm(stream, "attn_norm", at)
        sliding = net.is_sliding(one)
        factors = None if sliding else "rope_freqs"
        query = net.heads(at, "attn_q", node, one.heads, one.key_length)
        query = net.rotated(at, net.norm(query, "attn_q_norm", at), factors)
        keys = values = None
        source = None
        if one.owns_kv_cache:
            keys = net.heads(at, "attn_k", node, one.kv_heads, one.key_length)
            values = same(
                "rms_norm",
                net.heads(at, "attn_v", node, one.kv_heads, one.value_length) if net.has_in(at, "attn_v") else keys,
            )
            keys = net.rotated(at, net.norm(keys, "attn_k_norm", at), factors)
        else:
            source = max(own for own in owners if net.is_sliding(layers[own]) == sliding)
        node = net.attend(at, query, keys, values, source=source)
        node, before = net.chosen_rows(at, node, before)
        between = same("add", net.norm(node, "post_attention_norm", at), before)
        node = net.feed_forward(at, net.norm(between, "ffn_norm", at))
        stream = same("add", net.norm(node, f"blk.{at}.post_ffw_norm"), between)
        if small and selected is not None:
            if extra is None:
                extra = _layer_inputs(net, selected, small, embedded)
            stream = _small_embedding(net, at, stream, extra, small)
        if net.has_in(at, "layer_output_scale"):
            stream = same("mul", stream, net.layer(at, "layer_output_scale"))
    return net.finish(stream, capped=True)


def _gemma3n(net: Network) -> Graph:
    """Four streams (altup) of which one is computed and all are corrected; a low-rank detour (laurel); small embeddings."""
    layers, tokens = net.shape.layers, net.tokens
    streams = net.tensors["altup_proj.weight"].dims[2] + 1
    small = net.tensors["per_layer_proj_norm.weight"].dims[0]
    embedded = net.embedded(scaled=True)
    selected = rows(net.weight("per_layer_token_embd"), given("I32", tokens, name="layer tokens"))
    selected = same("scale", reshape(selected, small, net.count, tokens))
    net.graph.expand(selected)
    more = product(net.weight("altup_proj"), Node("repeat", "F32", (net.width, tokens, streams - 1, 1), (embedded,)))
    stacked = joined(embedded, _as_large(more, embedded), 2)
    owners = [at for at, one in enumerate(layers) if one.owns_kv_cache]
    extra: Node | None = None
    for at, one in enumerate(layers):
        predicted = _predicted(net, at, stacked, streams)
        active = _stream(predicted, net.width, tokens, 0)
        normed = net.norm(active, "attn_norm", at)
        detour = net.norm(
            product(net.layer(at, "laurel_r"), product(net.layer(at, "laurel_l"), normed)), "laurel_post_norm", at
        )
        detour = same("add", detour, normed)
        query = net.rotated(at, net.norm(net.heads(at, "attn_q", normed, one.heads, one.key_length), "attn_q_norm", at))
        keys = values = None
        source = None
        if one.owns_kv_cache:
            keys = net.heads(at, "attn_k", normed, one.kv_heads, one.key_length)
            keys = net.rotated(at, net.norm(keys, "attn_k_norm", at))
            values = same("rms_norm", net.heads(at, "attn_v", normed, one.kv_heads, one.value_length))
        else:
            source = max(own for own in owners if net.is_sliding(layers[own]) == net.is_sliding(one))
        node = net.attend(at, query, keys, values, source=source)
        gated_ = same("add", net.norm(node, "post_attention_norm", at), active)
        between = same("scale", same("add", gated_, detour))
        node = _sparse_forward(net, at, net.norm(between, "ffn_norm", at), sparse=at < GEMMA3N_SPARSE_LAYERS)
        activated = same("add", net.norm(node, f"blk.{at}.post_ffw_norm"), between)
        corrected = _corrected(net, at, predicted, activated, streams)
        if extra is None:
            extra = _layer_inputs(net, selected, small, embedded)
        stacked = _with_small_embedding(net, at, corrected, extra, small, streams)
    return net.finish(_merged(net, stacked, streams), capped=True)


GEMMA3N_SPARSE_LAYERS = 10
"""The first ten feed-forwards of gemma3n keep only large gate values (src/models/gemma3n.cpp)."""


def _stream(stacked: Node, width: int, tokens: int, number: int) -> Node:
    return view(stacked, width, tokens, shifted=number > 0)


def _length(values: Node) -> Node:
    squares = same("sqr", values)
    return same("sqrt", Node("sum_rows", "F32", (1, *values.dims[1:]), (squares,)))


def _as_large(values: Node, like: Node) -> Node:
    """Scaled to the length of another stream's rows."""
    target = _length(like)
    return same("div", same("mul", values, target), _length(values))


def _modalities(net: Network, at: int, values: Node) -> Node:
    """Four weights a token: the router's opinion of the active stream."""
    node = same("scale", net.norm(values, "altup_router_norm", at))
    return same("unary", product(net.layer(at, "altup_router"), node))


def _predicted(net: Network, at: int, stacked: Node, streams: int) -> Node:
    tokens = net.tokens
    active = _stream(stacked, net.width, tokens, 0)
    factors = product(net.layer(at, "altup_predict_coef"), _modalities(net, at, active))
    factors = reshape(factors, streams, streams, tokens)
    turned = continuous(permute(stacked, 1, 2, 0, 3))
    node = product(turned, factors)
    return same("add", continuous(permute(node, 0, 2, 1, 3)), stacked)


def _sparse_forward(net: Network, at: int, values: Node, *, sparse: bool) -> Node:
    up, gate = product(net.layer(at, "ffn_up"), values), product(net.layer(at, "ffn_gate"), values)
    if sparse:
        row = (1, *gate.dims[1:])
        mean = Node("mean", "F32", row, (gate,))
        spread = Node("sum_rows", "F32", row, (same("sqr", same("sub", gate, mean)),))
        cutoff = same("add", mean, same("scale", same("sqrt", same("scale", spread))))
        gate = same("unary", same("sub", gate, cutoff))
    return product(net.layer(at, "ffn_down"), same("mul", up, same("unary", gate)))


def _corrected(net: Network, at: int, predicted: Node, activated: Node, streams: int) -> Node:
    tokens = net.tokens
    active = _stream(predicted, net.width, tokens, 0)
    new = same("sub", activated, active)
    new = Node("repeat", "F32", (net.width, tokens, streams, 1), (new,))
    factors = same("scale", product(net.layer(at, "altup_correct_coef"), _modalities(net, at, activated)))
    factors = continuous(transpose(factors), 1, tokens, streams)
    return same("add", same("mul", new, factors), predicted)


def _with_small_embedding(net: Network, at: int, corrected: Node, extra: Node, small: int, streams: int) -> Node:
    tokens = net.tokens
    first = _stream(corrected, net.width, tokens, 0)
    scaled = same("mul", _stream(corrected, net.width, tokens, 0), net.layer(at, "altup_correct_scale"))
    node = same("unary", product(net.layer(at, "inp_gate"), scaled))
    node = same("mul", node, view(extra, small, tokens, shifted=at > 0))
    node = net.norm(product(net.layer(at, "proj"), node), "post_norm", at)
    rest = view(corrected, net.width, tokens, streams - 1, shifted=True)
    return joined(first, same("add", rest, node), 2)


def _merged(net: Network, stacked: Node, streams: int) -> Node:
    tokens = net.tokens
    target = _stream(stacked, net.width, tokens, 0)
    rest = view(stacked, net.width, tokens, streams - 1, shifted=True)
    rest = product(net.weight("altup_unembd_proj"), rest)
    rest = _as_large(rest, target)
    total = _stream(stacked, net.width, tokens, 0)
    for number in range(streams - 1):
        total = same("add", total, view(rest, net.width, tokens, shifted=number > 0))
    return rows(same("scale", total), net.output_ids())


def _layer_inputs(net: Network, selected: Node, small: int, stream: Node) -> Node:
    """gemma3n, gemma4: the small embeddings of all layers, from the stream and from their own table, layer by layer."""
    tokens = net.tokens
    made = same("scale", product(net.weight("per_layer_model_proj"), stream))
    made = net.norm(reshape(made, small, net.count, tokens), "per_layer_proj_norm")
    if selected.op != "scale":
        selected = reshape(same("scale", selected), small, net.count, tokens)
    made = same("scale", same("add", made, selected))
    return continuous(permute(made, 0, 2, 1, 3))


def _small_embedding(net: Network, at: int, stream: Node, extra: Node, small: int) -> Node:
    node = same("unary", product(net.layer(at, "inp_gate"), stream))
    own = view(extra, small, net.tokens, shifted=at > 0)
    (own,) = net.chosen_rows(at, own)
    node = product(net.layer(at, "proj"), same("mul", node, own))
    return same("add", stream, net.norm(node, "post_norm", at))


def _llama4(net: Network) -> Graph:
    """Chunked layers have RoPE and normed heads; the others neither, and their queries are scaled by position."""
    stream = net.embedded()
    for at, one in enumerate(net.shape.layers):
        before = stream
        node = net.norm(stream, "attn_norm", at)
        query, keys, values = net.queries_keys_values(at, node)
        if one.attention is Attention.CHUNKED or not net.case.is_windowed():
            query, keys = net.rotated(at, query, "rope_freqs"), net.rotated(at, keys, "rope_freqs")
            query, keys = same("rms_norm", query), same("rms_norm", keys)
        else:
            query = same("mul", query, net.input("attention scales", "F32", 1, 1, net.tokens))
        node = net.attend(at, query, keys, values)
        node, before = net.chosen_rows(at, node, before)
        between = same("add", node, before)
        node = net.norm(between, "ffn_norm", at)
        node = net.mixed(at, node, gating="sigmoid", normed=False, first=True)
        stream = same("add", node, between)
    return net.finish(stream)


def _deepseek2(net: Network) -> Graph:
    """MLA: one latent row a token is key and value of all heads; K and V are unfolded around attention."""
    stream = net.embedded()
    for at in range(net.count):
        before = stream
        node = net.norm(stream, "attn_norm", at)
        node = _latent_attention(net, at, node)
        node, before = net.chosen_rows(at, node, before)
        between = same("add", node, before)
        node = net.mixed(at, net.norm(between, "ffn_norm", at), gating="sigmoid", normed=False)
        stream = same("add", node, between)
    return net.finish(stream)


def _indexer_keys(net: Network, at: int, node: Node, indexer: Indexer) -> None:
    """The indexer's own keys of this batch, normed, turned and spread, into their cache."""
    keys = net.norm(product(net.layer(at, "indexer.attn_k"), node), "indexer.k_norm", at, kind="norm")
    keys = net.rotated(at, reshape(keys, indexer.key_length, 1, net.tokens))
    keys = product(net.input("indexer rotation", "F32", indexer.key_length, indexer.key_length), keys)
    cells = net.case.cells(net.shape.layers[at])
    cache = net.cache(at, "indexer keys", net.case.settings.kv_cache_type_k, indexer.key_length, cells)
    net.write(cache, keys, indexer.key_length, "indexer", transposed=False)


def _chosen_cells(net: Network, at: int, node: Node, low_query: Node, indexer: Indexer) -> Node:
    """The mask of the cells the indexer scores highest, over the usual one (`lightning_indexer`)."""
    tokens, streams = net.tokens, net.case.context.streams
    rows_, cells = tokens // streams, net.case.cells(net.shape.layers[at])
    top = min(indexer.top, cells)
    zero = Node("fill", "F32", (1, top, rows_, streams), (Node("none", "F32", (1, top, rows_, streams), name="zeros"),))
    query = product(net.layer(at, "indexer.attn_q_b"), low_query)
    query = net.rotated(at, reshape(query, indexer.key_length, indexer.heads, tokens))
    query = product(net.input("indexer rotation", "F32", indexer.key_length, indexer.key_length), query)
    query = view(query, indexer.key_length, indexer.heads, rows_, streams)
    cache = net.cache(at, "indexer keys", net.case.settings.kv_cache_type_k, indexer.key_length, cells)
    keys = view(cache, indexer.key_length, 1, cells, streams)
    weights = same("scale", view(product(net.layer(at, "indexer.proj"), node), indexer.heads, rows_, 1, streams))
    mask = net.mask("full", cells)
    scores = Node(
        "lightning_indexer", "F32", (cells, rows_, 1, streams), (query, keys, weights, net.mask("indexer", cells))
    )
    best = Node("top_k", "I32", (top, rows_, 1, streams), (scores,))
    best = view(continuous(best), top, rows_, streams)
    empty = Node("fill", mask.kind, mask.dims, (mask,))
    chosen = write_rows(view(empty, 1, cells, rows_, streams), zero, best)
    return same("add", view(chosen, cells, rows_, 1, streams), mask)


def _latent_attention(net: Network, at: int, node: Node) -> Node:
    indexer = net.shape.layers[at].indexer
    if indexer is not None:
        _indexer_keys(net, at, node, indexer)
    latent = net.latent()
    one, tokens = net.shape.layers[at], net.tokens
    rank, turned = latent.rank, latent.rope_length
    plain = latent.key_length - turned
    if net.has_in(at, "attn_q_a"):
        low_query = net.norm(product(net.layer(at, "attn_q_a"), node), "attn_q_a_norm", at)
        query = product(net.layer(at, "attn_q_b"), low_query)
    else:
        low_query = query = product(net.layer(at, "attn_q"), node)
    if indexer is None:
        query = reshape(query, latent.key_length, one.heads, tokens)
    span = 4 * (tokens * one.heads * latent.key_length)
    unturned = view(query, plain, one.heads, tokens, strides=("head", latent.key_length), size=span - 4 * turned)
    turning = view(
        query, turned, one.heads, tokens, shifted=True, strides=("head", latent.key_length), size=span - 4 * plain
    )
    compressed = product(net.layer(at, "attn_kv_a_mqa"), node)
    span = 4 * tokens * (rank + turned)
    key_part = view(compressed, turned, 1, tokens, shifted=True, strides=("latent", rank), size=span - 4 * rank)
    turning = net.rotated(at, turning)
    key_part = net.rotated(at, key_part)
    low = net.norm(
        view(compressed, rank, tokens, strides=("latent", rank), size=span - 4 * turned), "attn_kv_a_norm", at
    )
    absorbed = product(net.layer(at, "attn_k_b"), permute(unturned, 0, 2, 1, 3))
    query = joined(permute(absorbed, 0, 2, 1, 3), turning, 0)
    low = reshape(low, rank, 1, tokens)
    keys = joined(low, key_part, 0)
    chosen = None if indexer is None else (node, low_query, indexer)
    return _attend_latent(net, at, query, keys, low, rank, chosen)


def _attend_latent(
    net: Network, at: int, query: Node, keys: Node, low: Node, rank: int, chosen: tuple[Node, Node, Indexer] | None
) -> Node:
    case, graph = net.case, net.graph
    one, tokens, streams = net.shape.layers[at], net.tokens, net.case.context.streams
    for node in (query, low, keys):
        graph.expand(node)
    cells = case.cells(one)
    cache = net.cache(at, "full keys", case.settings.kv_cache_type_k, one.key_width(), cells)
    net.write(cache, keys, one.key_width(), "full", transposed=False)
    query = permute(view(query, one.key_length, one.heads, tokens // streams, streams), 0, 2, 1, 3)
    stored_rows = view(cache, one.key_length, 1, cells, streams)
    read_k = permute(stored_rows, 0, 2, 1, 3)
    left = one.key_length - rank
    behind = TENSOR_TYPES[cache.kind].row_bytes(left) if left % TENSOR_TYPES[cache.kind].block_elements == 0 else 0
    read_v = view(stored_rows, rank, 1, cells, streams, strides=("latent", rank), size=cache.size - behind)
    read_v = permute(read_v, 0, 2, 1, 3)
    mask = net.mask("full", cells) if chosen is None else _chosen_cells(net, at, *chosen)
    unfold = net.layer(at, "attn_v_b")
    if case.flash():
        node = flash_attention(query, read_k, read_v, mask)
        node = permute(product(unfold, permute(node, 0, 2, 1, 3)), 0, 2, 1, 3)
        node = continuous(node)
        node = reshape(node, node.dims[0] * node.dims[1], node.dims[2] * node.dims[3])
    else:
        scores = same("softmax", product(read_k, query), mask)
        turned = permute(read_v, 1, 0, 2, 3)
        node = product(unfold, product(continuous(turned), scores))
        node = permute(node, 0, 2, 1, 3)
        node = continuous(node, node.dims[0] * node.dims[1], node.dims[2] * node.dims[3])
        if not net.placement.kv_offload:
            node.backend = net.placement.cards
    graph.expand(node)
    return product(net.layer(at, "attn_output"), node)


TRANSFORMERS: dict[str, Build] = {
    "llama": _llama,
    "mistral3": _llama,
    "qwen2": _llama,
    "qwen3": _qwen3,
    "qwen3moe": _qwen3,
    "qwen2moe": _qwen2moe,
    "gemma2": _gemma2,
    "gemma3": _gemma3,
    "gemma3n": _gemma3n,
    "gemma4": _gemma4,
    "gpt-oss": _gpt_oss,
    "cohere2": _cohere2,
    "command-r": _command_r,
    "phi3": _phi3,
    "deepseek2": _deepseek2,
    "deepseek32": _deepseek2,
    "glm-dsa": _deepseek2,
    "glm4": _glm4,
    "glm4moe": _glm4moe,
    "llama4": _llama4,
    "olmo2": _olmo2,
    "exaone4": _exaone4,
    "granite": _granite,
    "minicpm": _minicpm,
    "arcee": _arcee,
    "ernie4_5": _llama,
    "smollm3": _smollm3,
    "seed_oss": _seed_oss,
    "starcoder2": _starcoder2,
    "olmoe": _olmoe,
    "minimax-m2": _minimax_m2,
}
