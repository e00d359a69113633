"""How a config stretches its positions, and how far an engine goes by it.

Source: vLLM 0.33.0, vllm/config/model.py (`_get_and_verify_max_len`); transformers 5.23, modeling_rope_utils.py.
"""

from collections.abc import Mapping

from llmops.domain.model import RopeScaling
from llmops.formats.config_values import LENGTH_LIMIT, ConfigValues
from llmops.formats.json_text import Value

_INCLUDED = frozenset(
    {"su", "longrope", "llama3", "yarn", "deepseek_yarn", "deepseek_llama_scaling", "mrope", "proportional"}
)
"""Kinds whose stretch is in `max_position_embeddings` already."""
LENGTHS = (
    "max_position_embeddings", "n_positions", "seq_length", "max_sequence_length", "max_seq_len", "model_max_length",
    "context_length",
)  # fmt: skip


def rope_scaling(config: ConfigValues, trained: int) -> RopeScaling | None:
    """None where nothing is stretched."""
    table = _table(config)
    said = table.get("rope_type", table.get("type"))
    if not isinstance(said, str) or said == "default" or not said.isprintable() or len(said) > 40:
        return None
    factor = _number(table.get("factor"), 1.0)
    original = table.get("original_max_position_embeddings", config.value("original_max_position_embeddings"))
    base = (
        original
        if isinstance(original, int) and not isinstance(original, bool) and 0 < original <= LENGTH_LIMIT
        else None
    )
    is_included = said in _INCLUDED or "gemma3" in (config.text("model_type") or "")
    effective = trained if is_included else int(trained * factor)
    return RopeScaling(kind=said, factor=factor, original_length=base, effective_length=max(effective, 1))


def _table(config: ConfigValues) -> Mapping[str, Value]:
    """`rope_scaling`, or transformers 5's `rope_parameters`, where layers of several kinds may have one each."""
    for key in ("rope_scaling", "rope_parameters"):
        table = config.table(key)
        full = table.get("full_attention")
        if isinstance(full, Mapping):
            return full
        if table:
            return table
    return {}


def _number(value: Value, default: float) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 4096:
        return float(value)
    return default
