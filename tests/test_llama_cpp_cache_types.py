"""Types of KV cache and sizes of a batch that end a start: each line was given to a running llama.cpp b11669 (Debian)."""

from dataclasses import replace
from random import Random

import pytest
from headers import header_only
from llama_cpp_draft import Numbers
from llama_cpp_families import build, draw

from llmops.domain.engine import EngineName, Wishes
from llmops.domain.errors import WrongUsage
from llmops.domain.explained import EngineProcess
from llmops.domain.finding import Status
from llmops.domain.model import ModelShape
from llmops.engines import llama_cpp, llama_cpp_explained
from llmops.formats.gguf import read_header
from llmops.formats.gguf_shape import model_shape
from llmops.sizing.wishes import divides_batch, obstacle, possible

LINES = (
    ("llama", "-ctk q8_0 -ctv q8_0", False),
    ("llama", "-ctk q8_0", False),
    ("llama", "-ctk q8_0 -fa off", True),
    ("llama", "-ctk q8_0 -ctv q8_0 -fa off", False),
    ("llama", "-np 4 -b 3", False),
    ("llama", "-np 4 -b 4", True),
    ("llama", "-b 3", False),
    ("one group", "-ctk q8_0 -fa off", False),
    ("one group", "-ctk f16 -fa off", True),
    ("grok", "-ctk q8_0 -ctv q8_0 -fa on", False),
    ("grok", "-ctk q8_0 -fa on", True),
    ("llada", "-ctk q8_0 -ctv q8_0", False),
    ("llada", "-ctk q8_0 -fa off", True),
    ("deepseek2", "-ctk q8_0", False),
    ("deepseek2", "-ctv bf16", False),
    ("deepseek2", "-ctk q8_0 -ctv q8_0", True),
    ("deepseek2-unfolded", "-ctk q8_0", True),
    ("mistral4", "-ctk bf16", False),
    ("kimi-linear", "-ctk q4_0 -fa off", False),
    ("kimi-linear", "-ctk q4_0 -ctv q4_0", True),
    ("kimi-linear", "-np 3", False),
    ("kimi-linear", "-np 3 -kvu", True),
    ("kimi-linear", "-np 3 -ub 510", True),
    ("kimi-linear", "-np 8", True),
    ("mamba2", "-ctk q8_0 -ctv q4_0", True),
)
"""Model (with heads of 80 where it has a choice), words, and whether the server came to a context."""

OWN: dict[str, Numbers] = {
    "llama": {"L": 3, "G": 2, "H": 4},
    "one group": {"L": 3, "G": 1},
    "kimi-linear": {"L": 5},
    "grok": {"L": 3, "G": 2, "H": 4, "E": 320},
}


def shape_of(name: str) -> ModelShape:
    family = "llama" if name == "one group" else name
    numbers = draw(family, Random(name)) | {"D": 80, **OWN.get(name, {})}
    keys, tensors = build(family, numbers)
    file = header_only(keys, tensors)
    return model_shape([read_header(file.read, name=name, file_bytes=file.file_bytes)], name=name)


@pytest.mark.parametrize(("name", "words", "starts"), LINES)
def test_a_line_that_would_not_start_fails_and_no_other(name: str, words: str, starts: bool) -> None:
    argv = ("llama-server", "-m", "m.gguf", "-c", "2048", *words.split(), "-fit", "off")
    meaning = llama_cpp_explained.meaning(EngineProcess(engine=EngineName.LLAMA_CPP, argv=argv, environment={}))
    found = [*meaning.findings, *llama_cpp_explained.advice(meaning, shape=shape_of(name), devices=())]
    failed = [one for one in found if one.status is Status.FAIL]
    assert bool(failed) is not starts
    assert all("not start" in one.message and one.fix for one in failed)


@pytest.mark.parametrize("name", ["llama", "grok", "llada"])
def test_no_plan_renders_a_quantized_cache_that_would_not_start(name: str) -> None:
    assert obstacle("q8_0", Wishes(), shape_of(name)) is not None
    assert obstacle("f16", Wishes(), shape_of(name)) is None


def test_a_plan_keeps_a_row_of_the_batch_for_each_slot() -> None:
    shape = shape_of("deepseek2")
    assert possible(Wishes(parallel=8, batch_tokens=8), engine=llama_cpp, shape=shape).parallel == 8
    with pytest.raises(WrongUsage, match="--batch 8"):
        possible(Wishes(parallel=16, batch_tokens=8), engine=llama_cpp, shape=shape)


def test_a_plan_does_not_choose_slots_that_end_the_start() -> None:
    shape = shape_of("kimi-linear")
    even = [slots for slots in range(1, 9) if divides_batch(slots, Wishes(), engine=llama_cpp, shape=shape)]
    assert even == [1, 2, 4, 8]
    assert divides_batch(3, Wishes(kv_unified=True), engine=llama_cpp, shape=shape)
    with pytest.raises(WrongUsage, match="3 slots"):
        possible(Wishes(parallel=3), engine=llama_cpp, shape=shape)


def test_the_mean_of_embeddings_needs_slots_that_divide_a_batch_of_any_model() -> None:
    shape = shape_of("llama")
    wishes = Wishes(embeddings=True, pooling="mean", kv_unified=True)
    assert [one for one in range(1, 9) if divides_batch(one, wishes, engine=llama_cpp, shape=shape)] == [1, 2, 4, 8]
    assert divides_batch(3, replace(wishes, pooling="last"), engine=llama_cpp, shape=shape)
    with pytest.raises(WrongUsage, match="3 slots"):
        possible(replace(wishes, parallel=3), engine=llama_cpp, shape=shape)
