"""Families without a graph, or whose graph grows as they serve: caches and states to the byte, buffers never under a start's.

`measured/llama.cpp/b11669-bounded.json` is written by `scripts/measure --bounded`; a line goes the way of `explain`.
"""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from llama_cpp_families import BOUNDED
from llama_cpp_sample import sample
from test_llama_cpp_placements import by_place, explained, said, shape_of

from llmops.domain.ledger import Confidence
from llmops.engines import llama_cpp, llama_cpp_simulation
from llmops.engines.llama_cpp_simulation import GROWING, NETWORKS
from llmops.formats.architectures import NOT_SIZED

EVERY_ROW = bool(os.environ.get("LLMOPS_EVERY_ROW"))
CASES = Path(__file__).parent / "measured" / "llama.cpp" / "b11669-bounded.json"


@cache
def measured() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(CASES.read_text())
    return loaded


def test_each_of_them_has_ten_starts_and_no_graph() -> None:
    rows = measured()["rows"]
    assert measured()["build"] == llama_cpp.BUILD
    assert {row["family"] for row in rows} == set(BOUNDED)
    assert all(sum(row["family"] == family for row in rows) >= 10 for family in BOUNDED)
    built = set(NETWORKS) - GROWING
    assert not {architecture for architecture, _, _ in BOUNDED.values()} & (built | set(NOT_SIZED))


@pytest.mark.parametrize("family", BOUNDED)
def test_caches_are_exact_and_buffers_never_under(family: str) -> None:
    for row in sample(measured()["rows"], family):
        shape = shape_of(family, row["numbers"])
        assert not shape.not_sized, row
        made = explained(shape, row["flags"].split(), row["cards"])
        found = said(made.buffers)
        for place, (weights, kept, compute) in by_place(row["buffers"]).items():
            own = found.get(place, [0, 0, 0])
            assert own[:2] == [weights, kept], row
            assert own[2] >= compute, row
        sure = Confidence.CALIBRATED if shape.architecture in GROWING else Confidence.LOW
        assert {one.confidence["compute_bytes"] for one in made.devices} <= {sure}, row


@pytest.mark.parametrize("family", sorted(GROWING))
def test_a_graph_that_grows_is_at_its_start_what_the_server_says(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the byte with the few cells of a start; with a full cache no less anywhere, and more where many cells are kept."""
    grown = 0
    for row in [row for row in measured()["rows"] if row["family"] == family][:: 1 if EVERY_ROW else 5]:
        words, shape = row["flags"].split(), shape_of(family, row["numbers"])
        full = said(explained(shape, words, row["cards"]).buffers)
        with monkeypatch.context() as start:
            start.setattr(llama_cpp_simulation, "GROWING", frozenset())
            made = said(explained(shape_of(family, row["numbers"]), words, row["cards"]).buffers)
        assert made == by_place(row["buffers"]), row
        assert all(full[place][2] >= taken[2] for place, taken in made.items()), row
        grown += full != made
    assert grown
