"""Quantized checkpoints: which modules are stored how, and how many bytes that is."""

import json
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from checkpoint_mutations import PATTERNS, Checkpoint, mutated

from llmops.domain.errors import WrongInput
from llmops.domain.model import ModelShape, Tensor
from llmops.domain.units import GIB
from llmops.formats.config_json import model_shape
from llmops.formats.module_patterns import Flavour, Modules
from llmops.formats.safetensors import read_header
from llmops.formats.stored_matrix import Layout, Stored, stored_tensors

RECORDED = Path(__file__).parent / "recorded" / "config_json"


def shape(name: str, how: dict[str, Any] | None, **changes: object) -> ModelShape:
    values: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text()) | changes
    values.pop("quantization_config", None)
    if how is not None:
        values["quantization_config"] = how
    return model_shape(json.dumps(values).encode(), name="config.json", tensors=None)


def types(one: ModelShape, role: str) -> set[str]:
    return {tensor.type for tensor in one.tensors if f".{role}." in tensor.name}


def names(one: ModelShape, stem: str) -> set[str]:
    return {tensor.name.removeprefix(f"{stem}.") for tensor in one.tensors if tensor.name.startswith(f"{stem}.")}


INT4_EXPERTS = {
    "quant_method": "compressed-tensors",
    "format": "pack-quantized",
    "ignore": ["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*", "re:.*mlp\\.(gate|up|gate_up|down)_proj.*"],
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32, "symmetric": True},
        }
    },
}


def test_kimis_int4_experts_have_the_size_of_its_repository() -> None:
    one = shape("kimi-k2-instruct", INT4_EXPERTS)
    tower_bytes = 2 * 471_120_880  # of Kimi-K2.5, which has the same text model
    assert (one.weights_bytes() + tower_bytes) / GIB == pytest.approx(554.27, abs=0.01)
    assert types(one, "attn_q_a") == types(one, "ffn_up_shexp") == types(one, "ffn_up") == {"BF16"}
    assert names(one, "blk.3.ffn_up_exps") == {"weight_packed", "weight_scale", "weight_shape"}
    assert one.scheme is not None
    assert (one.scheme.weight_bits, one.scheme.group_size, one.scheme.activation_bits) == (4, 32, None)


def test_a_list_of_full_names_leaves_those_layers_alone() -> None:
    left = ["lm_head", "model.layers.0.self_attn.q_proj", "model.layers.35.mlp.down_proj", "model.norm"]
    how = {
        "quant_method": "fp8",
        "weight_block_size": [128, 128],
        "activation_scheme": "dynamic",
        "modules_to_not_convert": left,
    }
    one = shape("qwen3-8b", how)
    assert names(one, "blk.0.attn_q") == names(one, "blk.35.ffn_down") == {"weight"}
    assert names(one, "blk.1.attn_q") == {"weight", "weight_scale_inv"}
    assert types(one, "attn_k") == {"F8_E4M3", "F32"}
    assert one.scheme is not None
    assert (one.scheme.block, one.scheme.is_activation_dynamic) == ((128, 128), True)


def test_routers_embeddings_and_norms_are_never_quantized() -> None:
    one = shape(
        "qwen3-30b-a3b", {"quant_method": "awq", "bits": 4, "group_size": 128, "modules_to_not_convert": ["gate"]}
    )
    plain = {"blk.0.ffn_gate_inp.weight", "token_embd.weight", "output.weight", "blk.0.attn_norm.weight"}
    assert {tensor.name: tensor.type for tensor in one.tensors if tensor.name in plain} == dict.fromkeys(plain, "BF16")


def test_gptq_says_its_head_its_order_and_its_exceptions() -> None:
    base = {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": True, "sym": True}
    assert names(shape("qwen2.5-7b-instruct", base), "blk.0.ffn_up") == {"qweight", "qzeros", "scales", "g_idx"}
    assert "qweight" not in names(shape("qwen2.5-7b-instruct", base), "output")
    assert "qweight" in names(shape("qwen2.5-7b-instruct", base | {"lm_head": True}), "output")
    dynamic = {"-:.*attn.*": {}, "+:.*\\.down_proj": {"bits": 8}}
    one = shape("qwen2.5-7b-instruct", base | {"dynamic": dynamic})
    assert types(one, "attn_q") == {"BF16"}
    sizes = {tensor.name: tensor.data_bytes() for tensor in one.tensors}
    assert sizes["blk.0.ffn_down.qweight"] == 2 * sizes["blk.0.ffn_up.qweight"]
    assert shape("qwen2.5-7b-instruct", base | {"group_size": -1}).weights_bytes() < one.weights_bytes()


EIGHT = {"num_bits": 8, "type": "float"}
FOUR = {"num_bits": 4, "type": "float"}
ZEROS = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128, "symmetric": False}
SCALED = {"weight", "weight_scale"}


