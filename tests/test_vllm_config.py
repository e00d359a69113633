"""From a config.json to vLLM's pool: the figures are those its own functions planned for the same model."""

import json
from pathlib import Path
from typing import Any

import pytest

from llmops.domain.engine import Device, DeviceKind, EngineName, EngineSettings, PoolSettings
from llmops.domain.model import ModelShape
from llmops.engines.vllm_blocks import pools
from llmops.formats.config_json import model_shape

PLANNER: dict[str, Any] = json.loads((Path(__file__).parent / "measured" / "vllm" / "planner.json").read_text())
COMMON = {"hidden_size": 4096, "intermediate_size": 8192, "vocab_size": 100_352, "max_position_embeddings": 131_072}
CONFIGS: dict[str, dict[str, Any]] = {
    "llama-3.1-8b": {
        "model_type": "llama",
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    },
    "gpt-oss-20b": {
        "model_type": "gpt_oss",
        "num_hidden_layers": 24,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "sliding_window": 128,
        "layer_types": ["sliding_attention", "full_attention"] * 12,
        "num_local_experts": 32,
        "num_experts_per_tok": 4,
    },
    "gemma-3-27b": {
        "model_type": "gemma3_text",
        "num_hidden_layers": 62,
        "num_attention_heads": 32,
        "num_key_value_heads": 16,
        "head_dim": 128,
        "sliding_window": 1024,
    },
    "qwen3-next": {
        "model_type": "qwen3_next",
        "num_hidden_layers": 48,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "head_dim": 256,
        "full_attention_interval": 4,
        "linear_num_key_heads": 16,
        "linear_num_value_heads": 32,
        "linear_key_head_dim": 128,
        "linear_value_head_dim": 128,
        "linear_conv_kernel_dim": 4,
        "num_experts": 512,
        "num_experts_per_tok": 10,
        "moe_intermediate_size": 512,
        "shared_expert_intermediate_size": 512,
    },
    "granite-4.0-h-small": {
        "model_type": "granitemoehybrid",
        "num_hidden_layers": 40,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "layer_types": [*(["mamba"] * 5 + ["attention"]), *(["mamba"] * 9 + ["attention"]) * 3, *["mamba"] * 4],
        "mamba_n_heads": 128,
        "mamba_d_head": 64,
        "mamba_d_state": 128,
        "mamba_n_groups": 1,
        "mamba_d_conv": 4,
        "mamba_expand": 2,
        "num_local_experts": 72,
        "num_experts_per_tok": 10,
        "shared_intermediate_size": 1536,
    },
    "llama-4-scout": {
        "model_type": "llama4_text",
        "num_hidden_layers": 48,
        "num_attention_heads": 40,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "attention_chunk_size": 8192,
        "no_rope_layers": [1, 1, 1, 0] * 12,
        "num_local_experts": 16,
        "num_experts_per_tok": 1,
        "intermediate_size_mlp": 16384,
    },
    "deepseek-v3": {
        "model_type": "deepseek_v3",
        "num_hidden_layers": 61,
        "num_attention_heads": 128,
        "num_key_value_heads": 128,
        "kv_lora_rank": 512,
        "q_lora_rank": 1536,
        "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64,
        "v_head_dim": 128,
        "n_routed_experts": 256,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 2048,
        "n_shared_experts": 1,
        "first_k_dense_replace": 3,
    },
}
CASES = [
    PLANNER["base"] | one for one in PLANNER["cases"] if one["model"] in CONFIGS and "refused" not in one["answer"]
]
CASES = [one for one in CASES if one["stages"] == 1 and one["drafted"] == 0]


def shape(name: str) -> ModelShape:
    return model_shape(json.dumps(COMMON | CONFIGS[name]).encode(), name=name, tensors=None)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_gives_the_pool_vllm_plans(name: str) -> None:
    one = shape(name)
    for asked in (case for case in CASES if case["model"] == name):
        card = Device(
            name="card", kind=DeviceKind.CUDA, capacity_bytes=1, free_bytes=1, compute_capability=asked["capability"]
        )
        settings = EngineSettings(
            engine=EngineName.VLLM,
            context_size=asked["max_model_len"],
            parallel=128,
            kv_cache_type_k=asked["type"],
            batch_tokens=asked["batch_tokens"],
            tensor_parallel=asked["ranks"],
            pool=PoolSettings(
                block_tokens=asked["block"],
                prefix_caching=asked["prefix_caching"],
                window_groups=asked["window_groups"],
            ),
        )
        found = pools(one, settings, device=card)
        assert found is not None
        answer = asked["answer"]
        size = found.bytes_per_block(0)
        assert [size] == answer["bytes_per_block"], asked
        assert (
            found.longest_request(asked["available"] // size, limit_tokens=asked["max_model_len"]) == answer["longest"]
        )
