"""Checkpoints made to mislead: config.json and safetensors headers with something wrong in them. Seeded: an input is its number.

`scripts/fuzz_checkpoint` runs many of them, a test a few hundred.
"""

import json
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
    """Tensors one after another, with something wrong in places."""
    at, table = 0, dict[str, dict[str, object]]()
    for number in range(random.choice((1, 5, 300))):
        size = random.choice((0, 1, 16, 1 << 20))
        table[f"t{number}"] = {
            "dtype": random.choice(("U8", "F8_E4M3", "F4", "BF16")),
            "shape": [size],
            "data_offsets": [at, at + size],
        }
        at += size
    for _ in range(random.randint(0, 3)):
        name = random.choice(list(table))
        table[name] = {**table[name], random.choice(("dtype", "shape", "data_offsets", "x")): random.choice(EDGES)}
    body = json.dumps(table).encode()
    length = random.choice((len(body), len(body), len(body), 0, 7, 1 << 24, 1 << 40, (1 << 64) - 1))
    raw = struct.pack("<Q", length) + body
    return Checkpoint(
        config=None, header=_bytes(random, raw) if random.random() < 0.4 else raw, file_bytes=8 + len(body) + at
    )


def _bytes(random: Random, raw: bytes) -> bytes:
    changed = bytearray(raw)
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(changed) or 1)
        piece = random.choice((b"", b"\xff", b"[" * 2000, b"{" * 2000, b'"', b"9" * 5000, b"\\ud800", b"NaN", b"\0"))
        changed[at : at + random.randint(0, 9)] = piece
    return bytes(changed)
