"""Models of logs whose published configuration gives the tensors, by which the compute buffer is decided.

The types of the weights are a stand-in: a log's rows take the weights as logged, and the graph does not depend on them.
"""

from collections.abc import Mapping
from typing import Any

from llmops.formats.gguf_values import Writable

TensorRow = tuple[str, tuple[int, ...], str]
EMBEDDING, FEED_FORWARD, HEADS, VOCABULARY = 3840, 15360, 16, 262_144


def published(row: Mapping[str, Any]) -> tuple[dict[str, Writable], list[TensorRow]] | None:
    """The keys and tensors of Gemma 4 12B; None for any other model."""
    hyper = row.get("hparams") or {}
    is_gemma4 = row.get("arch") == "gemma4" and hyper.get("n_layer") == 48 and hyper.get("n_embd_k_swa") == 2048
    if not is_gemma4 or hyper.get("n_embd", EMBEDDING) != EMBEDDING:
        return None
    full = [at % 6 == 5 for at in range(48)]
    keys: dict[str, Writable] = {
        "block_count": 48, "context_length": 262_144, "embedding_length": EMBEDDING, "feed_forward_length": FEED_FORWARD,
        "attention.head_count": HEADS, "attention.head_count_kv": [1 if one else 8 for one in full],
        "attention.key_length": 512, "attention.value_length": 512, "attention.key_length_swa": 256,
        "attention.value_length_swa": 256, "attention.sliding_window": 1024,
        "attention.sliding_window_pattern": [not one for one in full], "vocab_size": VOCABULARY,
    }  # fmt: skip
    tensors: list[TensorRow] = [
        ("token_embd.weight", (EMBEDDING, VOCABULARY), "Q6_K"),
        ("output_norm.weight", (EMBEDDING,), "F32"),
    ]
    for at, is_full in enumerate(full):
        tensors += _block(f"blk.{at}", is_full=is_full)
    return keys, tensors


def _block(block: str, *, is_full: bool) -> list[TensorRow]:
    """One block; a full layer's V is its K."""
    length, kv_heads = (512, 1) if is_full else (256, 8)
    rows: list[TensorRow] = [
        (f"{block}.attn_q.weight", (EMBEDDING, HEADS * length), "Q4_K"),
        (f"{block}.attn_k.weight", (EMBEDDING, kv_heads * length), "Q4_K"),
        *([] if is_full else [(f"{block}.attn_v.weight", (EMBEDDING, kv_heads * length), "Q4_K")]),
        (f"{block}.attn_output.weight", (HEADS * length, EMBEDDING), "Q4_K"),
        (f"{block}.ffn_gate.weight", (EMBEDDING, FEED_FORWARD), "Q4_K"),
        (f"{block}.ffn_up.weight", (EMBEDDING, FEED_FORWARD), "Q4_K"),
        (f"{block}.ffn_down.weight", (FEED_FORWARD, EMBEDDING), "Q6_K"),
        (f"{block}.layer_output_scale.weight", (1,), "F32"),
    ]
    rows += [(f"{block}.attn_{name}_norm.weight", (length,), "F32") for name in ("q", "k")]
    names = ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")
    return rows + [(f"{block}.{name}.weight", (EMBEDDING,), "F32") for name in names]
