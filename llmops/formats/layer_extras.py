"""Vectors and matrices of one block that only its family has.

Source: transformers 5.23, models/{bitnet,diffllama,persimmon,axk1,beam,zamba2}/modeling_*.py.
"""

from llmops.formats.blueprint import Plain
from llmops.formats.config_forwards import has_experts
from llmops.formats.config_mixers import HEADS, Place
from llmops.formats.layer_kinds import Kind, layer_kinds


def own_vectors(place: Place) -> tuple[Plain, ...]:
    """None for most families."""
    config, hidden = place.config, place.hidden
    match place.family.architecture:
        case "bitnet":
            width = config.integer("intermediate_size", least=1)
            return (Plain("attn_sub_norm.weight", (hidden,)), Plain("ffn_sub_norm.weight", (width,)))
        case "diffllama":
            length = config.integer("head_dim", default=hidden // config.integer(*HEADS, least=1), least=1)
            return tuple(Plain(f"attn_lambda_{name}", (length,)) for name in ("q1", "k1", "q2", "k2"))
        case "persimmon" if config.flag("qk_layernorm", default=True):
            length = hidden // config.integer(*HEADS, least=1)
            names = ("attn_q_norm.weight", "attn_q_norm.bias", "attn_k_norm.weight", "attn_k_norm.bias")
            return tuple(Plain(name, (length,)) for name in names)
        case "axk1" if has_experts(place):
            return (Plain("post_ffw_norm.weight", (hidden,)),)
        case "beam":
            return (Plain("attn_gate.bias", (config.integer(*HEADS, least=1),)),)
        case "zamba2" if place.kind is Kind.PARALLEL:
            return _shared_transformer(place)
        case _:
            return ()


def _shared_transformer(place: Place) -> tuple[Plain, ...]:
    """Zamba 2: the first so many hybrid blocks hold the transformers that all share, each hybrid its adapters."""
    config, hidden = place.config, place.hidden
    kinds = layer_kinds(config, place.family, place.layers)
    before = sum(kind is Kind.PARALLEL for kind in kinds[: place.at])
    wide, both = config.integer("intermediate_size", least=1), 2 * hidden
    heads = config.integer(*HEADS, least=1)
    inner = heads * config.integer("attention_head_dim", default=both // heads, least=1)
    keys = inner // heads * config.integer("num_key_value_heads", default=heads, least=1)
    rank = config.integer("adapter_rank", default=128, least=1)
    parts = [Plain("mamba_in.weight", (hidden, hidden))]
    if config.flag("use_shared_mlp_adapter", default=True):
        parts += [Plain("ffn_up.lora_a", (hidden, rank)), Plain("ffn_up.lora_b", (rank, 2 * wide))]
    if config.flag("use_shared_attention_adapter"):
        for name in "qkv":
            parts += [Plain(f"attn_{name}.lora_a", (both, rank)), Plain(f"attn_{name}.lora_b", (rank, both))]
    if before < config.integer("num_mem_blocks", default=1, least=1, most=64):
        parts += [
            Plain(f"shared.attn_{name}.weight", (both, rows))
            for name, rows in zip("qkv", (inner, keys, keys), strict=True)
        ]
        parts += [
            Plain("shared.attn_output.weight", (inner, hidden)),
            Plain("shared.ffn_up.weight", (hidden, 2 * wide)),
            Plain("shared.ffn_down.weight", (wide, hidden)),
            Plain("shared.attn_norm.weight", (both,)),
            Plain("shared.ffn_norm.weight", (hidden,)),
        ]
    return tuple(parts)
