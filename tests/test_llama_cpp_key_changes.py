"""`--override-kv`: what a running llama.cpp b11669 reads, refuses, passes over and takes, and the ledger with it."""

import json
from pathlib import Path
from typing import Any

import llama_cpp_families as families
import pytest
from headers import header_only
from hypothesis import given
from hypothesis import strategies as st
from test_llama_cpp_beside import ledger

from llmops.domain.errors import WrongInput
from llmops.domain.explained import FlagSource, GivenFlag
from llmops.domain.key_change import KeyChange
from llmops.engines.llama_cpp_key_changes import findings, key_changes, parse
from llmops.formats.gguf import GgufHeader, read_header
from llmops.formats.gguf_changes import changed
from llmops.formats.gguf_shape import model_shape

CASES = Path(__file__).parent / "measured" / "llama.cpp" / "b11669-key-changes.json"


def rows() -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads(CASES.read_text())["rows"]
    return loaded


def flag(text: str) -> GivenFlag:
    return GivenFlag(name="--override-kv", value=text, source=FlagSource.COMMAND_LINE, written="--override-kv")


def header(row: dict[str, Any]) -> GgufHeader:
    file = header_only(*families.build(row["family"], row["numbers"]))
    return read_header(file.read, name="file.gguf", file_bytes=file.file_bytes)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["flags"][-1])
def test_the_ledger_with_changed_metadata_comes_out_to_the_byte(row: dict[str, Any]) -> None:
    read, _ = changed(header(row), key_changes([flag(row["flags"][-1])]), name="file.gguf")
    said = ledger(model_shape([read], name="model"), row["flags"], 1)
    card = said.devices[0].causes
    assert card.kv_cache_bytes == row["said"]["model kept CUDA0"]
    assert card.compute_bytes == row["said"]["model compute CUDA0"]
    assert said.host.causes.compute_bytes == row["said"]["model compute RAM"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("k=int:12", 12), ("k=int:12abc", 12), ("k=int:abc", 0), ("k=int:", 0), ("k=int:99999999999999999999", (1 << 63) - 1),
        ("k=float:5e5", 5e5), ("k=float:.5x", 0.5), ("k=bool:true", True), ("k=bool:false", False), ("k=str:a:b", "a:b"),
    ],
)  # fmt: skip
def test_values_are_read_as_the_engine_reads_them(text: str, value: object) -> None:
    made = parse(text)
    assert made is not None
    assert made.value == value
    assert type(made.value) is type(value)


@pytest.mark.parametrize(
    "text", ["", "k", "k=int", "k=foo:1", "k=bool:1", "k=bool:True", f"k=str:{'y' * 128}", f"{'k' * 128}=int:1"]
)
def test_what_the_engine_refuses_is_a_clear_no(text: str) -> None:
    assert parse(text) is None
    assert [one.code for one in findings([flag(text)])] == ["EXP003"]


def test_several_changes_stand_in_one_option() -> None:
    assert [one.key for one in key_changes([flag("a=int:1,b=int:2"), flag("c=bool:true")])] == ["a", "b", "c"]


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    made = parse(text)
    assert made is None or len(made.key.encode()) <= 127


def test_what_tensors_are_made_for_cannot_be_changed() -> None:
    """The server ends with the wrong shape of a tensor, or with one that is missing."""
    row = next(row for row in rows() if row["family"] == "llama")
    read = header(row)
    for name in (
        "block_count",
        "embedding_length",
        "feed_forward_length",
        "attention.head_count",
        "attention.head_count_kv",
    ):
        with pytest.raises(WrongInput, match="tensors are made for"):
            changed(read, [KeyChange(key=f"llama.{name}", value=7)], name="file.gguf")
    same = read.metadata["llama.block_count"]
    assert isinstance(same, int)
    assert changed(read, [KeyChange(key="llama.block_count", value=same)], name="file.gguf")[1] == ()


def test_a_change_of_another_type_has_no_effect_and_is_named() -> None:
    row = next(row for row in rows() if row["family"] == "llama")
    read = header(row)
    after, notes = changed(read, [KeyChange(key="llama.context_length", value=1.0)], name="file.gguf")
    assert after.metadata == read.metadata
    assert "no effect" in notes[0]
