"""Checkpoints made to mislead: the corpus in the tree, and that half of the long run's inputs get past the refusals."""

import tracemalloc
from collections import Counter
from pathlib import Path
from time import process_time

import pytest
from checkpoint_mutations import corpus, mutated

from llmops.domain.errors import WrongInput
from llmops.domain.units import MIB
from llmops.formats.beside_config import shard_names
from llmops.formats.config_json import model_shape
from llmops.formats.safetensors import read_header

CORPUS = Path(__file__).parent / "corpus" / "checkpoint"
"""Written by `python tests/checkpoint_mutations.py`."""


def test_the_files_in_the_tree_are_those_of_the_table() -> None:
    assert {path.name: path.read_bytes() for path in CORPUS.iterdir()} == {
        name: raw for name, (raw, _) in corpus().items()
    }


def read(name: str, raw: bytes) -> int:
    """Layers, tensors or files."""
    if name.endswith(".config.json"):
        return len(model_shape(raw, name=name, tensors=None).layers)
    if name.endswith(".safetensors"):
        return len(read_header(lambda at, length: raw[at : at + length], name=name, file_bytes=len(raw)))
    return len(shard_names(raw))


def outcome(name: str, raw: bytes) -> tuple[int, str | None]:
    """What was read, and the refusal."""
    try:
        return read(name, raw), None
    except WrongInput as stop:
        return 0, stop.message


@pytest.mark.parametrize("name", corpus())
def test_a_hostile_file_is_read_or_refused_in_words_and_costs_nothing(name: str) -> None:
    raw, words = (CORPUS / name).read_bytes(), corpus()[name][1]
    begun = process_time()
    tracemalloc.start()
    found, refused = outcome(name, raw)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    if refused is None:
        assert (words, found > 0) == ("", True)
    else:
        assert words
        assert words in refused
        assert refused.isprintable()
    assert peak < 200 * MIB
    assert process_time() - begun < 2


def test_half_of_the_inputs_of_the_long_run_get_past_the_refusals() -> None:
    counts: Counter[bool] = Counter()
    for number in range(200):
        one = mutated(7, number)
        raw, name = (one.config, "x.config.json") if one.config is not None else (one.header or b"", "x.safetensors")
        counts[outcome(name, raw + bytes(max(one.file_bytes - len(raw), 0)))[1] is None] += 1
    assert min(counts.values()) > 50
    assert counts[True] > 90
