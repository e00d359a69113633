"""Kimi's delta attention (KDA) beside latent attention."""

from random import Random

from llama_cpp_draft import Draft, Numbers

from families.latent import mla_numbers


def kimi_numbers(rng: Random) -> Numbers:
    return mla_numbers(rng) | {
        "kda": rng.choice((64, 128)),
        "conv": 4,
        "H": rng.choice((8, 16, 32)),
        "xgroups": 0,
    }


def kimi_linear(d: Draft) -> None:
    d.common()
    d.expert_keys()
    d.key("expert_gating_func", 2)
    d.key("expert_shared_count", 1)
    d.key("expert_weights_scale", 2.5 if d["wscale"] else 1.0)
    rank, rope, nope, value, heads = d["rank"], d["rope"], d["nope"], d["value"], d["H"]
    lead = min(d["lead"], d["L"])
    is_full = tuple(at % 4 == 3 for at in d.blocks())
    d.key("attention.head_count_kv", tuple(1 if one else 0 for one in is_full))
    d.key("attention.key_length", rank + rope)
    d.key("attention.value_length", rank)
    d.key("attention.key_length_mla", nope + rope)
    d.key("attention.value_length_mla", value)
    d.key("attention.kv_lora_rank", rank)
    d.key("rope.dimension_count", rope)
    d.key("leading_dense_block_count", lead)
    d.key("ssm.conv_kernel", d["conv"])
    d.key("kda.head_dim", d["kda"])
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        if is_full[at]:
            d.matrix("attn_q", d["E"], heads * (nope + rope))
            d.matrix("attn_kv_a_mqa", d["E"], rank + rope)
            d.norm("attn_kv_a_norm", rank)
            d.matrix("attn_k_b", nope, rank, heads)
            d.matrix("attn_v_b", rank, value, heads)
            d.matrix("attn_output", heads * value, d["E"])
        else:
            _delta(d)
        d.norm("ffn_norm", d["E"])
        if at < lead:
            d.feed_forward()
        else:
            d.vector("exp_probs_b", d["X"], tail=".bias")
            d.experts(shared=d["Fe"])
    d.ends(tied=False)


def _delta(d: Draft) -> None:
    one, heads = d["kda"], d["H"]
    for name in "qkv":
        d.matrix(f"attn_{name}", d["E"], one * heads)
        d.vector(f"ssm_conv1d_{name}", d["conv"], 1, one * heads)
    d.matrix("ssm_f_a", d["E"], one)
    d.matrix("ssm_f_b", one, one * heads)
    d.matrix("ssm_beta", d["E"], heads)
    d.vector("ssm_a", 1, heads, tail="")
    d.vector("ssm_dt", one * heads, tail=".bias")
    d.matrix("ssm_g_a", d["E"], one)
    d.matrix("ssm_g_b", one, one * heads)
    d.norm("ssm_norm", one)
    d.matrix("attn_output", one * heads, d["E"])
