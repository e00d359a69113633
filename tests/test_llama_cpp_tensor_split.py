"""`-sm tensor` against a running llama.cpp b11669: 72 families on two or three cards."""

import json
import os
from pathlib import Path
from typing import Any

import llama_cpp_families as families
import pytest
from test_llama_cpp_beside import header, ledger

from llmops.domain.engine import EngineName
from llmops.domain.explained import EngineProcess
from llmops.domain.ledger import Confidence
from llmops.domain.model import ModelShape
from llmops.engines.llama_cpp_meaning import meaning
from llmops.formats.gguf_shape import model_shape

CASES = Path(__file__).parent / "measured" / "llama.cpp" / "b11669-tensor-split.json"
SHARE = 1 if os.environ.get("LLMOPS_EVERY_ROW") else 4


def rows() -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads(CASES.read_text())["rows"]
    return loaded


def shape_of(row: dict[str, Any]) -> ModelShape:
    return model_shape([header(families.build(row["family"], row["numbers"]))], name="model")


@pytest.mark.parametrize("row", rows()[::SHARE], ids=lambda row: row["family"])
def test_each_card_is_never_under_and_compute_comes_out_to_the_byte(row: dict[str, Any]) -> None:
    said = ledger(shape_of(row), row["flags"], row["cards"])
    alone = ledger(shape_of(row), ["-c", row["flags"][1], "-np", row["flags"][3], "-fa", "on"], 1).devices[0].causes
    assert len(said.devices) == row["cards"]
    for at, device in enumerate(said.devices):
        causes = device.causes
        assert row["said"][f"weights CUDA{at}"] <= causes.weights_bytes <= alone.weights_bytes
        assert causes.kv_cache_bytes + causes.recurrent_state_bytes >= row["said"][f"kept CUDA{at}"]
        assert device.confidence["weights_bytes"] is Confidence.LOW
        if device.confidence["compute_bytes"] is not Confidence.LOW:
            assert causes.compute_bytes == row["said"][f"compute CUDA{at}"]
        assert causes.compute_bytes >= row["said"][f"compute CUDA{at}"]
    assert said.host.causes.compute_bytes == row["said"]["compute CUDA_Host"]


def test_all_cases_together_are_close() -> None:
    """The bound of a card's weights is half over at the median of small models, whose granules are large."""
    ratios = []
    for row in rows():
        if row["flags"][6:] == ["-sm", "tensor"]:
            said = ledger(shape_of(row), row["flags"], row["cards"])
            ratios += [
                one.causes.weights_bytes / row["said"][f"weights CUDA{at}"] for at, one in enumerate(said.devices)
            ]
    ratios.sort()
    assert ratios[0] >= 1
    assert ratios[len(ratios) // 2] < 1.25


def test_a_card_without_a_part_holds_what_is_not_cut() -> None:
    row = next(row for row in rows() if row["family"] == "llama")
    first, second = ledger(shape_of(row), ["-c", "4096", "-np", "1", "-sm", "tensor", "-ts", "1,0"], 2).devices
    assert second.causes.weights_bytes < first.causes.weights_bytes


def test_cards_of_other_machines_are_named_and_their_parts_left_out() -> None:
    """Their parts of `-ts` come first; all layers are counted here, and the whole is not sure."""
    words = ("llama-server", "-m", "x.gguf", "--rpc", "10.0.0.2:50052,10.0.0.3:50052", "-ts", "9,9,1,3")
    found = meaning(EngineProcess(engine=EngineName.LLAMA_CPP, argv=words))
    assert found.settings.tensor_split == (1, 3)
    assert "--rpc" in found.uncounted[0]
