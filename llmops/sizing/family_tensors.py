"""All tensors of a catalogue row under their GGUF names, and the parameter count that follows from its shape.

Source: as `family_attention.py`. The sums are the published counts of every row (tests); what only a checkpoint or only a
GGUF file has is told apart.
"""

from collections.abc import Iterator

from llmops.domain.catalogue import ModelRow
from llmops.sizing.family_attention import attention
from llmops.sizing.family_feed_forward import dense, feed_forward, has_experts
from llmops.sizing.family_recurrent import (
    compressed_attention,
    linear_attention,
    mamba,
    short_convolution,
)
from llmops.sizing.parts import Kept, Part, bare, bias, matrix, norm, only_in_file, vector

GEMMA3_VOCABULARY = 262144
"""Rows in the file; the checkpoint is padded to 262208."""

ROPE_FREQUENCY_FAMILIES = ("llama-3.1", "llama-3.2", "llama-3.3")
MTP_IN_FILE = frozenset({"glm4moe", "glm-dsa"})
"""Converters of these have kept the MTP block since they exist; others' files have it only in newer builds, or never."""

_ENDS = ("attn_norm", "ffn_norm")
_BETWEEN = ("attn_norm", "post_attention_norm")
_AROUND = ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")
_GEMMA4_EXPERTS = (*_AROUND, "pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2")
_NORMS = {
    "olmo2": ("post_attention_norm", "post_ffw_norm"),
    "exaone4": ("post_attention_norm", "post_ffw_norm"),
} | dict.fromkeys(("glm4moe", "gpt-oss", "seed_oss", "qwen3next", "qwen35", "qwen35moe"), _BETWEEN)  # fmt: skip
_NORMS_BY_NUMBER = {1: ("attn_norm",), 4: _AROUND, 7: _GEMMA4_EXPERTS}


def parts(row: ModelRow) -> tuple[Part, ...]:
    """Every tensor of the text model's GGUF file, and those of the published count."""
    return tuple(_parts(row))


def parameters(row: ModelRow) -> int:
    """The text model's parameters as its shape says."""
    return sum(part.elements() for part in parts(row) if part.counted) + _only_in_checkpoint(row)


def active_parameters(row: ModelRow) -> int:
    """Those that one token uses: of the experts only the chosen ones; tables that are only looked up are left out."""
    count, used = row.moe.get("n_experts", 1), row.moe.get("n_active", 1)
    total = _only_in_checkpoint(row)
    for part in parts(row):
        if part.counted and part.name not in ("ngram_embd.weight", "per_layer_token_embd.weight"):
            is_expert = "_exps." in part.name and not part.name.endswith(".scale")
            total += part.elements() * used // count if is_expert else part.elements()
    return total


def vocabulary(row: ModelRow) -> int:
    """Rows of the embedding in a GGUF file."""
    is_padded = row.gguf_architecture in ("gemma3", "gemma3n")
    return min(row.vocabulary, GEMMA3_VOCABULARY) if is_padded else row.vocabulary


def _only_in_checkpoint(row: ModelRow) -> int:
    count = (row.vocabulary - vocabulary(row)) * row.hidden
    count += int(row.details.get("extra_per_layer", 0)) * row.layers
    if not row.details.get("extra_inactive"):
        count += int(row.details.get("extra_total", 0))
    if row.details.get("pooler"):
        count += row.hidden * row.hidden + row.hidden
    return count


def _parts(row: ModelRow) -> Iterator[Part]:
    yield matrix("token_embd", row.hidden, vocabulary(row))
    if row.calculation == "bert":
        yield from _bert_tables(row)
    else:
        # LFM2's last norm goes by another name.
        name = "token_embd_norm" if (row.gguf_architecture or "").startswith("lfm2") else "output_norm"
        yield from norm(name, row.hidden, has_bias=row.details.get("norm") == "layernorm")
        if not (row.tied_embeddings or row.embedding_model or row.details.get("no_lm_head")):
            yield matrix("output", row.hidden, vocabulary(row))
            if row.details.get("lm_head_bias"):
                yield bias("output", row.vocabulary)
    yield from _rope_tables(row)
    yield from _model_wide(row)
    for at in range(row.layers):
        yield from _block(row, at)
    if row.gguf_architecture in MTP_IN_FILE and row.mtp.get("formula"):
        yield from (only_in_file(part) for part in _mtp_block(row))


def _block(row: ModelRow, at: int) -> Iterator[Part]:
    if row.calculation == "bert":
        yield from attention(row, at)
        yield from norm(f"blk.{at}.attn_output_norm", row.hidden, has_bias=True)
        yield from feed_forward(row, at)
        yield from norm(f"blk.{at}.layer_output_norm", row.hidden, has_bias=True)
        return
    yield from _norms(row, at)
    yield from _mixing(row, at)
    yield from feed_forward(row, at)
    yield from _beside(row, at)


def _mixing(row: ModelRow, at: int) -> Iterator[Part]:
    """What mixes the tokens of a block, by its letter."""
    match row.pattern[at]:
        case "F" | "S" | "C" | "X":
            yield from attention(row, at)
        case "L":
            yield from linear_attention(row, at)
        case "M":
            yield from mamba(row, at)
        case "P":
            yield from mamba(row, at)
            yield from attention(row, at)
        case "K":
            yield from short_convolution(row, at)
        case "a" | "b" | "c":
            yield from compressed_attention(row, at)
        case _:
            return


