"""Transformers with experts whose tensors are written down one by one."""

from random import Random

from llama_cpp_draft import Draft, Numbers, expert_numbers

from families.routing import routing_keys


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


def glm4moe(d: Draft) -> None:
    """One dense layer first, a shared expert, and one MTP layer that is in the file and not loaded."""
    d.common()
    d.expert_keys()
    d.key("expert_shared_count", 1)
    d.key("leading_dense_block_count", 1)
    routing_keys(d)
    d.key("block_count", d["L"] + 1)
    d.key("nextn_predict_layers", 1)
    if "sections" in d.numbers:
        d.key("rope.dimension_sections", (d["sections"], 24, 24, 0))
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


def grovemoe(d: Draft) -> None:
    """Experts, and small ones that groups of them share."""
    d.common()
    d.expert_keys()
    chunk = d["chunk"]
    d.key("expert_chunk_feed_forward_length", chunk)
    d.key("expert_group_scale", 0.05)
    d.key("experts_per_group", d["each"])
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention(head_norms=True)
        d.norm("ffn_norm", d["E"])
        d.experts()
        count = d["X"] // d["each"]
        d.matrix("ffn_gate_chexps", d["E"], chunk, count)
        d.matrix("ffn_up_chexps", d["E"], chunk, count)
        d.matrix("ffn_down_chexps", chunk, d["E"], count)
    d.ends()


def grovemoe_numbers(rng: Random) -> Numbers:
    return expert_numbers(rng) | {"chunk": 64 * rng.randint(1, 4), "each": rng.choice((2, 4))}


def deepseek2_ocr(d: Draft) -> None:
    """DeepSeek's experts behind plain attention."""
    d.common()
    d.expert_keys()
    routing_keys(d)
    d.key("leading_dense_block_count", d["lead"])
    d.key("expert_shared_count", 1)
    d.key("attention.kv_lora_rank", 0)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention()
        d.norm("ffn_norm", d["E"])
        if at < d["lead"]:
            d.feed_forward()
        else:
            d.experts(shared=d["Fe"])
    d.ends()
