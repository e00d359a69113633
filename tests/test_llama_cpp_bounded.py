"""Families without a graph, measured: weights, caches and states to the byte, compute buffers never under their bound.

`measured/llama.cpp/b11669-bounded.json` is written by `scripts/measure --bounded`; a line goes the way of `explain`.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from llama_cpp_families import BOUNDED
from llama_cpp_sample import sample
from test_llama_cpp_placements import by_place, explained, said, shape_of

from llmops.domain.ledger import Confidence
from llmops.engines import llama_cpp
from llmops.engines.llama_cpp_simulation import NETWORKS
from llmops.formats.architectures import NOT_SIZED

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
    assert not {architecture for architecture, _, _ in BOUNDED.values()} & (set(NETWORKS) | set(NOT_SIZED))


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
        assert {one.confidence["compute_bytes"] for one in made.devices} <= {Confidence.LOW}, row
