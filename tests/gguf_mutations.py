"""GGUF files made to mislead: the fields of a header by name, and what can be done to them. Seeded: an input is its number.

`scripts/fuzz_gguf` runs many of them, a test a few hundred; `corpus()` are the ones worth keeping, written to
`tests/corpus/gguf` by running this file.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from random import Random

from llmops.formats.gguf_values import Writable
from llmops.formats.gguf_writer import value_bytes
from llmops.formats.tiny_model import tiny_model

HOLE_BYTES = 1 << 45
"""What a lying length says there is: larger than any disk, read as zeros."""

EDGES = (
    0, 1, 2, 3, 7, 8, 31, 32, 33, 63, 64, 255, 256, 4095, 4096, 4097, 65_535, 65_536, 65_537, (1 << 20) + 1, 1 << 22,
    (1 << 22) + 1, 1 << 26, 1 << 28, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 40, 1 << 44, 1 << 61, 1 << 62,
    (1 << 63) - 1, 1 << 63, (1 << 64) - 32, (1 << 64) - 1,
)  # fmt: skip
TEXTS = (
    b"", b"\0", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"a" * 63, b"a" * 64, b"a" * 65_536, b"\x1b[2J", b"../../x",
    b"general.architecture", b"general.alignment", b"split.count", b"llama", b"gemma3", b"mamba2", b"clip", b"nonsense",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """A piece of a header: `kind` is magic, version, count, length, text, type, dim, rank, offset or value."""

    kind: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Input:
    """A file: `raw`, then zeros up to `file_bytes`; `known_length` False where the reader is not told how long it is."""

    raw: bytes
    file_bytes: int
    known_length: bool = True

    def read(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.file_bytes)
        stored = self.raw[offset:end]
        return stored + bytes(max(0, end - offset - len(stored)))


def text(raw: bytes) -> list[Field]:
    return [Field("length", struct.pack("<Q", len(raw))), Field("text", raw)]


def key_and_value(key: str, value: Writable) -> list[Field]:
    """The fields of one key: its name, its type, and an array's element type and count apart from its content."""
    raw = value_bytes(value)
    fields = [*text(key.encode()), Field("type", raw[:4])]
    if raw[:4] == struct.pack("<I", 9):
        fields += [Field("type", raw[4:8]), Field("count", raw[8:16])]
        rest = raw[16:]
        if raw[4:8] == struct.pack("<I", 8):
            while rest:
                (length,) = struct.unpack_from("<Q", rest)
                fields += text(rest[8 : 8 + length])
                rest = rest[8 + length :]
            return fields
        return [*fields, Field("value", rest)]
    if raw[:4] == struct.pack("<I", 8):
        return [*fields, Field("length", raw[4:12]), Field("text", raw[12:])]
    return [*fields, Field("value", raw[4:])]


def tensor(name: str, dims: tuple[int, ...], kind: int, offset: int) -> list[Field]:
    return [
        *text(name.encode()),
        Field("rank", struct.pack("<I", len(dims))),
        *(Field("dim", struct.pack("<Q", dim)) for dim in dims),
        Field("type", struct.pack("<I", kind)),
        Field("offset", struct.pack("<Q", offset)),
    ]


def header(metadata: Mapping[str, Writable], tensors: list[list[Field]]) -> list[Field]:
    fields = [
        Field("magic", b"GGUF"), Field("version", struct.pack("<I", 3)),
        Field("count", struct.pack("<Q", len(tensors))), Field("count", struct.pack("<Q", len(metadata))),
    ]  # fmt: skip
    for key, value in metadata.items():
        fields += key_and_value(key, value)
    for one in tensors:
        fields += one
    return fields


def _model(architecture: str, **more: Writable) -> dict[str, Writable]:
    own: dict[str, Writable] = {
        "context_length": 4096, "embedding_length": 64, "block_count": 2, "feed_forward_length": 128,
        "attention.head_count": 4, "attention.head_count_kv": 2,
    }  # fmt: skip
    own |= {key.replace("__", "."): value for key, value in more.items()}
    keys = {f"{architecture}.{key}": value for key, value in own.items()}
    return {"general.architecture": architecture, "general.name": "a model", "general.file_type": 7, **keys}


