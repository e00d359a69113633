"""Read the header of a GGUF file (versions 2 and 3) through `read(offset, length)`, trusting nothing in it.

Layout and refusals follow llama.cpp b11434 (ggml/src/gguf.cpp); the limits on counts are tighter, so that any input is
answered in under a second. Long arrays (the tokenizer) are passed over: only their type and count are kept.
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from llmops.domain.model import Tensor
from llmops.domain.tensor_types import GGML_TYPES
from llmops.domain.units import padded
from llmops.formats.beginning import Beginning, Read
from llmops.formats.gguf_values import SCALAR_FORMATS, GgufValue, Skipped, ValueType
from llmops.formats.lookalike import looks_like

__all__ = ["GgufHeader", "Read", "read_header", "split_parts"]

KEYS_LIMIT = 1 << 16
TENSORS_LIMIT = 1 << 16
STRINGS_LIMIT = 1 << 22
"""Texts in all arrays together; the largest tokenizer known has 777,000 (tokens and merges)."""
KEPT_ELEMENTS = 4096
KEPT_TEXT_BYTES = 256 << 10
KEPT_BUDGET = 1 << 20
"""Array elements, and groups of 16 bytes of text, that are kept of one file."""
KEY_BYTES_LIMIT = 65_535
NAME_BYTES_LIMIT = 63
DIMENSIONS_LIMIT = 4
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
AGAIN = "it is damaged or made to mislead: fetch it again from where it is published"

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_COUNTS = struct.Struct("<QQ")
_INFO_END = struct.Struct("<IQ")
_SCALARS = {kind: struct.Struct(f"<{letter}") for kind, letter in SCALAR_FORMATS.items()}
_SPLIT = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL | re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufHeader:
    """All before the weights. `data_offset` is where they start, `file_bytes` the file's length where it is known."""

    version: int
    metadata: Mapping[str, GgufValue]
    tensors: tuple[Tensor, ...]
    data_offset: int
    alignment: int
    file_bytes: int | None

    def data_bytes(self) -> int:
        """Length of the weights, every tensor padded."""
        return sum(padded(tensor.data_bytes(), self.alignment) for tensor in self.tensors)


def split_parts(name: str) -> tuple[str, ...] | None:
    """All names of the file `name` is a part of (`x-00001-of-00003.gguf`); None for a file that is not split."""
    match = _SPLIT.fullmatch(name)
    if match is None or not 1 <= int(match["number"]) <= int(match["count"]):
        return None
    return tuple(f"{match['stem']}-{part:05d}-of-{match['count']}.gguf" for part in range(1, int(match["count"]) + 1))


def read_header(read: Read, *, name: str, file_bytes: int | None) -> GgufHeader:
    """The header. Raises `WrongInput` for anything that is not a whole GGUF file, as far as its header can tell."""
    return _Reader(Beginning(read, name=name, file_bytes=file_bytes)).header()


