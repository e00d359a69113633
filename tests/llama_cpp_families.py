"""Header-only models of many families, drawn at random: the keys and tensors llama.cpp b11669 demands of each.

`draw(family, rng)` gives the few numbers a model is made of, `build(family, numbers)` its keys and tensors from them. Names and
dimensions are those the loaders of b11669 ask for (src/models/*.cpp); widths are drawn, so no published model is meant.
"""

from collections.abc import Callable
from functools import partial
from random import Random

import llama_cpp_plain_families as plain
from llama_cpp_draft import (
    Draft,
    Numbers,
    dense_numbers,
    expert_numbers,
    mixed,
    square_expert_numbers,
    square_numbers,
)

from llmops.domain.model import Tensor
from llmops.formats.gguf_values import Writable

# ---- plain dense -----------------------------------------------------------------------------------------------------


def llama(d: Draft) -> None:
    d.common()
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention()
        d.norm("ffn_norm", d["E"])
        d.feed_forward()
    d.ends()
    d.vector("rope_freqs", d["D"] // 2)


def mixtral(d: Draft) -> None:
    d.common()
    d.expert_keys()
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention()
        d.norm("ffn_norm", d["E"])
        d.numbers = d.numbers | {"Fe": d["F"]}
        d.experts()
    d.ends()


def qwen2(d: Draft) -> None:
    d.common()
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention(bias=True)
        d.norm("ffn_norm", d["E"])
        d.feed_forward()
    d.ends()


def qwen3(d: Draft) -> None:
    d.common()
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention(head_norms=True)
        d.norm("ffn_norm", d["E"])
        d.feed_forward()
    d.ends()


def qwen2moe(d: Draft) -> None:
    d.common()
    d.expert_keys()
    shared = 2 * d["Fe"]
    d.key("expert_shared_feed_forward_length", shared)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention(bias=True)
        d.norm("ffn_norm", d["E"])
        d.experts(shared=shared, shared_gate=True)
    d.ends(tied=False)


def qwen3moe(d: Draft) -> None:
    d.common()
    d.expert_keys()
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention(head_norms=True)
        d.norm("ffn_norm", d["E"])
        d.experts()
    d.ends()


def gemma2(d: Draft) -> None:
    d.common()
    d.key("attention.sliding_window", d["W"])
    d.key("attn_logit_softcapping", 50.0)
    d.key("final_logit_softcapping", 30.0)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention()
        d.norm("post_attention_norm", d["E"])
        d.norm("ffn_norm", d["E"])
        d.feed_forward()
        d.norm("post_ffw_norm", d["E"])
    d.ends(tied=True)


def gemma3(d: Draft) -> None:
    d.common()
    d.key("attention.sliding_window", d["W"])
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention(head_norms=True)
        d.norm("post_attention_norm", d["E"])
        d.norm("ffn_norm", d["E"])
        d.feed_forward()
        d.norm("post_ffw_norm", d["E"])
    d.ends(tied=True)


def gemma3n(d: Draft) -> None:
    d.common()
    d.key("attention.sliding_window", d["W"])
    altup, small, rank = 4, 256, 64
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention(head_norms=True)
        d.norm("post_attention_norm", d["E"])
        d.norm("ffn_norm", d["E"])
        d.feed_forward()
        d.norm("post_ffw_norm", d["E"])
        d.matrix("inp_gate", d["E"], small)
        d.matrix("proj", small, d["E"])
        d.norm("post_norm", d["E"])
        d.vector("altup_correct_coef", altup, altup)
        d.vector("altup_correct_scale", d["E"])
        d.vector("altup_predict_coef", altup, altup * altup)
        d.vector("altup_router", d["E"], altup)
        d.vector("altup_router_norm", d["E"])
        d.matrix("laurel_l", d["E"], rank)
        d.matrix("laurel_r", rank, d["E"])
        d.norm("laurel_post_norm", d["E"])
    d.ends(tied=True)
    d.matrix("altup_proj", d["E"], d["E"], altup - 1)
    d.matrix("altup_unembd_proj", d["E"], d["E"], altup - 1)
    d.matrix("per_layer_token_embd", small * d["L"], d["V"])
    d.matrix("per_layer_model_proj", d["E"], small * d["L"])
    d.norm("per_layer_proj_norm", small)


def gemma4_moe(d: Draft) -> None:
    gemma4(d, experts=True)


def gemma4(d: Draft, *, experts: bool = False) -> None:
    """Sliding and full layers of different width, the last ones without a cache of their own, a small embedding a layer."""
    d.common()
    d.key("attention.sliding_window", d["W"])
    if experts:
        d.expert_keys()
    slides = tuple(at % 6 != 5 for at in d.blocks())
    wide, groups_full = 2 * d["D"], max(d["G"] // 2, 1)
    groups = tuple(d["G"] if one else groups_full for one in slides)
    d.key("attention.head_count_kv", groups)
    d.key("attention.sliding_window_pattern", slides)
    d.key("attention.key_length", wide)
    d.key("attention.value_length", wide)
    d.key("attention.key_length_swa", d["D"])
    d.key("attention.value_length_swa", d["D"])
    d.key("rope.dimension_count", wide)
    d.key("rope.dimension_count_swa", d["D"])
    d.key("attention.shared_kv_layers", d["shared"])
    small = d["small"]
    d.key("embedding_length_per_layer_input", small)
    for at in d.blocks():
        d.at(at)
        width = d["D"] if slides[at] else wide
        d.norm("attn_norm", d["E"])
        d.matrix("attn_q", d["E"], d["H"] * width)
        d.matrix("attn_k", d["E"], groups[at] * width)
        d.matrix("attn_v", d["E"], groups[at] * width)
        d.matrix("attn_output", d["H"] * width, d["E"])
        d.norm("attn_q_norm", width)
        d.norm("attn_k_norm", width)
        d.norm("post_attention_norm", d["E"])
        d.norm("ffn_norm", d["E"])
        d.feed_forward()
        if experts:
            _gemma4_experts(d)
        d.norm("post_ffw_norm", d["E"])
        d.vector("layer_output_scale", 1)
        if small:
            d.matrix("inp_gate", d["E"], small)
            d.matrix("proj", small, d["E"])
            d.norm("post_norm", d["E"])
    d.ends(tied=True)
    d.vector("rope_freqs", wide // 2)
    if small:
        d.matrix("per_layer_token_embd", small * d["L"], d["V"])
        d.matrix("per_layer_model_proj", d["E"], small * d["L"])
        d.norm("per_layer_proj_norm", small)


def _gemma4_experts(d: Draft) -> None:
    """Experts beside the dense feed-forward; gate and up in one matrix."""
    for name in ("post_ffw_norm_1", "post_ffw_norm_2", "pre_ffw_norm_2"):
        d.norm(name, d["E"])
    d.vector("ffn_gate_inp", d["E"], d["X"])
    d.vector("ffn_gate_inp", d["E"], tail=".scale")
    d.matrix("ffn_gate_up_exps", d["E"], 2 * d["Fe"], d["X"])
    d.matrix("ffn_down_exps", d["Fe"], d["E"], d["X"])
    d.vector("ffn_down_exps", d["X"], tail=".scale")


def gpt_oss(d: Draft) -> None:
    d.common()
    d.expert_keys()
    d.key("attention.sliding_window", d["W"])
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention(bias=True, output_bias=True)
        d.vector("attn_sinks", d["H"])
        d.norm("post_attention_norm", d["E"])
        d.experts()
        d.vector("ffn_gate_inp", d["X"], tail=".bias")
        d.vector("ffn_gate_exps", d["Fe"], d["X"], tail=".bias")
        d.vector("ffn_up_exps", d["Fe"], d["X"], tail=".bias")
        d.vector("ffn_down_exps", d["E"], d["X"], tail=".bias")
    d.ends(tied=False)


def cohere2(d: Draft) -> None:
    d.common(epsilon="attention.layer_norm_epsilon")
    d.key("attention.sliding_window", d["W"])
    d.key("logit_scale", 0.25)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention()
        d.feed_forward()
    d.ends(tied=True)


def command_r(d: Draft) -> None:
    d.common(epsilon="attention.layer_norm_epsilon")
    d.key("logit_scale", 0.25)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention()
        d.feed_forward()
    d.ends(tied=True)


def phi3(d: Draft) -> None:
    d.common()
    d.key("rope.scaling.original_context_length", 4096)
    width = d["D"]
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.matrix("attn_qkv", d["E"], (d["H"] + 2 * d["G"]) * width)
        d.matrix("attn_output", d["H"] * width, d["E"])
        d.norm("ffn_norm", d["E"])
        d.matrix("ffn_up", d["E"], 2 * d["F"])
        d.matrix("ffn_down", d["F"], d["E"])
    d.ends()
    d.vector("rope_factors_long", width // 2)
    d.vector("rope_factors_short", width // 2)


def _routing_keys(d: Draft) -> None:
    """How experts are chosen: by `gate`, normed, scaled, from the best of `xgroups`."""
    d.key("expert_gating_func", int(d.numbers.get("gate", 2)))
    d.key("expert_weights_scale", 2.5 if d.numbers.get("wscale") else 1.0)
    d.key("expert_weights_norm", bool(d.numbers.get("wnorm")))
    if d.numbers.get("xgroups"):
        d.key("expert_group_count", d["xgroups"])
        d.key("expert_group_used_count", max(d["xgroups"] // 2, 1))


def _routing(rng: Random, numbers: Numbers) -> Numbers:
    count = int(numbers["X"])
    groups = rng.choice([0, 0, 0, *(one for one in (2, 4, 8) if count % one == 0 and count // one > 1)])
    return numbers | {
        "gate": rng.choice((1, 2)),
        "wnorm": rng.randint(0, 1),
        "wscale": rng.randint(0, 1),
        "xgroups": groups,
    }


def deepseek2(d: Draft) -> None:
    """MLA, some dense layers first, then experts with shared ones; with or without a low-rank query."""
    d.common()
    d.expert_keys()
    rank, rope, nope, value = d["rank"], d["rope"], d["nope"], d["value"]
    heads, lead = d["H"], min(d["lead"], d["L"])
    d.key("attention.head_count_kv", 1)
    d.key("attention.key_length", rank + rope)
    d.key("attention.value_length", rank)
    d.key("attention.key_length_mla", nope + rope)
    d.key("attention.value_length_mla", value)
    d.key("attention.kv_lora_rank", rank)
    if d["qrank"]:
        d.key("attention.q_lora_rank", d["qrank"])
    d.key("rope.dimension_count", rope)
    d.key("leading_dense_block_count", lead)
    d.key("expert_shared_count", 1)
    _routing_keys(d)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        if d["qrank"]:
            d.matrix("attn_q_a", d["E"], d["qrank"])
            d.norm("attn_q_a_norm", d["qrank"])
            d.matrix("attn_q_b", d["qrank"], heads * (nope + rope))
        else:
            d.matrix("attn_q", d["E"], heads * (nope + rope))
        d.matrix("attn_kv_a_mqa", d["E"], rank + rope)
        d.norm("attn_kv_a_norm", rank)
        d.matrix("attn_k_b", nope, rank, heads)
        d.matrix("attn_v_b", rank, value, heads)
        d.matrix("attn_output", heads * value, d["E"])
        d.norm("ffn_norm", d["E"])
        if at < lead:
            d.feed_forward()
        else:
            d.vector("exp_probs_b", d["X"], tail=".bias")
            d.experts(shared=d["Fe"])
    d.ends(tied=False)


def glm4(d: Draft) -> None:
    d.common()
    d.key("rope.dimension_count", d["D"] // 2)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention(bias=True)
        d.norm("post_attention_norm", d["E"])
        d.norm("ffn_norm", d["E"])
        d.matrix("ffn_up", d["E"], 2 * d["F"])
        d.matrix("ffn_down", d["F"], d["E"])
        d.norm("post_ffw_norm", d["E"])
    d.ends()


def glm4moe(d: Draft) -> None:
    """One dense layer first, a shared expert, and one MTP layer that is in the file and not loaded."""
    d.common()
    d.expert_keys()
    d.key("expert_shared_count", 1)
    d.key("leading_dense_block_count", 1)
    _routing_keys(d)
    d.key("block_count", d["L"] + 1)
    d.key("nextn_predict_layers", 1)
    for at in range(d["L"] + 1):
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention(bias=True, head_norms=bool(d["head_norms"]))
        d.norm("post_attention_norm", d["E"])
        if at < 1:
            d.feed_forward()
        else:
            d.vector("exp_probs_b", d["X"], tail=".bias")
            d.experts(shared=d["Fe"])
    d.matrix("nextn.eh_proj", 2 * d["E"], d["E"])
    d.norm("nextn.enorm", d["E"])
    d.norm("nextn.hnorm", d["E"])
    d.ends(tied=False)


def llama4(d: Draft) -> None:
    """Three chunked layers, then a full one; every second block has experts."""
    d.common()
    d.expert_keys()
    d.key("interleave_moe_layer_step", d["step"])
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention()
        d.norm("ffn_norm", d["E"])
        if (at + 1) % d["step"]:
            d.feed_forward()
        else:
            d.experts(shared=d["Fe"])
    d.ends(tied=False)


def olmo2(d: Draft) -> None:
    d.common()
    if d["W"]:
        d.key("attention.sliding_window", d["W"])
    for at in d.blocks():
        d.at(at)
        d.attention()
        d.norm("attn_q_norm", d["H"] * d["D"])
        d.norm("attn_k_norm", d["G"] * d["D"])
        d.norm("post_attention_norm", d["E"])
        d.feed_forward()
        d.norm("post_ffw_norm", d["E"])
    d.ends(tied=False)


def exaone4(d: Draft) -> None:
    d.common()
    d.key("attention.sliding_window", d["W"])
    for at in d.blocks():
        d.at(at)
        d.attention(head_norms=True)
        d.norm("post_attention_norm", d["E"])
        d.feed_forward()
        d.norm("post_ffw_norm", d["E"])
    d.ends()


def granite(d: Draft) -> None:
    d.common()
    for name, value in (
        ("logit_scale", 8.0),
        ("residual_scale", 0.2),
        ("embedding_scale", 12.0),
        ("attention.scale", 0.1),
    ):
        d.key(name, value)
    _llama_blocks(d)


def minicpm(d: Draft) -> None:
    d.common()
    _llama_blocks(d)


def _llama_blocks(d: Draft) -> None:
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention()
        d.norm("ffn_norm", d["E"])
        d.feed_forward()
    d.ends()


def arcee(d: Draft) -> None:
    d.common()
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention()
        d.norm("ffn_norm", d["E"])
        d.feed_forward(gate=False)
    d.ends()


def ernie4_5(d: Draft) -> None:
    d.common()
    _llama_blocks(d)


def smollm3(d: Draft) -> None:
    d.common()
    _llama_blocks(d)


def mistral3(d: Draft) -> None:
    d.common()
    _llama_blocks(d)


def seed_oss(d: Draft) -> None:
    d.common()
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention(bias=True)
        d.norm("post_attention_norm", d["E"])
        d.feed_forward()
    d.ends()


def starcoder2(d: Draft) -> None:
    d.common(epsilon="attention.layer_norm_epsilon")
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"], bias=True)
        d.attention(bias=True, output_bias=True)
        d.norm("ffn_norm", d["E"], bias=True)
        d.feed_forward(gate=False, bias=True)
    d.ends(norm_bias=True)


def olmoe(d: Draft) -> None:
    d.common()
    d.expert_keys()
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention()
        d.norm("attn_q_norm", d["H"] * d["D"])
        d.norm("attn_k_norm", d["G"] * d["D"])
        d.norm("ffn_norm", d["E"])
        d.experts()
    d.ends(tied=False)


def minimax_m2(d: Draft) -> None:
    d.common()
    d.expert_keys()
    d.key("expert_gating_func", 2)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention()
        d.norm("attn_q_norm", d["H"] * d["D"])
        d.norm("attn_k_norm", d["G"] * d["D"])
        d.norm("ffn_norm", d["E"])
        d.experts()
        d.vector("exp_probs_b", d["X"], tail=".bias")
    d.ends(tied=False)


# ---- recurrent and hybrid --------------------------------------------------------------------------------------------


def _mamba2_block(d: Draft) -> None:
    inner, state, groups, heads = d["I"], d["N"], d["groups"], d["dt"]
    d.matrix("ssm_in", d["E"], 2 * inner + 2 * groups * state + heads)
    d.vector("ssm_conv1d", d["conv"], inner + 2 * groups * state)
    d.vector("ssm_conv1d", inner + 2 * groups * state, tail=".bias")
    d.vector("ssm_dt", heads, tail=".bias")
    d.vector("ssm_a", 1, heads, tail="")
    d.vector("ssm_d", 1, heads, tail="")
    d.vector("ssm_norm", inner // groups, groups)
    d.matrix("ssm_out", inner, d["E"])


def _ssm_keys(d: Draft, *, dt: bool = True, groups: bool = True) -> None:
    d.key("ssm.conv_kernel", d["conv"])
    d.key("ssm.inner_size", d["I"])
    d.key("ssm.state_size", d["N"])
    if dt:
        d.key("ssm.time_step_rank", d["dt"])
    if groups:
        d.key("ssm.group_count", d["groups"])


def ssm_numbers(rng: Random) -> Numbers:
    heads = rng.choice((8, 16, 24, 32, 64))
    return {"I": heads * 64, "N": rng.choice((64, 128)), "dt": heads, "groups": rng.choice((1, 2, 8)), "conv": 4}


def mamba2(d: Draft) -> None:
    d.common()
    _ssm_keys(d)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        _mamba2_block(d)
    d.ends()


def mamba(d: Draft) -> None:
    d.common()
    _ssm_keys(d, groups=False)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        _mamba1_block(d, norms=False)
    d.ends()


def _mamba1_block(d: Draft, *, norms: bool) -> None:
    inner, state, rank = d["I"], d["N"], d["dt"]
    d.matrix("ssm_in", d["E"], 2 * inner)
    d.vector("ssm_conv1d", d["conv"], inner)
    d.vector("ssm_conv1d", inner, tail=".bias")
    d.matrix("ssm_x", inner, rank + 2 * state)
    d.vector("ssm_dt", rank, inner)
    d.vector("ssm_dt", inner, tail=".bias")
    if norms:
        d.norm("ssm_dt_norm", rank)
        d.norm("ssm_b_norm", state)
        d.norm("ssm_c_norm", state)
    d.vector("ssm_a", state, inner, tail="")
    d.vector("ssm_d", inner, tail="")
    d.matrix("ssm_out", inner, d["E"])


def jamba(d: Draft) -> None:
    d.common()
    d.expert_keys()
    _ssm_keys(d, groups=False)
    groups = tuple(d["G"] if at % 8 == 4 else 0 for at in d.blocks())
    d.key("attention.head_count_kv", groups)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        if groups[at]:
            d.attention()
        else:
            _mamba1_block(d, norms=True)
        d.norm("ffn_norm", d["E"])
        if at % 2:
            d.numbers = d.numbers | {"Fe": d["F"]}
            d.experts()
        else:
            d.feed_forward()
    d.ends()


def falcon_h1(d: Draft) -> None:
    d.common()
    _ssm_keys(d)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        _mamba2_block(d)
        d.attention()
        d.vector("ffn_norm", d["E"], tail="")
        d.feed_forward()
    d.ends()


def granitehybrid(d: Draft) -> None:
    d.common()
    _ssm_keys(d)
    for name, value in (
        ("logit_scale", 8.0),
        ("residual_scale", 0.2),
        ("embedding_scale", 12.0),
        ("attention.scale", 0.1),
    ):
        d.key(name, value)
    groups = tuple(d["G"] if at % 5 == 3 else 0 for at in d.blocks())
    d.key("attention.head_count_kv", groups)
    if d["X"]:
        d.expert_keys()
        d.key("expert_shared_feed_forward_length", d["F"])
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        if groups[at]:
            d.attention()
        else:
            _mamba2_block(d)
        d.norm("ffn_norm", d["E"])
        if d["X"]:
            d.experts(shared=d["F"])
        else:
            d.feed_forward()
    d.ends()


def nemotron_h_moe(d: Draft) -> None:
    nemotron_h(d, experts=True)


def nemotron_h(d: Draft, *, experts: bool = False) -> None:
    """Blocks of one kind each: state, feed-forward (no gate) or attention."""
    d.common()
    _ssm_keys(d)
    d.key("attention.layer_norm_epsilon", 1e-5)
    if experts:
        d.expert_keys()
        _routing_keys(d)
        d.key("expert_shared_count", 1)
        d.key("expert_shared_feed_forward_length", d["Fe"])
    kinds = ["state", "forward", "attention", "forward"]
    groups = tuple(d["G"] if kinds[at % 4] == "attention" else 0 for at in d.blocks())
    widths = tuple(d["F"] if kinds[at % 4] == "forward" else 0 for at in d.blocks())
    d.key("attention.head_count_kv", groups)
    d.key("feed_forward_length", widths)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        if groups[at]:
            d.attention()
        elif widths[at] and experts:
            d.experts(gate=False, shared=d["Fe"])
            d.vector("exp_probs_b", d["X"], tail=".bias")
        elif widths[at]:
            d.feed_forward(gate=False)
        else:
            _mamba2_block(d)
    d.ends()


def lfm2moe(d: Draft) -> None:
    lfm2(d, lead=d["lead"])


def lfm2(d: Draft, *, lead: int = -1) -> None:
    d.common()
    if lead >= 0:
        d.expert_keys()
        d.key("leading_dense_block_count", lead)
        d.key("expert_gating_func", 2)
    groups = tuple(d["G"] if at % 3 == 2 else 0 for at in d.blocks())
    d.key("attention.head_count_kv", groups)
    d.key("shortconv.l_cache", d["conv"])
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        if groups[at]:
            d.attention(head_norms=True)
        else:
            d.vector("shortconv.conv", d["conv"], d["E"])
            d.matrix("shortconv.in_proj", d["E"], 3 * d["E"])
            d.matrix("shortconv.out_proj", d["E"], d["E"])
        d.norm("ffn_norm", d["E"])
        if 0 <= lead <= at:
            d.experts()
            d.vector("exp_probs_b", d["X"], tail=".bias")
        else:
            d.feed_forward()
    d.layer = -1
    d.matrix("token_embd", d["E"], d["V"])
    d.norm("token_embd_norm", d["E"])


def _delta_net(d: Draft, *, joined: bool) -> None:
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
    _ssm_keys(d)
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
            _delta_net(d, joined=joined)
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


def rwkv7(d: Draft) -> None:
    d.common(epsilon="attention.layer_norm_epsilon")
    head, wide = 64, d["E"]
    d.key("wkv.head_size", head)
    ranks = {"decay": 64, "iclr": 64, "value_residual_mix": 32, "gate": 128}
    for name, rank in ranks.items():
        d.key(f"attention.{name}_lora_rank", rank)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", wide, bias=True)
        d.norm("attn_norm_2", wide, bias=True)
        d.vector("time_mix_w0", wide)
        d.matrix("time_mix_w1", wide, ranks["decay"])
        d.matrix("time_mix_w2", ranks["decay"], wide)
        d.vector("time_mix_a0", wide)
        d.matrix("time_mix_a1", wide, ranks["iclr"])
        d.matrix("time_mix_a2", ranks["iclr"], wide)
        rank = ranks["iclr"] if at == 0 else ranks["value_residual_mix"]
        d.vector("time_mix_v0", wide)
        d.matrix("time_mix_v1", wide, rank)
        d.matrix("time_mix_v2", rank, wide)
        d.matrix("time_mix_g1", wide, ranks["gate"])
        d.matrix("time_mix_g2", ranks["gate"], wide)
        d.vector("time_mix_lerp_fused", wide, 1, 1, 6)
        d.vector("time_mix_k_k", wide)
        d.vector("time_mix_k_a", wide)
        d.vector("time_mix_r_k", wide)
        for name in ("key", "value", "receptance", "output"):
            d.matrix(f"time_mix_{name}", wide, wide)
        d.norm("time_mix_ln", wide, bias=True)
        d.vector("channel_mix_lerp_k", wide, 1, 1)
        d.matrix("channel_mix_key", wide, d["F"])
        d.matrix("channel_mix_value", d["F"], wide)
    d.ends(norm_bias=True, tied=False)
    d.norm("token_embd_norm", wide, bias=True)


def deepseek32(d: Draft) -> None:
    _indexed(d)


def glm_dsa(d: Draft) -> None:
    _indexed(d)


def _indexed(d: Draft) -> None:
    """DeepSeek's MLA with the sparse attention's indexer in every layer."""
    deepseek2(d)
    keys = {"head_count": 32, "key_length": 128, "top_k": 2048}
    for name, value in keys.items():
        d.key(f"attention.indexer.{name}", value)
    for at in d.blocks():
        d.at(at)
        d.norm("indexer.k_norm", 128, bias=True)
        d.matrix("indexer.proj", d["E"], 32)
        d.matrix("indexer.attn_k", d["E"], 128)
        d.matrix("indexer.attn_q_b", d["qrank"], 32 * 128)


# ---- all of them -----------------------------------------------------------------------------------------------------


def _window(rng: Random, numbers: Numbers) -> Numbers:
    return numbers | {"W": rng.choice((128, 512, 1024, 4096))}


def _mla_numbers(rng: Random) -> Numbers:
    numbers = expert_numbers(rng)
    return _routing(rng, numbers) | {
        "H": rng.choice((16, 32, 64)),
        "G": 1,
        "D": 128,
        "rank": 512,
        "rope": 64,
        "nope": rng.choice((128, 192)),
        "value": rng.choice((128, 256)),
        "qrank": rng.choice((768, 1536)),
        "lead": rng.randint(0, 3),
        "tied": 0,
    }


def _light_numbers(rng: Random) -> Numbers:
    """27 layers make a light model, the only one whose query is not of low rank."""
    return _mla_numbers(rng) | ({"qrank": 0, "L": 27} if rng.randint(0, 1) else {})


def _gemma4_numbers(rng: Random) -> Numbers:
    own = 6 * rng.randint(1, 3)  # the last layer with a cache is a full one, the one before it a sliding one
    shared = rng.randint(0, 8)
    width = {"L": own + shared, "D": rng.choice((128, 256)), "shared": shared}
    return _window(rng, dense_numbers(rng)) | width | {"small": rng.choice((0, 256))}


def _all_heads(numbers: Numbers) -> Numbers:
    return numbers | {"G": numbers["H"]}


def _one_width(numbers: Numbers) -> Numbers:
    return numbers | {"F": numbers["Fe"]}


def _inner_of_two(numbers: Numbers) -> Numbers:
    """Loaders that take twice the stream as the state's width; heads of 64."""
    wide = 2 * int(numbers["E"])
    return numbers | {"I": wide, "dt": wide // 64, "groups": 1}


def _square(numbers: Numbers) -> Numbers:
    return numbers | {"E": int(numbers["H"]) * int(numbers["D"])}


def _hybrid(rng: Random, *, layers: int = 12) -> Numbers:
    numbers = expert_numbers(rng) | ssm_numbers(rng)
    return numbers | {"L": rng.randint(5, layers)}


Draw = Callable[[Random], Numbers]
FAMILIES: dict[str, tuple[str, Callable[[Draft], None], Draw]] = {
    "llama": ("llama", llama, dense_numbers),
    "mixtral": ("llama", mixtral, expert_numbers),
    "mistral3": ("mistral3", mistral3, dense_numbers),
    "qwen2": ("qwen2", qwen2, square_numbers),
    "qwen3": ("qwen3", qwen3, dense_numbers),
    "qwen2moe": ("qwen2moe", qwen2moe, square_expert_numbers),
    "qwen3moe": ("qwen3moe", qwen3moe, expert_numbers),
    "gemma2": ("gemma2", gemma2, lambda rng: _window(rng, dense_numbers(rng))),
    "gemma3": ("gemma3", gemma3, lambda rng: _window(rng, dense_numbers(rng))),
    "gemma3n": ("gemma3n", gemma3n, lambda rng: _window(rng, dense_numbers(rng)) | {"L": rng.choice((22, 25, 30))}),
    "gemma4": ("gemma4", gemma4, _gemma4_numbers),
    "gemma4-moe": ("gemma4", gemma4_moe, lambda rng: expert_numbers(rng) | _gemma4_numbers(rng)),
    "gpt-oss": ("gpt-oss", gpt_oss, lambda rng: _window(rng, expert_numbers(rng))),
    "cohere2": ("cohere2", cohere2, lambda rng: _window(rng, square_numbers(rng))),
    "command-r": ("command-r", command_r, square_numbers),
    "phi3": ("phi3", phi3, square_numbers),
    "deepseek2": ("deepseek2", deepseek2, _light_numbers),
    "deepseek32": ("deepseek32", deepseek32, lambda rng: _mla_numbers(rng) | {"qrank": 1536}),
    "glm-dsa": ("glm-dsa", glm_dsa, lambda rng: _mla_numbers(rng) | {"qrank": 1536}),
    "glm4": ("glm4", glm4, dense_numbers),
    "glm4moe": ("glm4moe", glm4moe, lambda rng: _routing(rng, expert_numbers(rng)) | {"head_norms": rng.randint(0, 1)}),
    "llama4": ("llama4", llama4, lambda rng: expert_numbers(rng) | {"step": rng.randint(1, 2), "u": 1}),
    "olmo2": ("olmo2", olmo2, lambda rng: square_numbers(rng) | {"W": rng.choice((0, 4096))}),
    "exaone4": ("exaone4", exaone4, lambda rng: square_numbers(rng) | {"L": rng.choice((6, 30, 64)), "W": 4096}),
    "granite": ("granite", granite, dense_numbers),
    "minicpm": ("minicpm", minicpm, dense_numbers),
    "arcee": ("arcee", arcee, dense_numbers),
    "ernie4_5": ("ernie4_5", ernie4_5, dense_numbers),
    "smollm3": ("smollm3", smollm3, dense_numbers),
    "seed_oss": ("seed_oss", seed_oss, dense_numbers),
    "starcoder2": ("starcoder2", starcoder2, square_numbers),
    "olmoe": ("olmoe", olmoe, lambda rng: _all_heads(_one_width(square_expert_numbers(rng)))),
    "minimax-m2": ("minimax-m2", minimax_m2, lambda rng: _one_width(expert_numbers(rng))),
    "mamba": ("mamba", mamba, lambda rng: _inner_of_two(_state_only(rng)) | {"N": 16, "dt": 64}),
    "mamba2": ("mamba2", mamba2, lambda rng: _inner_of_two(_state_only(rng))),
    "jamba": ("jamba", jamba, lambda rng: _inner_of_two(_square(_hybrid(rng))) | {"N": 16, "dt": 64}),
    "falcon-h1": ("falcon-h1", falcon_h1, _hybrid),
    "granitehybrid": (
        "granitehybrid",
        granitehybrid,
        lambda rng: _maybe_dense(rng, _inner_of_two(_one_width(_hybrid(rng)))),
    ),
    "nemotron_h": ("nemotron_h", nemotron_h, _hybrid),
    "lfm2": ("lfm2", lfm2, lambda rng: _square(_hybrid(rng)) | {"conv": 3}),
    "lfm2moe": ("lfm2moe", lfm2moe, lambda rng: _square(_hybrid(rng)) | {"conv": 3, "lead": rng.randint(0, 2)}),
    "nemotron_h_moe": ("nemotron_h_moe", nemotron_h_moe, lambda rng: _routing(rng, _hybrid(rng))),
    "qwen3next": ("qwen3next", qwen3next, lambda rng: _hybrid(rng) | delta_numbers(rng)),
    "qwen35": ("qwen35", qwen35, lambda rng: _hybrid(rng) | delta_numbers(rng)),
    "qwen35moe": ("qwen35moe", qwen35moe, lambda rng: _hybrid(rng) | delta_numbers(rng)),
    "rwkv7": ("rwkv7", rwkv7, lambda rng: _rwkv_numbers(rng)),
}


def _state_only(rng: Random) -> Numbers:
    numbers = dense_numbers(rng)
    kept: Numbers = {name: numbers[name] for name in ("type", "L", "E", "V", "tied")}
    return kept | ssm_numbers(rng)


def _rwkv_numbers(rng: Random) -> Numbers:
    numbers = dense_numbers(rng)
    return {name: numbers[name] for name in ("type", "L", "E", "V", "F")}


def _maybe_dense(rng: Random, numbers: Numbers) -> Numbers:
    return numbers | ({} if rng.randint(0, 1) else {"X": 0})


for _name in plain.PLAIN:
    FAMILIES[_name] = (_name, partial(plain.build, _name), partial(plain.draw, _name))


def draw(family: str, rng: Random) -> Numbers:
    """The numbers of one model of the family."""
    return FAMILIES[family][2](rng)


def build(family: str, numbers: Numbers) -> tuple[dict[str, Writable], tuple[Tensor, ...]]:
    """Keys and tensors of the model with these numbers; `mix` draws a type for each matrix."""
    architecture, write, _ = FAMILIES[family]
    draft = Draft(architecture, numbers)
    write(draft)
    tensors = mixed(draft.tensors, int(numbers["mix"])) if "mix" in numbers else tuple(draft.tensors)
    return draft.keys, tensors
