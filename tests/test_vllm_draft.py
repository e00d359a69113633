"""Drafters of vLLM: their weights, their layers in the pool, and the ranks they take."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from explaining import codes, document

from llmops.domain.engine import Device, DeviceKind, EngineName, HostDevice
from llmops.domain.explained import EngineProcess
from llmops.domain.ledger import Ledger
from llmops.domain.model import Companions, ModelShape
from llmops.domain.units import GIB
from llmops.engines import vllm_explained
from llmops.engines.rank_weights import Cut
from llmops.engines.vllm_draft import HEAD_VOCABULARY
from llmops.engines.vllm_mtp import block_bytes
from llmops.formats import catalogue
from llmops.formats.config_json import model_shape
from llmops.formats.row_formats import format_shape
from llmops.library import shipped

CONFIGS = Path(__file__).parent / "recorded" / "config_json"
NO_HOST = HostDevice(memory_bytes=None, physical_cores=None)
CARD = Device(name="card", kind=DeviceKind.CUDA, capacity_bytes=141 * GIB, free_bytes=141 * GIB, overhead_bytes=0)


def shape(name: str = "llama-3.1-8b-instruct", **changed: object) -> ModelShape:
    config = json.loads((CONFIGS / f"{name}.json").read_bytes()) | changed
    return model_shape(json.dumps(config).encode(), name=name, tensors=None)


def drafted_by(draft: ModelShape | None, of: ModelShape | None = None) -> ModelShape:
    return replace(of or shape(), companions=Companions(draft=draft))


def ledger(of: ModelShape, told: dict[str, Any], *words: str, cards: int = 1) -> Ledger:
    argv = ("org/model", "--max-model-len", "8192", "--max-num-seqs", "64", *words)
    line = vllm_explained.meaning(
        EngineProcess(engine=EngineName.VLLM, argv=(*argv, "--speculative-config", json.dumps(told)))
    )
    said = vllm_explained.ledger(line, shape=of, devices=(CARD,) * cards, host=NO_HOST, reserve_bytes=0)
    assert said is not None
    return said


SMALL = {"model": "org/small", "num_speculative_tokens": 3}


def test_a_draft_model_brings_its_weights_and_its_layers_to_the_pool() -> None:
    small = shape(num_hidden_layers=4, hidden_size=1024, intermediate_size=4096, num_attention_heads=8)
    alone, both = ledger(shape(), {}), ledger(drafted_by(small), SMALL)
    assert both.devices[0].causes.draft_bytes == small.weights_bytes()
    assert alone.pool is not None
    assert both.pool is not None
    own = 16 * 2 * sum(layer.key_width() + layer.value_width() for layer in small.layers)
    assert both.pool.bytes_per_block == alone.pool.bytes_per_block + own
    assert both.pool.kv_pool_bytes < alone.pool.kv_pool_bytes - small.weights_bytes()


def test_a_window_of_the_draft_model_is_its_own() -> None:
    windowed = shape("gemma-3-4b-it")
    assert windowed.window_tokens
    both = ledger(drafted_by(windowed), SMALL)
    assert both.pool is not None
    assert both.pool.holds_one


@pytest.mark.parametrize("method", ["ngram", "suffix"])
def test_n_grams_take_no_weights_and_no_cache(method: str) -> None:
    alone, both = ledger(shape(), {}), ledger(shape(), {"method": method, "num_speculative_tokens": 3})
    assert both.devices[0].causes.draft_bytes == 0
    assert alone.pool is not None
    assert both.pool is not None
    assert both.pool.bytes_per_block == alone.pool.bytes_per_block


def test_an_eagle_head_that_was_not_read_is_estimated_as_its_layers_are() -> None:
    """One layer whose q, k and v read twice the width, three hidden states made one, and an output of 32,000 entries."""
    said = ledger(shape(), {"method": "eagle3", "num_speculative_tokens": 3, "model": "org/head"})
    width, kept, feed = 4096, 1024, 14_336
    parameters = 2 * width * (width + 2 * kept) + width * width + 3 * width * feed + 3 * width**2
    assert said.devices[0].causes.draft_bytes == 2 * (parameters + HEAD_VOCABULARY * width)
    assert any("estimated" in note for note in said.notes)


def test_drafts_widen_no_row_of_the_dummy_run_and_keep_logits_only_where_they_are_sampled() -> None:
    """`_dummy_run` schedules one row for a request; `draft_logits` are 16 bit for each request, token and entry."""
    alone, greedy = ledger(shape(), {}), ledger(drafted_by(shape(num_hidden_layers=1)), SMALL)
    assert greedy.devices[0].causes.compute_bytes == alone.devices[0].causes.compute_bytes
    sampled = ledger(drafted_by(shape(num_hidden_layers=1)), SMALL | {"draft_sample_method": "probabilistic"})
    kept = sampled.devices[0].causes.draft_bytes - greedy.devices[0].causes.draft_bytes
    assert kept == 2 * 64 * 3 * 128_256


def test_an_embedding_that_an_eagle_head_shares_is_there_once() -> None:
    head = shape(num_hidden_layers=1)
    said = ledger(drafted_by(head), {"method": "eagle", "num_speculative_tokens": 3, "model": "org/head"})
    embedding = 2 * 128_256 * 4096
    assert said.devices[0].causes.draft_bytes == head.weights_bytes() - embedding


def test_a_head_on_one_rank_is_whole_on_each() -> None:
    told = {"method": "eagle", "num_speculative_tokens": 3, "model": "org/head"}
    head = drafted_by(shape(num_hidden_layers=1))
    whole = ledger(head, told | {"draft_tensor_parallel_size": 1}, "-tp", "2", cards=2)
    cut = ledger(head, told, "-tp", "2", cards=2)
    assert whole.devices[1].causes.draft_bytes > 1.9 * cut.devices[1].causes.draft_bytes


@pytest.mark.parametrize(("method", "ranks"), [("draft_model", 1), ("eagle", 4)])
def test_ranks_that_vllm_does_not_take_for_a_drafter_refuse_the_start(method: str, ranks: int) -> None:
    told = {"method": method, "num_speculative_tokens": 3, "model": "org/m", "draft_tensor_parallel_size": ranks}
    said = ledger(drafted_by(shape(num_hidden_layers=1)), told, "-tp", "2", cards=2)
    assert not said.fits()
    assert any("draft_tensor_parallel_size" in note for note in said.notes)


def test_a_drafter_is_on_the_last_stage_only() -> None:
    head = drafted_by(shape(num_hidden_layers=1))
    said = ledger(head, {"method": "eagle", "num_speculative_tokens": 1, "model": "org/h"}, "-pp", "2", cards=2)
    first, last = (one.causes.draft_bytes for one in said.devices)
    assert (first, last > 0) == (0, True)


def test_a_drafter_beside_the_model_is_opened_and_one_that_is_not_there_is_said(tmp_path: Path) -> None:
    for name, file in (("big", "llama-3.1-8b-instruct"), ("small", "smollm3-3b")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_bytes((CONFIGS / f"{file}.json").read_bytes())
    line = ["--gpu", "h200", "--", "vllm", "serve", str(tmp_path / "big"), "--max-model-len", "8192"]
    told = {"model": str(tmp_path / "small"), "num_speculative_tokens": 2}
    _, found = document("explain", *line, "--speculative-config", json.dumps(told))
    assert found["result"]["ledger"]["devices"][0]["draft_bytes"] > 5 * GIB
    assert "EXP011" not in codes(found)
    told["model"] = str(tmp_path / "gone")
    _, found = document("explain", *line, "--speculative-config", json.dumps(told))
    assert found["result"]["ledger"]["devices"][0]["draft_bytes"] == 0
    assert "EXP011" in codes(found)


@pytest.mark.parametrize("quantization", ["BF16", "W4A16"])
@pytest.mark.parametrize(
    "model",
    ["deepseek-v3", "glm-4.5-air", "glm-4.6", "qwen3.6-27b", "nemotron-3-super-120b-a12b", "hy3", "deepseek-v4-flash"],
)
def test_an_mtp_block_that_no_tensor_tells_of_is_as_large_as_the_published_one(model: str, quantization: str) -> None:
    text = shipped.text("catalogue", "models.json")
    (row,) = (one for one in catalogue.models_with(text, model) if one.id == model)
    shared = 2 * row.vocabulary * row.hidden if row.mtp.get("own_embeddings") else 0
    published = 2 * (row.parameters_mtp - shared)
    found = block_bytes(format_shape(row, quantization), Cut(), is_safe=False)
    assert found == pytest.approx(published, rel=0.003)
    assert block_bytes(format_shape(row, quantization), Cut(), is_safe=True) > found


def test_an_mtp_block_of_a_config_alone_takes_its_memory_and_is_said() -> None:
    of = shape("deepseek-v3", torch_dtype="bfloat16", quantization_config=None, num_hidden_layers=4)
    assert of.mtp_layers == 1
    alone, drafted = ledger(of, {}), ledger(of, {"method": "mtp", "num_speculative_tokens": 1})
    assert alone.devices[0].causes.draft_bytes == 0
    assert drafted.devices[0].causes.draft_bytes == pytest.approx(2 * 11_610_029_568, rel=0.003)  # less its embeddings
    assert any("MTP block" in note for note in drafted.notes)
    assert not any("MTP block" in note for note in alone.notes)


def test_a_32_bit_drafter_is_computed_in_the_models_16_bits() -> None:
    narrow, wide = (shape(num_hidden_layers=1, torch_dtype=name) for name in ("bfloat16", "float32"))
    assert wide.weights_bytes() == 2 * narrow.weights_bytes()
    said = [ledger(drafted_by(one), SMALL).devices[0].causes.draft_bytes for one in (narrow, wide)]
    assert said[1] == pytest.approx(said[0], rel=1e-4)  # norms stay as they are
    as_told = ledger(drafted_by(narrow), SMALL, "--dtype", "float32")
    assert as_told.devices[0].causes.draft_bytes == 2 * said[0]
