"""A catalogue row as the config.json its repository would have, for planning an engine that reads one, without network.

Composed: key names are those of transformers 5.23; only what decides sizes is written, and `layer_types` and
`mlp_layer_types` are spelled out layer by layer from the row's pattern.
"""

import json
from collections.abc import Mapping

from llmops.domain.catalogue import ModelRow

Plain = dict[str, object]
_EXPERT_COUNTS = ("num_experts", "num_local_experts", "n_routed_experts")
_WORDS = {
    "F": "full_attention", "S": "sliding_attention", "C": "chunked_attention", "L": "linear_attention", "M": "mamba",
    "P": "hybrid", "K": "conv", "X": "full_attention",
}  # fmt: skip
_MODEL_TYPES = {
    "JambaForCausalLM": "jamba", "XLMRobertaModel": "xlm-roberta", "NomicBertModel": "nomic_bert",
    "MllamaForConditionalGeneration": "mllama_text_model",
    "Qwen4ExpForConditionalGeneration": "qwen4_exp_text", "Glm5NextForConditionalGeneration": "glm5_next_text",
    "Exaone4_5_ForConditionalGeneration": "exaone4", "Gemma3nForConditionalGeneration": "gemma3n_text",
}  # fmt: skip
_DTYPES = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}
_TOWERS = {
    "qwen3vl": "qwen3_vl",
    "qwen25vl": "qwen2_5_vl",
    "pixtral": "pixtral",
    "siglip_gemma3": "siglip_vision_model",
    "kimi_k25": "kimi_k25_vision",
}


_WHOLES = {"siglip_vision_model": "gemma3", "pixtral": "mistral3", "qwen2_5_vl": "qwen2_5_vl"}
"""Whole models by their towers, where a row's model type is its text part's."""


def row_config(row: ModelRow) -> bytes:
    """The file's bytes."""
    model_type = _MODEL_TYPES.get(row.architecture, row.model_type)
    text: Plain = {
        "model_type": model_type,
        "_name_or_path": row.id,
        "dtype": _DTYPES.get(row.dtype or "", "bfloat16"),
        "architectures": ["EmbeddingModel" if row.embedding_model else row.architecture],
        "hidden_size": row.hidden,
        "num_hidden_layers": row.layers,
        "vocab_size": row.vocabulary,
        "tie_word_embeddings": row.tied_embeddings,
        "sliding_window": row.window_tokens,
        "max_position_embeddings": row.context_length or None,
        **_heads(row),
        **_widths(row),
        **_layers(row),
        **_experts(row),
        **{key: value for key, value in row.mla.items() if key != "indexer"},
        **_others(row),
        **_details(row),
    }
    vision = _vision(row)
    if vision is None:
        return json.dumps(text).encode()
    kind = _WHOLES.get(str(vision["model_type"]), row.model_type)
    whole = {"model_type": kind, "text_config": text, "vision_config": vision, "spatial_merge_size": 2}
    return json.dumps(whole).encode()


def _heads(row: ModelRow) -> Plain:
    if not row.heads:
        return {}
    said: Plain = {"num_attention_heads": row.heads, "num_key_value_heads": row.kv_heads}
    if not row.mla:
        said["head_dim"] = row.head_length
    if row.value_length and not row.mla:
        said["v_head_dim"] = row.value_length
    wide, narrow = row.attention.get("F", {}), row.attention.get("S", {})
    if row.model_type.startswith("gemma4"):
        said |= {
            "global_head_dim": wide.get("head_dim", row.head_length),
            "num_global_key_value_heads": wide.get("n_kv_heads", row.kv_heads),
            "attention_k_eq_v": bool(wide.get("k_eq_v")),
        }
    elif row.model_type == "mimo_v2_flash":
        said |= {
            "swa_num_attention_heads": narrow["n_heads"], "swa_num_key_value_heads": narrow["n_kv_heads"],
            "swa_head_dim": narrow["head_dim"], "swa_v_head_dim": narrow["head_dim_v"],
        }  # fmt: skip
    elif "n_heads" in narrow:
        said["num_attention_heads_per_layer"] = [
            narrow["n_heads"] if letter == "S" else row.heads for letter in row.pattern
        ]
    if row.model_type == "falcon":
        said |= {"multi_query": row.kv_heads == 1, "num_kv_heads": row.kv_heads}
    return said


