"""How a quantized safetensors checkpoint stores one matrix: its tensors by method.

Sources: AutoAWQ and GPTQModel packing, compressed-tensors 0.9+, DeepSeek's block FP8, ModelOpt NVFP4, gpt-oss MXFP4: the
tensors of one linear layer and their types. Verified against published file sizes (DeepSeek-V3, gpt-oss, Kimi-K2.5).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from llmops.domain.model import Tensor
from llmops.formats.json_text import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantization:
    """A method by the word an engine knows it by; `stored` is how we lay a matrix out, None where that is not covered."""

    method: str
    stored: str | None
    bits: int = 4
    group: int = 128
    block: tuple[int, int] | None = None
    experts_only: bool = False


def quantization(config: Mapping[str, Value]) -> Quantization | None:
    """What `quantization_config` says; None for an unquantized model."""
    said = config.get("quantization_config", config.get("compression_config"))
    if not isinstance(said, Mapping):
        return None
    method = said.get("quant_method")
    name = method.lower() if isinstance(method, str) and method.isprintable() and len(method) <= 40 else "unknown"
    match name:
        case "awq" | "gptq":
            return Quantization(
                method=name, stored=name, bits=_whole(said, "bits", 4), group=_whole(said, "group_size", 128)
            )
        case "fp8":
            return Quantization(method=name, stored="fp8", block=_block(said.get("weight_block_size")))
        case "mxfp4":
            return Quantization(method=name, stored="mxfp4", group=32, experts_only=True)
        case "compressed-tensors":
            return _compressed_tensors(said)
        case "modelopt":
            return _modelopt(said)
        case _:
            return Quantization(method=name, stored=None)


def stored_tensors(how: Quantization, name: str, columns: int, rows: int, *, stack: tuple[int, ...]) -> list[Tensor]:
    """The tensors of one `rows` x `columns` matrix (`stack`: of so many, for experts), dims fastest first."""
    groups = -(-columns // how.group) if how.group > 0 else 1
    words = max(32 // how.bits, 1)
    parts: list[tuple[str, tuple[int, ...], str]]
    match how.stored:
        case "awq":
            parts = [
                ("qweight", (-(-rows // words), columns), "I32"),
                ("qzeros", (-(-rows // words), groups), "I32"),
                ("scales", (rows, groups), "F16"),
            ]
        case "gptq":
            parts = [
                ("qweight", (rows, -(-columns // words)), "I32"),
                ("qzeros", (-(-rows // words), groups), "I32"),
                ("scales", (rows, groups), "F16"),
                ("g_idx", (columns,), "I32"),
            ]
        case "fp8":
            parts = [("weight", (columns, rows), "F8_E4M3"), _fp8_scale(how, columns, rows)]
        case "packed":
            parts = [("weight_packed", (-(-columns // words), rows), "I32"), ("weight_scale", (groups, rows), "BF16")]
        case "int8":
            parts = [("weight", (columns, rows), "I8"), ("weight_scale", (1, rows), "BF16")]
        case "nvfp4":
            parts = [("weight", (columns // 2, rows), "U8"), ("weight_scale", (columns // 16, rows), "F8_E4M3")]
        case _:
            parts = [("blocks", (16, columns // 32, rows), "U8"), ("scales", (columns // 32, rows), "U8")]
    stem = name.removesuffix(".weight")
    return [Tensor(f"{stem}.{part}", (*dims, *stack), kind) for part, dims, kind in parts]


def _fp8_scale(how: Quantization, columns: int, rows: int) -> tuple[str, tuple[int, ...], str]:
    if how.block is None:
        return ("weight_scale", (1,), "F32")
    return ("weight_scale_inv", (-(-columns // how.block[1]), -(-rows // how.block[0])), "F32")


def _whole(table: Mapping[str, Value], key: str, default: int) -> int:
    value = table.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 65_536 else default


def _block(value: Value) -> tuple[int, int] | None:
    match value:
        case [int() as rows, int() as columns] if rows > 0 and columns > 0:
            return rows, columns
        case _:
            return None


def _compressed_tensors(said: Mapping[str, Value]) -> Quantization:
    """The first group's weights decide; several groups of different kinds are not told apart."""
    groups = said.get("config_groups")
    first = next(iter(groups.values()), None) if isinstance(groups, Mapping) else None
    weights = first.get("weights") if isinstance(first, Mapping) else None
    name = "compressed-tensors"
    if not isinstance(weights, Mapping):
        return Quantization(method=name, stored=None)
    bits, is_float = _whole(weights, "num_bits", 0), weights.get("type") == "float"
    match bits, is_float:
        case 8, True:
            return Quantization(method=name, stored="fp8", bits=8, block=_block(weights.get("block_structure")))
        case 8, False:
            return Quantization(method=name, stored="int8", bits=8)
        case 4, True:
            return Quantization(method=name, stored="nvfp4")
        case 4, False:
            return Quantization(method=name, stored="packed", group=_whole(weights, "group_size", 1 << 16))
        case _:
            return Quantization(method=name, stored=None)


def _modelopt(said: Mapping[str, Value]) -> Quantization:
    algorithm = said.get("quant_algo")
    match algorithm:
        case "FP8":
            return Quantization(method="modelopt", stored="fp8", bits=8)
        case "NVFP4":
            return Quantization(method="modelopt", stored="nvfp4")
        case _:
            return Quantization(method="modelopt", stored=None)
