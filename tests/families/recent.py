"""Transformers of 2026, each of which differs from the plain ones in a part or two."""

from random import Random

from llama_cpp_draft import Draft, Numbers, dense_numbers, expert_numbers

from families.shared import window


def _slides(d: Draft) -> tuple[bool, ...]:
    slides = tuple((at + 1) % d["period"] != 0 for at in d.blocks())
    d.key("attention.sliding_window", d["W"])
    d.key("attention.sliding_window_pattern", slides)
    return slides


def window_numbers(rng: Random) -> Numbers:
    return window(rng, dense_numbers(rng)) | {"period": rng.choice((2, 4, 6))}


def window_expert_numbers(rng: Random) -> Numbers:
    return window(rng, expert_numbers(rng)) | {"period": rng.choice((2, 4, 6)), "tied": 0}


def spark2_5(d: Draft) -> None:
    """A gate a head; more heads where the layer slides."""
    d.common()
    slides = _slides(d)
    heads = tuple(d["H"] + d["G"] if one else d["H"] for one in slides)
    d.key("attention.head_count", heads)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.matrix("attn_q", d["E"], heads[at] * d["D"])
        d.matrix("attn_k", d["E"], d["G"] * d["D"])
        d.matrix("attn_v", d["E"], d["G"] * d["D"])
        d.matrix("attn_output", heads[at] * d["D"], d["E"])
        d.matrix("attn_gate", d["E"], heads[at])
        d.norm("ffn_norm", d["E"])
        d.feed_forward()
    d.ends()


def maple(d: Draft) -> None:
    """Experts in every layer, RoPE where it slides."""
    d.common()
    d.expert_keys()
    d.key("swiglu_clamp_exp", 7.0 if d["clamp"] else 0.0)
    _slides(d)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention(head_norms=True)
        d.norm("ffn_norm", d["E"])
        d.experts()
    d.ends(tied=False)


def maple_numbers(rng: Random) -> Numbers:
    return window_expert_numbers(rng) | {"clamp": rng.randint(0, 1)}


def muse_glimmer(d: Draft) -> None:
    """A gate an element, norms before and after, the embedding normed without weights."""
    d.common()
    d.key("attention.sliding_window", d["W"])
    d.key("logit_scale", 0.5)
    if d["cap"]:
        d.key("final_logit_softcapping", 30.0)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention(head_norms=True)
        d.matrix("attn_gate", d["E"], d["H"] * d["D"])
        d.norm("post_attention_norm", d["E"])
        d.norm("ffn_norm", d["E"])
        d.feed_forward()
        d.norm("post_ffw_norm", d["E"])
    d.ends(tied=False)


def muse_glimmer_numbers(rng: Random) -> Numbers:
    return window(rng, dense_numbers(rng)) | {"cap": rng.randint(0, 1), "tied": 0}


def maion_coder(d: Draft) -> None:
    """Experts in a narrower space in every `step`-th layer; RoPE where it slides."""
    d.common()
    d.expert_keys()
    d.key("interleave_moe_layer_step", d["step"])
    d.key("moe_latent_size", d["latent"])
    _slides(d)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention(head_norms=True)
        d.norm("post_attention_norm", d["E"])
        d.norm("ffn_norm", d["E"])
        d.norm("post_ffw_norm", d["E"])
        if (at + 1) % d["step"]:
            d.feed_forward()
            continue
        wide, count, narrow = d["Fe"], d["X"], d["latent"]
        d.vector("ffn_gate_inp", d["E"], count)
        d.matrix("ffn_latent_down", d["E"], narrow)
        d.matrix("ffn_gate_exps", narrow, wide, count)
        d.matrix("ffn_up_exps", narrow, wide, count)
        d.matrix("ffn_down_exps", wide, narrow, count)
        d.matrix("ffn_latent_up", narrow, d["E"])
    d.ends(tied=False)


def maion_coder_numbers(rng: Random) -> Numbers:
    return window_expert_numbers(rng) | {"step": rng.randint(1, 3), "latent": 64 * rng.randint(4, 30)}


def k2_horizon(d: Draft) -> None:
    """Norms over groups, a weight a head, a bent gate; behind dense layers values of chosen experts."""
    d.common()
    d.key("attention.group_norm_groups", d["ngroups"])
    lead = min(d["lead"], d["L"])
    if d["X"]:
        d.expert_keys()
        d.key("leading_dense_block_count", lead)
        d.key("expert_shared_count", d["shared"])
        d.key("expert_weights_scale", 2.5 if d["wscale"] else 1.0)
        d.key("expert_weights_norm", bool(d["wnorm"]))
        d.key("expert_gating_func", d["gate"])
        if d["vx"]:
            d.key("attention.value_expert_count", d["vx"])
            d.key("attention.value_expert_used_count", d["vu"])
    for at in d.blocks():
        d.at(at)
        is_mixed = bool(d["X"]) and at >= lead
        d.norm("attn_norm", d["E"])
        d.matrix("attn_q", d["E"], d["H"] * d["D"])
        d.matrix("attn_k", d["E"], d["G"] * d["D"])
        if d["heads"]:
            d.norm("attn_q_norm", d["H"] * d["D"])
            d.norm("attn_k_norm", d["G"] * d["D"])
        if is_mixed and d["vx"]:
            d.vector("attn_v_gate", d["E"], d["vx"])
            d.matrix("attn_v_exps", d["E"], d["G"] * d["D"], d["vx"])
            if d["probs"]:
                d.vector("attn_v_gate", d["vx"], tail=".bias")
        else:
            d.matrix("attn_v", d["E"], d["G"] * d["D"])
        d.matrix("attn_output", d["H"] * d["D"], d["E"])
        if d["gated"]:
            d.matrix("attn_gate", d["E"], d["H"] * d["D"])
        d.norm("ffn_norm", d["E"])
        if not is_mixed:
            d.feed_forward()
            continue
        d.experts(shared=d["Fe"] * d["shared"])
        if d["probs"]:
            d.vector("exp_probs_b", d["X"], tail=".bias")
    d.ends()


def k2_horizon_numbers(rng: Random) -> Numbers:
    numbers = expert_numbers(rng)
    values = rng.choice((0, 4, 8))
    return numbers | {
        "X": rng.choice((0, numbers["X"])),
        "lead": rng.randint(0, 2),
        "ngroups": rng.choice((1, 4, 8)),
        "heads": rng.randint(0, 1),
        "gated": rng.randint(0, 1),
        "shared": rng.randint(0, 2),
        "gate": rng.choice((1, 2)),
        "wnorm": rng.randint(0, 1),
        "wscale": rng.randint(0, 1),
        "probs": rng.randint(0, 1),
        "vx": values,
        "vu": rng.choice((1, 2, 4)) if values else 0,
    }


def talkie(d: Draft) -> None:
    """Norms without weights, a factor a head, and the embedding once more behind every layer."""
    d.common()
    d.key("logit_scale", 0.5)
    for at in d.blocks():
        d.at(at)
        d.attention()
        d.vector("attn_q_norm", 1, d["H"])
        d.feed_forward()
        d.vector("layer_output_scale", 1)
    d.layer = -1
    d.matrix("token_embd", d["E"], d["V"])
    d.matrix("output", d["E"], d["V"])


def talkie_numbers(rng: Random) -> Numbers:
    return dense_numbers(rng) | {"tied": 0}
