"""Published file sizes: plain publishers by the rules, the others within a range that says what it rests on."""

import json
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from llmops.domain.catalogue import ModelRow
from llmops.domain.ledger import Confidence
from llmops.formats.catalogue import models
from llmops.library import shipped
from llmops.sizing.recipes import FileSize, Label, file_size, label

SIZES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "measured" / "gguf" / "published.json").read_text())
OWN = ("bartowski", "unsloth")


@cache
def rows() -> dict[str, ModelRow]:
    return {one.id: one for one in models(shipped.text("catalogue", "models.json"))}


def sized(case: dict[str, Any]) -> FileSize:
    found = file_size(rows()[case["model"]], case["quantization"], repository=case["repository"])
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Q4_K_M", Label("Q4_K_M")),
        ("q4_k_m", Label("Q4_K_M")),
        ("Q4_K - Medium", Label("Q4_K_M")),
        ("Q2_K - Medium", Label("Q2_K")),
        ("IQ4_XS - 4.25 bpw", Label("IQ4_XS")),
        ("UD-Q4_K_XL", Label("Q4_K_M", "UD")),
        ("UD-IQ1_S", Label("IQ1_S", "UD")),
        ("Q6_K_L", Label("Q6_K", "L")),
        ("i1-IQ2_M", Label("IQ2_M", "", says_matrix=True)),
        ("Q3_K_L", Label("Q3_K_L")),
        ("IQ4_KS_R4", None),
        ("Q2_K_M", None),
        ("", None),
    ],
)
def test_a_name_says_the_file_type_and_how_it_was_lifted(text: str, expected: Label | None) -> None:
    assert label(text) == expected


def test_files_by_the_rules_are_within_a_hundredth_and_half_of_them_within_a_thousandth() -> None:
    plain = [case for case in SIZES if (case["repository"] or "").partition("/")[0] not in OWN]
    errors = sorted(
        max(0.0, abs(sized(case).value - case["bytes"]) - case["resolution_bytes"] / 2) / case["bytes"]
        for case in plain
    )
    assert len(errors) > 50
    assert median(errors) <= 0.001
    assert errors[int(0.9 * len(errors))] <= 0.01


def test_the_range_of_recipes_ends_above_every_file_and_is_narrow_for_standard_names() -> None:
    own = [case for case in SIZES if (case["repository"] or "").partition("/")[0] in OWN]
    assert len(own) > 400
    widths = []
    for case in own:
        found = sized(case)
        assert case["bytes"] - case["resolution_bytes"] / 2 <= found.high, case
        if not case["quantization"].startswith("UD"):
            widths.append((found.high - found.low) / found.value)
    assert median(widths) <= 0.1


def test_a_range_is_low_and_a_rule_is_calibrated() -> None:
    one = rows()["qwen3.6-27b"]
    plain = file_size(one, "Q4_K_M")
    recipe = file_size(one, "UD-Q4_K_XL", repository="unsloth/Qwen3.6-27B-GGUF")
    assert plain is not None
    assert recipe is not None
    assert plain.confidence is Confidence.CALIBRATED
    assert recipe.confidence is Confidence.LOW
    assert recipe.low < recipe.value < recipe.high
    assert file_size(one, "IQ4_KS_R4") is None
    assert file_size(rows()["olmo-hybrid-7b"], "Q4_K_M") is None
