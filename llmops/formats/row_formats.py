"""A catalogue row in the formats vLLM reads: the config.json such a checkpoint has, and who publishes it.

Settings as llm-compressor's and AutoAWQ's recipes write them by default: routers, head and towers left alone, groups of 128.
Least compute capability: vLLM 0.33.0, `get_min_capability` of model_executor/layers/quantization/*.py.
"""

import json
import re
from collections.abc import Mapping

from llmops.domain.catalogue import ModelRow
from llmops.domain.model import ModelShape
from llmops.domain.records import dataclass
from llmops.formats.config_json import model_shape
from llmops.formats.row_config import row_config

_LEFT = [
    "lm_head", r"re:.*mlp\.gate$", r"re:.*mlp\.shared_expert_gate$", r"re:.*block_sparse_moe\.gate$", r"re:.*router.*",
    r"re:.*visual.*", r"re:.*vision.*", r"re:.*multi_modal_projector.*", r"re:.*audio.*",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmFormat:
    """One format: its name, what `quantization_config` says, the least capability, and the catalogue's words for it."""

    name: str
    config: Mapping[str, object] | None
    capability: tuple[int, int] = (0, 0)
    published_as: tuple[str, ...] = ()


def _compressed(weights: Mapping[str, object], inputs: Mapping[str, object] | None = None) -> dict[str, object]:
    group = {"weights": weights, "input_activations": inputs, "targets": ["Linear"]}
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}, "ignore": _LEFT}


_TOKENS = {"dynamic": True, "strategy": "token"}
FORMATS = (
    VllmFormat(name="BF16", config=None),
    VllmFormat(
        name="FP8",
        config=_compressed(
            {"num_bits": 8, "type": "float", "strategy": "channel"}, {"num_bits": 8, "type": "float", **_TOKENS}
        ),
        capability=(7, 5),
        published_as=("fp8",),
    ),
    VllmFormat(
        name="INT8",
        config=_compressed(
            {"num_bits": 8, "type": "int", "strategy": "channel"}, {"num_bits": 8, "type": "int", **_TOKENS}
        ),
        capability=(7, 5),
        published_as=("int8",),
    ),
    VllmFormat(
        name="AWQ",
        config={"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "modules_to_not_convert": ["visual"]},
        capability=(7, 5),
        published_as=("awq",),
    ),
    VllmFormat(
        name="GPTQ",
        config={"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True},
        capability=(7, 5),
        published_as=("gptq",),
    ),
    VllmFormat(
        name="W4A16",
        config=_compressed({"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}) | {"format": "pack-quantized"},
        capability=(7, 5),
        published_as=("int4",),
    ),
    VllmFormat(
        name="NVFP4",
        config=_compressed(
            {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16},
            {"num_bits": 4, "type": "float", "dynamic": "local"},
        ),
        capability=(7, 5),
        published_as=("nvfp4",),
    ),
    VllmFormat(
        name="MXFP4",
        config=_compressed({"num_bits": 4, "type": "float", "strategy": "group", "group_size": 32}),
        capability=(8, 0),
        published_as=("mxfp4",),
    ),
)  # fmt: skip
"""From the most bits to the fewest; bitsandbytes and GGUF are gone from this vLLM."""

BY_NAME = {one.name: one for one in FORMATS}
_NATIVE = {"fp8": "FP8", "mxfp4": "MXFP4"}
_EXPERTS_ONLY = {
    "quant_method": "mxfp4",
    "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router"],
}


def own_format(row: ModelRow) -> str | None:
    """The format that the model itself is published in, where it is not 16 bit."""
    return _NATIVE.get(row.dtype or "")


def order(row: ModelRow) -> tuple[str, ...]:
    """The formats to try, the best first: a model that is published in 8 or 4 bits begins there, and has no better."""
    own = own_format(row)
    names = tuple(BY_NAME)
    return names if own is None else (*names[names.index(own) :], *reversed(names[: names.index(own)]))


def format_shape(row: ModelRow, name: str) -> ModelShape:
    """The row as a checkpoint of this format. Raises `WrongInput` where sizing from config.json does not cover it."""
    found = BY_NAME[name]
    config = json.loads(row_config(row))
    said = found.config
    if name == "MXFP4" and own_format(row) == name:
        said = _EXPERTS_ONLY
    if said is not None:
        config["quantization_config"] = said
    raw = json.dumps(config).encode()
    return model_shape(raw, name=row.id, tensors=None)


_WORDS = {
    "fp8": "FP8", "int8": "INT8", "w8a8": "INT8", "awq": "AWQ", "gptq": "GPTQ", "int4": "W4A16", "w4a16": "W4A16",
    "nvfp4": "NVFP4", "fp4": "NVFP4", "mxfp4": "MXFP4", "bf16": "BF16", "fp16": "BF16",
}  # fmt: skip
"""How names of repositories and `--quantization` spell a format."""


def named_format(row: ModelRow, name: str) -> str | None:
    """The format of what a command line names: a repository the catalogue knows, else a word of the name; None: not told."""
    asked = name.strip("/").lower()
    last = asked.rsplit("/", 1)[-1]
    for one in BY_NAME:
        known = {repository.lower() for repository in published(row, one)}
        if asked in known or last in {repository.rsplit("/", 1)[-1] for repository in known}:
            return one
    return next((_WORDS[word] for word in reversed(re.split(r"[-_.]", last)) if word in _WORDS), None)


def published(row: ModelRow, name: str) -> tuple[str, ...]:
    """Repositories of the row in this format that the catalogue knows."""
    if name == (own_format(row) or "BF16"):
        return (row.repository,)
    return tuple(one for word in BY_NAME[name].published_as for one in row.quantized_repositories.get(word, ()))