def _tensors(layers: int, *, experts: bool = False) -> list[list[Field]]:
    name = "ffn_up_exps" if experts else "ffn_up"
    dims: tuple[int, ...] = (64, 128, 8) if experts else (64, 128)
    rows: list[tuple[str, tuple[int, ...], int, int]] = [("token_embd.weight", (64, 96), 8, 64 * 96 // 32 * 34)]
    for at in range(layers):
        rows.append((f"blk.{at}.attn_q.weight", (64, 64), 1, 64 * 64 * 2))
        rows.append((f"blk.{at}.{name}.weight", dims, 0, prod(dims) * 4))
    fields, offset = [], 0
    for row, shape, kind, size in rows:
        fields.append(tensor(row, shape, kind, offset))
        offset += -(-size // 32) * 32
    return fields


@cache
def bases() -> tuple[tuple[Field, ...], ...]:
    """Whole headers of several families; what is wrong with an input was made so from one of these."""
    ssm: dict[str, Writable] = {
        "ssm__conv_kernel": 4, "ssm__inner_size": 128, "ssm__state_size": 16, "ssm__group_count": 1, "ssm__time_step_rank": 4,
    }  # fmt: skip
    tokenizer: dict[str, Writable] = {
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": [f"t{at}" for at in range(96)],
        "tokenizer.ggml.token_type": [1] * 96, "tokenizer.ggml.merges": ["a b"] * 40, "tokenizer.chat_template": "{{ x }}" * 50,
    }  # fmt: skip
    experts: dict[str, Writable] = {"expert_count": 8, "expert_used_count": 2, "expert_feed_forward_length": 128}
    latent: dict[str, Writable] = {
        "attention__kv_lora_rank": 32, "attention__key_length_mla": 24, "attention__value_length_mla": 16,
        "rope__dimension_count": 8,
    }  # fmt: skip
    made = [
        header(_model("llama") | tokenizer, _tensors(2)),
        header(_model("gemma3", attention__sliding_window=128, attention__key_length=16), _tensors(2)),
        header(_model("qwen3moe", **experts), _tensors(2, experts=True)),
        header(_model("deepseek2", **latent), _tensors(2)),
        header(_model("qwen3next", full_attention_interval=2, **ssm), _tensors(2)),
        header(_model("mamba2", attention__head_count=0, attention__head_count_kv=0, **ssm), _tensors(2)),
        header(_model("lfm2", attention__head_count_kv=[0, 2], shortconv__l_cache=3), _tensors(2)),
        header({"split.no": 1, "split.count": 3, "split.tensors.count": 5, "general.alignment": 64}, _tensors(1)),
        header(
            {"general.type": "mmproj", "general.architecture": "clip", "a": True, "b": -1, "c": 1 << 40, "d": [0.5]}, []
        ),
    ]
    tiny = tiny_model()[:60_000]
    kinds = (("magic", 0, 4), ("version", 4, 8), ("count", 8, 16), ("count", 16, 24), ("value", 24, len(tiny)))
    made.append([Field(kind, tiny[start:end]) for kind, start, end in kinds])
    return tuple(tuple(one) for one in made)


def _number(random: Random, raw: bytes) -> bytes:
    """Another number of the same width: an edge, a neighbour, or one bit flipped."""
    width = len(raw) if len(raw) in (4, 8) else 8
    limit = 1 << (8 * width)
    before = int.from_bytes(raw[:width], "little")
    flipped = before ^ (1 << random.randrange(8 * width))
    value = random.choice((random.choice(EDGES), before + random.choice((-1, 1, 7, 32)), flipped))
    return (value % limit).to_bytes(width, "little")


def _a_field(random: Random, fields: list[Field], *kinds: str) -> int | None:
    places = [at for at, one in enumerate(fields) if one.kind in kinds]
    return random.choice(places) if places else None


def _counts(random: Random, fields: list[Field]) -> None:
    at = _a_field(random, fields, "count")
    if at is not None:
        fields[at] = Field("count", _number(random, fields[at].raw))


def _lengths(random: Random, fields: list[Field]) -> None:
    at = _a_field(random, fields, "length")
    if at is not None:
        fields[at] = Field("length", _number(random, fields[at].raw))


def _types(random: Random, fields: list[Field]) -> None:
    at = _a_field(random, fields, "type", "rank", "version")
    if at is not None:
        value = random.choice((random.randrange(16), random.randrange(64), random.choice(EDGES) % (1 << 32)))
        fields[at] = Field(fields[at].kind, struct.pack("<I", value))


def _places(random: Random, fields: list[Field]) -> None:
    at = _a_field(random, fields, "offset", "dim")
    if at is not None:
        fields[at] = Field(fields[at].kind, _number(random, fields[at].raw))


def _values(random: Random, fields: list[Field]) -> None:
    at = _a_field(random, fields, "value")
    if at is not None and fields[at].raw:
        raw = bytearray(fields[at].raw)
        width = min(len(raw), 4)
        place = random.randrange(len(raw) - width + 1)
        raw[place : place + width] = _number(random, bytes(raw[place : place + width]))[:width]
        fields[at] = Field("value", bytes(raw))


def _texts(random: Random, fields: list[Field]) -> None:
    """Another text with its true length: not UTF-8, a known key, too long, nothing."""
    at = _a_field(random, fields, "text")
    if at is not None and fields[at - 1].kind == "length":
        fields[at - 1 : at + 1] = text(random.choice(TEXTS))


def _spans(random: Random, fields: list[Field]) -> None:
    """A run of fields twice, away, elsewhere, or from another file."""
    start = random.randrange(len(fields))
    end = min(len(fields), start + random.randrange(1, 12))
    span = fields[start:end]
    match random.randrange(4):
        case 0:
            fields[end:end] = span * random.choice((1, 1, 2, 50))
        case 1:
            del fields[start:end]
        case 2:
            del fields[start:end]
            place = random.randrange(len(fields) + 1)
            fields[place:place] = span
        case _:
            other = random.choice(bases())
            begin = random.randrange(len(other))
            fields[start:end] = other[begin : begin + random.randrange(1, 20)]


def _bomb(random: Random, fields: list[Field]) -> None:
    """A key whose array or text says it is huge, with or without its count raised."""
    kind = random.choice((0, 4, 8, 8, 9, 12))
    outer = random.choice((9, 9, 8))
    bomb = [*text(b"bomb"), Field("type", struct.pack("<I", outer)), Field("type", struct.pack("<I", kind))]
    bomb += [Field("count", struct.pack("<Q", random.choice(EDGES)))]
    place = min(4, len(fields)) if random.random() < 0.6 else random.randrange(len(fields) + 1)
    fields[place:place] = bomb
    if random.random() < 0.7 and len(fields) > 3 and len(fields[3].raw) == 8:
        (count,) = struct.unpack("<Q", fields[3].raw)
        fields[3] = Field("count", struct.pack("<Q", (count + 1) % (1 << 64)))


def _bytes(random: Random, fields: list[Field]) -> None:
    """Without regard to structure: bytes replaced, put in, taken out somewhere."""
    at = random.randrange(len(fields))
    raw = bytearray(fields[at].raw)
    place = random.randrange(len(raw) + 1)
    piece = random.choice((random.randbytes(random.randrange(1, 9)), bytes(8), b"\xff" * 8))
    match random.randrange(3):
        case 0:
            raw[place : place + len(piece)] = piece
        case 1:
            raw[place:place] = piece
        case _:
            del raw[place : place + len(piece)]
    fields[at] = Field(fields[at].kind, bytes(raw))


MUTATIONS: tuple[Callable[[Random, list[Field]], None], ...] = (
    _counts, _lengths, _types, _places, _values, _values, _values, _values, _texts, _spans, _bomb, _bytes,
)  # fmt: skip


def mutated(seed: int, number: int) -> Input:
    """Input `number` of the run `seed`: always the same bytes."""
    random = Random(f"{seed}:{number}")
    fields = list(random.choice(bases()))
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 5, 9))):
        random.choice(MUTATIONS)(random, fields)
        if not fields:
            break
    raw = b"".join(one.raw for one in fields)
    if random.random() < 0.1:
        raw = raw[: random.randrange(len(raw) + 1)]
    tail = random.choice((0, 32, 1 << 17, 1 << 20, 1 << 24, 1 << 30, HOLE_BYTES))
    return Input(raw=raw, file_bytes=len(raw) + tail, known_length=tail == HOLE_BYTES or random.random() < 0.7)


