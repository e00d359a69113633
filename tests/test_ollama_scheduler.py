"""What Ollama decides of context, slots, batch, cards and layers: its source, a log, and the real llama-server's `--fit`."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from headers import header_only, measured_model
from llama_cpp_families import build

from llmops.domain.engine import Device, DeviceKind, EngineName, EngineSettings, FlashAttention, HostDevice
from llmops.domain.ledger import Ledger
from llmops.domain.model import ModelShape
from llmops.domain.units import GIB, MIB
from llmops.engines import llama_cpp_memory, ollama_memory
from llmops.engines.llama_cpp_overrides import Override
from llmops.engines.llama_cpp_placement import Loading
from llmops.engines.ollama_fit import fitted
from llmops.engines.ollama_scheduler import batch, default_context, predicted_bytes, slots, start
from llmops.engines.ollama_variables import Server, read_server
from llmops.formats import catalogue, gguf
from llmops.formats.gguf_shape import model_shape
from llmops.library import shipped
from llmops.sizing.quantized import quantized

MEASURED = Path(__file__).parent / "measured" / "ollama"
NO_HOST = HostDevice(memory_bytes=None, physical_cores=None)
FIT: list[dict[str, Any]] = json.loads((MEASURED / "fit.json").read_text())["rows"]


def card(mib: int, name: str = "card") -> Device:
    size = mib * MIB
    return Device(name=name, kind=DeviceKind.CUDA, capacity_bytes=size, free_bytes=size, overhead_bytes=0)


@cache
def measured_shape(name: str) -> ModelShape:
    file = measured_model(name)
    return model_shape([gguf.read_header(file.read, name=name, file_bytes=file.file_bytes)], name=name)


@cache
def catalogue_shape(name: str, quantization: str) -> ModelShape:
    rows = catalogue.models(shipped.text("catalogue", "models.json"))
    made = quantized(next(one for one in rows if one.id == name), quantization=quantization)
    assert made is not None
    return made


@cache
def gpt_oss_120b() -> ModelShape:
    """Its public numbers: 36 layers, every second with a window of 128, 128 experts in MXFP4."""
    numbers: dict[str, int | str] = {
        "E": 2880,
        "H": 64,
        "G": 8,
        "D": 64,
        "L": 36,
        "V": 201088,
        "F": 2880,
        "Fe": 2880,
        "X": 128,
        "u": 4,
        "W": 128,
    }
    keys, tensors = build("gpt-oss", {**numbers, "type": "MXFP4", "ctx": 131072})
    file = header_only(keys, tensors)
    return model_shape([gguf.read_header(file.read, name="gpt-oss", file_bytes=file.file_bytes)], name="gpt-oss")


@pytest.mark.parametrize(
    ("cards", "overhead_bytes", "tokens"),
    [
        ([], 0, 4096),
        ([23 * 1024 - 1], 0, 4096),
        ([24564], 0, 32768),
        ([24564], 2 * GIB, 4096),  # what is set aside counts a card
        ([24564, 24564], 0, 262144),  # all cards together: 47.98 GiB
        ([16376, 16376], 0, 32768),
    ],
)
def test_without_a_word_the_context_is_by_the_memory_of_all_cards(
    cards: list[int], overhead_bytes: int, tokens: int
) -> None:
    assert default_context([card(mib) for mib in cards], overhead_bytes) == tokens


def test_the_context_is_cut_to_the_trained_length() -> None:
    made = start(catalogue_shape("qwen3-8b", "Q4_K_M"), Server(), [card(80 * 1024)])
    assert made.context_tokens == 40960


def test_the_prediction_is_the_file_and_a_16_bit_cache_of_the_embeddings_share_of_a_head() -> None:
    shape = catalogue_shape(
        "qwen3-0.6b", "Q8_0"
    )  # heads of 128, though the embedding has 1024 for 16 of them: counted as 64
    assert predicted_bytes(shape, 1000) == shape.weights_bytes() + 2 * 28 * 8 * 64 * 1000 * 2


def test_a_family_that_cannot_share_gets_one_request_at_a_time() -> None:
    shape = measured_shape("qwen3-8b")
    assert slots(shape, 4) == 4
    assert slots(replace(shape, architecture="qwen3next"), 4) == 1


def test_one_card_is_taken_when_the_prediction_fills_it_to_80_percent_at_most() -> None:
    shape = measured_shape("llama3-8b")
    need = predicted_bytes(shape, 4096) * 100 // 80 // MIB
    small, large = card(need - 10, "small"), card(need + 10, "large")
    server = Server(context_tokens=4096)
    assert [one.name for one in start(shape, server, [small, large]).cards] == ["large"]
    assert [one.name for one in start(shape, server, [small, small]).cards] == ["small", "small"]
    assert len(start(shape, replace(server, spread=True), [small, large]).cards) == 2


@pytest.mark.parametrize(
    ("tokens", "free_mib", "flash_attention", "size"),
    [
        (4096, 80_000, FlashAttention.AUTO, 512),
        (4097, 80_000, FlashAttention.AUTO, 1024),
        (32769, 80_000, FlashAttention.AUTO, 2048),
        (65536, 16_000, FlashAttention.AUTO, 512),  # 12.8 GiB predicted: more than 75 % of what is free
        (65536, 20_000, FlashAttention.AUTO, 1024),
        (65536, 80_000, FlashAttention.OFF, 512),
        (65536, 8192, FlashAttention.OFF, 256),
    ],
)
def test_the_batch_grows_with_the_context_where_memory_is_left(
    tokens: int, free_mib: int, flash_attention: FlashAttention, size: int
) -> None:
    shape = measured_shape("llama3-8b")
    predicted = predicted_bytes(shape, tokens)
    assert batch(shape, tokens, predicted, [card(free_mib)], flash_attention) == size


@pytest.mark.parametrize("row", FIT[::4], ids=lambda row: f"{row['model']}-{row['context']}-{row['cards_mib']}")
def test_the_layers_that_stay_on_the_cards_are_those_of_the_real_fit(row: dict[str, Any]) -> None:
    shape = measured_shape(row["model"])
    devices = [card(mib) for mib in row["cards_mib"]]
    asked = EngineSettings(
        engine=EngineName.OLLAMA,
        context_size=row["context"],
        parallel=1,
        batch_tokens=row["batch"],
        ubatch_tokens=row["batch"],
        flash_attention=FlashAttention.AUTO,
    )

    def weigh(settings: EngineSettings, overrides: tuple[Override, ...]) -> Ledger:
        return llama_cpp_memory.ledger(
            shape=shape,
            settings=settings,
            devices=devices,
            host=NO_HOST,
            reserve_bytes=0,
            loading=Loading(overrides=overrides),
        )

    one = fitted(shape, asked, devices, [GIB] * len(devices), weigh)
    made = weigh(one.settings, one.overrides)
    assert [device.total_bytes() for device in made.devices] == row["cards_bytes"]


def test_a_log_of_ollamas_own_llama_server() -> None:
    (row,) = json.loads((MEASURED / "logs.json").read_text())["rows"]
    shape = gpt_oss_120b()
    devices = [replace(card(112 * 1024), kind=DeviceKind.ROCM)]
    server, _, _ = read_server({"OLLAMA_NUM_PARALLEL": str(row["parallel"])})
    one = ollama_memory.loaded(server, (), shape=shape, devices=devices)
    assert one.settings.context_size == row["n_ctx"]
    assert one.settings.context_size // one.settings.parallel == row["n_ctx_per_seq"]
    assert one.settings.ubatch_tokens == row["n_batch"]
    made = ollama_memory.ledger(one, shape=shape, host=NO_HOST, reserve_bytes=0)
    assert made.devices[0].causes.kv_cache_bytes == int(sum(row["kv_mib"].values()) * MIB)


def test_blocks_that_guess_ahead_are_counted_from_above() -> None:
    plain = measured_shape("llama3-8b")
    last = len(plain.layers) - 1
    guessing = replace(plain, layers=plain.layers[:-1], mtp_layers=1)
    server = Server(context_tokens=4096)
    one = ollama_memory.loaded(server, (), shape=guessing, devices=[card(24564)])
    made = ollama_memory.ledger(one, shape=guessing, host=NO_HOST, reserve_bytes=0)
    block = sum(one.data_bytes() for one in plain.tensors if one.name.startswith(f"blk.{last}."))
    assert made.devices[0].causes.draft_bytes > block
