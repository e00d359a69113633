"""What a line of vLLM or SGLang says instead of a model's config.json."""

import json
import shutil
from pathlib import Path

import pytest
from explaining import codes, document

from llmops.domain.errors import WrongInput
from llmops.formats.config_changes import changed_config

CONFIGS = Path(__file__).parent / "recorded" / "config_json"
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}


def changed(config: object, changes: object) -> object:
    return json.loads(changed_config(json.dumps(config).encode(), json.dumps(changes), name="config.json"))


def test_a_config_inside_is_merged_and_any_other_table_replaced() -> None:
    old = {
        "a": 1,
        "text_config": {"b": 2, "rope_scaling": {"factor": 2, "type": "linear"}},
        "quantization_config": {"bits": 4},
    }
    new = {"text_config": {"rope_scaling": {"factor": 4}}, "quantization_config": {"quant_method": "fp8"}, "c": 3}
    assert changed(old, new) == {
        "a": 1,
        "text_config": {"b": 2, "rope_scaling": {"factor": 4}},
        "quantization_config": {"quant_method": "fp8"},
        "c": 3,
    }


def test_no_changes_leave_the_bytes_alone_and_no_table_is_refused() -> None:
    assert changed_config(b"no json", "", name="config.json") == b"no json"
    for changes in ("[1]", "{", "3"):
        with pytest.raises(WrongInput):
            changed_config(b"{}", changes, name="config.json")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    shutil.copy(CONFIGS / "qwen2.5-7b-instruct.json", tmp_path / "config.json")
    return tmp_path


LONG = json.dumps({"rope_scaling": YARN, "max_position_embeddings": 131_072})


@pytest.mark.parametrize(
    ("line", "change"),
    [
        (("vllm", "serve", "{}", "--max-model-len", "131072"), "--hf-overrides"),
        (("sglang", "serve", "--model-path", "{}", "--context-length", "131072"), "--json-model-override-args"),
    ],
)
def test_a_line_that_stretches_the_positions_starts(model: Path, line: tuple[str, ...], change: str) -> None:
    words = [word.format(model) for word in line]
    _, plain = document("explain", "--gpu", "H100", "--", *words)
    _, stretched = document("explain", "--gpu", "H100", "--", *words, change, LONG)
    assert [one for one in plain["findings"] if "is more than the 32768 of the model" in one["message"]]
    assert not codes(stretched, "fail")
    assert "EXP011" not in codes(stretched)


def test_bytes_that_are_no_text_end_nothing(model: Path) -> None:
    words = ("sglang", "serve", "--model-path", str(model), "--json-model-override-args", '{"name": "\udcff"}')
    status, _ = document("explain", "--gpu", "H100", "--", *words)
    assert status in (0, 1)


def test_yarn_alone_is_not_enough_and_the_way_out_is_said(model: Path) -> None:
    line = ("vllm", "serve", str(model), "--max-model-len", "131072")
    _, said = document("explain", "--gpu", "H100", "--", *line, "--hf-overrides", json.dumps({"rope_scaling": YARN}))
    (found,) = (one for one in said["findings"] if one["code"] == "EXP042")
    assert found["status"] == "fail"
    assert "VLLM_ALLOW_LONG_MAX_MODEL_LEN=1" in found["fix"]


def test_fewer_layers_by_the_line_are_weighed(model: Path) -> None:
    line = ("explain", "--gpu", "H100", "--", "vllm", "serve", str(model), "--max-model-len", "8192")
    _, whole = document(*line)
    _, half = document(*line, "--hf-overrides.num_hidden_layers", "14")
    sizes = [one["result"]["ledger"]["devices"][0]["weights_bytes"] for one in (whole, half)]
    assert 0.5 < sizes[1] / sizes[0] < 0.65


def test_the_catalogue_has_no_config_to_change() -> None:
    line = ("vllm", "serve", "Qwen/Qwen3-8B", "--max-model-len", "8192", "--hf-overrides.num_hidden_layers", "14")
    _, said = document("explain", "--gpu", "H100", "--model", "qwen3-8b", "--", *line)
    assert any("changes of the model's config.json" in one["message"] for one in said["findings"])
