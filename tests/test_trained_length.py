"""A request longer than a model was made for: a plan says no, a command line does not start."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from explaining import document

from llmops.domain.engine import EngineName
from llmops.domain.finding import Status
from llmops.domain.model import ModelShape
from llmops.engines.trained_length import beyond_trained, trained_tokens
from llmops.formats.config_json import model_shape

CONFIG = json.loads((Path(__file__).parent / "recorded/config_json/qwen3-8b.json").read_text())
LINEAR, YARN = {"rope_type": "linear", "factor": 4.0}, {"rope_type": "yarn", "factor": 4.0}


def shape(**changed: object) -> ModelShape:
    return model_shape(json.dumps(CONFIG | changed).encode(), name="qwen3-8b", tensors=None)


@pytest.mark.parametrize(
    ("engine", "tokens", "environment", "status"),
    [
        (EngineName.VLLM, 40_960, {}, None),
        (EngineName.VLLM, 40_961, {}, Status.FAIL),
        (EngineName.VLLM, 40_961, {"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "0"}, Status.FAIL),
        (EngineName.VLLM, 40_961, {"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "True"}, Status.WARN),
        (EngineName.SGLANG, 40_961, {"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"}, Status.FAIL),
        (EngineName.SGLANG, 40_961, {"SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN": "1"}, Status.WARN),
        (EngineName.LLAMA_CPP, 100_000, {}, None),
        (EngineName.TGI, 100_000, {}, None),
    ],
)
def test_a_longer_request_ends_the_start_unless_a_variable_allows_it(
    engine: EngineName, tokens: int, environment: Mapping[str, str], status: Status | None
) -> None:
    found = beyond_trained(engine, shape(), tokens, environment)
    assert (found[0] if found is not None else None) is status


def test_rope_scaling_makes_the_model_longer() -> None:
    assert trained_tokens(shape(rope_scaling=LINEAR)) == 4 * 40_960
    assert beyond_trained(EngineName.VLLM, shape(rope_scaling=LINEAR), 100_000, {}) is None
    assert trained_tokens(shape(rope_scaling=YARN)) == 40_960  # YaRN's stretch is in max_position_embeddings already


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_a_plan_for_more_than_the_model_allows_is_a_no_with_the_alternative(engine: str) -> None:
    wanted = ("plan", "qwen3-8b", "--engine", engine, "--gpu", "h100", "--context")
    code, made = document(*wanted, "65536")
    (one,) = [found for found in made["findings"] if found["code"] == "PLN006"]
    assert code == 1
    assert "more than the 40960 of the model" in one["message"]
    assert "`--context 40960`" in one["fix"]
    code, _ = document(*wanted, "40960")
    assert code == 0


def test_a_line_whose_environment_allows_it_starts() -> None:
    line = ("explain", "--gpu", "h100", "--model", "qwen3-8b", "--")
    words = ("vllm", "serve", "org/model", "--max-model-len", "65536")
    assert document(*line, *words)[0] == 1
    code, made = document(*line, "env", "VLLM_ALLOW_LONG_MAX_MODEL_LEN=1", *words)
    assert code == 0
    assert any("answers beyond them are noise" in found["message"] for found in made["findings"])
