"""Transformers whose files say layer by layer which of them slide, how many heads each has, and how attention is gated."""

from random import Random

from llama_cpp_draft import Draft, Numbers, dense_numbers, expert_numbers

from families.shared import window


def window_numbers(rng: Random) -> Numbers:
    """Experts behind some dense layers; every `period`-th layer sees all."""
    numbers = window(rng, expert_numbers(rng))
    return numbers | {
        "period": rng.choice((2, 4, 6)),
        "lead": rng.randint(0, 2),
        "gate": rng.choice((1, 2)),
        "wnorm": rng.randint(0, 1),
        "wscale": rng.randint(0, 1),
        "tied": 0,
    }


def mimo2_numbers(rng: Random) -> Numbers:
    return window_numbers(rng) | {
        "value": rng.choice((64, 128)),
        "vscale": rng.randint(0, 1),
        "fused": rng.randint(0, 1),
        "sinks": rng.randint(0, 2),
    }


def granite_swa_numbers(rng: Random) -> Numbers:
    numbers = window(rng, expert_numbers(rng) if rng.randint(0, 1) else dense_numbers(rng) | {"X": 0})
    return numbers | {"period": rng.choice((2, 4, 6)), "shared": 64 * rng.randint(0, 8), "scale": rng.randint(0, 1)}


def laguna_numbers(rng: Random) -> Numbers:
    return window_numbers(rng) | {"heads": rng.randint(0, 1), "W": rng.choice((0, 512, 1024))}


def _slides(d: Draft) -> tuple[bool, ...]:
    slides = tuple((at + 1) % d["period"] != 0 for at in d.blocks())
    d.key("attention.sliding_window", d["W"])
    d.key("attention.sliding_window_pattern", slides)
    return slides


def _routing(d: Draft, *, gating: bool = True) -> None:
    d.expert_keys()
    d.key("leading_dense_block_count", d["lead"])
    d.key("expert_weights_scale", 2.5 if d["wscale"] else 1.0)
    d.key("expert_weights_norm", bool(d["wnorm"]))
    if gating:
        d.key("expert_gating_func", d["gate"])


def _forward(d: Draft, at: int, *, shared: int, probs: bool = True) -> None:
    if at < d["lead"]:
        d.feed_forward()
        return
    d.experts(shared=shared)
    if probs:
        d.vector("exp_probs_b", d["X"], tail=".bias")


def _projections(d: Draft, heads: int, groups: int) -> None:
    width = d["D"]
    d.matrix("attn_q", d["E"], heads * width)
    d.matrix("attn_k", d["E"], groups * width)
    d.matrix("attn_v", d["E"], groups * width)
    d.matrix("attn_output", heads * width, d["E"])


def mimo2(d: Draft) -> None:
    """Values shorter than keys, fewer KV heads where all is seen, sinks where the layer slides."""
    d.common()
    _routing(d, gating=False)
    slides = _slides(d)
    groups = tuple(d["G"] if one else max(d["G"] // 2, 1) for one in slides)
    d.key("attention.head_count_kv", groups)
    d.key("attention.value_length", d["value"])
    if d["vscale"]:
        d.key("attention.value_scale", 0.707)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        widths = (d["H"] * d["D"], groups[at] * d["D"], groups[at] * d["value"])
        if d["fused"]:
            d.matrix("attn_qkv", d["E"], sum(widths))
        else:
            for name, width in zip("qkv", widths, strict=True):
                d.matrix(f"attn_{name}", d["E"], width)
        d.matrix("attn_output", d["H"] * d["value"], d["E"])
        if d["sinks"] == 2 or (d["sinks"] and slides[at]):
            d.vector("attn_sinks", d["H"])
        d.norm("ffn_norm", d["E"])
        _forward(d, at, shared=0)
    d.ends()


def step35(d: Draft) -> None:
    """A gate a head; more heads where the layer slides."""
    d.common()
    _routing(d)
    slides = _slides(d)
    heads = tuple(d["H"] + d["G"] if one else d["H"] for one in slides)
    d.key("attention.head_count", heads)
    d.key("expert_shared_feed_forward_length", d["Fe"])
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        _projections(d, heads[at], d["G"])
        d.matrix("attn_gate", d["E"], heads[at])
        d.norm("attn_q_norm", d["D"])
        d.norm("attn_k_norm", d["D"])
        d.norm("ffn_norm", d["E"])
        _forward(d, at, shared=d["Fe"])
    d.ends()
    d.vector("rope_freqs", d["D"] // 2)


def laguna(d: Draft) -> None:
    """A gate a head or a gate an element; with or without windows."""
    d.common()
    _routing(d)
    d.key("expert_shared_feed_forward_length", d["Fe"])
    if d["W"]:
        d.key("attention.sliding_window", d["W"])
        d.key("rope.dimension_count_swa", d["D"])
    heads = tuple(d["H"] + d["G"] if d["W"] and at % 4 else d["H"] for at in d.blocks())
    d.key("attention.head_count", heads)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        _projections(d, heads[at], d["G"])
        d.matrix("attn_gate", d["E"], heads[at] if d["heads"] else heads[at] * d["D"])
        d.norm("attn_q_norm", d["D"])
        d.norm("attn_k_norm", d["D"])
        d.norm("ffn_norm", d["E"])
        _forward(d, at, shared=d["Fe"])
    d.ends()


def granite_swa(d: Draft) -> None:
    """Granite with windows and sinks; shared experts whose gate and up are one matrix."""
    d.common()
    _slides(d)
    d.key("logit_scale", 8.0)
    if d["scale"]:
        d.key("residual_scale", 0.2)
        d.key("embedding_scale", 12.0)
    if d["X"]:
        d.key("expert_count", d["X"])
        d.key("expert_used_count", d["u"])
        d.key("expert_shared_feed_forward_length", d["shared"])
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention()
        d.vector("attn_sinks", d["H"])
        d.norm("ffn_norm", d["E"])
        if not d["X"]:
            d.feed_forward()
            continue
        d.numbers = d.numbers | {"Fe": d["F"]}
        d.experts()
        if d["shared"]:
            d.matrix("ffn_up_shexp", d["E"], 2 * d["shared"])
            d.matrix("ffn_down_shexp", d["shared"], d["E"])
    d.ends()
