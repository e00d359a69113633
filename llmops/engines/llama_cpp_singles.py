"""Graphs of transformers that no recipe describes: Arctic, GroveMoE, Llama 4, Talkie.

Source: llama.cpp b11669, src/models/<family>.cpp; checked node by node against graphs of the running server.
"""

from llmops.domain.model import Attention
from llmops.engines.llama_cpp_graph import Graph, product, same
from llmops.engines.llama_cpp_network import Network


def arctic(net: Network) -> Graph:
    """Experts read the stream before attention, a small dense feed-forward the one after it."""
    stream = net.embedded()
    for at, one in enumerate(net.shape.layers):
        before = stream
        query, keys, values = net.queries_keys_values(at, net.norm(stream, "attn_norm", at))
        node = net.attend(at, net.rotated(at, query), net.rotated(at, keys), values)
        del one
        node, before = net.chosen_rows(at, node, before)
        between = same("add", node, before)
        dense = same("add", net.feed_forward(at, net.norm(between, "ffn_norm", at)), between)
        stream = same("add", net.experts(at, net.norm(before, "ffn_norm_exps", at)), dense)
    return net.finish(stream)


def grovemoe(net: Network) -> Graph:
    """Experts, and smaller ones that groups of them share, chosen by the same router: they read what the first made."""
    stream = net.embedded()
    for at in range(net.count):
        query, keys, values = net.queries_keys_values(at, net.norm(stream, "attn_norm", at))
        query, keys = net.norm(query, "attn_q_norm", at), net.norm(keys, "attn_k_norm", at)
        node = net.attend(at, net.rotated(at, query), net.rotated(at, keys), values)
        node, before = net.chosen_rows(at, node, stream)
        between = same("add", node, before)
        node = net.norm(between, "ffn_norm", at)
        logits = product(net.layer(at, "ffn_gate_inp"), node)
        node = net.experts(at, node, logits=logits, apart=True)
        beside = net.experts(at, node, logits=logits, names="chexps", apart=True)
        stream = same("add", same("add", node, same("scale", beside)), between)
    return net.finish(stream)


def llama4(net: Network) -> Graph:
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


def talkie(net: Network) -> Graph:
    """Norms without weights, heads normed behind RoPE; the embedding is added once more behind every layer."""
    stream = first = same("rms_norm", net.embedded())
    for at in range(net.count):
        query, keys, values = net.queries_keys_values(at, same("rms_norm", stream))
        query = net.norm(net.rotated(at, query), "attn_q_norm", at)
        node = net.attend(at, query, same("rms_norm", net.rotated(at, keys)), values)
        node, before, again = net.chosen_rows(at, node, stream, first)
        between = same("add", node, before)
        node = same("add", net.feed_forward(at, same("rms_norm", between)), between)
        stream = same("add", node, same("mul", again, net.layer(at, "layer_output_scale")))
    return net.finish(stream, scaled=True)
