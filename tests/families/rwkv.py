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


def rwkv6(d: Draft) -> None:
    d.common(epsilon="attention.layer_norm_epsilon")
    wide, extra, decay = d["E"], d["extra"], d["decay"]
    d.key("wkv.head_size", d["head"])
    d.key("time_mix_extra_dim", extra)
    d.key("time_decay_extra_dim", decay)
    d.key("rescale_every_n_layers", d["rescale"])
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", wide, bias=True)
        d.norm("attn_norm_2", wide, bias=True)
        _time_mix_6(d, fused=bool(d["lerp"]))
        d.vector("time_mix_first", d["head"], wide // d["head"])
        for name in ("key", "value", "receptance", "gate", "output"):
            d.matrix(f"time_mix_{name}", wide, wide)
        d.norm("time_mix_ln", wide, bias=True)
        d.vector("channel_mix_lerp_k", wide, 1, 1)
        d.vector("channel_mix_lerp_r", wide, 1, 1)
        d.matrix("channel_mix_key", wide, d["F"])
        d.matrix("channel_mix_value", d["F"], wide)
        d.matrix("channel_mix_receptance", wide, wide)
    d.ends(norm_bias=True, tied=False)
    d.norm("token_embd_norm", wide, bias=True)


def _time_mix_6(d: Draft, *, fused: bool) -> None:
    wide, extra, decay = d["E"], d["extra"], d["decay"]
    d.matrix("time_mix_w1", wide, 5 * extra)
    d.matrix("time_mix_w2", extra, wide, 5)
    d.vector("time_mix_lerp_x", wide, 1, 1)
    if fused:
        d.vector("time_mix_lerp_fused", wide, 1, 1, 5)
    else:
        for name in "wkvrg":
            d.vector(f"time_mix_lerp_{name}", wide, 1, 1)
    d.vector("time_mix_decay", wide)
    d.matrix("time_mix_decay_w1", wide, decay)
    d.matrix("time_mix_decay_w2", decay, wide)


def rwkv6_numbers(rng: Random) -> Numbers:
    return rwkv_numbers(rng) | {
        "head": 64,
        "extra": rng.choice((32, 64)),
        "decay": rng.choice((64, 128)),
        "rescale": rng.choice((0, 2, 6)),
        "lerp": rng.randint(0, 1),
    }


def rwkv6qwen2(d: Draft) -> None:
    """Qwen 2's feed-forward behind RWKV 6's time mixing, whose keys and values have few heads."""
    d.common()
    wide, groups = d["E"], d["groups"] * d["head"]
    d.key("wkv.head_size", d["head"])
    d.key("time_mix_extra_dim", d["extra"])
    d.key("time_decay_extra_dim", d["decay"])
    d.key("token_shift_count", 1)
    d.key("attention.head_count", wide // d["head"])
    d.key("attention.head_count_kv", d["groups"])
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", wide)
        _time_mix_6(d, fused=True)
        for name, width in (("key", groups), ("value", groups), ("receptance", wide), ("gate", wide), ("output", wide)):
            d.matrix(f"time_mix_{name}", wide, width)
            if d["qb"] and name in ("key", "value", "receptance"):
                d.vector(f"time_mix_{name}", width, tail=".bias")
        d.norm("ffn_norm", wide)
        d.feed_forward()
    d.ends(tied=False)


def rwkv6qwen2_numbers(rng: Random) -> Numbers:
    numbers = rwkv6_numbers(rng) | {"groups": rng.choice((2, 4, 8)), "qb": rng.randint(0, 1)}
    return numbers | {"E": 512 * rng.randint(2, 10)}


def arwkv7(d: Draft) -> None:
    """Qwen 2's feed-forward behind RWKV 7's time mixing; with or without a gate."""
    d.common()
    wide, gated = d["E"], bool(d["gated"])
    d.key("wkv.head_size", 64)
    d.key("token_shift_count", 1)
    d.key("attention.head_count", wide // 64)
    ranks = {"decay": 64, "iclr": 64, "value_residual_mix": 32} | ({"gate": 128} if gated else {})
    for name, rank in ranks.items():
        d.key(f"attention.{name}_lora_rank", rank)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", wide)
        for letter, rank in (("w", 64), ("a", 64), ("v", 32 if at else 64)):
            d.vector(f"time_mix_{letter}0", wide)
            d.matrix(f"time_mix_{letter}1", wide, rank)
            d.matrix(f"time_mix_{letter}2", rank, wide)
        if gated:
            d.matrix("time_mix_g1", wide, 128)
            d.matrix("time_mix_g2", 128, wide)
        d.vector("time_mix_lerp_fused", wide, 1, 1, 6 if gated else 5)
        for name in ("k_k", "k_a", "r_k"):
            d.vector(f"time_mix_{name}", wide)
        for name in ("key", "value", "receptance", "output"):
            d.matrix(f"time_mix_{name}", wide, wide)
        if d["ln"]:
            d.norm("time_mix_ln", wide, bias=True)
        d.norm("ffn_norm", wide)
        d.feed_forward()
    d.ends(tied=False)


def arwkv7_numbers(rng: Random) -> Numbers:
    return rwkv_numbers(rng) | {"gated": rng.randint(0, 1), "ln": rng.randint(0, 1)}