def _norms(row: ModelRow, at: int) -> Iterator[Part]:
    number = int(row.details.get("norms_per_layer", 4 if row.calculation == "gemma3n" else 2))
    names = _NORMS_BY_NUMBER.get(number) or _NORMS.get(row.gguf_architecture or "", _ENDS)
    if row.pattern[at] == "0":
        names = names[1:]
    for name in names:
        yield from norm(f"blk.{at}.{name}", row.hidden, has_bias=row.details.get("norm") == "layernorm")


def _rope_tables(row: ModelRow) -> Iterator[Part]:
    """One value for each pair of a head's elements, F32; missing ones cost a few hundred bytes."""
    pairs = row.head_length // 2
    if row.family.startswith(ROPE_FREQUENCY_FAMILIES):
        yield only_in_file(vector("rope_freqs", pairs))
    if row.gguf_architecture == "gemma4":
        full = row.attention.get("F", {})
        yield only_in_file(vector("rope_freqs", int(full.get("head_dim", row.head_length)) // 2))
    if row.gguf_architecture in ("phi3", "phimoe") and row.context_length > 4096 and row.family != "phi-4":
        yield only_in_file(vector("rope_factors_long", pairs))
        yield only_in_file(vector("rope_factors_short", pairs))


def _model_wide(row: ModelRow) -> Iterator[Part]:
    """Tables and mixers that stand beside the blocks."""
    if row.layer_embeddings:
        small, rows = row.layer_embeddings["dim"], row.layer_embeddings["vocab"]
        yield matrix("per_layer_token_embd", small * row.layers, rows)
        yield Part("per_layer_model_proj.weight", (row.hidden, small * row.layers), Kept.CONVERTED)
        yield vector("per_layer_proj_norm", small)
    if row.altup_inputs:
        for name in ("altup_proj", "altup_unembd_proj"):
            yield Part(f"{name}.weight", (row.hidden, row.hidden, row.altup_inputs - 1), Kept.CONVERTED)
    if row.details.get("extra_inactive"):
        yield matrix("ngram_embd", 160, int(row.details["extra_total"]) // 160)
    if row.compressed:
        streams = row.compressed["hc_mult"]
        yield bare("output_hc_fn.weight", streams * row.hidden, streams)
        yield bare("output_hc_base.weight", streams)
        yield bare("output_hc_scale.weight", 1)


def _beside(row: ModelRow, at: int) -> Iterator[Part]:
    """Gemma's per-layer embeddings, AltUp and LAuReL."""
    block = f"blk.{at}"
    if row.gguf_architecture == "gemma4":
        yield only_in_file(vector(f"{block}.layer_output_scale", 1))
    if row.layer_embeddings:
        small = row.layer_embeddings["dim"]
        yield matrix(f"{block}.inp_gate", row.hidden, small)
        yield matrix(f"{block}.proj", small, row.hidden)
        yield vector(f"{block}.post_norm", row.hidden)
    if row.altup_inputs:
        count = row.altup_inputs
        yield vector(f"{block}.altup_correct_coef", count, count)
        yield vector(f"{block}.altup_correct_scale", row.hidden)
        yield vector(f"{block}.altup_predict_coef", count, count * count)
        yield Part(f"{block}.altup_router.weight", (row.hidden, count), Kept.CONVERTED)
        yield vector(f"{block}.altup_router_norm", row.hidden)
        yield Part(f"{block}.laurel_l.weight", (row.hidden, row.laurel_rank), Kept.CONVERTED)
        yield Part(f"{block}.laurel_r.weight", (row.laurel_rank, row.hidden), Kept.CONVERTED)
        yield vector(f"{block}.laurel_post_norm", row.hidden)


def _bert_tables(row: ModelRow) -> Iterator[Part]:
    if row.details.get("n_positions"):
        yield vector("position_embd", row.hidden, int(row.details["n_positions"]))
    yield vector("token_types", row.hidden, int(row.details["type_vocab"]))
    yield from norm("token_embd_norm", row.hidden, has_bias=True)


def _mtp_block(row: ModelRow) -> Iterator[Part]:
    """One more block of the full kind with what joins it to the model."""
    at = row.layers
    block = f"blk.{at}"
    like = row.pattern.rfind("F")
    for part in (*_norms(row, like), *attention(row, like)):
        yield part._replace(name=part.name.replace(f"blk.{like}.", f"{block}.", 1))
    last = row.layers - 1
    ffn = feed_forward(row, last) if has_experts(row, last) or not row.moe else dense(row, f"blk.{last}", 0)
    for part in ffn:
        yield part._replace(name=part.name.replace(f"blk.{last}.", f"{block}.", 1))
    yield matrix(f"{block}.nextn.eh_proj", 2 * row.hidden, row.hidden)
    for name in ("enorm", "hnorm", "shared_head_norm"):
        yield vector(f"{block}.nextn.{name}", row.hidden)
    if row.mtp.get("own_embeddings"):
        yield matrix(f"{block}.nextn.embed_tokens", row.hidden, row.vocabulary)
        yield matrix(f"{block}.nextn.shared_head_head", row.hidden, row.vocabulary)