def _widths(row: ModelRow) -> Plain:
    if row.intermediate_by_layer:
        groups = row.kv_heads_by_layer
        return {
            "block_configs": [
                {
                    "attention": {"no_op": not kv, "n_heads_in_group": row.heads // kv if kv else None},
                    "ffn": {"no_op": not width, "intermediate_size": width},
                }
                for kv, width in zip(groups, row.intermediate_by_layer, strict=True)
            ]
        }
    said: Plain = {}
    if row.intermediate is not None:
        said["intermediate_size"] = row.intermediate
    match row.model_type:
        case "lfm2":
            said["block_auto_adjust_ff_dim"] = False
        case "llama4":
            said |= {
                "intermediate_size_mlp": row.moe["dense_intermediate"],
                "intermediate_size": row.moe["moe_intermediate"],
            }
        case "granitemoehybrid" if not row.moe:
            said |= {"shared_intermediate_size": row.intermediate, "num_local_experts": 0}
        case "granitemoehybrid":
            said |= {"intermediate_size": row.moe["moe_intermediate"]}
        case "minimax_m3":
            said |= {
                "intermediate_size": row.moe["moe_intermediate"],
                "dense_intermediate_size": row.moe["dense_intermediate"],
            }
        case "falcon":
            said["ffn_hidden_size"] = row.intermediate
        case "hunyuan_v1_moe" | "gpt_oss" | "minimax_m2" | "olmoe" | "phimoe" | "mixtral":
            said["intermediate_size"] = row.moe["moe_intermediate"]
        case _:
            pass
    return said


def _layers(row: ModelRow) -> Plain:
    if row.model_type == "nemotron_h":
        return {"hybrid_override_pattern": row.pattern.replace("F", "*")}
    if row.compress_ratios or row.calculation in ("bert", "nas") or set(row.pattern) & set("abc"):
        return {}
    said: Plain = {"layer_types": [_WORDS[letter] for letter in row.pattern]}
    if "X" in row.pattern:
        said = {"cross_attention_layers": [at for at, letter in enumerate(row.pattern) if letter == "X"]}
    if row.indexer and row.mla:
        said["layer_types"] = ["indexed_attention" if letter == "F" else _WORDS[letter] for letter in row.pattern]
        if row.indexer_layers:
            said["indexer_types"] = ["full" if at in row.indexer_layers else "shared" for at in range(row.layers)]
    return said


def _experts(row: ModelRow) -> Plain:
    moe = row.moe
    if not moe:
        return (
            {"num_experts": None, "num_local_experts": None, "n_routed_experts": None}
            if row.model_type != "granitemoehybrid"
            else {}
        )
    first, step = moe.get("first_dense_layers", 0), moe.get("layer_step", 1)
    offset = moe.get("layer_offset", 0)
    said: Plain = {
        "num_experts": moe["n_experts"],
        "num_local_experts": moe["n_experts"],
        "n_routed_experts": moe["n_experts"],
        "num_experts_per_tok": moe["n_active"],
        "moe_intermediate_size": moe.get("moe_intermediate"),
        "n_shared_experts": moe.get("n_shared", 0),
        "mlp_layer_types": [
            "sparse" if at >= first and (at - offset) % step == 0 else "dense" for at in range(row.layers)
        ],
        "use_routing_bias": bool(moe.get("correction_bias")),
        "moe_use_aux_free": bool(moe.get("correction_bias")),
        "use_expert_bias": bool(moe.get("correction_bias")),
        "moe_router_enable_expert_bias": bool(moe.get("correction_bias")),
        "topk_method": "noaux_tc" if moe.get("correction_bias") else "greedy",
        "moe_latent_size": moe.get("latent_size"),
    }
    if row.model_type in ("ernie4_5_moe",):
        said["moe_num_experts"] = moe["n_experts"]
    if "shared_intermediate" in moe:
        width = moe["shared_intermediate"]
        said |= {"shared_expert_intermediate_size": width, "shared_intermediate_size": width}
        said["moe_shared_expert_intermediate_size"] = width // max(int(moe.get("n_shared", 1)), 1)
    elif row.model_type == "minimax_m3":
        said["shared_intermediate_size"] = moe["moe_intermediate"]
    elif row.model_type == "step3p7":
        said["share_expert_dim"] = moe["moe_intermediate"]
    elif row.model_type == "nemotron_h":
        said["moe_shared_expert_intermediate_size"] = moe["moe_intermediate"]
    if row.model_type in ("jamba", "llama"):
        said |= {"expert_layer_period": step, "expert_layer_offset": offset}
    if row.model_type == "llama4":
        said |= {"interleave_moe_layer_step": step, "mlp_layer_types": None}
    if row.model_type.startswith("gemma4"):
        said["enable_moe_block"] = True
    return said


def _others(row: ModelRow) -> Plain:
    said: Plain = {}
    one: Mapping[str, object] = row.linear
    if row.linear.get("kind") == "gdn":
        said |= {
            "linear_num_key_heads": one["n_k_heads"], "linear_key_head_dim": one["k_head_dim"],
            "linear_num_value_heads": one["n_v_heads"], "linear_value_head_dim": one["v_head_dim"],
            "linear_conv_kernel_dim": one["conv"],
        }  # fmt: skip
    elif row.linear:
        said |= {
            "linear_num_heads": one["n_heads"],
            "linear_head_dim": one["head_dim"],
            "linear_conv_kernel_dim": one["conv"],
        }
    if row.mamba.get("version") == 2:
        heads, length = int(row.mamba["n_heads"]), int(row.mamba["head_dim"])
        said |= {
            "mamba_n_heads": heads, "mamba_num_heads": heads, "mamba_d_head": length, "mamba_head_dim": length,
            "mamba_d_state": row.mamba["d_state"], "ssm_state_size": row.mamba["d_state"],
            "mamba_n_groups": row.mamba["n_groups"], "n_groups": row.mamba["n_groups"],
            "mamba_d_conv": row.mamba["conv"], "conv_kernel": row.mamba["conv"], "mamba_d_ssm": heads * length,
            "mamba_rms_norm": row.mamba.get("norm", True),
        }  # fmt: skip
    elif row.mamba:
        said |= {
            "mamba_expand": int(row.mamba["d_inner"]) // row.hidden, "mamba_d_state": row.mamba["d_state"],
            "state_size": row.mamba["d_state"], "mamba_dt_rank": row.mamba["dt_rank"], "time_step_rank": row.mamba["dt_rank"],
            "mamba_d_conv": row.mamba["conv"], "conv_kernel": row.mamba["conv"],
        }  # fmt: skip
        if not row.heads:
            said["intermediate_size"] = row.mamba["d_inner"]
    if row.short_convolution:
        said["conv_L_cache"] = row.short_convolution["l_cache"]
    if row.indexer:
        said |= {
            "index_n_heads": row.indexer["n_heads"], "index_head_dim": row.indexer["head_dim"], "index_topk": row.indexer["topk"],
        }  # fmt: skip
    if row.model_type.startswith(("gemma3n", "gemma4")):
        said |= {
            "hidden_size_per_layer_input": row.layer_embeddings.get("dim", 0),
            "vocab_size_per_layer_input": row.layer_embeddings.get("vocab", 0),
            "num_kv_shared_layers": row.kv_shared_layers,
            "use_double_wide_mlp": row.double_wide_mlp_on_shared_layers,
        }
    if row.compress_ratios:
        said |= {**row.compressed, "compress_ratios": list(row.compress_ratios), "model_type": "deepseek_v4"}
    return said


def _details(row: ModelRow) -> Plain:
    """What config.json says of norms and biases; what a class implies is not repeated."""
    details = row.details
    has_bias = bool(details.get("bias_qkv"))
    said: Plain = {
        "attention_bias": has_bias,
        "use_qk_norm": details.get("qk_norm") in ("head", "cohere"),
        "use_bias": has_bias or bool(details.get("mlp_bias")),
        "qkv_bias": has_bias,
        "use_bidirectional_attention": row.gguf_architecture == "gemma-embedding",
        "lm_head_bias": bool(details.get("lm_head_bias")),
    }
    if details.get("attn_gate") == "per_head":
        said["gating"] = "per-head"
    if row.calculation == "bert":
        said |= {
            "type_vocab_size": details.get("type_vocab", 0),
            "max_position_embeddings": details.get("n_positions") or row.context_length,
        }
    return said


def _vision(row: ModelRow) -> Plain | None:
    if not row.vision:
        return None
    one = row.vision
    said = str(one.get("kind"))
    if said.endswith(("_vision", "_vision_model")):  # the file's own words
        kept: Plain = {key: value for key, value in one.items() if key not in ("kind", "params", "params_source")}
        return kept | {"model_type": said}
    described: Plain = {
        "vision_use_head": False,
        "model_type": _TOWERS.get(said, "unknown"),
        "depth": one.get("layers", one.get("num_hidden_layers")),
        "num_hidden_layers": one.get("layers", one.get("num_hidden_layers")),
        "hidden_size": one.get("hidden", one.get("hidden_size")),
        "intermediate_size": one.get("intermediate", one.get("intermediate_size")),
        "patch_size": one.get("patch", one.get("patch_size")),
        "image_size": one.get("image_size", 224),
        "temporal_patch_size": one.get("temporal_patch", 2),
        "spatial_merge_size": one.get("merge", 2),
        "num_position_embeddings": one.get("n_pos"),
        "out_hidden_size": one.get("out_hidden"),
        "deepstack_visual_indexes": [0] * int(one.get("n_deepstack", 0)),
    }
    return {key: value for key, value in described.items() if value is not None}
