"""Zeros that kernels of vLLM 0.33 pad quantized matrices with, on one rank: bytes that no checkpoint stores.

Source: vLLM 0.33, model_executor/layers/quantization/utils/marlin_utils.py (`marlin_padded_nk`,
`marlin_moe_padded_intermediate`) and nvfp4_utils.py (`pad_nvfp4_weight_for_cutlass`, `swizzle_blockscale`). What is fused (Q, K
and V; gate and up) is padded as one. Machete takes only widths that Marlin pads nothing of. Experts in NVFP4 on Blackwell and
MXFP4's (rank_weights.py) are not here.
"""

import re
from functools import lru_cache
from math import lcm

from llmops.domain.engine import Device
from llmops.domain.model import ModelShape, QuantizationScheme
from llmops.domain.records import dataclass
from llmops.domain.units import padded
from llmops.engines.rank_weights import Cut, Same, Side, is_drafted, layer_of, side_of
from llmops.engines.vllm_loaded import runs_marlin
from llmops.engines.vllm_matrices import sides_of

GROUPED = frozenset({"awq", "gptq", "packed"})
FOUR_BIT_FLOATS = {"nvfp4": 16, "nvfp4-packed": 16, "mxfp4-packed": 32}
"""Elements that share a scale of 8 bits."""

_FUSED = (
    (re.compile(r"\b[qkv]_proj\b"), "qkv_proj"),
    (re.compile(r"\battn_[qkv]\b"), "attn_qkv"),
    (re.compile(r"\b(?:gate|up)_proj\b"), "gate_up_proj"),
    (re.compile(r"\bffn_(?:gate|up)\b"), "ffn_gate_up"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How a matrix is kept: bits of a number, numbers of a scale (0: a row of the output), bytes of it and of its zero."""

    bits: int
    group: int
    scale_bytes: float

    def marlin_bytes(self, rows: int, columns: int) -> int:
        """What Marlin's tiles add: the cheaper of two families."""
        group = self.group or 1
        families = (
            (padded(rows, 64), padded(columns, lcm(128, group))),
            (padded(rows, 128), padded(columns, lcm(64, group))),
        )
        wide, long = min(families, key=lambda one: (one[0] * one[1], one[0] + one[1]))
        return self._bytes(wide, long) - self._bytes(rows, columns)

    def expert_bytes(self, rows: int, columns: int, *, is_down: bool) -> int:
        """What the experts' kernel adds: their own width is a whole number of 64 and of groups, the model's is as it is."""
        tile = lcm(64, self.group or 1)
        wide, long = (rows, padded(columns, tile)) if is_down else (padded(rows, tile), columns)
        return self._bytes(wide, long) - self._bytes(rows, columns)

    def _bytes(self, rows: int, columns: int) -> int:
        groups = columns // self.group if self.group else 1
        return rows * columns * self.bits // 8 + int(rows * groups * self.scale_bytes)


def padding_bytes(shape: ModelShape, device: Device | None, cut: Cut, layers: tuple[int, int]) -> int:
    """Of the layers of one stage on one rank."""
    how = _kept(shape.scheme, device)
    if how is None or shape.scheme is None:
        return 0
    is_native = how.group == 16 and _major(device) >= 10
    return _padded(Same(shape), how, is_native, cut, layers)


def _kept(scheme: QuantizationScheme | None, device: Device | None) -> Kept | None:
    """None where nothing is padded."""
    if scheme is None:
        return None
    if scheme.stored in GROUPED and scheme.weight_bits in (4, 8):
        zero = 0.0 if scheme.is_symmetric else scheme.weight_bits / 8
        return Kept(bits=scheme.weight_bits, group=max(scheme.group_size or 0, 0), scale_bytes=2 + zero)
    if scheme.stored in FOUR_BIT_FLOATS:
        return Kept(bits=4, group=FOUR_BIT_FLOATS[scheme.stored], scale_bytes=1)
    if scheme.stored == "fp8" and runs_marlin(device):
        return Kept(bits=8, group=0, scale_bytes=2)
    return None


@lru_cache(maxsize=64)
def _padded(same: Same, how: Kept, is_native: bool, cut: Cut, layers: tuple[int, int]) -> int:  # noqa: FBT001 - the cache's key
    shape, total = same.shape, 0
    modules: dict[str, tuple[int, int]] = {}
    for tensor in shape.tensors:
        at = layer_of(tensor.name)
        sides = sides_of(tensor, shape) if at is not None and layers[0] <= at < layers[1] else None
        if sides is None or is_drafted(tensor.name, shape) or tensor.type in ("BF16", "F16", "F32"):
            continue
        side, ranks = side_of(tensor.name, shape, cut)
        rows = sides.outer // ranks if side is Side.ROWS else sides.outer
        columns = sides.inner // ranks if side is Side.COLUMNS else sides.inner
        if ".experts." in tensor.name or "_exps." in tensor.name:
            is_down = "down" in tensor.name or ".w2." in tensor.name
            each = 0 if is_native else how.expert_bytes(rows, columns, is_down=is_down)
            total += each * sides.copies // (ranks if side is Side.EXPERT else 1)
            continue
        name = tensor.name
        for pattern, word in _FUSED:
            name = pattern.sub(word, name)
        before, _ = modules.get(name, (0, columns))
        modules[name] = (before + rows, columns)
    return total + sum(
        _native_bytes(rows, columns) if is_native else how.marlin_bytes(rows, columns)
        for rows, columns in modules.values()
    )


def _native_bytes(rows: int, columns: int) -> int:
    """NVFP4 on Blackwell: both widths to 32, scales to 128 rows and four of a row."""
    weights = (padded(rows, 32) * padded(columns, 32) - rows * columns) // 2
    return weights + padded(rows, 128) * padded(columns // 16, 4) - rows * (columns // 16)


def _major(device: Device | None) -> int:
    text = ((device.compute_capability if device is not None else None) or "").partition(".")[0]
    return int(text) if text.isdigit() else 0
