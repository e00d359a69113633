"""A tiny language model, made here: a whole, valid GGUF file that a real engine loads and answers from, in nonsense.

Two Llama layers, a byte-level vocabulary in the manner of SentencePiece, a chat template. The output matrix is zero except
for printable ASCII, so that answers are text, never end by themselves, and are the same at temperature 0. The same bytes on
every machine: the weights come from a SHA-256 counter, not from a floating-point generator.
"""

import struct
from hashlib import sha256

from llmops.domain.model import Tensor
from llmops.formats.gguf_values import Typed, ValueType, Writable
from llmops.formats.gguf_writer import gguf_bytes

TINY_NAME = "tiny-llama"
LAYERS = 2
EMBEDDING = 64
HEADS = 4
KV_HEADS = 2
HEAD_LENGTH = EMBEDDING // HEADS
FEED_FORWARD = 128
CONTEXT = 4096
TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
_UNKNOWN, _BEGIN, _END = 0, 1, 2
_NORMAL, _UNKNOWN_TYPE, _CONTROL, _BYTE = 1, 2, 3, 6
_WORDS = ("▁the", "▁a", "▁of", "▁and", "▁to", "th", "er", "in", "an", "re")


def tiny_model() -> bytes:
    """The file, about 290 KB."""
    return gguf_bytes(_metadata(), _tensors())


def _vocabulary() -> tuple[list[str], list[int]]:
    """Tokens and their types: three special ones, 256 bytes, printable ASCII, some words, reserved ones to a multiple of 32."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    types = [_UNKNOWN_TYPE, _CONTROL, _CONTROL, *[_BYTE] * 256]
    words = ["▁", *(chr(code) for code in range(33, 127)), *_WORDS]
    tokens += words
    types += [_NORMAL] * len(words)
    reserved = -len(tokens) % 32
    tokens += [f"<|reserved_{len(tokens) + at}|>" for at in range(reserved)]
    types += [_CONTROL] * reserved
    return tokens, types


def _metadata() -> dict[str, Writable]:
    tokens, types = _vocabulary()
    scores = [-float(at) if kind == _NORMAL else 0.0 for at, kind in enumerate(types)]
    return {
        "general.architecture": "llama",
        "general.type": "model",
        "general.name": TINY_NAME,
        "general.license": "cc0-1.0",
        "general.file_type": 1,
        "general.quantization_version": 2,
        "llama.block_count": LAYERS,
        "llama.context_length": CONTEXT,
        "llama.embedding_length": EMBEDDING,
        "llama.feed_forward_length": FEED_FORWARD,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": KV_HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": HEAD_LENGTH,
        "llama.rope.freq_base": 10000.0,
        "llama.vocab_size": len(tokens),
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": Typed(ValueType.STRING, tuple(tokens)),
        "tokenizer.ggml.scores": Typed(ValueType.F32, tuple(scores)),
        "tokenizer.ggml.token_type": Typed(ValueType.I32, tuple(types)),
        "tokenizer.ggml.bos_token_id": _BEGIN,
        "tokenizer.ggml.eos_token_id": _END,
        "tokenizer.ggml.unknown_token_id": _UNKNOWN,
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": False,
        "tokenizer.chat_template": TEMPLATE,
    }


def _tensors() -> list[tuple[Tensor, bytes]]:
    tokens, types = _vocabulary()
    printable = range(types.index(_NORMAL), types.index(_NORMAL) + 95)
    tensors = [
        _matrix("token_embd.weight", EMBEDDING, len(tokens)),
        _norm("output_norm.weight"),
        _matrix("output.weight", EMBEDDING, len(tokens), rows=printable),
    ]
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        tensors += [
            _norm(block + "attn_norm.weight"),
            _matrix(block + "attn_q.weight", EMBEDDING, HEADS * HEAD_LENGTH),
            _matrix(block + "attn_k.weight", EMBEDDING, KV_HEADS * HEAD_LENGTH),
            _matrix(block + "attn_v.weight", EMBEDDING, KV_HEADS * HEAD_LENGTH),
            _matrix(block + "attn_output.weight", HEADS * HEAD_LENGTH, EMBEDDING),
            _norm(block + "ffn_norm.weight"),
            _matrix(block + "ffn_gate.weight", EMBEDDING, FEED_FORWARD),
            _matrix(block + "ffn_up.weight", EMBEDDING, FEED_FORWARD),
            _matrix(block + "ffn_down.weight", FEED_FORWARD, EMBEDDING),
        ]
    return tensors


def _norm(name: str) -> tuple[Tensor, bytes]:
    return Tensor(name, (EMBEDDING,), "F32"), struct.pack("<f", 1.0) * EMBEDDING


def _matrix(name: str, columns: int, rows_count: int, *, rows: range | None = None) -> tuple[Tensor, bytes]:
    """An F16 matrix of weights within ±0.14; rows outside `rows` are zero."""
    kept = range(rows_count) if rows is None else rows
    noise = _noise(name, columns * len(kept))
    before, after = kept.start * columns, (rows_count - kept.stop) * columns
    return Tensor(name, (columns, rows_count), "F16"), bytes(2 * before) + _halves(noise) + bytes(2 * after)


def _noise(name: str, count: int) -> bytes:
    """`count` bytes that look random, always the same ones for `name`."""
    blocks = (sha256(f"{name} {at}".encode()).digest() for at in range(-(-count // 32)))
    return b"".join(blocks)[:count]


def _halves(noise: bytes) -> bytes:
    """One half-precision number a byte: (byte - 127.5) / 916, standard deviation 0.08."""
    table = [struct.pack("<e", (2 * byte - 255) / 1832) for byte in range(256)]
    return b"".join([table[byte] for byte in noise])