class _Reader:
    """One pass over one header."""

    __slots__ = ("_at", "_budget", "_file", "_merges_seen", "_metadata", "_strings", "_tensor_count", "_vocabulary")

    def __init__(self, file: Beginning) -> None:
        self._file = file
        self._at = 0
        self._metadata: dict[str, GgufValue] = {}
        self._tensor_count = 0
        self._strings = STRINGS_LIMIT
        self._budget = KEPT_BUDGET
        self._vocabulary = (0, 0.0)
        self._merges_seen = False

    def header(self) -> GgufHeader:
        version = self._version()
        self._tensor_count, key_count = self._counts()
        for _ in range(key_count):
            self._key_and_value()
        alignment = self._alignment()
        tensors = self._tensors(alignment)
        data_offset = padded(self._at, alignment)
        self._check_length(tensors, data_offset, alignment)
        return GgufHeader(
            version=version,
            metadata=self._metadata,
            tensors=tensors,
            data_offset=data_offset,
            alignment=alignment,
            file_bytes=self._file.file_bytes,
        )

    def _unpack(self, form: struct.Struct) -> tuple[int, ...]:
        end = self._at + form.size
        if end > len(self._file.buffer):
            self._file.need(end)
        values = form.unpack_from(self._file.buffer, self._at)
        self._at = end
        return values

    def _take(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._file.buffer):
            self._file.need(end)
        raw = bytes(self._file.buffer[self._at : end])
        self._at = end
        return raw

    def _pass(self, length: int) -> None:
        """Go on without keeping; the bytes must be there."""
        self._file.need(self._at + length)
        self._at += length

    def _version(self) -> int:
        head = bytes(self._file.buffer[:512])
        if head[:4] != b"GGUF":
            if head and b"GGUF".startswith(head):
                raise self._file.truncated()
            hint = "give a .gguf file; a directory with config.json and safetensors is a model for vLLM"
            raise self._file.wrong(f"not a GGUF file; it looks like {looks_like(head)}", hint=hint)
        self._at = 4
        (version,) = self._unpack(_U32)
        if version & 0xFFFF == 0:
            hint = "llama.cpp reads such files only on big-endian machines: take the little-endian file"
            raise self._file.wrong("it is big-endian", hint=hint)
        if version == 1:
            hint = "take a newer file of this model, or convert it again with a current llama.cpp"
            raise self._file.wrong("GGUF version 1 (2023) is no longer read, not by llama.cpp either", hint=hint)
        if version not in (2, 3):
            raise self._file.wrong(
                f"GGUF version {version} is not known; 2 and 3 are", hint="a newer llmops may read it"
            )
        return version

    def _counts(self) -> tuple[int, int]:
        tensors, keys = self._unpack(_COUNTS)
        for count, limit, words in ((tensors, TENSORS_LIMIT, "tensors"), (keys, KEYS_LIMIT, "keys")):
            if count > limit:
                raise self._file.wrong(f"it says it has {count} {words}; {limit} is the most that is read", hint=AGAIN)
        return tensors, keys

    def _text(self, words: str, limit: int) -> str:
        (length,) = self._unpack(_U64)
        if length > limit:
            raise self._file.wrong(f"{words} is {length} bytes long; {limit} is the limit", hint=AGAIN)
        raw = self._take(length)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise self._file.wrong(f"{words} is not UTF-8: {raw[:64]!a}", hint=AGAIN) from None

    def _key_and_value(self) -> None:
        key = self._text(f"key {len(self._metadata) + 1}", KEY_BYTES_LIMIT)
        if key in self._metadata:
            raise self._file.wrong(f"the key {_shown(key)} is there twice", hint=AGAIN)
        self._metadata[key] = self._value(key, self._value_type(key))

    def _value_type(self, key: str) -> ValueType:
        (number,) = self._unpack(_U32)
        try:
            return ValueType(number)
        except ValueError:
            raise self._file.wrong(f"the key {_shown(key)} has the unknown value type {number}", hint=AGAIN) from None

    def _value(self, key: str, kind: ValueType) -> GgufValue:
        if kind is ValueType.STRING:
            (length,) = self._unpack(_U64)
            return self._string(length)
        if kind is ValueType.ARRAY:
            return self._array(key)
        return self._unpack(_SCALARS[kind])[0]

    def _string(self, length: int) -> str | Skipped:
        if length > KEPT_TEXT_BYTES or not self._afford(length // 16 + 1):
            self._pass(length)
            return Skipped(element=ValueType.STRING, count=length, is_array=False)
        return self._take(length).decode(errors="replace")

    def _afford(self, cost: int) -> bool:
        """Whether so much more is kept; once it is not, nothing of that size is."""
        if cost > self._budget:
            return False
        self._budget -= cost
        return True

    def _array(self, key: str) -> GgufValue:
        kind = self._value_type(key)
        (count,) = self._unpack(_U64)
        if kind is ValueType.ARRAY:
            raise self._file.wrong(f"the key {_shown(key)} is an array of arrays", hint=AGAIN)
        least = 8 if kind is ValueType.STRING else _SCALARS[kind].size
        if self._file.file_bytes is not None and count * least > self._file.file_bytes - self._at:
            message = f"the key {_shown(key)} says it has {count} elements, more than the file has bytes for"
            raise self._file.wrong(message, hint=AGAIN)
        keep = count <= KEPT_ELEMENTS and self._afford(count)
        if kind is ValueType.STRING:
            return self._strings_array(key, count, keep=keep)
        return self._numbers_array(key, kind, count, keep=keep)

    def _numbers_array(self, key: str, kind: ValueType, count: int, *, keep: bool) -> GgufValue:
        length = count * _SCALARS[kind].size
        self._expect(key, self._at + length)
        if not keep:
            self._pass(length)
            return Skipped(element=kind, count=count)
        return struct.unpack(f"<{count}{SCALAR_FORMATS[kind]}", self._take(length))

    def _strings_array(self, key: str, count: int, *, keep: bool) -> GgufValue:
        self._strings -= count
        if self._strings < 0:
            message = (
                f"the key {_shown(key)} says it has {count} texts; {STRINGS_LIMIT} in all is the most that is read"
            )
            raise self._file.wrong(message, hint=AGAIN)
        self._merges_seen |= key == "tokenizer.ggml.merges"
        if not keep:
            self._pass_strings(key, count)
            return Skipped(element=ValueType.STRING, count=count)
        texts: list[str] = []
        for _ in range(count):
            (length,) = self._unpack(_U64)
            text = self._string(length)
            texts.append(text if isinstance(text, str) else "")
        return tuple(texts)

    def _pass_strings(self, key: str, count: int) -> None:
        """Over `count` texts, length by length; a tight loop, since a tokenizer has up to a million of them."""
        start = at = self._at
        length_at = _U64.unpack_from
        left = count
        while left:
            buffer = self._file.buffer
            try:
                while left:
                    at += 8 + length_at(buffer, at)[0]
                    left -= 1
            except (struct.error, OverflowError):  # the second: a length that no machine has
                self._foresee(key, start, at, count, count - left)
                self._file.need(at + 8)
        self._at = at
        self._file.need(at)
        if key == "tokenizer.ggml.tokens":
            self._vocabulary = (count, (at - start) / max(count, 1))

    def _foresee(self, key: str, start: int, at: int, count: int, done: int) -> None:
        """Out of bytes inside an array of texts: expect the rest of it to be like what was seen, and what follows."""
        mean = (at - start) / done if done else 16.0
        if key == "tokenizer.ggml.tokens":
            self._vocabulary = (count, mean)
        self._expect(key, at + int((count - done) * mean))

    def _expect(self, key: str, array_end: int) -> None:
        """Where the header ends if it is like others: the rest of a tokenizer (facts of real files), then tensor infos.

        After the tokens come 4 bytes a token of types, 4 of scores (SentencePiece) or the merges, 1 to 2.2 a token and a
        little longer than one; then at most 64 KiB of chat template and about 72 bytes a tensor.
        """
        tokens, mean = self._vocabulary
        rest = self._tensor_count * 72 + (64 << 10)
        if key != "tokenizer.ggml.merges" and key.startswith("tokenizer.") and not self._merges_seen:
            is_sentencepiece = self._metadata.get("tokenizer.ggml.model") == "llama"
            rest += tokens * 8 if is_sentencepiece else int(tokens * (8 + 1.25 * (mean + 1)))
        self._file.expected_bytes = array_end + rest

    def _alignment(self) -> int:
        value = self._metadata.get("general.alignment", 32)
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0 or value & (value - 1):
            raise self._file.wrong(f"general.alignment is {_shown(value)}, not a power of two", hint=AGAIN)
        return value

    def _tensors(self, alignment: int) -> tuple[Tensor, ...]:
        tensors: list[Tensor] = []
        names: set[str] = set()
        expected = 0
        for number in range(self._tensor_count):
            tensor = self._tensor(number)
            if tensor.name in names:
                raise self._file.wrong(f"the tensor {_shown(tensor.name)} is there twice", hint=AGAIN)
            names.add(tensor.name)
            (offset,) = self._unpack(_U64)
            if offset != expected:
                message = f"the tensor {_shown(tensor.name)} starts at {offset}; the one before it ends at {expected}"
                raise self._file.wrong(message, hint=AGAIN)
            expected += padded(tensor.data_bytes(), alignment)
            tensors.append(tensor)
        return tuple(tensors)

    def _tensor(self, number: int) -> Tensor:
        name = self._text(f"the name of tensor {number + 1}", NAME_BYTES_LIMIT)
        (rank,) = self._unpack(_U32)
        if not 1 <= rank <= DIMENSIONS_LIMIT:
            raise self._file.wrong(f"the tensor {_shown(name)} has {rank} dimensions", hint=AGAIN)
        dims = tuple(self._unpack(_U64)[0] for _ in range(rank))
        (type_number,) = self._unpack(_U32)
        kind = GGML_TYPES.get(type_number)
        if kind is None:
            raise self._unknown_type(name, type_number)
        if dims[0] % kind.block_elements:
            blocks = f"whole {kind.name} blocks of {kind.block_elements}"
            message = f"a row of the tensor {_shown(name)} has {dims[0]} numbers, not {blocks}"
            raise self._file.wrong(message, hint=AGAIN)
        tensor = Tensor(name, dims, kind.name)
        if 0 in dims or max(tensor.elements(), tensor.data_bytes()) > INT64_MAX:
            raise self._file.wrong(f"the tensor {_shown(name)} has the impossible dimensions {dims}", hint=AGAIN)
        return tensor

    def _unknown_type(self, name: str, number: int) -> Exception:
        if number in REMOVED_TYPES:
            message = (
                f"the tensor {_shown(name)} is {REMOVED_TYPES[number]} (type {number}), which llama.cpp has removed"
            )
            return self._file.wrong(message, hint="take a newer file of this model, quantized again")
        message = f"the tensor {_shown(name)} has the unknown type {number}"
        hint = (
            "made by a fork (ik_llama.cpp has types of its own) or by a newer llama.cpp: take a file of a standard type"
        )
        return self._file.wrong(message, hint=hint)

    def _check_length(self, tensors: tuple[Tensor, ...], data_offset: int, alignment: int) -> None:
        """The weights lie inside the file (the last tensor's padding may be missing)."""
        present = self._file.file_bytes
        if present is None or not tensors:
            return
        last = tensors[-1].data_bytes()
        before = sum(padded(tensor.data_bytes(), alignment) for tensor in tensors[:-1])
        needed = data_offset + before + last
        if present < needed:
            message = f"it has {present} bytes of at least {needed}: the last {needed - present} are missing"
            hint = "the download was cut: fetch it again (`llmops pull` resumes and verifies)"
            raise self._file.wrong(message, hint=hint)


def _shown(value: object) -> str:
    """Text of unknown origin for a message: short, no control characters."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:76]}…{text[-1]}"
