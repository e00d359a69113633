"""compressed-tensors: groups of modules, each with its weights, activations and format.

Source: compressed-tensors 0.12, quantization/quant_args.py and compressors/quantized_compressors/*.py; vLLM 0.33.0,
vllm/model_executor/layers/quantization/compressed_tensors/compressed_tensors.py (`_get_scheme_from_parts`).
"""

from collections.abc import Mapping

from llmops.domain.records import dataclass
from llmops.formats.json_text import Value
from llmops.formats.module_patterns import Flavour, Modules
from llmops.formats.quantization_values import flag, texts, whole
from llmops.formats.stored_matrix import Layout, Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One layout for the modules of `targets`; None: every linear layer."""

    layout: Layout
    targets: Modules | None = None
    activation_bits: int | None = None


def rules(said: Mapping[str, Value]) -> tuple[list[Rule], bool]:
    """A rule for each group that is understood, and whether all are. Groups with patterns go before `Linear`."""
    groups = said.get("config_groups")
    if not isinstance(groups, Mapping):
        return [], False
    found: list[Rule] = []
    is_clear = True
    for group in groups.values():
        rule = _rule(group, said) if isinstance(group, Mapping) else None
        is_clear = is_clear and rule is not None and not (rule.targets is not None and rule.targets.unclear)
        if rule is not None:
            found.append(rule)
    found.sort(key=lambda rule: rule.targets is None)
    return found, is_clear


def kv_cache_type(said: Mapping[str, Value]) -> str | None:
    """The cache type of `kv_cache_scheme`."""
    scheme = said.get("kv_cache_scheme")
    if not isinstance(scheme, Mapping):
        return None
    bits = whole(scheme, "num_bits", 0)
    is_float = scheme.get("type") == "float"
    return {(8, True): "fp8", (8, False): "int8", (4, True): "nvfp4"}.get((bits, is_float))


def _rule(group: Mapping[str, Value], said: Mapping[str, Value]) -> Rule | None:
    weights, inputs = group.get("weights"), group.get("input_activations")
    if not isinstance(weights, Mapping):
        return None
    inputs = inputs if isinstance(inputs, Mapping) else None
    written = group.get("format") or said.get("format")
    layout = _layout(weights, inputs, written if isinstance(written, str) else "")
    if layout is None:
        return None
    names = texts(group.get("targets"))
    targets = None if not names or "Linear" in names else Modules(names, Flavour.NAME)
    return Rule(layout=layout, targets=targets, activation_bits=whole(inputs, "num_bits", 8) if inputs else None)


def _layout(weights: Mapping[str, Value], inputs: Mapping[str, Value] | None, written: str) -> Layout | None:
    bits, is_float = whole(weights, "num_bits", 0), weights.get("type") == "float"
    strategy, group = weights.get("strategy"), whole(weights, "group_size", 0)
    is_static = inputs is not None and not flag(inputs, "dynamic", default=False) and inputs.get("dynamic") != "local"
    has_zeros = not flag(weights, "symmetric", default=True)
    has_order = weights.get("actorder") in ("group", True)
    if is_float and bits == 4 and (group == 32 or "mxfp4" in written):
        return Layout(stored=Stored.MXFP4_PACKED, group=32)
    if is_float and bits == 4:
        return Layout(stored=Stored.NVFP4_PACKED, group=16, has_input_scale=inputs is not None)
    if is_float and bits == 8 and "mxfp8" in written:
        return Layout(stored=Stored.MXFP8, bits=8, group=32)
    if bits == 8 and "pack" not in written:
        return Layout(
            stored=Stored.FP8 if is_float else Stored.INT8,
            bits=8,
            block=_block(weights) if strategy == "block" else None,
            per_row=strategy == "channel" or (strategy is None and not is_float),
            has_input_scale=is_static,
        )
    if not is_float and 2 <= bits <= 8:
        return Layout(stored=Stored.PACKED, bits=bits, group=group, has_zeros=has_zeros, has_order=has_order)
    return None


def _block(weights: Mapping[str, Value]) -> tuple[int, int] | None:
    match weights.get("block_structure"):
        case [int() as rows, int() as columns] if 0 < rows <= 65_536 and 0 < columns <= 65_536:
            return rows, columns
        case str() as text if text.replace("x", "", 1).isdigit() and text.isascii() and len(text) <= 11 and "x" in text:
            rows_text, columns_text = text.split("x")
            return (int(rows_text) or 128, int(columns_text) or 128) if rows_text and columns_text else None
        case _:
            return 128, 128
