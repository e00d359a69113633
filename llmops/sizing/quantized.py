"""A catalogue row as the GGUF file llama-quantize would make of it: tensors with names, dims and types.

Tensor lists: llama.cpp of autumn 2026, gguf-py and convert_hf_to_gguf.py. Files of publishers that keep to the file type's
rules come out within 1 %; recipes under a standard name (UD, per-tensor overrides) may be up to 16 % larger.
"""

from collections.abc import Iterator

from llmops.domain.catalogue import ModelRow
from llmops.domain.ledger import Confidence
from llmops.domain.model import Attention, LatentAttention, Layer, ModelShape, Tensor
from llmops.sizing.file_types import DEFAULTS, Facts, tensor_type

COVERED = frozenset(
    {"llama", "mistral3", "qwen2", "qwen3", "qwen3moe", "gemma2", "gemma3", "phi3", "deepseek2", "seed_oss", "olmo2"}
)
"""GGUF architectures whose tensors are generated here."""

_HEAD_NORMS = frozenset({"qwen3", "qwen3moe", "gemma3"})
_BIASES = frozenset({"qwen2", "seed_oss"})
_SLIDING = frozenset({"gemma2", "gemma3"})
"""The others run with full attention in llama.cpp, whatever their config says of a window."""

_KNOWN_DETAILS = frozenset({"qk_norm", "norms_per_layer", "bias_qkv"})
GEMMA3_VOCABULARY = 262144
"""Rows in the file; the checkpoint is padded to 262208."""

ROPE_FREQUENCY_FAMILIES = ("llama-3.1", "llama-3.2", "llama-3.3")


def quantized(row: ModelRow, *, quantization: str) -> ModelShape | None:
    """`row` at a file type; None where the family's tensors or the type's rules are not known here."""
    if not _is_covered(row) or quantization not in DEFAULTS:
        return None
    tensors = tuple(_tensors(row, quantization))
    return ModelShape(
        architecture=row.gguf_architecture or "",
        name=row.id,
        layers=tuple(_layers(row)),
        embedding_length=row.hidden,
        vocabulary=_vocabulary(row),
        context_length=row.context_length,
        window_tokens=row.window_tokens if row.gguf_architecture in _SLIDING else None,
        latent=_latent(row),
        tensors=tensors,
        tensors_confidence=Confidence.CALIBRATED,
        quantization=quantization,
        has_chat_template=True,
    )


def _is_covered(row: ModelRow) -> bool:
    architecture = row.gguf_architecture
    if architecture not in COVERED or set(row.pattern) - {"F", "S"} or not row.layers:
        return False
    special = {key for key, value in row.details.items() if value}
    if special - _KNOWN_DETAILS or ("bias_qkv" in special and architecture not in _BIASES):
        return False
    if row.details.get("qk_norm") and architecture not in _HEAD_NORMS | {"olmo2"}:
        return False
    if bool(row.mla) != (architecture == "deepseek2") or "indexer" in row.mla:
        return False
    return bool(row.moe) or row.intermediate is not None


def _vocabulary(row: ModelRow) -> int:
    return min(row.vocabulary, GEMMA3_VOCABULARY) if row.gguf_architecture == "gemma3" else row.vocabulary


