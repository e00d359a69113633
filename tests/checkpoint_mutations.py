"""Checkpoints made to mislead: config.json and safetensors headers with something wrong in them. Seeded: an input is its number.

`scripts/fuzz_checkpoint` runs many of them, a test a few hundred.
"""

import json
import math
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

RECORDED = Path(__file__).parent / "recorded"
EDGES: tuple[object, ...] = (
    0, 1, -1, 2, 3, 7, 63, 64, 127, 128, 255, 511, 512, 513, 1023, 1024, 4096, 65_535, 65_536, 1 << 20, (1 << 28) - 1, 1 << 28,
    1 << 31, 1 << 40, 1 << 53, 1 << 63, 1 << 64, 10**30,
    0.5, 1e308, -0.0, None, True, False, "", "x", "auto", "\u0000", "9" * 300,
    [], [0], [1, 2, 3], ["full_attention"], [None] * 600, {}, {"a": 1}, [[]], [0.5] * 64, ["sliding_attention"] * 600,
)  # fmt: skip
PATTERNS = (
    "lm_head", "re:.*", "re:(a+)+$", "re:(.*a){20}", "re:.*.*.*.*.*.*.*.*.*x",
    "re:model\\.layers\\.\\d+\\.mlp\\.gate$", "re:[", "re:(?=.*)",
    "*", "*" * 200, "model.layers.*.self_attn*", "re:" + "a?" * 60 + "a" * 60,
    "re:^.*mlp\\.(gate|up)_proj$", "", ".", "re:\\", "re:(" * 90,
    "gate", "model", "re:.*[0-9]+[0-9]+[0-9]+x", "\ud800",
)  # fmt: skip
METHODS = (
    "awq", "gptq", "fp8", "mxfp4", "compressed-tensors", "modelopt", "bitsandbytes", "auto-round", "fbgemm_fp8", "quark", 7, None,
)  # fmt: skip
IN_ORDER: tuple[dict[str, object], ...] = (
    {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True},
    {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": True, "sym": True},
    {"quant_method": "fp8", "weight_block_size": [128, 128], "activation_scheme": "dynamic"},
    {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]},
    {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_use_double_quant": True},
    {"quant_method": "modelopt", "quantization": {"quant_algo": "NVFP4", "exclude_modules": ["lm_head"]}},
    {
        "quant_method": "compressed-tensors",
        "ignore": ["lm_head", "re:.*gate$"],
        "config_groups": {
            "group_0": {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "float", "strategy": "channel"}}
        },
    },
)
NAMES = (
    "model.layers.{}.mlp.down_proj.weight", "model.layers.{}.self_attn.q_proj.qweight", "lm_head.weight{}",
    "model.layers.{}.mlp.experts.7.up_proj.weight_scale",
)  # fmt: skip
LISTS = ("modules_to_not_convert", "ignore", "ignored_layers", "exclude_modules", "llm_int8_skip_modules")
NUMBERS = ("bits", "group_size", "num_bits", "w_bit")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A config.json, or a safetensors header with the size its file is said to have."""

    config: bytes | None
    header: bytes | None = None
    file_bytes: int = 0


@cache
def bases() -> tuple[dict[str, Any], ...]:
    """Configs that are right."""
    small = (RECORDED / "transformers_models.jsonl").read_text().splitlines()
    large = [json.loads(path.read_text()) for path in sorted((RECORDED / "config_json").glob("*.json"))]
    return (*(json.loads(line)["config"] for line in small), *large)


def mutated(seed: int, number: int) -> Checkpoint:
    """The input of this number."""
    random = Random(f"{seed}:{number}")
    if number % 4 == 0:
        return _header(random)
    config: dict[str, Any] = dict(random.choice(bases()))
    if number % 2:
        return Checkpoint(config=json.dumps(_gently(random, config)).encode())
    if random.random() < 0.3:
        config = {"model_type": random.choice(("gemma3", "qwen3_5", "mistral3", "x")), "text_config": config}
        config["vision_config"] = {
            key: random.choice(EDGES) for key in ("hidden_size", "depth", "patch_size", "model_type")
        }
    target = config.get("text_config", config)
    for _ in range(random.randint(0, 4)):
        key = random.choice([*target, *random.choice(bases())])
        value = random.choice(EDGES)
        if random.random() < 0.2:
            target.pop(key, None)
        else:
            target[key] = value
    if random.random() < 0.5:
        target["quantization_config"] = _quantization(random)
    if random.random() < 0.05:
        target["num_hidden_layers"] = 512
    raw = json.dumps(config).encode()
    return Checkpoint(config=_bytes(random, raw) if random.random() < 0.1 else raw)


def _gently(random: Random, config: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint may well say: other sizes, more layers, a cache or window of its own, a quantization that is in order."""
    whole: dict[str, Any] = json.loads(json.dumps(config))
    target = whole.get("text_config", whole)
    for _ in range(random.randint(1, 3)):
        numbers = [key for key, value in target.items() if type(value) is int and value > 0]
        if not numbers:
            break
        key = random.choice(numbers)
        target[key] = max(1, random.choice((target[key] * 2, target[key] // 2, target[key] + 1, target[key] * 8)))
    if random.random() < 0.3:
        target["tie_word_embeddings"] = random.choice((True, False))
    if random.random() < 0.3:
        key, value = random.choice(
            (("sliding_window", 512), ("use_cache", False), ("rope_scaling", {"type": "yarn", "factor": 4.0}),
             ("dtype", "float16"), ("head_dim", 64), ("attention_bias", True), ("max_position_embeddings", 1 << 20))
        )  # fmt: skip
        target[key] = value
    if random.random() < 0.5:
        whole["quantization_config"] = random.choice(IN_ORDER)
    return whole


def _quantization(random: Random) -> dict[str, object]:
    said: dict[str, object] = {
        "quant_method": random.choice(METHODS),
        "quant_algo": random.choice(("NVFP4", "FP8", "MXFP8", "", 3)),
    }
    for key in LISTS:
        if random.random() < 0.5:
            said[key] = random.choices(PATTERNS, k=random.choice((1, 3, 30, 400)))
    for key in NUMBERS:
        if random.random() < 0.4:
            said[key] = random.choice(EDGES)
    weights = {
        key: random.choice((*EDGES, "int", "float", 4, 8)) for key in ("num_bits", "type", "group_size", "strategy")
    }
    group = {"weights": weights, "targets": random.choices((*PATTERNS, "Linear"), k=2)}
    said["config_groups"] = random.choice(({"group_0": group}, group, [], {"a": 1}))
    said["weight_block_size"] = random.choice(([128, 128], [0, 1], [1 << 40, 1], None))
    said["dynamic"] = random.choice(({f"-:{random.choice(PATTERNS)}": {}}, {"+:.*": {"bits": 8}}, 5))
    said["quantized_layers"] = {random.choice(PATTERNS): {"quant_algo": "FP8"}}
    return said


def _header(random: Random) -> Checkpoint:
    """Tensors one after another; two in three have something wrong in places."""
    at, table = 0, dict[str, dict[str, object]]()
    is_right = random.random() < 0.35
    widths = {"U8": 1, "F8_E4M3": 1, "BF16": 2, "F32": 4, "I64": 8, "I32": 4}
    for number in range(random.choice((1, 5, 300))):
        size = random.choice((0, 1, 16, 1 << 20))
        if is_right:
            kind = random.choice(list(widths))
            dims = [size, random.choice((1, 2, 3))][: random.randint(1, 2)]
            length = widths[kind] * math.prod(dims)
            table[random.choice(NAMES).format(number)] = {
                "dtype": kind, "shape": dims, "data_offsets": [at, at + length]
            }  # fmt: skip
            at += length
            continue
        table[f"t{number}"] = {
            "dtype": random.choice(("U8", "F8_E4M3", "F4", "BF16")),
            "shape": [size],
            "data_offsets": [at, at + size],
        }
        at += size
    if is_right:
        table["__metadata__"] = {"format": "pt"}
        return _written(table, at)
    for _ in range(random.randint(0, 3)):
        name = random.choice(list(table))
        table[name] = {**table[name], random.choice(("dtype", "shape", "data_offsets", "x")): random.choice(EDGES)}
    body = json.dumps(table).encode()
    length = random.choice((len(body), len(body), len(body), 0, 7, 1 << 24, 1 << 40, (1 << 64) - 1))
    raw = struct.pack("<Q", length) + body
    return Checkpoint(
        config=None, header=_bytes(random, raw) if random.random() < 0.4 else raw, file_bytes=8 + len(body) + at
    )


def _written(table: dict[str, Any], data_bytes: int) -> Checkpoint:
    body = json.dumps(table).encode()
    return Checkpoint(config=None, header=struct.pack("<Q", len(body)) + body, file_bytes=8 + len(body) + data_bytes)


def _bytes(random: Random, raw: bytes) -> bytes:
    changed = bytearray(raw)
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(changed) or 1)
        piece = random.choice((b"", b"\xff", b"[" * 2000, b"{" * 2000, b'"', b"9" * 5000, b"\\ud800", b"NaN", b"\0"))
        changed[at : at + random.randint(0, 9)] = piece
    return bytes(changed)


def _config(**said: object) -> bytes:
    base: dict[str, object] = {
        "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 256, "max_position_embeddings": 512,
    }  # fmt: skip
    return json.dumps({**base, **said}).encode()


def _safetensors(table: object, *, length: int | None = None, data: int = 0) -> bytes:
    body = table if isinstance(table, bytes) else json.dumps(table).encode()
    return struct.pack("<Q", len(body) if length is None else length) + body + bytes(data)


def _tensor(dtype: object, shape: object, begin: object, end: object) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def corpus() -> dict[str, tuple[bytes, str]]:
    """Small files that could have been a reader's end: file name → (content, words of the refusal; "" where it is read)."""
    one = '"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}'
    twice = f"{{{one}, {one}}}".encode()
    return {
        "whole.config.json": (_config(), ""),
        "layers-2-63.config.json": (_config(num_hidden_layers=1 << 63), "num_hidden_layers"),
        "layers-as-text.config.json": (_config(num_hidden_layers="2"), "num_hidden_layers"),
        "layers-negative.config.json": (_config(num_hidden_layers=-1), "num_hidden_layers"),
        "heads-of-zero.config.json": (_config(num_attention_heads=0), "num_attention_heads is 0"),
        "width-2-40.config.json": (_config(hidden_size=1 << 40), "hidden_size"),
        "vocabulary-as-list.config.json": (_config(vocab_size=[1]), ""),
        "layer-types-too-few.config.json": (_config(layer_types=["full_attention"], model_type="qwen3"), "layer_types"),
        "list-at-the-top.config.json": (b"[]", "an object is expected"),
        "brackets-20000.config.json": (b"[" * 20_000, "nested too deeply"),
        "digits-5000.config.json": (b'{"model_type": "llama", "hidden_size": ' + b"9" * 5000 + b"}", "too long"),
        "not-a-number.config.json": (_config().replace(b"64", b"NaN", 1), "not a whole number"),
        "not-utf-8.config.json": (b'{"model_type": "\xff\xc0"}', "not UTF-8"),
        "half.config.json": (_config()[:60], "unterminated"),
        "empty.config.json": (b"", "empty file"),
        "text-in-text.config.json": (
            json.dumps({"model_type": "gemma3", "text_config": {"text_config": {"text_config": {}}}}).encode(),
            "num_hidden_layers is missing"
        ),
        "pattern-runs-away.config.json": (
            _config(quantization_config={"quant_method": "compressed-tensors", "ignore": ["re:(a+)+$"] * 400}), ""
        ),
        "whole.safetensors": (_safetensors({"a": _tensor("BF16", [2, 3], 0, 12)}, data=12), ""),
        "length-2-64.safetensors": (_safetensors({}, length=(1 << 64) - 1), "not a safetensors file"),
        "length-cut.safetensors": (b"\x10\0\0", "not a safetensors file"),
        "length-beyond-the-file.safetensors": (_safetensors({}, length=1 << 20), "inside its header"),
        "size-is-not-the-shape.safetensors": (_safetensors({"a": _tensor("F32", [4], 0, 4)}, data=4), "does not fill its place"),
        "shape-wraps.safetensors": (_safetensors({"a": _tensor("U8", [1 << 32, 1 << 32], 0, 0)}), "does not fill its place"),
        "shape-negative.safetensors": (_safetensors({"a": _tensor("U8", [-1, -4], 0, 4)}, data=4), "impossible shape"),
        "offsets-backwards.safetensors": (_safetensors({"a": _tensor("U8", [4], 4, 0)}, data=4), "does not fill its place"),
        "tensors-overlap.safetensors": (
            _safetensors({"a": _tensor("U8", [4], 0, 4), "b": _tensor("U8", [4], 2, 6)}, data=6), "overlap"
        ),
        "a-gap.safetensors": (_safetensors({"a": _tensor("U8", [4], 0, 4), "b": _tensor("U8", [4], 8, 12)}, data=12), "hole"),
        "beyond-the-file.safetensors": (_safetensors({"a": _tensor("U8", [1 << 30], 0, 1 << 30)}, data=9), "are missing"),
        "type-unknown.safetensors": (_safetensors({"a": _tensor("Q9", [4], 0, 4)}, data=4), "unknown dtype"),
        "key-twice.safetensors": (_safetensors(twice, data=1), "is there twice"),
        "list-for-a-table.safetensors": (_safetensors([]), "not a safetensors file"),
        "dimensions-4000.safetensors": (_safetensors({"a": _tensor("U8", [1] * 4000, 0, 1)}, data=1), "impossible shape"),
        "whole.index.json": (json.dumps({"weight_map": {"a": "model-1.safetensors"}}).encode(), ""),
        "up-the-tree.index.json": (
            json.dumps({"weight_map": {"a": "../../etc/passwd.safetensors"}}).encode(),
            "no safetensors beside it",
        ),
        "no-map.index.json": (b'{"metadata": {}}', "no weight_map"),
        "map-of-numbers.index.json": (b'{"weight_map": {"a": 7}}', "no safetensors beside it"),
        "map-as-list.index.json": (b'{"weight_map": []}', "no weight_map"),
    }  # fmt: skip


if __name__ == "__main__":
    for file, (content, _) in corpus().items():
        (Path(__file__).parent / "corpus" / "checkpoint" / file).write_bytes(content)
