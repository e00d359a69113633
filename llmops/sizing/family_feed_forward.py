"""The feed-forward tensors of one block, by family, under their GGUF names: dense, or experts with what stands beside them.

Source: as `family_attention.py`.
"""

from collections.abc import Iterator

from llmops.domain.catalogue import ModelRow
from llmops.sizing.parts import Kept, Part, bare, bias, matrix, vector

FUSED_GATE_UP = frozenset({"phi3", "chatglm", "glm4"})
"""Their dense `ffn_up` holds gate and up."""

_NO_GATE = frozenset({"bert", "nomic-bert-moe"})


def has_experts(row: ModelRow, at: int) -> bool:
    """Whether this block's feed-forward is of experts: after the leading dense ones, every `layer_step`-th."""
    if not row.moe:
        return False
    if row.calculation == "nemotron_h":
        return row.pattern[at] == "E"
    step = row.moe.get("layer_step", 1)
    offset = row.moe.get("layer_offset", step - 1)
    return at >= row.moe.get("first_dense_layers", 0) and at % step == offset % step


def dense_width(row: ModelRow, at: int) -> int:
    """The width of a dense block."""
    if row.intermediate_by_layer:
        return row.intermediate_by_layer[at]
    width = row.moe.get("dense_intermediate") or row.intermediate or 0
    is_doubled = row.double_wide_mlp_on_shared_layers and at >= row.layers - row.kv_shared_layers
    return width * (2 if is_doubled else 1)


def expert_width(row: ModelRow) -> int:
    """The width of one expert."""
    return row.moe.get("moe_intermediate") or row.intermediate or 0


def feed_forward(row: ModelRow, at: int) -> Iterator[Part]:
    """All of one block; nothing where the family has none there."""
    if row.details.get("no_ffn") or (row.calculation == "nemotron_h" and row.pattern[at] not in "E-"):
        return
    if has_experts(row, at):
        yield from _experts(row, at)
    if not has_experts(row, at) or row.details.get("dense_mlp_beside_moe"):
        yield from dense(row, f"blk.{at}", dense_width(row, at))


def dense(row: ModelRow, block: str, width: int, *, suffix: str = "") -> Iterator[Part]:
    """Gate, up and down, or up and down, of a width; `suffix` `_shexp` for the shared expert."""
    is_gated = bool(row.details.get("mlp_gated", row.gguf_architecture not in _NO_GATE))
    has_bias = bool(row.details.get("mlp_bias")) or (row.calculation == "bert" and not row.details.get("no_bias"))
    is_fused = is_gated and not suffix and row.gguf_architecture in FUSED_GATE_UP
    ups = [("ffn_up", 2 * width)] if is_fused else [("ffn_gate", width), ("ffn_up", width)][not is_gated :]
    for name, rows in ups:
        yield matrix(f"{block}.{name}{suffix}", row.hidden, rows)
        if has_bias:
            yield bias(f"{block}.{name}{suffix}", rows)
    yield matrix(f"{block}.ffn_down{suffix}", width, row.hidden)
    if has_bias:
        yield bias(f"{block}.ffn_down{suffix}", row.hidden)


def _experts(row: ModelRow, at: int) -> Iterator[Part]:
    block, moe, width = f"blk.{at}", row.moe, expert_width(row)
    count = moe["n_experts"]
    yield from _router(row, block)
    stream = moe.get("latent_size") or row.hidden
    if stream != row.hidden:
        yield matrix(f"{block}.ffn_latent_down", row.hidden, stream)
        yield matrix(f"{block}.ffn_latent_up", stream, row.hidden)
    is_gated = moe.get("gated", row.gguf_architecture not in _NO_GATE)
    if is_gated and row.gguf_architecture == "gemma4":
        yield matrix(f"{block}.ffn_gate_up_exps", stream, 2 * width, count)
    elif is_gated:
        yield matrix(f"{block}.ffn_gate_exps", stream, width, count)
    if row.gguf_architecture != "gemma4":
        yield matrix(f"{block}.ffn_up_exps", stream, width, count)
    yield matrix(f"{block}.ffn_down_exps", width, stream, count)
    if moe.get("expert_bias"):
        for name, size in (("gate", width), ("up", width), ("down", stream)):
            yield bias(f"{block}.ffn_{name}_exps", size, count)
    if row.calculation == "bert":
        yield bare(f"{block}.ffn_moe.bias", row.hidden)
    yield from _shared(row, block)


def _router(row: ModelRow, block: str) -> Iterator[Part]:
    moe = row.moe
    count = moe["n_experts"]
    yield vector(f"{block}.ffn_gate_inp", row.hidden, count)
    if moe.get("router_bias"):
        yield bias(f"{block}.ffn_gate_inp", count)
    if moe.get("correction_bias"):
        yield bias(f"{block}.exp_probs_b", count)
    if moe.get("extra_router"):  # Gemma 4: a scale of the router's input, and one an expert
        yield Part(f"{block}.ffn_gate_inp.scale", (row.hidden,), Kept.F32)
        yield Part(f"{block}.ffn_down_exps.scale", (moe["extra_router"] - row.hidden,), Kept.F32)


def _shared(row: ModelRow, block: str) -> Iterator[Part]:
    width = row.moe.get("shared_intermediate") or row.moe.get("n_shared", 0) * expert_width(row)
    if not width:
        return
    if row.moe.get("shared_gate"):
        yield vector(f"{block}.ffn_gate_inp_shexp", row.hidden)
    if row.moe.get("gated") is False:
        yield matrix(f"{block}.ffn_up_shexp", row.hidden, width)
        yield matrix(f"{block}.ffn_down_shexp", width, row.hidden)
    else:
        yield from dense(row, block, width, suffix="_shexp")
