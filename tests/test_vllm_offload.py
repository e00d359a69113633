"""Weights that `--cpu-offload-gb` leaves in RAM."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.domain.engine import Device, DeviceKind, HostDevice
from llmops.domain.ledger import Confidence, Ledger
from llmops.domain.units import GIB
from llmops.engines import vllm
from llmops.engines.vllm_arguments import read
from llmops.engines.vllm_offload import offloaded_bytes
from llmops.formats.config_json import model_shape

CONFIG = Path(__file__).parent / "recorded" / "config_json" / "qwen3-8b.json"
SHAPE = model_shape(json.dumps(json.loads(CONFIG.read_bytes())).encode(), name="qwen3-8b", tensors=None)
CARD = Device(
    name="A10", kind=DeviceKind.CUDA, capacity_bytes=24 * GIB, free_bytes=24 * GIB, overhead_bytes=0, compute_capability="8.6"
)  # fmt: skip


def ledger(*words: str, ranks: int = 1) -> Ledger:
    line = (
        "vllm",
        "serve",
        "m",
        "--max-model-len",
        "8192",
        "--max-num-seqs",
        "16",
        "--tensor-parallel-size",
        str(ranks),
    )
    host = HostDevice(memory_bytes=64 * GIB, physical_cores=8)
    settings = vllm.settings((*line, *words))
    return vllm.ledger(shape=SHAPE, settings=settings, devices=(CARD,) * ranks, host=host, reserve_bytes=0)


@pytest.mark.parametrize("ranks", [1, 2])
def test_what_is_in_ram_is_not_on_the_card_and_the_pool_grows_by_it(ranks: int) -> None:
    plain, moved = ledger(ranks=ranks), ledger("--cpu-offload-gb", "2.5", ranks=ranks)
    for before, after in zip(plain.devices, moved.devices, strict=True):
        assert before.causes.weights_bytes - after.causes.weights_bytes == 5 * GIB // 2
    assert moved.host.causes.weights_bytes == ranks * 5 * GIB // 2
    assert plain.pool is not None
    assert moved.pool is not None
    blocks = 5 * GIB // 2 // plain.pool.bytes_per_block
    assert abs(moved.pool.num_blocks - plain.pool.num_blocks - blocks) <= 1
    assert moved.confidence is Confidence.LOW


def test_embedding_and_output_stay_on_the_card() -> None:
    ends = 2 * 151_936 * 4096 * 2
    assert ledger("--cpu-offload-gb", "100").devices[0].causes.weights_bytes >= ends
    assert ledger("--cpu-offload-gb", "100").host.causes.weights_bytes == SHAPE.weights_bytes() - ends


@pytest.mark.parametrize(
    "words",
    [
        ("--cpu-offload-gb", "-3"), ("--cpu-offload-gb", "nan"), ("--cpu-offload-gb", "inf"), ("--cpu-offload-gb", "1e99"),
        ("--cpu-offload-gb", "much"), ("--cpu-offload-gb", "4", "--offload-backend", "prefetch"),
        ("--cpu-offload-gb", "4", "--cpu-offload-params", "gate_up_proj"),
    ],
)  # fmt: skip
def test_nonsense_and_chosen_parameters_leave_the_weights_on_the_card(words: tuple[str, ...]) -> None:
    assert offloaded_bytes(read(["m", *words])) == 0


@given(st.integers(1, 512))
def test_a_line_says_it_again(quarters: int) -> None:
    settings = vllm.settings(("vllm", "serve", "m", "--cpu-offload-gb", str(quarters / 4)))
    again = vllm.settings(vllm.argv(settings, alias="m", port=1, threads=None))
    assert settings.pool is not None
    assert again.pool is not None
    assert again.pool.offloaded_bytes == settings.pool.offloaded_bytes == quarters * GIB // 4
