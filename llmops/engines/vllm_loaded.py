"""Weights of vLLM 0.33 as they lie on the card once they are loaded, where that is not how they are stored.

Source: vLLM 0.33, model_executor/layers/quantization/utils/marlin_utils_fp8.py (`prepare_fp8_layer_for_marlin`): a card
without 8-bit arithmetic (below 8.9) runs FP8 through Marlin, which has one scale for each column where the checkpoint has one for
a block of columns. AWQ, GPTQ, NVFP4 and FP8 by column are only put in another order. Zeros that widths are padded with:
vllm_padding.py. Not counted: zero points that a symmetric GPTQ drops. Repacking goes layer by layer before memory is
measured: what it takes meanwhile is given back.
"""

from dataclasses import replace
from functools import lru_cache

from llmops.domain.engine import Device
from llmops.domain.model import ModelShape, Tensor
from llmops.engines.computed_type import in_computed_type
from llmops.engines.rank_weights import Same

NATIVE_FP8, LEAST_MARLIN = 8.9, 7.5
SCALES = (".weight_scale_inv", ".weight_scale")


def as_loaded(shape: ModelShape, device: Device | None, computed: str = "auto") -> ModelShape:
    """The same model with its tensors as they are kept on this card; `computed` as `--dtype` spells it."""
    kept = in_computed_type(shape, computed)
    block = shape.scheme.block if shape.scheme is not None else None
    if block is None or not runs_marlin(device):
        return kept
    return _spread(Same(kept), block[0])


def runs_marlin(device: Device | None) -> bool:
    """A card without 8-bit arithmetic that is not too old."""
    try:
        return LEAST_MARLIN <= float((device.compute_capability if device is not None else None) or "") < NATIVE_FP8
    except ValueError:
        return False


@lru_cache(maxsize=8)
def _spread(same: Same, columns: int) -> ModelShape:
    """Scales of blocks repeated for every column, in 16 bit."""
    return replace(same.shape, tensors=tuple(_of_columns(one, columns) for one in same.shape.tensors))


def _of_columns(tensor: Tensor, columns: int) -> Tensor:
    if not tensor.name.endswith(SCALES) or len(tensor.dims) < 2:
        return tensor
    rows, blocks, *experts = tensor.dims
    return Tensor(tensor.name, (rows, blocks * columns, *experts), "BF16")
