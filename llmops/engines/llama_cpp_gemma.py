"""Graphs of gemma3n and gemma4: values are normed, layers read an earlier one's cache, a small embedding enters each layer.

Source: llama.cpp b11669, src/models/gemma3n.cpp, gemma4.cpp;
checked node by node against graphs of the running server.
"""

from llmops.engines.llama_cpp_graph import (
    Graph,
    Node,
    continuous,
    given,
    joined,
    permute,
    product,
    reshape,
    rows,
    same,
    transpose,
    view,
)
from llmops.engines.llama_cpp_network import Network


def gemma4(net: Network) -> Graph:
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
        node = (
            _dense_and_experts(net, at, between)
            if one.experts
            else net.feed_forward(at, net.norm(between, "ffn_norm", at))
        )
        stream = same("add", net.norm(node, f"blk.{at}.post_ffw_norm"), between)
        if small and selected is not None:
            if extra is None:
                extra = layer_inputs(net, selected, small, embedded)
            stream = small_embedding(net, at, stream, extra, small)
        if net.has_in(at, "layer_output_scale"):
            stream = same("mul", stream, net.layer(at, "layer_output_scale"))
    return net.finish(stream, capped=True)


def gemma3n(net: Network) -> Graph:
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
            extra = layer_inputs(net, selected, small, embedded)
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


def _dense_and_experts(net: Network, at: int, values: Node) -> Node:
    """The experts of gemma4 beside its dense feed-forward, each with norms of its own; the router reads a bare norm."""
    dense = net.norm(net.feed_forward(at, net.norm(values, "ffn_norm", at)), "post_ffw_norm_1", at)
    routed = net.norm(values, "pre_ffw_norm_2", at)
    router = same("mul", same("scale", same("rms_norm", values)), net.weight(f"blk.{at}.ffn_gate_inp.scale"))
    logits = product(net.layer(at, "ffn_gate_inp"), router)
    chosen = net.norm(net.experts(at, routed, logits=logits), "post_ffw_norm_2", at)
    return same("add", dense, chosen)


def layer_inputs(net: Network, selected: Node | None, small: int, stream: Node) -> Node:
    """The small embeddings of all layers, from the stream and from their own table where there is one, layer by layer."""
    tokens = net.tokens
    made = same("scale", product(net.weight("per_layer_model_proj"), stream))
    made = net.norm(reshape(made, small, net.count, tokens), "per_layer_proj_norm")
    if selected is not None:
        if selected.op != "scale":
            selected = reshape(same("scale", selected), small, net.count, tokens)
        made = same("scale", same("add", made, selected))
    return continuous(permute(made, 0, 2, 1, 3))


def small_embedding(net: Network, at: int, stream: Node, extra: Node, small: int) -> Node:
    """The stream with what the layer's small embedding lets through a gate."""
    node = same("unary", product(net.layer(at, "inp_gate"), stream))
    own = view(extra, small, net.tokens, shifted=at > 0)
    (own,) = net.chosen_rows(at, own)
    node = product(net.layer(at, "proj"), same("mul", node, own))
    return same("add", stream, net.norm(node, "post_norm", at))
