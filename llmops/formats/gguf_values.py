"""The value types of GGUF metadata.

Source: llama.cpp b11434, ggml/include/gguf.h and ggml/src/gguf.cpp.
"""

from enum import IntEnum

from llmops.domain.records import dataclass


class ValueType(IntEnum):
    """The type number that stands before a value."""

    U8 = 0
    I8 = 1
    U16 = 2
    I16 = 3
    U32 = 4
    I32 = 5
    F32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    U64 = 10
    I64 = 11
    F64 = 12


SCALAR_FORMATS: dict[ValueType, str] = {
    ValueType.U8: "B",
    ValueType.I8: "b",
    ValueType.U16: "H",
    ValueType.I16: "h",
    ValueType.U32: "I",
    ValueType.I32: "i",
    ValueType.F32: "f",
    ValueType.BOOL: "?",
    ValueType.U64: "Q",
    ValueType.I64: "q",
    ValueType.F64: "d",
}
"""The `struct` letter of every type of a fixed size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A value that was passed over: an array of `count` elements, or a text of `count` bytes (`is_array` False)."""

    element: ValueType
    count: int
    is_array: bool = True


@dataclass(frozen=True, slots=True)
class Typed:
    """A value to write as exactly this type (a tuple: an array of it), for keys whose readers insist on one."""

    type: ValueType
    value: "Scalar | tuple[Scalar, ...]"


Scalar = bool | int | float | str | bytes
GgufValue = bool | int | float | str | tuple[bool | int | float | str, ...] | Skipped
Writable = Scalar | tuple[Scalar, ...] | list[bool] | list[int] | list[float] | list[str] | list[Scalar] | Typed
