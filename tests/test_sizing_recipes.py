"""Published file sizes: plain publishers by the rules, the others within a range that says what it rests on."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from llmops.domain.catalogue import ModelRow
from llmops.domain.ledger import Confidence
from llmops.formats.catalogue import models
from llmops.library import shipped
from llmops.sizing.recipes import Label, file_size, label

ROOT = Path(__file__).parents[1]
SIZES = Path(__file__).parent / "measured" / "gguf" / "gguf_sizes.json"


@cache
def rows() -> dict[str, ModelRow]:
    return {one.id: one for one in models(shipped.text("catalogue", "models.json"))}


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


@pytest.fixture(scope="module")
def metrics() -> dict[str, dict[str, float]]:
    """Through `scripts/accuracy`: 732 published sizes, most printed with one decimal of a GiB."""
    argv = [sys.executable, str(ROOT / "scripts" / "accuracy"), "--json", str(SIZES)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120, cwd="/")
    found = json.loads(done.stdout)["files"][0]
    assert (found["kind"], found["rows"]) == ("gguf_sizes", 732)
    assert found["answered"] >= 0.9 * found["eligible"]
    metrics: dict[str, dict[str, float]] = found["metrics"]
    return metrics


@pytest.mark.parametrize("quantity", ["file, by the rules", "tensors, by the rules"])
def test_files_by_the_rules_are_within_a_hundredth_and_half_of_them_within_a_thousandth(
    metrics: dict[str, dict[str, float]], quantity: str
) -> None:
    metric = metrics[quantity]
    assert metric["n"] >= 40
    assert metric["median"] <= 0.001
    assert metric["p90"] <= 0.01


def test_the_range_of_recipes_ends_above_every_file_and_is_narrow_for_standard_names(
    metrics: dict[str, dict[str, float]],
) -> None:
    for names in ("standard names", "own names"):
        upper = metrics[f"upper end of the range, {names}"]
        assert upper["n"] > 200
        assert upper["under"] == 0
    assert metrics["width of the range, standard names"]["median"] <= 0.1


def held_out(*options: str) -> str:
    argv = [sys.executable, str(ROOT / "benchmarks" / "held_out_sizes.py"), str(SIZES), *options]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120, cwd="/").stdout


def test_the_ranges_hold_for_models_they_were_not_made_from() -> None:
    """Each model left out once: at most one file in fourteen is above the range made from the other models."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in held_out().splitlines() if "model |" in line]
    assert [row[0].partition(",")[0] for row in rows] == ["UD", "bartowski", "unsloth"]
    for what, number, without, _, not_above, width in rows:
        assert int(number) > 90, what
        assert int(without) <= 1, what
        assert float(not_above.removesuffix(" %")) > 93, what
        assert float(width.removesuffix(" %")) <= (14 if what.startswith("UD") else 10), what


def test_the_ranges_in_the_program_are_those_of_the_files() -> None:
    said = [line.strip() for line in held_out("--table").splitlines()]
    source = (ROOT / "llmops" / "sizing" / "recipe_spans.py").read_text()
    assert said == [line.strip() for line in source.splitlines() if line.startswith('    ("')]


def test_a_range_is_low_and_a_rule_is_calibrated() -> None:
    one = rows()["qwen3.6-27b"]
    plain = file_size(one, "Q4_K_M")
    recipe = file_size(one, "UD-Q4_K_XL", repository="unsloth/Qwen3.6-27B-GGUF")
    assert plain is not None
    assert recipe is not None
    assert plain.confidence is Confidence.CALIBRATED
    assert recipe.confidence is Confidence.LOW
    assert recipe.low <= recipe.value < recipe.high
    assert file_size(one, "IQ4_KS_R4") is None
    assert file_size(rows()["olmo-hybrid-7b"], "Q4_K_M") is None
