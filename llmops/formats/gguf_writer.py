"""Write GGUF version 3: magic, counts, key-values, tensor infos, padding, tensor data, each tensor padded.

Layout: llama.cpp b11434, ggml/src/gguf.cpp. Numbers are little-endian, dimensions fastest first.
"""

import struct
from collections.abc import Mapping, Sequence

from llmops.domain.model import Tensor
from llmops.domain.tensor_types import TENSOR_TYPES
from llmops.domain.units import padded
from llmops.formats.gguf_values import SCALAR_FORMATS, Scalar, Typed, ValueType, Writable

ALIGNMENT = 32


def gguf_bytes(metadata: Mapping[str, Writable], tensors: Sequence[tuple[Tensor, bytes]]) -> bytes:
    """A whole file. Raises `ValueError` where data is not as long as its tensor says: a mistake of the caller."""
    parts = [header_bytes(metadata, [tensor for tensor, _ in tensors])]
    alignment = _alignment(metadata)
    for tensor, data in tensors:
        if len(data) != tensor.data_bytes():
            raise ValueError(f"{tensor.name}: {len(data)} bytes, expected {tensor.data_bytes()}")
        parts.append(data + bytes(-len(data) % alignment))
    return b"".join(parts)


def header_bytes(metadata: Mapping[str, Writable], tensors: Sequence[Tensor]) -> bytes:
    """Everything before the tensor data, padded."""
    alignment = _alignment(metadata)
    parts = [struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata))]
    parts += [_string(key) + value_bytes(value) for key, value in metadata.items()]
    offset = 0
    for tensor in tensors:
        parts.append(_tensor_info(tensor, offset))
        offset += padded(tensor.data_bytes(), alignment)
    header = b"".join(parts)
    return header + bytes(-len(header) % alignment)


def value_bytes(value: Writable) -> bytes:
    """Type number and payload. A whole number becomes u32 (i32 below 0, u64 from 2^32), a fraction f32.

    Whole numbers in an array become i32, as converters write token types and per-layer head counts.
    """
    match value:
        case Typed():
            return _typed(value)
        case tuple() | list():
            return _array(_element_type(value), tuple(value))
        case _:
            kind = _scalar_type(value)
            return struct.pack("<I", kind) + _payload(kind, value)


def _typed(value: Typed) -> bytes:
    if isinstance(value.value, tuple):
        return _array(value.type, value.value)
    return struct.pack("<I", value.type) + _payload(value.type, value.value)


def _alignment(metadata: Mapping[str, Writable]) -> int:
    value = metadata.get("general.alignment", ALIGNMENT)
    return value if isinstance(value, int) else ALIGNMENT


def _tensor_info(tensor: Tensor, offset: int) -> bytes:
    number = TENSOR_TYPES[tensor.type].number
    if number is None:
        raise ValueError(f"{tensor.name}: ggml has no type {tensor.type}")
    dims = tensor.dims
    return _string(tensor.name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, number, offset)


def _scalar_type(value: Scalar) -> ValueType:
    match value:
        case bool():
            return ValueType.BOOL
        case int():
            return ValueType.I32 if value < 0 else ValueType.U32 if value < 1 << 32 else ValueType.U64
        case float():
            return ValueType.F32
        case _:
            return ValueType.STRING


def _element_type(items: Sequence[Scalar]) -> ValueType:
    first = items[0] if items else ""
    kind = _scalar_type(first)
    return ValueType.I32 if kind is ValueType.U32 else kind


def _array(kind: ValueType, items: tuple[Scalar, ...]) -> bytes:
    head = struct.pack("<IIQ", ValueType.ARRAY, kind, len(items))
    if kind is ValueType.STRING:
        return head + b"".join(_payload(kind, item) for item in items)
    return head + struct.pack(f"<{len(items)}{SCALAR_FORMATS[kind]}", *items)


def _payload(kind: ValueType, value: Scalar) -> bytes:
    if isinstance(value, str | bytes):
        return _string(value)
    return struct.pack(f"<{SCALAR_FORMATS[kind]}", value)


def _string(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw
