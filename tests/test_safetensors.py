"""safetensors headers: what is read, how little is fetched, and that nothing in a file is trusted."""

import json
import struct
from time import process_time

import pytest
from headers import HeaderOnly
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.domain.errors import WrongInput
from llmops.domain.model import Tensor
from llmops.domain.tensor_types import TENSOR_TYPES
from llmops.domain.units import MIB
from llmops.formats.safetensors import DTYPES, HEADER_LIMIT_BYTES, TENSORS_LIMIT, read_header


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


GOOD = {
    "__metadata__": {"format": "pt"},
    "b": entry("F32", [], 12, 16),
    "a": entry("BF16", [2, 3], 0, 12),
    "none": entry("F16", [0, 7], 16, 16),
}


def file_of(header: object, data_bytes: int = 16) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(data_bytes)


def read(raw: bytes) -> tuple[Tensor, ...]:
    return read_header(lambda at, n: raw[at : at + n], name="m.safetensors", file_bytes=len(raw))


def test_tensors_come_in_the_order_of_their_data_with_the_fastest_dimension_first() -> None:
    assert read(file_of(GOOD)) == (Tensor("a", (3, 2), "BF16"), Tensor("b", (), "F32"), Tensor("none", (7, 0), "F16"))


def test_a_header_may_end_in_spaces_and_a_file_may_be_empty() -> None:
    assert len(read(file_of(json.dumps(GOOD).encode() + b"   "))) == 3
    assert read(file_of(b"{}", 0)) == ()


def test_every_dtype_has_its_size() -> None:
    for dtype in DTYPES:
        kind = TENSOR_TYPES[dtype]
        length = 12 // kind.block_elements * kind.block_bytes
        (tensor,) = read(file_of({"x": entry(dtype, [12], 0, length)}, length))
        assert tensor.data_bytes() == length


def test_a_small_header_takes_one_read_and_a_large_one_two() -> None:
    for count, reads in ((300, 1), (20_000, 2)):
        header = {f"model.layers.{at}.weight": entry("I8", [4], 4 * at, 4 * at + 4) for at in range(count)}
        raw = file_of(header, 0)
        file = HeaderOnly(raw, len(raw) + 4 * count)
        assert len(read_header(file.read, name="m", file_bytes=file.file_bytes)) == count
        assert len(file.requests) == reads
        assert sum(length for _, length in file.requests) <= max(len(raw), 256 * 1024)


def test_a_70b_shard_is_sized_without_its_data() -> None:
    raw = file_of({"w": entry("BF16", [8192, 28672], 0, 8192 * 28672 * 2)}, 0)
    file = HeaderOnly(raw, len(raw) + 8192 * 28672 * 2)
    (tensor,) = read_header(file.read, name="m", file_bytes=file.file_bytes)
    assert tensor.data_bytes() == 469_762_048


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "an empty file"),
        (b"1234567", "a text file"),
        (b"<html><body>404</body></html>", "an HTML page"),
        (struct.pack("<Q", 2**63) + b"{}", "not a safetensors file"),
        (struct.pack("<Q", 99_000_000) + b"{}", "is the most that is read"),
        (struct.pack("<Q", 500) + b"{}", "inside its header"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "a GGUF file"),
        (file_of(b"{not json}"), "not the header of a safetensors file"),
        (file_of(b'{"a\xff": 1}'), "not UTF-8"),
        (file_of(b'{"a":1,"a":2}'), "is there twice"),
        (file_of(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "nested too deeply"),
        (file_of(b'{"a":' + b"9" * 5000 + b"}"), "too long"),
        (file_of({"a": 1}), "not a tensor's"),
        (file_of({"a": entry("BF16", [2, 3], 0, 12) | {"more": 1}}), "not a tensor's"),
        (file_of({"a\x1b[2J": entry("BF16", [2, 3], 0, 12)}), "not a tensor's"),
        (file_of(b'{"\\ud800": {"dtype":"I8","shape":[1],"data_offsets":[0,1]}}', 1), "not a tensor's"),
        (file_of({"__metadata__": {"format": 1}}), "not a table of texts"),
        (file_of({"a": entry("Q4_K", [256], 0, 144)}), "unknown dtype 'Q4_K'"),
        (file_of({"a": {"dtype": ["I8"], "shape": [1], "data_offsets": [0, 1]}}), "unknown dtype"),
        (file_of({"a": entry("BF16", [-2, 3], 0, 12)}), "impossible shape"),
        (file_of({"a": {"dtype": "I8", "shape": [1.5], "data_offsets": [0, 1]}}), "impossible shape"),
        (file_of({"a": {"dtype": "I8", "shape": [True], "data_offsets": [0, 1]}}), "impossible shape"),
        (file_of({"a": {"dtype": "I8", "shape": [1], "data_offsets": [0]}}), "impossible shape"),
        (file_of({"a": entry("BF16", [2, 3], 0, 10)}), "does not fill its place"),
        (file_of({"a": entry("BF16", [2**62, 2**62], 0, 16)}), "does not fill its place"),
        (file_of({"a": entry("F4", [3], 0, 1)}, 1), "does not fill its place"),
        (file_of({"a": entry("I8", [4], 12, 16)}), "starts at 12"),
        (file_of({"a": entry("I8", [4], 0, 4), "b": entry("I8", [4], 8, 12)}), "a hole or overlap"),
        (file_of({"a": entry("I8", [4], 0, 4), "b": entry("I8", [4], 2, 6)}), "a hole or overlap"),
        (file_of(GOOD, 15), "the last 1 are missing"),
        (file_of(GOOD, 17), "1 bytes after its last tensor"),
    ],
)
def test_what_is_not_a_whole_safetensors_file_is_refused_in_words(raw: bytes, words: str) -> None:
    with pytest.raises(WrongInput) as stop:
        read(raw)
    assert words in stop.value.message
    assert stop.value.where is not None
    assert stop.value.where.file == "m.safetensors"
    assert stop.value.hint


@pytest.mark.parametrize("piece", [b"{},", b"[],", b"0,", b'"",'])
def test_a_header_of_nothing_but_structure_takes_no_time(piece: bytes) -> None:
    body = b'{"a":[' + piece * (HEADER_LIMIT_BYTES // len(piece) - 9) + b"0]}"
    raw = file_of(body, 0)
    assert len(body) <= HEADER_LIMIT_BYTES < 17 * MIB
    begun = process_time()
    with pytest.raises(WrongInput, match=f"more than {TENSORS_LIMIT} tensors"):
        read(raw)
    assert process_time() - begun < 1


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_mutation_gives_tensors_or_wrong_input(data: st.DataObject) -> None:
    raw = bytearray(file_of(GOOD))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        piece = data.draw(
            st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from([b"9" * 30, b'"', b"[", b"null"]))
        )
        raw[at : at + data.draw(st.integers(0, 3))] = piece
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(raw))))
    try:
        tensors = read(bytes(raw[:cut]))
    except WrongInput:
        return
    assert sum(tensor.data_bytes() for tensor in tensors) <= len(raw)
