"""Weights as vLLM keeps them on a card that has no 8-bit arithmetic."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from llmops.domain.engine import Device, DeviceKind
from llmops.domain.model import ModelShape
from llmops.domain.units import GIB
from llmops.engines.vllm_loaded import as_loaded
from llmops.formats.config_json import model_shape

CONFIG = Path(__file__).parent / "recorded" / "config_json" / "qwen3-8b.json"
BLOCKS = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}


def shape(how: Mapping[str, object] | None) -> ModelShape:
    config = json.loads(CONFIG.read_bytes())
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
