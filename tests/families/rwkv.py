"""RWKV."""

from random import Random

from llama_cpp_draft import Draft, Numbers, dense_numbers


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


def rwkv_numbers(rng: Random) -> Numbers:
    numbers = dense_numbers(rng)
    return {name: numbers[name] for name in ("type", "L", "E", "V", "F")}
