"""ModelOpt checkpoints: one algorithm for all, or one a layer (mixed precision).

Source: vLLM 0.33.0, vllm/model_executor/layers/quantization/modelopt.py; TensorRT-Model-Optimizer, modelopt/torch/export.
"""

from collections.abc import Mapping

from llmops.formats.compressed_tensors import Rule
from llmops.formats.json_text import Value
from llmops.formats.module_patterns import Flavour, Modules
from llmops.formats.stored_matrix import Layout, Stored

_FP8_BLOCK = Layout(stored=Stored.FP8, bits=8, block=(128, 128), scale_type="F32", scale_name="weight_scale")
ALGORITHMS: dict[str, Layout] = {
    "FP8": Layout(stored=Stored.FP8, bits=8, scale_type="F32", has_input_scale=True),
    "FP8_PER_CHANNEL_PER_TOKEN": Layout(stored=Stored.FP8, bits=8, per_row=True, scale_type="F32"),
    "FP8_PB_WO": _FP8_BLOCK,
    "NVFP4": Layout(stored=Stored.NVFP4, group=16, has_input_scale=True),
    "W4A16_NVFP4": Layout(stored=Stored.NVFP4, group=16),
    "MXFP8": Layout(stored=Stored.MXFP8, bits=8, group=32),
}


def modelopt_rules(table: Mapping[str, Value]) -> tuple[list[Rule], str]:
    """The rules and the algorithm's name; no rule for an algorithm that is not covered."""
    said = table.get("quant_algo")
    algorithm = said.upper() if isinstance(said, str) else ""
    if algorithm in ALGORITHMS:
        return [Rule(layout=ALGORITHMS[algorithm])], algorithm
    layers = table.get("quantized_layers")
    if not isinstance(layers, Mapping):
        return [], algorithm
    names: dict[str, list[str]] = {}
    for module, one in layers.items():
        own = one.get("quant_algo") if isinstance(one, Mapping) else None
        if not isinstance(own, str) or own.upper() not in ALGORITHMS:
            return [], algorithm
        names.setdefault(own.upper(), []).append(module)
    found = [Rule(layout=ALGORITHMS[own], targets=Modules(modules, Flavour.WILDCARD)) for own, modules in names.items()]
    return found, algorithm
