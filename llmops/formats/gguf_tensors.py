"""The tensor infos of a GGUF header, each one checked.

Refusals follow llama.cpp b11434 (ggml/src/gguf.cpp): offsets must be exactly the running sum of padded sizes.
"""

import struct

from llmops.domain.errors import WrongInput
from llmops.domain.model import Tensor
from llmops.domain.tensor_types import GGML_TYPES
from llmops.domain.units import padded
from llmops.formats.gguf_cursor import U32, Cursor, shown

NAME_BYTES_LIMIT = 63
DIMENSIONS_LIMIT = 4
_REST = {rank: struct.Struct(f"<{rank}QIQ") for rank in range(1, DIMENSIONS_LIMIT + 1)}
"""Sizes, type and offset of a tensor with so many dimensions."""
INT64_MAX = (1 << 63) - 1
REMOVED_TYPES = {
    4: "Q4_2",
    5: "Q4_3",
    31: "Q4_0_4_4",
    32: "Q4_0_4_8",
    33: "Q4_0_8_8",
    36: "IQ4_NL_4_4",
    37: "IQ4_NL_4_8",
    38: "IQ4_NL_8_8",
}
CUT = "the download was cut: fetch it again (`llmops pull` resumes and verifies)"


def read_tensors(cursor: Cursor, count: int, *, alignment: int) -> tuple[Tensor, ...]:
    """All of them, in the file's order."""
    tensors: list[Tensor] = []
    names: set[str] = set()
    expected = 0
    for number in range(count):
        tensor, offset = _tensor_and_offset(cursor, number)
        if tensor.name in names:
            raise cursor.wrong(f"the tensor {shown(tensor.name)} is there twice")
        names.add(tensor.name)
        if offset != expected:
            raise cursor.wrong(
                f"the tensor {shown(tensor.name)} starts at {offset}; the one before it ends at {expected}"
            )
        expected += padded(tensor.data_bytes(), alignment)
        tensors.append(tensor)
    return tuple(tensors)


def check_length(cursor: Cursor, tensors: tuple[Tensor, ...], *, data_offset: int, alignment: int) -> None:
    """The weights lie inside the file (the last tensor's padding may be missing)."""
    present = cursor.file.file_bytes
    if present is None or not tensors:
        return
    before = sum(padded(tensor.data_bytes(), alignment) for tensor in tensors[:-1])
    needed = data_offset + before + tensors[-1].data_bytes()
    if present < needed:
        message = f"it has {present} bytes of at least {needed}: the last {needed - present} are missing"
        raise cursor.wrong(message, hint=CUT)


def _tensor_and_offset(cursor: Cursor, number: int) -> tuple[Tensor, int]:
    name = cursor.text(f"the name of tensor {number + 1}", NAME_BYTES_LIMIT)
    rank = cursor.number(U32)
    if not 1 <= rank <= DIMENSIONS_LIMIT:
        raise cursor.wrong(f"the tensor {shown(name)} has {rank} dimensions")
    *sizes, type_number, offset = cursor.unpack(_REST[rank])
    dims = tuple(sizes)
    kind = GGML_TYPES.get(type_number)
    if kind is None:
        raise _unknown_type(cursor, name, type_number)
    if dims[0] % kind.block_elements:
        blocks = f"whole {kind.name} blocks of {kind.block_elements}"
        raise cursor.wrong(f"a row of the tensor {shown(name)} has {dims[0]} numbers, not {blocks}")
    tensor = Tensor(name, dims, kind.name)
    if 0 in dims or max(tensor.elements(), tensor.data_bytes()) > INT64_MAX:
        raise cursor.wrong(f"the tensor {shown(name)} has the impossible dimensions {dims}")
    return tensor, offset


def _unknown_type(cursor: Cursor, name: str, number: int) -> WrongInput:
    if number in REMOVED_TYPES:
        message = f"the tensor {shown(name)} is {REMOVED_TYPES[number]} (type {number}), which llama.cpp has removed"
        return cursor.wrong(message, hint="take a newer file of this model, quantized again")
    hint = "made by a fork (ik_llama.cpp has types of its own) or by a newer llama.cpp: take a file of a standard type"
    return cursor.wrong(f"the tensor {shown(name)} has the unknown type {number}", hint=hint)
