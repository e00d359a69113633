"""The ledger of whole command lines against a running llama.cpp b11669: moved tensors, unlike cards, odd contexts, many slots.

`measured/llama.cpp/b11669-placements.json` is written by `scripts/measure --placements`; a line goes the way of `explain`.
`b11669-hard.json` holds starts that once came out otherwise and deep models of mixed types, and is taken whole; of the others a
run takes some rows of each family, with LLMOPS_EVERY_ROW=1 all of them.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from headers import header_only
from llama_cpp_draft import Numbers
from llama_cpp_families import build
from llama_cpp_sample import sample

from llmops.domain.engine import Device, DeviceKind, EngineName, HostDevice
from llmops.domain.explained import EngineProcess
from llmops.domain.ledger import Buffer, Confidence, Ledger
from llmops.domain.model import ModelShape
from llmops.domain.units import MIB
from llmops.engines import llama_cpp, llama_cpp_explained
from llmops.engines.llama_cpp_overrides import parse
from llmops.formats.gguf import read_header
from llmops.formats.gguf_shape import model_shape

CASES = Path(__file__).parent / "measured" / "llama.cpp" / "b11669-placements.json"
HARD = CASES.with_name("b11669-hard.json")


@cache
def measured() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(CASES.read_text())
    return loaded


def shape_of(family: str, numbers: Numbers) -> ModelShape:
    keys, tensors = build(family, numbers)
    file = header_only(keys, tensors)
    return model_shape([read_header(file.read, name=family, file_bytes=file.file_bytes)], name=family)


def explained(shape: ModelShape, words: list[str], cards_mib: list[int]) -> Ledger:
    cards = tuple(
        Device(
            name=f"card {at}", kind=DeviceKind.CUDA, capacity_bytes=size * MIB, free_bytes=size * MIB, overhead_bytes=0
        )
        for at, size in enumerate(cards_mib)
    )
    process = EngineProcess(
        engine=EngineName.LLAMA_CPP, argv=("llama-server", "-m", "model.gguf", *words, "-fit", "off"), environment={}
    )
    meaning = llama_cpp_explained.meaning(process)
    host = HostDevice(memory_bytes=None, physical_cores=None)
    return llama_cpp_explained.ledger(meaning, shape=shape, devices=cards, host=host, reserve_bytes=0)


def by_place(buffers: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """[model, context, compute] of each card that holds anything, and of RAM (pinned, mapped, rearranged: one memory)."""
    found: dict[str, list[int]] = {}
    for name, one in buffers.items():
        place = name if name.startswith("CUDA") and name != "CUDA_Host" else "RAM"
        found[place] = [sum(pair) for pair in zip(found.get(place, [0, 0, 0]), one, strict=True)]
    return {name: one for name, one in found.items() if any(one)}


def said(buffers: Mapping[str, Buffer] | None) -> dict[str, list[int]]:
    return by_place({name: [one.model, one.context, one.compute] for name, one in (buffers or {}).items()})


def test_the_file_holds_500_lines_with_everything_that_moves_something() -> None:
    rows = measured()["rows"]
    assert measured()["build"] == llama_cpp.BUILD
    assert len(rows) >= 700
    assert len({row["family"] for row in rows}) >= 90
    flags = [row["flags"] for row in rows]
    assert sum("-ot " in one for one in flags) >= 200
    for option in (
        "-ncmoe",
        "-cmoe",
        "-ncffn",
        "-nkvo",
        "-sm none",
        "--device CUDA",
        "-np 64",
        "-c 0",
        "--no-op-offload",
    ):
        assert sum(option in one for one in flags) >= 5, option


@pytest.mark.parametrize("family", sorted({row["family"] for row in measured()["rows"]}))
def test_every_buffer_of_a_line_comes_out_by_the_engines_name(family: str) -> None:
    for row in sample(measured()["rows"], family):
        check(row)


def test_every_buffer_of_what_was_hard_comes_out() -> None:
    """Sparse attention, moved tensors on several cards, logits larger than a prompt, layers whose blocks drift."""
    rows = json.loads(HARD.read_text())["rows"]
    assert len(rows) >= 170
    for row in rows:
        check(row)


def check(row: dict[str, Any]) -> None:
    """Weights, caches and compute of every place, to the byte."""
    made = explained(shape_of(row["family"], row["numbers"]), row["flags"].split(), row["cards"])
    assert said(made.buffers) == by_place(row["buffers"]), row
    sure = {one.confidence["compute_bytes"] for one in made.devices} | {made.host.confidence["compute_bytes"]}
    assert sure == {Confidence.EXACT}, row


def test_a_pattern_that_finds_nothing_still_ends_pipelining() -> None:
    shape = shape_of("llama", measured()["rows"][0]["numbers"])
    words = ["-c", "4096", "-np", "1", "-ts", "1,1"]
    plain = explained(shape, words, [24_000, 24_000])
    none = explained(shape, [*words, "-ot", "nothing=CPU"], [24_000, 24_000])
    assert none.devices[0].causes.compute_bytes < plain.devices[0].causes.compute_bytes
    assert none.devices[0].causes.weights_bytes == plain.devices[0].causes.weights_bytes


def test_patterns_are_read_in_the_order_they_are_written() -> None:
    row = next(one for one in measured()["rows"] if one["family"] == "qwen3moe")
    shape = shape_of("qwen3moe", row["numbers"])
    first = ["-ot", r"blk\.1\.ffn_.*_exps=CUDA0"]
    kept = explained(shape, [*first, "-ncmoe", "3"], [24_000])
    lost = explained(shape, ["-ncmoe", "3", *first], [24_000])
    assert kept.devices[0].causes.weights_bytes > lost.devices[0].causes.weights_bytes
    assert lost == explained(shape, ["-ncmoe", "3"], [24_000])


@pytest.mark.parametrize("text", ["exps", "=", "exps=", "a=CPU,", ",a=CPU", "(=CPU", "x" * 500 + "=CPU"])
def test_what_the_server_would_refuse_is_no_override(text: str) -> None:
    assert parse(text) is None