@pytest.mark.parametrize(
    ("weights", "inputs", "parts"),
    [
        (EIGHT | {"strategy": "channel"}, {"num_bits": 8, "dynamic": True}, SCALED),
        (EIGHT | {"strategy": "tensor"}, {"num_bits": 8, "dynamic": False}, SCALED | {"input_scale"}),
        (EIGHT | {"type": "int", "strategy": "channel"}, {"num_bits": 8, "dynamic": True}, SCALED),
        (ZEROS, None, {"weight_packed", "weight_scale", "weight_shape", "weight_zero_point"}),
        (
            FOUR | {"strategy": "tensor_group", "group_size": 16},
            {"num_bits": 4, "dynamic": "local"},
            {"weight_packed", "weight_scale", "weight_global_scale", "input_global_scale"},
        ),
        (FOUR | {"strategy": "group", "group_size": 32}, None, {"weight_packed", "weight_scale"}),
    ],
)
def test_compressed_tensors_stores_each_kind_its_own_way(
    weights: dict[str, Any], inputs: dict[str, Any] | None, parts: set[str]
) -> None:
    group = {"targets": ["Linear"], "weights": weights, "input_activations": inputs}
    how = {"quant_method": "compressed-tensors", "ignore": ["lm_head"], "config_groups": {"g": group}}
    one = shape("llama-3.1-8b-instruct", how)
    assert names(one, "blk.7.attn_q") == parts
    assert names(one, "output") == {"weight"}


def test_groups_of_different_kinds_are_told_apart() -> None:
    how = {
        "quant_method": "compressed-tensors",
        "kv_cache_scheme": {"num_bits": 8, "type": "float"},
        "config_groups": {
            "group_0": {
                "targets": ["re:.*self_attn.*"],
                "weights": {"num_bits": 8, "type": "float", "strategy": "channel"},
            },
            "group_1": {"targets": ["re:.*mlp.*"], "weights": {"num_bits": 4, "type": "float", "group_size": 16}},
        },
    }
    one = shape("llama-3.1-8b-instruct", how)
    assert types(one, "attn_q") == {"F8_E4M3", "BF16"}
    assert types(one, "ffn_up") == {"U8", "F8_E4M3", "F32"}
    assert one.scheme is not None
    assert one.scheme.kv_cache == "fp8"


def test_modelopt_knows_wildcards_and_an_algorithm_a_layer() -> None:
    how = {
        "quant_method": "modelopt",
        "quant_algo": "NVFP4",
        "exclude_modules": ["lm_head", "*self_attn*"],
        "kv_cache_quant_algo": "FP8",
    }
    one = shape("llama-3.1-8b-instruct", how)
    assert types(one, "attn_q") == {"BF16"}
    assert names(one, "blk.0.ffn_up") == {"weight", "weight_scale", "weight_scale_2", "input_scale"}
    assert one.scheme is not None
    assert one.scheme.kv_cache == "fp8"
    mixed = {"quant_algo": "MIXED_PRECISION", "quantized_layers": {"model.layers.1.mlp.up_proj": {"quant_algo": "FP8"}}}
    one = shape("llama-3.1-8b-instruct", {"quant_method": "modelopt", **mixed})
    assert names(one, "blk.1.ffn_up") == {"weight", "weight_scale", "input_scale"}
    assert names(one, "blk.2.ffn_up") == {"weight"}


@pytest.mark.parametrize(("double", "per_element"), [(False, 1 / 2 + 4 / 64), (True, 1 / 2 + 1 / 64 + 4 / 64 / 256)])
def test_nf4_is_half_a_byte_and_its_scales(double: bool, per_element: float) -> None:
    how = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_use_double_quant": double}
    plain, one = shape("llama-3.1-8b-instruct", None), shape("llama-3.1-8b-instruct", how)
    linear = sum(t.elements() for t in plain.tensors if "blk." in t.name and len(t.dims) > 1)
    rest = plain.weights_bytes() - 2 * linear
    assert one.weights_bytes() - rest == pytest.approx(linear * per_element, rel=0.001)


