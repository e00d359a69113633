"""llama-quantize's choice: which storage type each tensor of a model gets in a file of a given type.

Source: llama.cpp of autumn 2026, src/llama-quant.cpp, without an importance matrix and without per-tensor overrides (which
leave no trace in a file's header). Fused `attn_qkv` follows the rule of before March 2026, as the published Phi files do.
"""

from dataclasses import dataclass

from llmops.domain.tensor_types import TENSOR_TYPES

PLAIN = {"F32": "F32", "F16": "F16", "BF16": "BF16"}

DEFAULTS = PLAIN | {
    "Q8_0": "Q8_0",
    "Q6_K": "Q6_K",
    "Q5_K_M": "Q5_K",
    "Q5_K_S": "Q5_K",
    "Q5_1": "Q5_1",
    "Q5_0": "Q5_0",
    "Q4_K_M": "Q4_K",
    "Q4_K_S": "Q4_K",
    "Q4_1": "Q4_1",
    "Q4_0": "Q4_0",
    "IQ4_NL": "IQ4_NL",
    "IQ4_XS": "IQ4_XS",
    "Q3_K_L": "Q3_K",
    "Q3_K_M": "Q3_K",
    "Q3_K_S": "Q3_K",
    "Q2_K": "Q2_K",
    "Q2_K_S": "Q2_K",
}
"""The file types that can be worked out, largest first, and the type most of their tensors get."""

_FALLBACKS = {"Q2_K": "Q4_0", "Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0", "IQ4_XS": "IQ4_NL"}
_FUSED = {"Q3_K_M": "Q4_K", "Q3_K_L": "Q4_K", "Q4_K_M": "Q5_K", "Q5_K_M": "Q6_K"}
_EIGHT_EXPERTS_OUTPUT = frozenset(
    {"Q2_K", "Q3_K_S", "Q3_K_M", "IQ4_NL", "IQ4_XS", "Q4_K_S", "Q4_K_M"}
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the rules ask of a model: blocks, query heads per KV head of the first layer, experts, tied output."""

    architecture: str
    layers: int
    group: int
    experts: int
    tied: bool


def tensor_type(file_type: str, name: str, *, row_elements: int, index: int, facts: Facts) -> str:
    """The type of matrix `name`; `index` is its layer (for `attn_v` and `ffn_down` the same as llama-quantize's counter)."""
    if file_type in PLAIN:
        return PLAIN[file_type]
    return _fallback(_wanted(file_type, name, row_elements, index, facts), row_elements)


def _fallback(kind: str, row_elements: int) -> str:
    """Rows that are not whole blocks get a type of smaller blocks, F16 at last."""
    if row_elements % TENSOR_TYPES[kind].block_elements == 0:
        return kind
    kind = _FALLBACKS.get(kind, "F16")
    return kind if row_elements % TENSOR_TYPES[kind].block_elements == 0 else "F16"


def _wanted(file_type: str, name: str, row_elements: int, index: int, facts: Facts) -> str:
    default = DEFAULTS[file_type]
    if name == "output.weight" or (name == "token_embd.weight" and facts.tied):
        if file_type == "Q8_0" or row_elements % TENSOR_TYPES[default].block_elements:
            return "Q8_0"
        return "Q6_K"
    if ".attn_qkv." in name:
        return _FUSED.get(file_type, default)
    if ".attn_v." in name:
        return _attention_value(file_type, default, index, facts)
    if ".attn_k." in name and facts.experts == 8:
        return "Q8_0"
    if ".attn_output." in name:
        return _attention_output(file_type, default, facts)
    if ".ffn_down" in name:
        return _feed_forward_down(file_type, default, index, facts)
    return default


def _attention_value(file_type: str, default: str, index: int, facts: Facts) -> str:
    if facts.experts == 8:
        return "Q8_0"
    grouped = facts.group >= 4
    match file_type:
        case "Q2_K":
            kind = "Q4_K" if grouped else "Q3_K"
        case "Q2_K_S":
            kind = "Q4_K" if grouped else default
        case "Q3_K_M":
            kind = "Q5_K" if index < 2 else "Q4_K"
        case "Q3_K_L":
            kind = "Q5_K"
        case "IQ4_NL" | "IQ4_XS":
            kind = "Q5_K" if grouped else default
        case "Q4_K_M" | "Q5_K_M":
            kind = "Q6_K" if more_bits(index, facts.layers) else default
        case "Q4_K_S":
            kind = "Q5_K" if index < 4 else default
        case _:
            kind = default
    is_70b = facts.layers == 80 and facts.group > 1 and facts.architecture in ("llama", "qwen2")
    return "Q5_K" if is_70b and kind in ("Q3_K", "Q4_K") else kind


def _attention_output(file_type: str, default: str, facts: Facts) -> str:
    if facts.experts == 8:
        return "Q5_K" if file_type in _EIGHT_EXPERTS_OUTPUT else default
    return {"Q2_K": "Q3_K", "Q3_K_M": "Q4_K", "Q3_K_L": "Q5_K"}.get(file_type, default)


def _feed_forward_down(file_type: str, default: str, index: int, facts: Facts) -> str:
    match file_type:
        case "Q2_K":
            return "Q3_K"
        case "Q2_K_S":
            return "Q4_K" if index < facts.layers // 8 else default
        case "Q3_K_M":
            return "Q5_K" if index < facts.layers // 16 else "Q4_K"
        case "Q3_K_L":
            return "Q5_K"
        case "Q4_K_M" | "Q5_K_M":
            return "Q6_K" if more_bits(index, facts.layers) else default
        case "Q4_K_S" | "IQ4_NL" | "IQ4_XS":
            return "Q5_K" if index < facts.layers // 8 else default
        case _:
            return default


def more_bits(index: int, layers: int) -> bool:
    """The first and the last eighth of the layers, and every third between."""
    eighth = layers // 8
    return index < eighth or index >= 7 * layers // 8 or (index - eighth) % 3 == 2
