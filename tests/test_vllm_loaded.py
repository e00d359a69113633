"""Weights as vLLM keeps them: on a card that has no 8-bit arithmetic, and in the type it computes in."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from explaining import document

from llmops.domain.engine import Device, DeviceKind
from llmops.domain.model import ModelShape
from llmops.domain.units import GIB
from llmops.engines.vllm_loaded import as_loaded
from llmops.formats.config_json import model_shape

CONFIG = Path(__file__).parent / "recorded" / "config_json" / "qwen3-8b.json"
BLOCKS = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}


def shape(how: Mapping[str, object] | None, **changed: object) -> ModelShape:
    config = json.loads(CONFIG.read_bytes()) | changed
    return model_shape(
        json.dumps(config | ({"quantization_config": how} if how else {})).encode(), name="m", tensors=None
    )


def card(capability: str | None) -> Device:
    return Device(name="card", kind=DeviceKind.CUDA, capacity_bytes=GIB, free_bytes=GIB, compute_capability=capability)


@pytest.mark.parametrize("capability", ["7.5", "8.0", "8.6"])
def test_scales_of_blocks_become_scales_of_columns_without_8_bit_arithmetic(capability: str) -> None:
    """One number of 16 bit for 128 rows of a column: a 64th of the 8-bit weights, instead of a 4096th and less."""
    stored = shape(BLOCKS)
    kept = as_loaded(stored, card(capability))
    weights = sum(one.data_bytes() for one in stored.tensors if one.type.startswith("F8"))
    scales = sum(one.data_bytes() for one in stored.tensors if "scale" in one.name)
    assert weights > 6 * GIB
    assert kept.weights_bytes() - stored.weights_bytes() == weights // 64 - scales


@pytest.mark.parametrize("capability", ["8.9", "9.0", "10.0", "7.0", None, "unknown"])
def test_cards_with_8_bit_arithmetic_or_of_another_kind_keep_them_as_they_are(capability: str | None) -> None:
    stored = shape(BLOCKS)
    assert as_loaded(stored, card(capability)) is stored


def test_what_is_not_in_blocks_is_only_put_in_another_order() -> None:
    plain = shape(None)
    assert as_loaded(plain, card("8.6")) is plain
    assert as_loaded(plain, None) is plain


def test_a_checkpoint_of_32_bit_is_computed_in_16_unless_the_line_asks_for_32() -> None:
    narrow, wide = shape(None), shape(None, torch_dtype="float32")
    assert wide.weights_bytes() == 2 * narrow.weights_bytes()
    vectors = sum(one.data_bytes() for one in wide.tensors if len(one.dims) == 1)
    for computed in ("auto", "half", "bfloat16"):
        assert as_loaded(wide, None, computed).weights_bytes() == narrow.weights_bytes() + vectors // 2
    assert as_loaded(wide, None, "float32").weights_bytes() == wide.weights_bytes()
    assert as_loaded(narrow, None, "float").weights_bytes() == wide.weights_bytes()


def test_quantized_weights_and_their_scales_stay_in_any_type() -> None:
    stored = shape(BLOCKS)
    wide = as_loaded(stored, card("9.0"), "float32")
    changed = {one.name for one, other in zip(stored.tensors, wide.tensors, strict=True) if one != other}
    assert changed
    assert not any("scale" in name for name in changed)
    assert not any(one.type.startswith("F8") and one.name in changed for one in stored.tensors)


def test_a_line_that_computes_in_32_bit_has_half_the_pool() -> None:
    both = [
        document("explain", "--gpu", "80GiB", "--model", "qwen3-8b", "--", "vllm", "serve", "o/m", *words)[1]["result"]
        for words in ((), ("--dtype", "float32"))
    ]
    narrow, wide = (one["ledger"] for one in both)
    assert wide["pool"]["bytes_per_block"] == 2 * narrow["pool"]["bytes_per_block"]
    assert wide["devices"][0]["weights_bytes"] > 1.9 * narrow["devices"][0]["weights_bytes"]
