"""Encoders under command lines that spread them over cards and RAM, against a running llama.cpp b11669.

`measured/llama.cpp/b11669-encoders.json` is written by `scripts/measure --encoders`; a line goes the way of `explain`.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from headers import header_only
from llama_cpp_encoders import ENCODERS, build
from llama_cpp_sample import sample
from test_llama_cpp_placements import by_place, explained, said

from llmops.domain.ledger import Confidence
from llmops.engines import llama_cpp
from llmops.engines.llama_cpp_encoders import ENCODER_NETWORKS
from llmops.formats.gguf import read_header
from llmops.formats.gguf_shape import model_shape

CASES = Path(__file__).parent / "measured" / "llama.cpp" / "b11669-encoders.json"


@cache
def measured() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(CASES.read_text())
    return loaded


def test_each_kind_of_encoder_has_ten_starts() -> None:
    rows = measured()["rows"]
    assert measured()["build"] == llama_cpp.BUILD
    assert {architecture for architecture, _ in ENCODERS.values()} == set(ENCODER_NETWORKS)
    assert all(sum(row["family"] == family for row in rows) >= 10 for family in ENCODERS)


@pytest.mark.parametrize("family", ENCODERS)
def test_every_buffer_of_an_encoder_comes_out(family: str) -> None:
    """Weights and compute of every place, to the byte: the norm of the embedding lies with the first block."""
    for row in sample(measured()["rows"], family):
        file = header_only(*build(family, row["numbers"]))
        shape = model_shape([read_header(file.read, name=family, file_bytes=file.file_bytes)], name=family)
        made = explained(shape, row["flags"].split(), row["cards"])
        assert said(made.buffers) == by_place(row["buffers"]), row
        assert {one.confidence["compute_bytes"] for one in made.devices} <= {Confidence.EXACT}, row
