"""The ledger against what llama.cpp's own allocator said, buffer by buffer."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from headers import allocations, measured_model
from hypothesis import given
from hypothesis import strategies as st

from llmops.domain.engine import Device, DeviceKind, EngineName, EngineSettings, FlashAttention, HostDevice
from llmops.domain.ledger import Confidence, Ledger
from llmops.domain.model import Attention, Layer, ModelShape, RecurrentState
from llmops.domain.units import GIB, MIB
from llmops.engines import llama_cpp
from llmops.engines.llama_cpp_context import context
from llmops.formats.catalogue import models
from llmops.formats.gguf import read_header
from llmops.formats.gguf_shape import model_shape
from llmops.library import shipped
from llmops.sizing.quantized import quantized

STARTS = Path(__file__).parent / "measured" / "llama.cpp" / "starts.json"
NO_HOST = HostDevice(memory_bytes=None, physical_cores=None)
DEFAULTS = EngineSettings(engine=EngineName.LLAMA_CPP, context_size=8192, parallel=1)


def cards(mebibytes: list[int]) -> tuple[Device, ...]:
    return tuple(
        Device(
            name=f"card {at}", kind=DeviceKind.CUDA, capacity_bytes=size * MIB, free_bytes=size * MIB, overhead_bytes=0
        )
        for at, size in enumerate(mebibytes)
    )


@cache
def measured_shape(name: str) -> ModelShape:
    file = measured_model(name)
    return model_shape([read_header(file.read, name=name, file_bytes=file.file_bytes)], name=name)


@cache
def catalogue_shape(name: str, quantization: str = "Q4_K_M") -> ModelShape:
    row = next(one for one in models(shipped.text("catalogue", "models.json")) if one.id == name)
    shape = quantized(row, quantization=quantization)
    assert shape is not None
    return shape


def ledger(shape: ModelShape, settings: EngineSettings, devices: tuple[Device, ...]) -> Ledger:
    return llama_cpp.ledger(shape=shape, settings=settings, devices=devices, host=NO_HOST, reserve_bytes=0)


def measured_rows() -> list[dict[str, Any]]:
    return [row for row in allocations()["rows"] if not row["metadata_only"]]


def settings_of_row(arguments: dict[str, Any]) -> EngineSettings:
    ubatch = arguments.get("ub", 512)
    return EngineSettings(
        engine=EngineName.LLAMA_CPP,
        context_size=arguments["ctx"],
        parallel=arguments.get("np", 1),
        kv_unified=bool(arguments.get("kvu")),
        kv_cache_type_k=arguments.get("tk", "f16"),
        kv_cache_type_v=arguments.get("tv", "f16"),
        batch_tokens=max(2048, ubatch),
        ubatch_tokens=ubatch,
        flash_attention=FlashAttention.OFF if arguments.get("fa") == 0 else FlashAttention.ON,
        gpu_layers=arguments.get("ngl"),
        kv_offload=not arguments.get("nkvo"),
        cpu_moe_layers=arguments.get("ncm", 0),
        swa_full=bool(arguments.get("swafull")),
    )


def cards_of_row(arguments: dict[str, Any]) -> tuple[Device, ...]:
    return cards([int(size) for size in str(arguments["mem"]).split(",")]) if "mem" in arguments else ()


def in_ram(buffers: dict[str, dict[str, int]], kind: str) -> int:
    return sum(one[kind] for name, one in buffers.items() if name == "CUDA_Host" or not name.startswith("CUDA"))


def test_the_measured_file_has_its_170_rows_with_tensors() -> None:
    assert len(measured_rows()) == 170


@pytest.mark.parametrize("name", sorted(allocations()["models"]))
def test_weights_and_kv_cache_equal_the_allocator_to_the_byte(name: str) -> None:
    checked = 0
    for row in (one for one in measured_rows() if one["model"] == name):
        said = ledger(measured_shape(name), settings_of_row(row["args"]), cards_of_row(row["args"]))
        buffers = row["result"]["bufs"]
        for at, device in enumerate(said.devices):
            assert device.causes.weights_bytes == buffers[f"CUDA{at}"]["model"], row["args"]
            assert device.causes.kv_cache_bytes == buffers[f"CUDA{at}"]["context"], row["args"]
        assert said.host.causes.weights_bytes == in_ram(buffers, "model"), row["args"]
        assert said.host.causes.kv_cache_bytes == in_ram(buffers, "context"), row["args"]
        assert said.host.causes.compute_bytes == in_ram(buffers, "compute"), row["args"]
        checked += 1
    assert checked >= 25


@pytest.mark.parametrize("name", sorted(allocations()["models"]))
def test_compute_is_never_under_the_allocator_and_equal_where_it_says_exact(name: str) -> None:
    for row in (one for one in measured_rows() if one["model"] == name):
        shape, settings = measured_shape(name), settings_of_row(row["args"])
        said = ledger(shape, settings, cards_of_row(row["args"]))
        for at, device in enumerate(said.devices):
            # these rows are what `--fit` measures: on every card but the first 16·T·E more than a start takes
            start = row["result"]["bufs"][f"CUDA{at}"]["compute"]
            start -= 16 * settings.ubatch_tokens * shape.embedding_length if at else 0
            assert device.causes.compute_bytes >= start, row["args"]
            if device.confidence["compute_bytes"] is Confidence.EXACT:
                assert device.causes.compute_bytes == start, row["args"]


def test_most_full_offloads_are_exact() -> None:
    exact = sum(
        ledger(measured_shape(row["model"]), settings_of_row(row["args"]), cards_of_row(row["args"]))
        .devices[0]
        .confidence["compute_bytes"]
        is Confidence.EXACT
        for row in measured_rows()
        if "mem" in row["args"]
    )
    assert exact >= 107


@pytest.mark.parametrize("row", measured_rows()[::9], ids=lambda row: f"{row['model']} {row['args']}")
def test_context_lengths_are_rounded_as_the_server_rounds_them(row: dict[str, Any]) -> None:
    made = context(settings_of_row(row["args"]), trained_tokens=1)
    assert (made.pool_tokens, made.sequence_tokens) == (row["result"]["n_ctx"], row["result"]["n_ctx_seq"])


def starts() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(STARTS.read_text())["rows"]
    return rows


@pytest.mark.parametrize("name", sorted({row["model"] for row in starts()}))
def test_full_starts_of_catalogue_shapes_come_out(name: str) -> None:
    """Weights and cache to the byte; compute to the byte where the ledger says so, else never less."""
    for row in (one for one in starts() if one["model"] == name):
        shape = catalogue_shape(name)
        settings = llama_cpp.settings(["llama-server", *row["flags"].split()])
        said = ledger(shape, settings, cards(row["cards_mib"]))
        for at, device in enumerate(said.devices):
            model, cache_bytes, compute = row["buffers"].get(f"CUDA{at}", (0, 0, 0))
            assert device.causes.weights_bytes == model, row
            assert device.causes.kv_cache_bytes == cache_bytes, row
            assert device.causes.compute_bytes >= compute, row
            if device.confidence["compute_bytes"] is Confidence.EXACT:
                assert device.causes.compute_bytes == compute, row
        host = [one for key, one in row["buffers"].items() if key == "CUDA_Host" or not key.startswith("CUDA")]
        assert said.host.causes.weights_bytes == sum(one[0] for one in host), row
        assert said.host.causes.kv_cache_bytes == sum(one[1] for one in host), row
        assert said.host.causes.compute_bytes >= sum(one[2] for one in host), row


def hybrid(attention: int, kv_width: int, recurrent: int, state: RecurrentState) -> ModelShape:
    """A shape without tensors: `attention` layers of one KV head of `kv_width`, `recurrent` layers with `state`."""
    caching = Layer(
        attention=Attention.FULL, heads=1, kv_heads=1, key_length=kv_width, value_length=kv_width, feed_forward=0
    )
    remembering = replace(caching, attention=Attention.NONE, kv_heads=0, recurrent=state, owns_kv_cache=False)
    return ModelShape(
        architecture="a-hybrid",
        name="hybrid",
        layers=(caching,) * attention + (remembering,) * recurrent,
        embedding_length=2048,
        vocabulary=1000,
        context_length=8192,
        tensors=(),
        tensors_confidence=Confidence.EXACT,
    )


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        # 32 value heads of 128 x 128, and a convolution of 4 over 2 x 2048 + 4096 channels
        ("qwen3next-80b", hybrid(12, 512, 36, RecurrentState(conv_elements=3 * 8192, state_elements=32 * 128 * 128))),
        # a short convolution of 3 over 2048 channels, no other state
        ("lfm2-12b", hybrid(6, 512, 10, RecurrentState(conv_elements=2 * 2048, state_elements=0))),
    ],
)
def test_recurrent_state_and_cache_of_hybrids_equal_the_allocator(name: str, shape: ModelShape) -> None:
    rows = [row for row in allocations()["rows"] if row["model"] == name]
    assert len(rows) == 5
    for row in rows:
        causes = ledger(shape, settings_of_row(row["args"]), cards_of_row(row["args"])).devices[0].causes
        measured = row["result"]["bufs"]["CUDA0"]["context"]
        assert causes.kv_cache_bytes + causes.recurrent_state_bytes == measured, row["args"]


def test_a_device_is_the_sum_of_its_causes_and_no_cause_is_negative() -> None:
    said = ledger(catalogue_shape("qwen3-30b-a3b"), replace(DEFAULTS, cpu_moe_layers=7), cards([24000, 24000]))
    for device in said.devices:
        causes = device.causes
        figures = [getattr(causes, name) for name in type(causes).__dataclass_fields__]
        assert all(one >= 0 for one in figures)
        assert device.total_bytes() == sum(figures)


def test_a_bare_size_has_no_driver_overhead_and_a_card_half_a_gibibyte() -> None:
    bare = cards([24000])
    real = (replace(bare[0], overhead_bytes=None, compute_capability="8.9"),)
    shape = catalogue_shape("llama-3.1-8b-instruct")
    assert ledger(shape, DEFAULTS, bare).devices[0].causes.overhead_bytes == 0
    assert ledger(shape, DEFAULTS, real).devices[0].causes.overhead_bytes == 512 * MIB
    assert ledger(shape, DEFAULTS, real).confidence is Confidence.CALIBRATED


def test_layers_over_cards_sum_to_the_model() -> None:
    shape = catalogue_shape("llama-3.3-70b-instruct")
    one = ledger(shape, DEFAULTS, cards([80000]))
    three = ledger(shape, replace(DEFAULTS, tensor_split=(30.0, 40.0, 11.0)), cards([40000] * 3))
    assert sum(device.causes.kv_cache_bytes for device in three.devices) == one.devices[0].causes.kv_cache_bytes
    on_three = sum(device.causes.weights_bytes for device in three.devices)
    assert 0 <= on_three - one.devices[0].causes.weights_bytes <= 2 * 256  # one copy of rope_freqs a card


def test_a_tied_embedding_is_in_ram_and_on_the_card() -> None:
    shape = catalogue_shape("llama-3.2-1b-instruct")
    embedding = next(one for one in shape.tensors if one.name == "token_embd.weight").data_bytes()
    whole = ledger(shape, DEFAULTS, cards([24000]))
    assert whole.host.causes.weights_bytes == embedding
    assert whole.devices[0].causes.weights_bytes + embedding >= shape.weights_bytes() + embedding


@pytest.mark.parametrize("name", ["llama-3.1-8b-instruct", "gemma-3-4b-it", "deepseek-v2-lite-chat", "qwen3-30b-a3b"])
@given(
    granules=st.integers(1, 400),
    more=st.integers(1, 50),
    slots=st.integers(1, 8),
    kind=st.sampled_from(["f16", "q8_0", "q4_0"]),
)
def test_bytes_grow_with_context_and_slots(name: str, granules: int, more: int, slots: int, kind: str) -> None:
    shape = catalogue_shape(name)
    small = EngineSettings(
        engine=EngineName.LLAMA_CPP,
        context_size=256 * granules * slots,
        parallel=slots,
        kv_cache_type_k=kind,
        kv_cache_type_v=kind,
    )
    longer = replace(small, context_size=256 * (granules + more) * slots)
    wider = replace(small, context_size=256 * granules * (slots + 1), parallel=slots + 1)
    least, long, wide = (ledger(shape, one, cards([90000])).devices[0] for one in (small, longer, wider))
    assert least.total_bytes() <= long.total_bytes()
    assert least.causes.kv_cache_bytes <= wide.causes.kv_cache_bytes


@given(granules=st.integers(1, 512), slots=st.integers(1, 8))
def test_a_wider_cache_type_never_takes_less_cache(granules: int, slots: int) -> None:
    shape = catalogue_shape("gemma-3-4b-it")
    base = EngineSettings(engine=EngineName.LLAMA_CPP, context_size=256 * granules, parallel=slots)
    kinds = [replace(base, kv_cache_type_k=kind, kv_cache_type_v=kind) for kind in ("q4_0", "q8_0", "f16", "f32")]
    taken = [ledger(shape, one, cards([90000])).devices[0].causes.kv_cache_bytes for one in kinds]
    assert taken == sorted(taken)


@given(window=st.integers(1, 40000), more=st.integers(0, 40000), granules=st.integers(1, 128))
def test_a_window_as_long_as_the_context_costs_what_full_attention_costs(window: int, more: int, granules: int) -> None:
    shape = catalogue_shape("gemma-3-4b-it")
    settings = replace(DEFAULTS, context_size=256 * granules)
    full = replace(shape, layers=tuple(replace(one, attention=Attention.FULL) for one in shape.layers))

    def taken(one: ModelShape) -> int:
        return ledger(one, settings, cards([90000])).devices[0].causes.kv_cache_bytes

    narrow = taken(replace(shape, window_tokens=window))
    assert narrow <= taken(replace(shape, window_tokens=window + more)) <= taken(full)
    if window >= 256 * granules:
        assert narrow == taken(full)


def test_an_uncovered_family_is_low_and_says_so() -> None:
    shape = replace(catalogue_shape("llama-3.1-8b-instruct"), architecture="never-heard-of")
    said = ledger(shape, DEFAULTS, cards([24000]))
    assert said.confidence is Confidence.LOW
    assert "upper bound" in " ".join(said.notes)
    plain = ledger(catalogue_shape("llama-3.1-8b-instruct"), DEFAULTS, cards([24000]))
    assert said.devices[0].causes.compute_bytes > plain.devices[0].causes.compute_bytes


def test_the_host_keeps_a_part_of_its_memory_to_itself() -> None:
    host = HostDevice(memory_bytes=32 * GIB, physical_cores=8)
    said = llama_cpp.ledger(
        shape=catalogue_shape("llama-3.1-8b-instruct"),
        settings=replace(DEFAULTS, use_gpu=False, gpu_layers=0, cache_ram_bytes=GIB),
        devices=(),
        host=host,
        reserve_bytes=0,
    )
    assert said.host.limit_bytes == 30 * GIB
    rearranged = said.host.causes.weights_bytes - said.host.page_cache_bytes
    assert 0 < said.host.page_cache_bytes < rearranged  # most of a Q4_K_M lies in the processor's own arrangement
    assert said.host.causes.overhead_bytes > GIB
    assert said.buffers is not None
    assert set(said.buffers) == {"CPU"}
