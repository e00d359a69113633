"""LoRA in vLLM: the room for adapters beside every matrix, as its layers' `create_lora_weights` make it."""

import json
from pathlib import Path

import pytest
from explaining import codes, document

from llmops.domain.engine import Device, DeviceKind, EngineName, EngineSettings, PoolSettings
from llmops.domain.model import ModelShape
from llmops.domain.units import GIB
from llmops.engines.rank_weights import Cut
from llmops.engines.vllm_adapters import RANKS, adapter_bytes, adapter_refusals, capture_cases
from llmops.engines.vllm_choices import CHOICES
from llmops.engines.vllm_graphs import graphs
from llmops.formats.config_json import model_shape

CONFIGS = Path(__file__).parent / "recorded" / "config_json"
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "sym": True}
NVFP4 = {
    "quant_method": "modelopt",
    "quant_algo": "NVFP4",
    "kv_cache_quant_algo": None,
    "group_size": 16,
    "ignore": ["lm_head"],
}


def shape(name: str = "llama-3.1-8b-instruct", **changed: object) -> ModelShape:
    config = json.loads((CONFIGS / f"{name}.json").read_bytes()) | changed
    return model_shape(json.dumps(config).encode(), name=name, tensors=None)


def taken(of: ModelShape, *, ranks: int = 1, by_expert: bool = False, **told: int) -> int:
    pool = PoolSettings(**({"adapter_slots": 1} | told), expert_parallel=by_expert)  # type: ignore[arg-type]
    settings = EngineSettings(engine=EngineName.VLLM, context_size=8192, parallel=64, tensor_parallel=ranks, pool=pool)
    return adapter_bytes(of, settings, cut=Cut(tensor=ranks, by_expert=by_expert), stage=0, is_safe=False)


WIDTH, KEPT, FEED, VOCABULARY, LAYERS = 4096, 1024, 14_336, 128_256, 32
ENDS = 2 * (WIDTH + VOCABULARY)


def test_every_matrix_has_room_for_a_and_b() -> None:
    one_layer = 2 * (WIDTH + WIDTH) + 2 * (WIDTH + KEPT) + 3 * (WIDTH + FEED)
    assert taken(shape()) == 2 * 16 * (LAYERS * one_layer + ENDS)
    assert taken(shape(), adapter_slots=4, adapter_rank=64) == 16 * taken(shape())
    assert taken(shape(), adapter_slots=0) == 0


def test_of_a_matrix_that_is_cut_one_of_the_two_is_whole_on_every_rank() -> None:
    ranks = 4
    rows = 2 * (WIDTH + FEED // ranks) + (WIDTH + WIDTH // ranks) + 2 * (WIDTH + KEPT // ranks)
    columns = (WIDTH // ranks + WIDTH) + (FEED // ranks + WIDTH)
    assert taken(shape(), ranks=ranks) == 2 * 16 * (LAYERS * (rows + columns) + ENDS)
    whole = 2 * (WIDTH + WIDTH) + 2 * (WIDTH + KEPT) + 3 * (WIDTH + FEED)
    assert taken(shape(), ranks=ranks, sharded_adapters=True) == 2 * 16 * (LAYERS * whole // ranks + ENDS)


@pytest.mark.parametrize("how", [AWQ, GPTQ, NVFP4], ids=lambda how: str(how["quant_method"]))
def test_quantized_matrices_have_adapters_of_the_same_widths(how: dict[str, object]) -> None:
    assert taken(shape(quantization_config=how)) == taken(shape())


def test_experts_have_adapters_each_and_whole_ones_go_to_ranks() -> None:
    moe = shape("qwen3-30b-a3b")
    width, feed, experts, layers = 2048, 768, 128, 48
    attention = (2048 + 4096) * 2 + (2048 + 512) * 2
    one_layer = experts * 3 * (width + feed) + (width + experts) + attention
    assert taken(moe) == 2 * 16 * (layers * one_layer + 2 * (width + 151_936))
    cut = attention - (4096 + 512 + 512 + 4096) * 3 // 4
    split = experts * 3 * (width + feed) // 4 + (width + experts) + cut
    assert taken(moe, ranks=4, by_expert=True) == 2 * 16 * (layers * split + 2 * (width + 151_936))


def test_an_output_that_is_adapted_has_a_largest_vocabulary() -> None:
    told = PoolSettings(adapter_slots=1)
    assert adapter_refusals(shape(vocab_size=258_048), told) == []
    assert "258,048" in adapter_refusals(shape(vocab_size=258_049), told)[0]
    assert adapter_refusals(shape("gemma-3-12b-it"), told) == []  # 262,208, and its class adapts no output


@pytest.mark.parametrize(
    ("slots", "by_number", "cases"), [(0, True, 1), (4, False, 2), (1, True, 3), (4, True, 5), (8, True, 6)]
)
def test_graphs_are_captured_without_adapters_and_with(slots: int, by_number: bool, cases: int) -> None:
    """`get_captured_lora_counts(4, True)` is [1, 2, 4, 5], and 0 comes on top."""
    told = PoolSettings(adapter_slots=slots, graphs_by_adapters=by_number)
    assert capture_cases(told) == cases
    settings = EngineSettings(engine=EngineName.VLLM, context_size=8192, parallel=64, batch_tokens=2048, pool=told)
    card = Device(name="card", kind=DeviceKind.CUDA, capacity_bytes=GIB, free_bytes=GIB)
    plain = graphs(EngineSettings(engine=EngineName.VLLM, context_size=8192, parallel=64, batch_tokens=2048), card)
    assert graphs(settings, card) == cases * plain


def test_a_line_with_lora_is_counted_and_a_rank_that_is_none_is_refused() -> None:
    line = ["--gpu", "h200", "--model", "llama-3.1-8b", "--", "vllm", "serve", "org/m", "--max-model-len", "8192"]
    _, alone = document("explain", *line)
    _, found = document("explain", *line, "--enable-lora", "--max-loras", "4", "--max-lora-rank", "64")
    more = [one["result"]["ledger"]["devices"][0]["weights_bytes"] for one in (found, alone)]
    assert more[0] - more[1] == taken(shape(), adapter_slots=4, adapter_rank=64)
    assert "EXP011" not in codes(found)
    _, found = document("explain", *line, "--enable-lora", "--max-lora-rank", "48")
    assert any(one["status"] == "fail" and "--max-lora-rank" in one["message"] for one in found["findings"])
    assert CHOICES["--max-lora-rank"] == {str(one) for one in RANKS}