def _file(*fields: Field | list[Field], tensors: int = 0, keys: int = 0, version: int = 3) -> bytes:
    start = struct.pack("<4sIQQ", b"GGUF", version, tensors, keys)
    flat = [one for item in fields for one in (item if isinstance(item, list) else [item])]
    return start + b"".join(one.raw for one in flat)


def _array(kind: int, count: int) -> list[Field]:
    return [
        Field("type", struct.pack("<I", 9)),
        Field("type", struct.pack("<I", kind)),
        Field("count", struct.pack("<Q", count)),
    ]


def corpus() -> dict[str, tuple[bytes, str]]:
    """Small files that were, or could have been, a reader's end: name → (content, words of the refusal; "" for a header)."""
    key = text(b"k")
    model = b"".join(one.raw for one in header(_model("llama"), []))
    nested = [field for _ in range(64) for field in _array(9, 1)]
    return {
        "whole": (model, ""),
        "counts-2-64": (_file(tensors=(1 << 64) - 1, keys=(1 << 64) - 1), "tensors"),
        "keys-2-63": (_file(keys=1 << 63), "keys"),
        "tensor-size-overflows": (_file(tensor("t", (1 << 62, 8), 0, 0), tensors=1), "impossible dimensions"),
        "tensor-size-wraps-to-zero": (_file(tensor("t", (1 << 32, 1 << 32), 0, 0), tensors=1), "impossible dimensions"),
        "tensor-beyond-the-file": (_file(tensor("t", (1 << 20,), 0, 0), tensors=1), "are missing"),
        "tensors-overlap": (
            _file(tensor("a", (64,), 0, 0), tensor("b", (64,), 0, 0), tensors=2) + bytes(4096),
            "the one before it ends at 256",
        ),
        "tensor-offset-2-64": (_file(tensor("t", (32,), 0, (1 << 64) - 32), tensors=1) + bytes(999), "starts at"),
        "tensor-twice": (
            _file(tensor("a", (8,), 0, 0), tensor("a", (8,), 0, 32), tensors=2) + bytes(999),
            "is there twice",
        ),
        "tensor-type-2-32": (_file(tensor("t", (32,), (1 << 32) - 1, 0), tensors=1) + bytes(999), "unknown type"),
        "tensor-of-256-dimensions": (_file(tensor("t", (1,) * 256, 0, 0), tensors=1), "256 dimensions"),
        "arrays-in-arrays": (_file(key, nested, keys=1) + bytes(64), "array of arrays"),
        "array-beyond-the-file": (_file(key, _array(0, 1 << 40), keys=1), "more than the file has bytes for"),
        "array-size-overflows": (_file(key, _array(12, 1 << 61), keys=1), "more than the file has bytes for"),
        "texts-beyond-the-file": (_file(key, _array(8, (1 << 64) - 1), keys=1), "more than the file has bytes for"),
        "text-beyond-the-file": (
            _file(key, Field("type", struct.pack("<IQ", 8, (1 << 64) - 1)), keys=1) + bytes(64),
            "inside its header",
        ),
        "key-as-long-as-memory": (_file(Field("length", struct.pack("<Q", 1 << 62)), keys=1), "bytes long"),
        "key-not-utf-8": (_file(text(b"\xff\xc0"), Field("type", bytes(4)), keys=1) + bytes(8), "not UTF-8"),
        "key-with-escape-codes": (_file(text(b"\x1b[2J\x07"), Field("type", b"\x0d\0\0\0"), keys=1), "unknown value type"),
        "key-twice": (
            _file(key, Field("type", struct.pack("<II", 4, 1)), key, Field("type", struct.pack("<II", 4, 2)), keys=2),
            "is there twice",
        ),
        "alignment-of-zero": (_file(key_and_value("general.alignment", 0), keys=1), "not a power of two"),
        "alignment-as-text": (_file(key_and_value("general.alignment", "32"), keys=1), "not a power of two"),
        "header-cut": (model[: len(model) // 2], "inside its header"),
        "magic-alone": (b"GGUF", "inside its header"),
        "version-0": (_file(version=0), "big-endian"),
        "version-2-31": (_file(version=(1 << 31) + 1), "is not known"),
    }  # fmt: skip


if __name__ == "__main__":
    folder = Path(__file__).parent / "corpus" / "gguf"
    for name, (raw, _) in corpus().items():
        (folder / f"{name}.gguf").write_bytes(raw)
