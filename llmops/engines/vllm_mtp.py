"""The MTP block of a model that is known by its config.json alone: its repository has one, no list of tensors says so.

Source: vLLM 0.33, model_executor/models/deepseek_mtp.py, glm4_moe_mtp.py, qwen3_next_mtp.py, nemotron_h_mtp.py: a layer like the
model's, a joining matrix of twice the width on every rank, norms; embedding and output are the model's own (v1/worker/gpu/
spec_decode/eagle/utils.py, `maybe_share_target_embed`). FP8 checkpoints store the block as they store the layers, those of four
bits leave it in 16 (llm-compressor and ModelOpt ignore it).
"""

from collections.abc import Iterator
from dataclasses import replace

from llmops.domain.model import Attention, Layer, ModelShape, Tensor
from llmops.engines.rank_weights import Cut, embedding_bytes, layer_of, rank_weights

_PACKED = (".qweight", ".weight_packed")
_BESIDE_PACKED = (
    ".qzeros",
    ".scales",
    ".weight_scale",
    ".weight_shape",
    ".g_idx",
    "_global_scale",
    ".weight_zero_point",
)
_WORD_BITS = {"I32": 32, "U8": 8, "I8": 8}
FEW_BITS = 4


def block_bytes(shape: ModelShape, cut: Cut, *, is_safe: bool) -> int:
    """The blocks on one rank, estimated; a safe figure has an embedding and an output of their own as well."""
    width = shape.embedding_length
    bits = shape.scheme.weight_bits if shape.scheme is not None else None
    layers = set(_like(shape.layers))
    kept = [one for one in shape.tensors if layer_of(one.name) in layers]
    wide = tuple(_in_16_bits(kept, bits) if bits is not None and bits <= FEW_BITS else kept)
    one_block = rank_weights(replace(shape, tensors=wide), replace(cut, stages=())).text
    own = 2 * embedding_bytes(shape, cut.tensor) if is_safe else 0
    return max(shape.mtp_layers, 1) * (one_block + 2 * 2 * width * width) + own


def _like(layers: tuple[Layer, ...]) -> Iterator[int]:
    """The last layer that keeps all tokens, and where it has no feed-forward of its own the last that has."""
    last = len(layers) - 1
    whole = [at for at, one in enumerate(layers) if one.attention in (Attention.FULL, Attention.LATENT)]
    at = whole[-1] if whole else last
    yield at
    if not _has_feed_forward(layers[at]):
        yield next((other for other in range(last, -1, -1) if _has_feed_forward(layers[other])), at)


def _has_feed_forward(layer: Layer) -> bool:
    return bool(layer.feed_forward or layer.expert_feed_forward)


def _in_16_bits(tensors: list[Tensor], bits: int) -> Iterator[Tensor]:
    for one in tensors:
        packed = next((end for end in _PACKED if one.name.endswith(end)), None)
        if packed is not None:
            first, *rest = one.dims
            name = one.name.removesuffix(packed) + ".weight"
            yield Tensor(name, (first * _WORD_BITS.get(one.type, bits) // bits, *rest), "BF16")
        elif not one.name.endswith(_BESIDE_PACKED):
            yield one
