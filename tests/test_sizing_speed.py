"""Speed estimates against two measured rows, their range, and silence where a rate is not known."""

from dataclasses import replace

import pytest

from llmops.cli.opening_config import vllm_shapes
from llmops.domain.engine import Device, DeviceKind, EngineName, EngineSettings, HostDevice
from llmops.domain.ledger import Confidence
from llmops.domain.model import ModelShape
from llmops.domain.units import GIB
from llmops.formats.catalogue import models
from llmops.formats.row_formats import BY_NAME
from llmops.library import shipped
from llmops.sizing.quantized import quantized
from llmops.sizing.speed import speed
from llmops.sizing.traffic import traffic

RTX_4090 = Device(
    name="NVIDIA GeForce RTX 4090",
    kind=DeviceKind.CUDA,
    capacity_bytes=24 * GIB,
    free_bytes=24 * GIB,
    bandwidth_gb_s=1008.0,
    fp16_tflops=165.2,
)
A100 = replace(RTX_4090, name="NVIDIA A100-SXM4-80GB", bandwidth_gb_s=2039.0, fp16_tflops=312.0)
RTX_6000_ADA = replace(RTX_4090, name="NVIDIA RTX 6000 Ada Generation", bandwidth_gb_s=960.0, fp16_tflops=364.2)
HOST = HostDevice(memory_bytes=64 * GIB, physical_cores=8)
ONE = EngineSettings(engine=EngineName.LLAMA_CPP, context_size=1024, parallel=1, split_mode="none")


def shape(name: str, quantization: str) -> ModelShape:
    row = next(one for one in models(shipped.text("catalogue", "models.json")) if one.id == name)
    made = quantized(row, quantization=quantization)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("device", "name", "quantization", "measured"),
    [
        # public llama-bench rows: token generation from an empty cache, one card, single stream
        (RTX_4090, "llama-2-7b-chat", "Q4_0", 186.21),  # builds of 2025 and 2026, ggml-org discussion 15013
        (A100, "llama-3-8b-instruct", "Q4_K_M", 135.04),  # build 2837, May 2024, XiongjieDai GPU benchmarks
        (RTX_6000_ADA, "llama-3-8b-instruct", "F16", 50.21),  # build 2833, the same
        (RTX_6000_ADA, "llama-3-70b-instruct", "Q4_K_M", 18.52),
    ],
)
def test_decode_is_within_its_range_of_a_measured_row(
    device: Device, name: str, quantization: str, measured: float
) -> None:
    said = speed(shape(name, quantization), ONE, devices=(device,), host=HOST, read_bytes_per_second=None)
    assert said.decode_tokens_per_second is not None
    assert said.decode_tokens_per_second.low < measured < said.decode_tokens_per_second.high
    assert said.decode_tokens_per_second.confidence is Confidence.LOW


def test_where_the_bandwidth_is_not_known_nothing_is_estimated_but_loading() -> None:
    said = speed(
        shape("llama-3.1-8b-instruct", "Q4_K_M"),
        ONE,
        devices=(replace(RTX_4090, bandwidth_gb_s=None, fp16_tflops=None),),
        host=HOST,
        read_bytes_per_second=None,
    )
    assert said.decode_tokens_per_second is None
    assert said.prefill_tokens_per_second is None
    assert said.load_seconds is not None
    assert "assumed" in said.load_seconds.basis


def test_a_card_of_unknown_capability_says_what_it_is_taken_for() -> None:
    model, ada = shape("llama-3.1-8b-instruct", "Q4_K_M"), replace(RTX_4090, compute_capability="8.9", power_watts=450)
    known, taken = (
        speed(model, ONE, devices=(one,), host=HOST, read_bytes_per_second=None).prefill_tokens_per_second
        for one in (ada, replace(ada, compute_capability=None))
    )
    assert known is not None
    assert taken is not None
    assert "not known" not in known.basis
    assert "Ada's power limit is taken" in taken.basis
    assert taken.low < known.low
    assert taken.value == known.value


def test_a_prompt_costs_vllm_its_experts_however_they_are_named_or_packed() -> None:
    row = next(one for one in models(shipped.text("catalogue", "models.json")) if one.id == "qwen3-30b-a3b")
    costs = {name: traffic(vllm_shapes(row, name)[0], ONE, on_cards=True) for name in BY_NAME}
    plain = costs["BF16"]
    assert plain.expert_flop > plain.dense_flop > 0
    for name, cost in costs.items():
        assert cost.expert_flop == pytest.approx(plain.expert_flop, rel=0.01), name
        assert cost.dense_flop == pytest.approx(plain.dense_flop, rel=0.01), name


def test_a_moe_model_reads_only_its_used_experts() -> None:
    dense, sparse = (
        speed(
            shape(name, "Q4_K_M"), ONE, devices=(RTX_4090,), host=HOST, read_bytes_per_second=None
        ).decode_tokens_per_second
        for name in ("qwen3-32b", "qwen3-30b-a3b")
    )
    assert dense is not None
    assert sparse is not None
    assert sparse.value > 3 * dense.value


def test_layers_in_ram_are_slow_and_need_the_hosts_bandwidth() -> None:
    half = replace(ONE, gpu_layers=16)
    model = shape("llama-3.1-8b-instruct", "Q4_K_M")
    unknown = speed(model, half, devices=(RTX_4090,), host=HOST, read_bytes_per_second=None)
    assert unknown.decode_tokens_per_second is None
    fast = speed(model, ONE, devices=(RTX_4090,), host=HOST, read_bytes_per_second=None).decode_tokens_per_second
    known = replace(HOST, bandwidth_gb_s=60.0)
    slow = speed(model, half, devices=(RTX_4090,), host=known, read_bytes_per_second=None).decode_tokens_per_second
    assert fast is not None
    assert slow is not None
    assert slow.high < fast.value


def test_loading_follows_the_measured_disk() -> None:
    model = shape("llama-3.1-8b-instruct", "Q4_K_M")
    said = speed(model, ONE, devices=(RTX_4090,), host=HOST, read_bytes_per_second=1e9).load_seconds
    assert said is not None
    assert said.value == pytest.approx(model.weights_bytes() / 1e9 + 3)
    assert said.low < said.value < said.high