def _latent(row: ModelRow) -> LatentAttention | None:
    if not row.mla:
        return None
    rank, rope, nope, value = (
        _mla(row, key) for key in ("kv_lora_rank", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim")
    )
    return LatentAttention(rank=rank, rope_length=rope, key_length=nope + rope, value_length=value)


def _mla(row: ModelRow, key: str) -> int:
    return row.mla.get(key) or 0


def _dense_layers(row: ModelRow) -> int:
    return row.moe.get("first_dense_layers", 0) if row.moe else row.layers


def _expert_width(row: ModelRow) -> int:
    return row.moe.get("moe_intermediate") or row.intermediate or 0


def _dense_width(row: ModelRow) -> int:
    return row.moe.get("dense_intermediate") or row.intermediate or 0


def _layers(row: ModelRow) -> Iterator[Layer]:
    latent = _latent(row)
    for at in range(row.layers):
        has_experts = at >= _dense_layers(row)
        slides = row.gguf_architecture in _SLIDING and row.pattern[at : at + 1] == "S"
        attention = Attention.LATENT if latent else Attention.SLIDING if slides else Attention.FULL
        yield Layer(
            attention=attention,
            heads=row.heads,
            kv_heads=1 if latent else row.kv_heads,
            key_length=latent.rank + latent.rope_length if latent else row.head_length,
            value_length=0 if latent else row.head_length,
            feed_forward=0 if has_experts else _dense_width(row),
            experts=row.moe["n_experts"] if has_experts else 0,
            experts_used=row.moe["n_active"] if has_experts else 0,
            expert_feed_forward=_expert_width(row) if has_experts else 0,
        )


class _Writer:
    """Makes the tensors of one row: matrices by the file type's rules, everything else F32."""

    def __init__(self, row: ModelRow, file_type: str) -> None:
        self._file_type = file_type
        self._facts = Facts(
            architecture=row.gguf_architecture or "",
            layers=row.layers,
            group=row.heads // row.kv_heads if row.kv_heads else 0,
            experts=row.moe.get("n_experts", 0) if row.moe else 0,
            tied=row.tied_embeddings,
        )

    def matrix(self, name: str, *dims: int, layer: int = 0) -> Tensor:
        kind = tensor_type(self._file_type, name, row_elements=dims[0], index=layer, facts=self._facts)
        return Tensor(name, dims, kind)


def _tensors(row: ModelRow, file_type: str) -> Iterator[Tensor]:
    write = _Writer(row, file_type)
    yield write.matrix("token_embd.weight", row.hidden, _vocabulary(row))
    yield Tensor("output_norm.weight", (row.hidden,), "F32")
    if not row.tied_embeddings:
        yield write.matrix("output.weight", row.hidden, _vocabulary(row))
    yield from _rope_tensors(row)
    for at in range(row.layers):
        yield from _norms(row, at)
        yield from _latent_attention(row, at, write) if row.mla else _attention(row, at, write)
        yield from _experts(row, at, write) if at >= _dense_layers(row) else _feed_forward(row, at, write)


def _rope_tensors(row: ModelRow) -> Iterator[Tensor]:
    """One value for each pair of a head's elements, F32; missing ones cost a few hundred bytes."""
    pairs = row.head_length // 2
    if row.family.startswith(ROPE_FREQUENCY_FAMILIES):
        yield Tensor("rope_freqs.weight", (pairs,), "F32")
    if row.gguf_architecture == "phi3" and row.context_length > 4096 and "phi-4" not in row.family:
        yield Tensor("rope_factors_long.weight", (pairs,), "F32")
        yield Tensor("rope_factors_short.weight", (pairs,), "F32")


def _norms(row: ModelRow, at: int) -> Iterator[Tensor]:
    names = {
        "olmo2": ("post_attention_norm", "post_ffw_norm"),
        "gemma2": ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"),
        "gemma3": ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"),
        "seed_oss": ("attn_norm", "post_attention_norm"),
    }.get(row.gguf_architecture or "", ("attn_norm", "ffn_norm"))
    for name in names:
        yield Tensor(f"blk.{at}.{name}.weight", (row.hidden,), "F32")


def _attention(row: ModelRow, at: int, write: _Writer) -> Iterator[Tensor]:
    block, width, kv_width = f"blk.{at}", row.heads * row.head_length, row.kv_heads * row.head_length
    if row.gguf_architecture == "phi3":
        yield write.matrix(f"{block}.attn_qkv.weight", row.hidden, width + 2 * kv_width, layer=at)
    else:
        for name, columns in (("q", width), ("k", kv_width), ("v", kv_width)):
            yield write.matrix(f"{block}.attn_{name}.weight", row.hidden, columns, layer=at)
            if row.gguf_architecture in _BIASES:
                yield Tensor(f"{block}.attn_{name}.bias", (columns,), "F32")
    yield write.matrix(f"{block}.attn_output.weight", width, row.hidden, layer=at)
    norms = {"olmo2": (width, kv_width)} | dict.fromkeys(_HEAD_NORMS, (row.head_length, row.head_length))
    if row.gguf_architecture in norms:
        query, key = norms[row.gguf_architecture]
        yield Tensor(f"{block}.attn_q_norm.weight", (query,), "F32")
        yield Tensor(f"{block}.attn_k_norm.weight", (key,), "F32")


def _latent_attention(row: ModelRow, at: int, write: _Writer) -> Iterator[Tensor]:
    block, heads = f"blk.{at}", row.heads
    rank, rope, nope, value, query_rank = (
        _mla(row, key) for key in ("kv_lora_rank", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim", "q_lora_rank")
    )
    if query_rank:
        yield write.matrix(f"{block}.attn_q_a.weight", row.hidden, query_rank, layer=at)
        yield Tensor(f"{block}.attn_q_a_norm.weight", (query_rank,), "F32")
        yield write.matrix(f"{block}.attn_q_b.weight", query_rank, heads * (nope + rope), layer=at)
    else:
        yield write.matrix(f"{block}.attn_q.weight", row.hidden, heads * (nope + rope), layer=at)
    yield write.matrix(f"{block}.attn_kv_a_mqa.weight", row.hidden, rank + rope, layer=at)
    yield Tensor(f"{block}.attn_kv_a_norm.weight", (rank,), "F32")
    yield write.matrix(f"{block}.attn_k_b.weight", nope, rank, heads, layer=at)
    yield write.matrix(f"{block}.attn_v_b.weight", rank, value, heads, layer=at)
    yield write.matrix(f"{block}.attn_output.weight", heads * value, row.hidden, layer=at)


def _feed_forward(row: ModelRow, at: int, write: _Writer) -> Iterator[Tensor]:
    block, width = f"blk.{at}", _dense_width(row)
    if row.gguf_architecture == "phi3":
        yield write.matrix(f"{block}.ffn_up.weight", row.hidden, 2 * width, layer=at)
    else:
        yield write.matrix(f"{block}.ffn_gate.weight", row.hidden, width, layer=at)
        yield write.matrix(f"{block}.ffn_up.weight", row.hidden, width, layer=at)
    yield write.matrix(f"{block}.ffn_down.weight", width, row.hidden, layer=at)


def _experts(row: ModelRow, at: int, write: _Writer) -> Iterator[Tensor]:
    block, count, width = f"blk.{at}", row.moe["n_experts"], _expert_width(row)
    yield Tensor(f"{block}.ffn_gate_inp.weight", (row.hidden, count), "F32")
    if row.moe.get("correction_bias"):
        yield Tensor(f"{block}.exp_probs_b.bias", (count,), "F32")
    yield write.matrix(f"{block}.ffn_gate_exps.weight", row.hidden, width, count, layer=at)
    yield write.matrix(f"{block}.ffn_up_exps.weight", row.hidden, width, count, layer=at)
    yield write.matrix(f"{block}.ffn_down_exps.weight", width, row.hidden, count, layer=at)
    shared = row.moe.get("shared_intermediate") or row.moe.get("n_shared", 0) * width
    if shared:
        yield write.matrix(f"{block}.ffn_gate_shexp.weight", row.hidden, shared, layer=at)
        yield write.matrix(f"{block}.ffn_up_shexp.weight", row.hidden, shared, layer=at)
        yield write.matrix(f"{block}.ffn_down_shexp.weight", shared, row.hidden, layer=at)
