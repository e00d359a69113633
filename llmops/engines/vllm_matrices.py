"""The two widths of a linear layer's matrix, whatever its quantization stores: layouts as formats/stored_matrix.py has them."""

import re

from llmops.domain.model import ModelShape, Tensor
from llmops.domain.records import dataclass

_MATRIX = re.compile(r"(?:\.|_)(?:weight|qweight|weight_packed|blocks)$")
_ENDS = re.compile(r"(?:^|\.)(?:embed_tokens|token_embd|wte|lm_head|output)\.")
_WORD = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """A matrix as it multiplies: width of what goes in and out, and of how many experts it is."""

    inner: int
    outer: int
    copies: int = 1


def sides_of(tensor: Tensor, shape: ModelShape) -> Sides | None:
    """As stored by its method; None for what is no matrix of a linear layer."""
    name, dims = tensor.name, tensor.dims
    if (
        len(dims) < 2
        or 1 in dims[:2]
        or not _MATRIX.search(name)
        or "norm" in name
        or "conv" in name
        or _ENDS.search(name)
    ):
        return None
    bits = shape.scheme.weight_bits if shape.scheme is not None else 16
    if name.endswith("blocks") and tensor.type == "U8" and len(dims) > 2:
        return Sides(inner=32 * dims[1], outer=dims[2], copies=dims[3] if len(dims) > 3 else 1)
    copies = dims[2] if len(dims) > 2 else 1
    first, second = dims[:2]
    if tensor.type == "I32":
        if name.endswith("qweight"):
            is_awq = shape.scheme is not None and shape.scheme.stored == "awq"
            inner, outer = (second, first * _WORD // bits) if is_awq else (second * _WORD // bits, first)
            return Sides(inner=inner, outer=outer, copies=copies)
        return Sides(inner=first * _WORD // bits, outer=second, copies=copies)
    return Sides(inner=2 * first if tensor.type == "U8" else first, outer=second, copies=copies)
