"""The estimates beside 341 public measurements: as many in the stated range as docs/speed.md says."""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "benchmarks"))

from speed_rows import Compared, compare, measured_rows  # noqa: E402 - lies outside the package


@pytest.fixture(scope="module")
def found() -> list[Compared]:
    return compare(measured_rows())[0]


def test_nine_in_ten_figures_of_nvidia_and_apple_cards_are_in_their_range(found: list[Compared]) -> None:
    groups: dict[tuple[str, str], list[Compared]] = defaultdict(list)
    for one in found:
        if one.group.startswith(("CUDA", "Metal, one card")) and one.group != "Metal, one card, builds of 2024":
            groups[one.quantity, one.group].append(one)
    assert len(groups) == 8
    for rows in groups.values():
        assert sum(one.is_covered() for one in rows) >= 0.9 * len(rows)


def test_no_range_is_so_wide_that_it_says_nothing(found: list[Compared]) -> None:
    for one in found:
        limit = {"CUDA": 2.5, "Meta": 1.7}.get(one.group[:4], 4.0)
        assert one.estimate.high / one.estimate.value <= limit + 1e-9
        assert one.estimate.low < one.estimate.value < one.estimate.high


def test_what_is_not_compared_has_a_reason() -> None:
    rows = measured_rows()
    found, left_out = compare(rows)
    figures = sum(row["decode"] is not None for row in rows) + sum(row["prefill"] is not None for row in rows)
    assert len(found) >= 0.85 * figures
    assert all(left_out)


def test_the_page_is_what_the_script_writes() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "speed", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
