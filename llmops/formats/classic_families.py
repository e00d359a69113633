"""Families of before Llama: learned positions, biases everywhere, two matrices that feed forward.

Source: transformers 5.23, models/{gpt2,gptj,codegen,gpt_neox,gpt_bigcode,opt,bloom,mpt,xglm,biogpt,persimmon}/modeling_*.py.
"""

from dataclasses import replace

from llmops.formats.config_family import Family

_GPT2 = Family(
    architecture="gpt2", defaults="gpt2", tied=True, norm_bias=True, qkv_bias="yes", output_bias="yes", mlp_bias="yes",
    is_fused=True, is_gated=False, positions="n_positions",
)  # fmt: skip
_GPTJ = replace(
    _GPT2, architecture="gptj", defaults="gptj", tied=False, norms=1, qkv_bias="no", output_bias="no", head_bias="yes",
    is_fused=False, positions="",
)  # fmt: skip

CLASSIC: dict[str, Family] = {
    "whisper": Family(architecture="whisper", defaults="whisper", tied=True),
    "gpt2": _GPT2,
    "gpt-sw3": _GPT2,
    "gpt_bigcode": replace(_GPT2, architecture="starcoder", defaults="gpt_bigcode"),
    "gptj": _GPTJ,
    "codegen": replace(_GPTJ, architecture="codegen", is_fused=True),
    "gpt_neox": replace(
        _GPT2, architecture="gptneox", defaults="gpt_neox", tied=False, qkv_bias="attention_bias", output_bias="attention_bias",
        positions="",
    ),
    "opt": replace(
        _GPT2, architecture="opt", defaults="opt", qkv_bias="enable_bias", output_bias="enable_bias", mlp_bias="enable_bias",
        is_fused=False, positions="max_position_embeddings:2",
    ),
    "bloom": replace(_GPT2, architecture="bloom", defaults="bloom", positions="", embedding_norm=True),
    "mpt": Family(architecture="mpt", defaults="mpt", tied=True, is_fused=True, is_gated=False),
    "xglm": replace(_GPT2, architecture="xglm", defaults="xglm", is_fused=False, positions=""),
    "biogpt": replace(
        _GPT2, architecture="biogpt", defaults="biogpt", is_fused=False, positions="max_position_embeddings:2"
    ),
    "persimmon": replace(_GPT2, architecture="persimmon", defaults="persimmon", tied=False, positions=""),
}  # fmt: skip
