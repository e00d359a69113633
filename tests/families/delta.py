"""Qwen's gated delta nets."""

from random import Random

from llama_cpp_draft import Draft, Numbers

from families.recurrent import ssm_keys


def delta_net(d: Draft, *, joined: bool) -> None:
    """A gated delta net block of Qwen; `joined` as in qwen3next, where beta and alpha are one matrix."""
    keys, values = d["N"] * d["groups"], d["I"]
    d.matrix("attn_qkv", d["E"], 2 * keys + values)
    d.matrix("attn_gate", d["E"], values)
    d.vector("ssm_conv1d", d["conv"], 2 * keys + values)
    d.vector("ssm_dt", d["dt"], tail=".bias")
    d.vector("ssm_a", d["dt"], tail="")
    if joined:
        d.matrix("ssm_ba", d["E"], 2 * d["dt"])
    else:
        d.matrix("ssm_beta", d["E"], d["dt"])
        d.matrix("ssm_alpha", d["E"], d["dt"])
    d.norm("ssm_norm", values // d["dt"])
    d.matrix("ssm_out", values, d["E"])


def delta_numbers(rng: Random) -> Numbers:
    groups = rng.choice((4, 8, 16))
    heads = groups * rng.choice((1, 2))
    return {"N": 128, "groups": groups, "dt": heads, "I": 128 * heads, "conv": 4, "D": rng.choice((128, 256))}


def _qwen_hybrid(d: Draft, *, experts: bool, joined: bool) -> None:
    d.common()
    ssm_keys(d)
    d.key("rope.dimension_count", d["D"] // 4)
    if not joined:
        d.key("rope.dimension_sections", (11, 11, 10, 0))
    if experts:
        d.expert_keys()
        d.key("expert_shared_feed_forward_length", d["Fe"])
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.norm("post_attention_norm", d["E"])
        if (at + 1) % 4:
            delta_net(d, joined=joined)
        else:
            d.matrix("attn_q", d["E"], 2 * d["H"] * d["D"])
            d.matrix("attn_k", d["E"], d["G"] * d["D"])
            d.matrix("attn_v", d["E"], d["G"] * d["D"])
            d.matrix("attn_output", d["H"] * d["D"], d["E"])
            d.norm("attn_q_norm", d["D"])
            d.norm("attn_k_norm", d["D"])
        if experts:
            d.experts(shared=d["Fe"], shared_gate=True)
        else:
            d.feed_forward()
    d.ends()


def qwen3next(d: Draft) -> None:
    _qwen_hybrid(d, experts=True, joined=True)


def qwen35(d: Draft) -> None:
    _qwen_hybrid(d, experts=False, joined=False)


def qwen35moe(d: Draft) -> None:
    _qwen_hybrid(d, experts=True, joined=False)
