"""How a quantized checkpoint stores one linear layer: its tensors by method, under the names the method gives them.

Sources: vLLM 0.33.0, `create_weights` in vllm/model_executor/layers/quantization/{awq,gptq,fp8,modelopt,bitsandbytes,
mxfp4}.py and compressed_tensors/schemes/*.py; AutoAWQ 0.2 (gemm), GPTQModel, compressed-tensors 0.12 (compressors/*),
bitsandbytes 0.48 (functional.py, `QuantState.as_dict`). Checked against published file sizes (tests).
"""

from enum import StrEnum

from llmops.domain.model import Tensor
from llmops.domain.records import dataclass

Parts = list[tuple[str, tuple[int, ...], str]]


class Stored(StrEnum):
    """A layout of one matrix."""

    AWQ = "awq"
    GPTQ = "gptq"
    FP8 = "fp8"
    INT8 = "int8"
    PACKED = "packed"
    NVFP4 = "nvfp4"
    NVFP4_PACKED = "nvfp4-packed"
    MXFP4 = "mxfp4"
    MXFP4_PACKED = "mxfp4-packed"
    MXFP8 = "mxfp8"
    NF4 = "nf4"
    LLM_INT8 = "llm-int8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One matrix's layout. `group` 0: one scale a row. `block` rows x columns of a block of FP8.

    `per_row` scales for FP8 and INT8 (else one for the matrix); `scale_type` None: as the model's plain tensors.
    `has_input_scale`: activations have a fixed scale. `has_order`: act-order's g_idx. `double`: NF4's scales are quantized.
    """

    stored: Stored
    bits: int = 4
    group: int = 0
    block: tuple[int, int] | None = None
    per_row: bool = False
    scale_type: str | None = None
    scale_name: str = "weight_scale"
    has_input_scale: bool = False
    has_zeros: bool = False
    has_order: bool = False
    double: bool = False


def stored_tensors(
    how: Layout, stem: str, columns: int, rows: int, *, stack: tuple[int, ...], dtype: str
) -> list[Tensor]:
    """The tensors of one `rows` x `columns` matrix (`stack`: of so many, for experts), dims fastest first."""
    match how.stored:
        case Stored.AWQ | Stored.GPTQ:
            parts = _packed_words(how, columns, rows)
        case Stored.PACKED:
            parts = _compressed(how, columns, rows, dtype)
        case Stored.FP8 | Stored.INT8:
            parts = _eight_bits(how, columns, rows, dtype)
        case Stored.NF4 | Stored.LLM_INT8:
            parts = _bitsandbytes(how, columns, rows)
        case _:
            parts = _four_bit_floats(how, columns, rows)
    return [Tensor(f"{stem}.{part}", (*dims, *stack), kind) for part, dims, kind in parts]


def _up(number: int, by: int) -> int:
    return -(-number // by)


def _words(elements: int, bits: int) -> int:
    """32-bit words for so many numbers, packed without gaps where the width divides 32 or is 3."""
    return _up(elements * bits, 32) if bits == 3 else _up(elements, max(32 // bits, 1))


def _packed_words(how: Layout, columns: int, rows: int) -> Parts:
    groups = _up(columns, how.group) if how.group else 1
    scales = ("scales", (rows, groups), "F16")
    zeros = ("qzeros", (_words(rows, how.bits), groups), "I32")
    if how.stored is Stored.AWQ:
        return [("qweight", (_words(rows, how.bits), columns), "I32"), zeros, scales]
    parts: Parts = [("qweight", (rows, _words(columns, how.bits)), "I32"), zeros, scales]
    return [*parts, ("g_idx", (columns,), "I32")] if how.has_order else parts


def _compressed(how: Layout, columns: int, rows: int, dtype: str) -> Parts:
    groups = _up(columns, how.group) if how.group else 1
    parts: Parts = [
        ("weight_packed", (_words(columns, how.bits), rows), "I32"),
        ("weight_scale", (groups, rows), how.scale_type or dtype),
        ("weight_shape", (2,), "I64"),
    ]
    if how.has_zeros:
        parts.append(("weight_zero_point", (groups, _words(rows, how.bits)), "I32"))
    if how.has_order:
        parts.append(("weight_g_idx", (columns,), "I32"))
    return parts


def _eight_bits(how: Layout, columns: int, rows: int, dtype: str) -> Parts:
    kind = "F8_E4M3" if how.stored is Stored.FP8 else "I8"
    scale: tuple[int, ...] = (1, rows) if how.per_row else (1,)
    if how.block is not None:
        scale = (_up(columns, how.block[1]), _up(rows, how.block[0]))
    parts: Parts = [("weight", (columns, rows), kind), (how.scale_name, scale, how.scale_type or dtype)]
    return [*parts, ("input_scale", (1,), how.scale_type or dtype)] if how.has_input_scale else parts


def _four_bit_floats(how: Layout, columns: int, rows: int) -> Parts:
    match how.stored:
        case Stored.NVFP4:
            parts: Parts = [
                ("weight", (_up(columns, 2), rows), "U8"),
                ("weight_scale", (_up(columns, 16), rows), "F8_E4M3"),
                ("weight_scale_2", (1,), "F32"),
            ]
            return [*parts, ("input_scale", (1,), "F32")] if how.has_input_scale else parts
        case Stored.NVFP4_PACKED:
            parts = [
                ("weight_packed", (_up(columns, 2), rows), "U8"),
                ("weight_scale", (_up(columns, 16), rows), "F8_E4M3"),
                ("weight_global_scale", (1,), "F32"),
            ]
            return [*parts, ("input_global_scale", (1,), "F32")] if how.has_input_scale else parts
        case Stored.MXFP4_PACKED:
            return [
                ("weight_packed", (_up(columns, 2), rows), "U8"),
                ("weight_scale", (_up(columns, 32), rows), "U8"),
            ]
        case Stored.MXFP8:
            return [("weight", (columns, rows), "F8_E4M3"), ("weight_scale", (_up(columns, 32), rows), "U8")]
        case _:
            return [("blocks", (16, _up(columns, 32), rows), "U8"), ("scales", (_up(columns, 32), rows), "U8")]


QUANT_STATE_BYTES = 150
"""bitsandbytes writes a small JSON beside each matrix: block sizes, dtype, shape. About so long."""


def _bitsandbytes(how: Layout, columns: int, rows: int) -> Parts:
    if how.stored is Stored.LLM_INT8:
        return [("weight", (columns, rows), "I8"), ("SCB", (rows,), "F32"), ("weight_format", (), "U8")]
    blocks = _up(columns * rows, 64)
    parts: Parts = [
        ("weight", (1, _up(columns * rows, 2)), "U8"),
        ("weight.quant_map", (16,), "F32"),
        ("weight.quant_state.bitsandbytes__nf4", (QUANT_STATE_BYTES,), "U8"),
    ]
    if not how.double:
        return [*parts, ("weight.absmax", (blocks,), "F32")]
    return [
        *parts,
        ("weight.absmax", (blocks,), "U8"),
        ("weight.nested_absmax", (_up(blocks, 256),), "F32"),
        ("weight.nested_quant_map", (256,), "F32"),
    ]
