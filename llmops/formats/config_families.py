"""The families whose config.json is understood: what their classes imply and their files leave out.

Sources: the config and model classes of transformers 4.57 and 5; parameter counts as published (checked by the tests).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One `model_type`. `architecture` is its GGUF word; `defaults` are the class's, for keys that the file leaves out.

    Norms and biases are counted per layer: `norms` of the hidden width, `head_norms` on queries and keys of one head,
    `full_norms` on all of them together.
    """

    architecture: str
    tied: bool = False
    norms: int = 2
    head_norms: bool = False
    full_norms: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    fused: bool = False
    sinks: bool = False
    router_bias: bool = False
    expert_bias: bool = False
    correction_bias: bool = False
    shared_gate: bool = False
    defaults: Mapping[str, int] = field(default_factory=dict)


_GEMMA3 = Family(
    architecture="gemma3",
    tied=True,
    norms=4,
    head_norms=True,
    defaults={
        "vocab_size": 262_208,
        "hidden_size": 2304,
        "intermediate_size": 9216,
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "max_position_embeddings": 131_072,
        "sliding_window": 4096,
        "sliding_window_pattern": 6,
    },
)
_DEEPSEEK3 = Family(architecture="deepseek2", correction_bias=True)
_QWEN2_VL = Family(architecture="qwen2vl", qkv_bias=True)
_QWEN3_VL = Family(architecture="qwen3vl", head_norms=True, defaults={"head_dim": 128})
_QWEN3_VL_MOE = Family(architecture="qwen3vlmoe", head_norms=True)

FAMILIES: dict[str, Family] = {
    "llama": Family(architecture="llama"),
    "mistral": Family(architecture="llama", defaults={"num_key_value_heads": 8}),
    "mixtral": Family(architecture="llama", defaults={"num_key_value_heads": 8, "num_experts_per_tok": 2}),
    "qwen2": Family(architecture="qwen2", qkv_bias=True),
    "qwen2_moe": Family(architecture="qwen2moe", qkv_bias=True, shared_gate=True),
    "qwen3": Family(architecture="qwen3", head_norms=True, defaults={"head_dim": 128}),
    "qwen3_moe": Family(architecture="qwen3moe", head_norms=True),
    "gemma2": Family(
        architecture="gemma2",
        tied=True,
        norms=4,
        defaults={"head_dim": 256, "sliding_window": 4096, "max_position_embeddings": 8192},
    ),
    "gemma3": _GEMMA3,
    "gemma3_text": _GEMMA3,
    "phi3": Family(architecture="phi3", fused=True),
    "deepseek_v2": Family(architecture="deepseek2"),
    "deepseek_v3": _DEEPSEEK3,
    "kimi_k2": _DEEPSEEK3,
    "glm4_moe_lite": _DEEPSEEK3,
    "glm4_moe": Family(architecture="glm4moe", head_norms=True, qkv_bias=True, correction_bias=True),
    "minimax_m2": Family(architecture="minimax-m2", full_norms=True, correction_bias=True),
    "qwen2_vl": _QWEN2_VL,
    "qwen2_5_vl": _QWEN2_VL,
    "qwen2_5_vl_text": _QWEN2_VL,
    "qwen3_vl": _QWEN3_VL,
    "qwen3_vl_text": _QWEN3_VL,
    "qwen3_vl_moe": _QWEN3_VL_MOE,
    "qwen3_vl_moe_text": _QWEN3_VL_MOE,
    "ministral3": Family(architecture="mistral3"),
    "mistral3": Family(architecture="llama"),
    "seed_oss": Family(architecture="seed_oss", qkv_bias=True, defaults={"head_dim": 128}),
    "smollm3": Family(architecture="smollm3", tied=True),
    "granite": Family(architecture="granite"),
    "olmo2": Family(architecture="olmo2", full_norms=True),
    "olmo3": Family(architecture="olmo2", full_norms=True, defaults={"sliding_window": 4096}),
    "exaone4": Family(architecture="exaone4", head_norms=True),
    "cohere2": Family(architecture="cohere2", tied=True, norms=1, defaults={"sliding_window": 4096}),
    "gpt_oss": Family(
        architecture="gpt-oss",
        qkv_bias=True,
        output_bias=True,
        sinks=True,
        router_bias=True,
        expert_bias=True,
        defaults={"head_dim": 64, "sliding_window": 128, "num_experts_per_tok": 4},
    ),
}