def test_every_layout_is_as_large_as_its_rule() -> None:
    rows, columns = 4096, 11_008
    elements = rows * columns
    expected = {
        Layout(stored=Stored.AWQ, group=128): elements / 2 + elements / 128 * 2.5,
        Layout(stored=Stored.GPTQ, group=128, has_order=True): elements / 2 + elements / 128 * 2.5 + 4 * columns,
        Layout(stored=Stored.GPTQ, bits=8, group=128, has_order=True): elements + elements / 128 * 3 + 4 * columns,
        Layout(stored=Stored.PACKED, group=128): elements / 2 + elements / 128 * 2 + 16,
        Layout(stored=Stored.INT8, bits=8, per_row=True): elements + 2 * rows,
        Layout(stored=Stored.FP8, bits=8, block=(128, 128), scale_type="F32"): elements + 4 * 32 * 86,
        Layout(stored=Stored.NVFP4, has_input_scale=True): elements * 9 / 16 + 8,
        Layout(stored=Stored.MXFP4): elements * 17 / 32,
        Layout(stored=Stored.MXFP8): elements * 33 / 32,
        Layout(stored=Stored.LLM_INT8): elements + 4 * rows + 1,
    }
    for layout, size_bytes in expected.items():
        found: list[Tensor] = stored_tensors(layout, "x", columns, rows, stack=(), dtype="BF16")
        assert sum(tensor.data_bytes() for tensor in found) == size_bytes, layout.stored


def test_a_method_that_is_only_known_by_name_says_so() -> None:
    for method in ("quanto", "torchao", "aqlm", "hqq", "quark", "exl2", "vptq"):
        one = shape("llama-3.1-8b-instruct", {"quant_method": method, "bits": 4})
        assert one.not_sized == (f"how {method} stores its weights: they are counted unquantized",)


@pytest.mark.parametrize(
    ("entry", "flavour", "module", "has"),
    [
        ("re:.*lm_head", Flavour.NAME, "lm_head", True),
        ("re:model\\.layers\\.\\d+\\.mlp\\.gate$", Flavour.NAME, "layers.12.mlp.gate", True),
        ("re:model\\.layers\\.\\d+\\.mlp\\.gate$", Flavour.NAME, "layers.12.mlp.gate_proj", False),
        ("re:.*mlp\\.(gate|up)_proj$", Flavour.NAME, "layers.1.mlp.up_proj", True),
        ("re:.*mlp\\.(gate|up)_proj$", Flavour.NAME, "layers.1.mlp.down_proj", False),
        ("re:^language_model\\.model\\.layers\\.0\\..*", Flavour.NAME, "layers.0.mlp.up_proj", True),
        ("model.layers.3.self_attn", Flavour.NAME, "layers.3.self_attn.q_proj", True),
        ("model.layers.3.self_attn", Flavour.NAME, "layers.30.self_attn.q_proj", False),
        ("model.language_model.layers.3.mlp.gate", Flavour.NAME, "layers.3.mlp.gate", True),
        ("gate", Flavour.NAME, "layers.3.mlp.gate_proj", False),
        ("self_attn", Flavour.PART, "layers.3.self_attn.q_proj", True),
        ("model.layers.*.mlp*", Flavour.WILDCARD, "layers.3.mlp.up_proj", True),
        ("*.self_attn.*", Flavour.WILDCARD, "layers.3.mlp.up_proj", False),
    ],
)
def test_entries_match_as_their_method_means_them(entry: str, flavour: Flavour, module: str, has: bool) -> None:
    modules = Modules((entry,), flavour)
    assert not modules.unclear
    assert modules.has((module,)) is has


def test_patterns_that_would_run_away_are_refused_or_quick() -> None:
    begun = process_time()
    for entry in PATTERNS:
        Modules((entry,), Flavour.NAME).has(("layers.0." + "a" * 300,))
    assert process_time() - begun < 1
    assert Modules(("re:(a+)+$",), Flavour.NAME).unclear == ("re:(a+)+$",)


def test_a_hostile_checkpoint_gives_a_shape_or_a_refusal_within_a_second() -> None:
    for number in range(300):
        begun = process_time()
        assert outcome(mutated(20_261_121, number))
        assert process_time() - begun < 1, number


def outcome(one: Checkpoint) -> str:
    raw = one.header or b""
    try:
        if one.config is not None:
            return f"{len(model_shape(one.config, name='config.json', tensors=None).layers)} layers"
        return f"{len(read_header(lambda at, n: raw[at : at + n], name='m', file_bytes=one.file_bytes))} tensors"
    except WrongInput as stop:
        return stop.message
