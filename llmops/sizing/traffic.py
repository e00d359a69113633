"""What one token costs with a model, whatever the engine: bytes read of weights and cache, arithmetic."""

from llmops.domain.engine import EngineSettings
from llmops.domain.model import Attention, Layer, ModelShape, Tensor
from llmops.domain.records import dataclass
from llmops.domain.tensor_types import TENSOR_TYPES

FLOP_PER_BYTE_K, FLOP_PER_BYTE_IQ, FLOP_PER_BYTE_MXFP4, FLOP_PER_BYTE_LEGACY = 5.464, 13.34, 7.366, 0.3398


NOT_MULTIPLIED = ("scales", "scale", "scale_inv", "scale_2", "qzeros", "zero_point", "weight_shape", "g_idx", "absmax")
"""Ends of the names of what only says how a quantized matrix is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What one token costs.

    `weights_bytes` are read of the weights, `host_bytes` of them from RAM; `unpack_flop` unpacks them. A prompt token takes
    `dense_flop` in matrices that every token uses, and `expert_flop` in those of its experts.
    """

    weights_bytes: float
    host_bytes: float
    unpack_flop: float
    dense_flop: float
    expert_flop: float


def traffic(shape: ModelShape, settings: EngineSettings, *, on_cards: bool) -> Traffic:
    """The cost of one token alone; the output layer is read for each token, and not for those of a prompt."""
    read = in_ram = unpack = dense = expert = 0.0
    first = _first_card_layer(shape, settings) if on_cards else len(shape.layers)
    for tensor in shape.tensors:
        layer = _layer_number(tensor.name)
        share = _share_read(tensor, layer, shape)
        count = share * tensor.data_bytes()
        read += count
        unpack += count * _flop_per_byte(tensor.type)
        is_expert = "_exps." in tensor.name or ".experts." in tensor.name
        if layer is not None and (layer < first or (is_expert and layer < settings.cpu_moe_layers)):
            in_ram += count
        if layer is not None and len(tensor.dims) > 1:
            flop = 2 * share * _multiplied(tensor, shape)
            expert += flop if is_expert else 0
            dense += 0 if is_expert else flop
    return Traffic(weights_bytes=read, host_bytes=in_ram, unpack_flop=unpack, dense_flop=dense, expert_flop=expert)


def cache_bytes(shape: ModelShape, settings: EngineSettings, depth_tokens: int) -> float:
    """Bytes of the cache that one token reads at this depth."""
    key, value = element_bytes(settings.kv_cache_type_k), element_bytes(settings.kv_cache_type_v)
    return sum(
        _attended(layer, shape, depth_tokens) * (layer.key_width() * key + layer.value_width() * value)
        for layer in shape.layers
    )


def attention_flop(shape: ModelShape, depth_tokens: float) -> float:
    """Arithmetic of one token's attention over all layers: scores and sums, `4 · heads · length` a cell."""
    return sum(_attended(layer, shape, depth_tokens) * 4 * layer.heads * _head_length(layer) for layer in shape.layers)


def attention_cells(shape: ModelShape, depth_tokens: float) -> float:
    """Cells one token looks at, over all heads and layers."""
    return sum(_attended(layer, shape, depth_tokens) * layer.heads for layer in shape.layers)


def _attended(layer: Layer, shape: ModelShape, depth_tokens: float) -> float:
    if layer.attention is Attention.NONE:
        return 0.0
    if layer.attention in (Attention.SLIDING, Attention.CHUNKED) and shape.window_tokens:
        return min(depth_tokens, shape.window_tokens)
    return depth_tokens


def _head_length(layer: Layer) -> float:
    """The mean of key and value; a latent head's value is its key without the rope."""
    return layer.key_length - 32 if layer.attention is Attention.LATENT else (layer.key_length + layer.value_length) / 2


def _first_card_layer(shape: ModelShape, settings: EngineSettings) -> int:
    return 0 if settings.gpu_layers is None else max(len(shape.layers) + 1 - settings.gpu_layers, 0)


def _layer_number(name: str) -> int | None:
    parts = name.split(".")
    numbers = [int(part) for part in parts[:4] if part.isdigit()]
    return numbers[0] if numbers else None


def _share_read(tensor: Tensor, layer: int | None, shape: ModelShape) -> float:
    """One row of an untied input table, the used experts of all, nothing of blocks that are not loaded, else everything."""
    if layer is None:
        is_input = tensor.name.startswith(("token_embd", "model.embed_tokens", "per_layer_token_embd"))
        return 0.0 if is_input and not shape.has_tied_output() else 1.0
    if layer >= len(shape.layers):
        return 0.0
    one = shape.layers[layer]
    if one.experts and ("_exps." in tensor.name or ".experts." in tensor.name):
        return one.experts_used / one.experts
    return 1.0


def _multiplied(tensor: Tensor, shape: ModelShape) -> int:
    """Numbers of a matrix that a token is multiplied with: packed ones are several to an element, scales and zeros are none."""
    if tensor.name.endswith(NOT_MULTIPLIED):
        return 0
    bits = shape.scheme.weight_bits if shape.scheme is not None else 0
    held = {"I32": 32, "U8": 8}.get(tensor.type, 0)
    return tensor.elements() * (held // bits if held and 0 < bits < held else 1)


def _flop_per_byte(kind: str) -> float:
    if kind.startswith("IQ"):
        return FLOP_PER_BYTE_IQ
    if kind.endswith("_K"):
        return FLOP_PER_BYTE_K
    if kind == "MXFP4":
        return FLOP_PER_BYTE_MXFP4
    if not TENSOR_TYPES[kind].quantized:
        return 0.0
    return FLOP_PER_BYTE_LEGACY / 2 if kind == "Q8_0" else FLOP_PER_BYTE_LEGACY


def element_bytes(kind: str) -> float:
    """Bytes of one element of a cache of this type, by any engine's name of it."""
    row = TENSOR_TYPES.get(kind.upper())
    if row is None:  # vLLM's names: auto and bfloat16 are 2 bytes, the fp8 kinds one
        return 1.0 if kind.startswith(("fp8", "int8")) else 2.0
    return row.block_bytes / row.block_elements
