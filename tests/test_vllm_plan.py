"""vLLM's ledger and command line; the pool's blocks are in test_vllm_blocks."""

from dataclasses import replace

import pytest

from llmops.domain.engine import Device, DeviceKind, EngineName, EngineSettings, HostDevice, PoolSettings
from llmops.domain.errors import WrongInput, WrongUsage
from llmops.domain.ledger import Confidence
from llmops.domain.model import Attention, LatentAttention, Layer, ModelShape, Tensor
from llmops.domain.units import GIB
from llmops.engines import vllm


def layers(count: int, kv_heads: int, length: int, attention: Attention = Attention.FULL) -> tuple[Layer, ...]:
    return (
        Layer(
            attention=attention,
            heads=kv_heads,
            kv_heads=kv_heads,
            key_length=length,
            value_length=0 if attention is Attention.LATENT else length,
            feed_forward=1024,
        ),
    ) * count


def shape(stack: tuple[Layer, ...], *, window: int | None = None, latent: LatentAttention | None = None) -> ModelShape:
    return ModelShape(
        architecture="any",
        name="any",
        layers=stack,
        embedding_length=4096,
        vocabulary=128256,
        context_length=131072,
        window_tokens=window,
        latent=latent,
        tensors=(
            Tensor("model.layers.0.self_attn.q_proj.weight", (4096, 4096), "BF16"),
            Tensor("model.layers.0.self_attn.k_proj.weight", (4096, 1024), "BF16"),
            Tensor("model.norm.weight", (4096,), "BF16"),
        ),
        tensors_confidence=Confidence.EXACT,
    )


CARD = Device(name="card", kind=DeviceKind.CUDA, capacity_bytes=24 * GIB, free_bytes=24 * GIB, overhead_bytes=0)
NO_HOST = HostDevice(memory_bytes=None, physical_cores=None)
SETTINGS = EngineSettings(
    engine=EngineName.VLLM,
    context_size=8192,
    parallel=128,
    kv_unified=True,
    kv_cache_type_k="auto",
    kv_cache_type_v="auto",
    gpu_memory_utilization=0.9,
    pool=PoolSettings(),
)


def test_the_pool_is_what_the_budget_leaves() -> None:
    said = vllm.ledger(
        shape=shape(layers(32, 8, 128)), settings=SETTINGS, devices=(CARD,), host=NO_HOST, reserve_bytes=0
    )
    assert said.pool is not None
    total = said.devices[0].total_bytes()
    budget = 24 * GIB * 9 // 10
    assert budget - said.pool.bytes_per_block - 2 < total <= budget + 1
    assert said.pool.kv_pool_bytes == said.devices[0].causes.kv_cache_bytes
    assert said.fits()
    assert {said.confidence, *said.devices[0].confidence.values()} == {Confidence.CALIBRATED}
    assert said.pool.safe_bytes < said.pool.kv_pool_bytes < said.pool.safe_bytes + GIB


def test_a_pool_smaller_than_one_request_does_not_fit() -> None:
    small = replace(CARD, capacity_bytes=3 * GIB, free_bytes=3 * GIB)
    said = vllm.ledger(
        shape=shape(layers(32, 8, 128)),
        settings=replace(SETTINGS, context_size=131072),
        devices=(small,),
        host=NO_HOST,
        reserve_bytes=0,
    )
    assert not said.fits()


def test_without_a_card_it_says_which_engine_to_take() -> None:
    with pytest.raises(WrongUsage) as stopped:
        vllm.ledger(shape=shape(layers(2, 2, 64)), settings=SETTINGS, devices=(), host=NO_HOST, reserve_bytes=0)
    assert "llama.cpp" in (stopped.value.hint or "")


def test_settings_read_back_from_their_command_line_are_the_same() -> None:
    line = vllm.argv(SETTINGS, alias="chat", port=8000, threads=None)
    assert vllm.settings(line) == SETTINGS
    assert "--api-key" not in line
    assert line[:3] == ("vllm", "serve", "{model}")


def test_human_numbers_and_equals_signs_are_read() -> None:
    read = vllm.settings(["vllm", "serve", "m", "--max-model-len=8K", "--max_num_seqs", "64", "-tp", "2"])
    assert (read.context_size, read.parallel, read.tensor_parallel, read.gpu_memory_utilization) == (8192, 64, 2, 0.92)


def test_a_switch_may_be_turned_off_in_the_old_way_a_value_not() -> None:
    assert vllm.settings(["vllm", "serve", "m", "--no-enable-prefix-caching", "--enforce-eager"]).parallel == 256
    with pytest.raises(WrongInput, match="does not know `--no-max-num-seqs`"):
        vllm.settings(["vllm", "serve", "m", "--no-max-num-seqs"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["--device", "cuda"], "no longer has `--device`"),
        (["--max-model-length", "1"], "does not know"),
        (["--max-model-len"], "needs a value"),
        (["--gpu-memory-utilization", "1.5"], "at most 1"),
        (["--max-num-seqs", "lots"], "whole number"),
    ],
)
def test_a_line_that_would_not_start_says_so(line: list[str], message: str) -> None:
    with pytest.raises(WrongInput, match=message):
        vllm.settings(["vllm", "serve", "m", *line])


def test_every_setting_of_the_pool_reads_back_from_its_command_line() -> None:
    told = PoolSettings(
        block_tokens=64,
        pool_bytes=GIB,
        blocks=100,
        prefix_caching=False,
        window_groups=False,
        eager=True,
        throughput_mode=True,
        pipeline_parallel=2,
        data_parallel=2,
        expert_parallel=True,
        context_parallel=2,
        drafter="mtp",
        drafted_tokens=3,
        conv_state_type="float32",
        state_type="float32",
        replicated_tower=True,
        text_only=True,
        async_scheduling=False,
        chunked_prefill=False,
    )
    line = vllm.argv(replace(SETTINGS, pool=told), alias="chat", port=8000, threads=None)
    assert vllm.settings(line).pool == told
