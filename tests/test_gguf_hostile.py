"""Files made to mislead the GGUF reader: the corpus in the tree, and a few hundred of the inputs that the long run makes."""

import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from time import process_time

import pytest
from gguf_mutations import Input, corpus, mutated

from llmops.domain.errors import WrongInput
from llmops.domain.units import MIB
from llmops.formats.gguf import read_header
from llmops.formats.gguf_shape import model_shape

ROOT = Path(__file__).parents[1]
CORPUS = Path(__file__).parent / "corpus" / "gguf"
"""Written by `python tests/gguf_mutations.py`."""


def test_the_files_in_the_tree_are_those_of_the_table() -> None:
    assert {path.stem: path.read_bytes() for path in CORPUS.glob("*.gguf")} == {
        name: raw for name, (raw, _) in corpus().items()
    }


def judged(one: Input) -> tuple[str, WrongInput | None]:
    """How far an input gets, and the refusal."""
    far = "nothing"
    try:
        header = read_header(one.read, name="m.gguf", file_bytes=one.file_bytes if one.known_length else None)
        far = "a header"
        assert all(0 < tensor.data_bytes() < 1 << 63 for tensor in header.tensors)
        return f"{len(model_shape([header], name='m.gguf').layers)} layers", None
    except WrongInput as stop:
        return far, stop


@pytest.mark.parametrize("name", corpus())
def test_a_hostile_file_is_refused_in_words_and_costs_nothing(name: str) -> None:
    raw, words = (CORPUS / f"{name}.gguf").read_bytes(), corpus()[name][1]
    begun = process_time()
    tracemalloc.start()
    try:
        far, stop = judged(Input(raw=raw, file_bytes=len(raw)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert process_time() - begun < 1
    assert peak < 200 * MIB
    if stop is None:
        assert (far, words) == ("2 layers", "")
    else:
        assert (far, words in stop.message, bool(words)) == ("nothing", True, True), stop.message
        assert stop.hint
        assert stop.message.isprintable()


def test_inputs_of_the_long_run_give_a_header_or_a_refusal() -> None:
    seen = set()
    for number in range(1500):
        begun = process_time()
        far, stop = judged(mutated(2, number))
        assert process_time() - begun < 1, number
        assert stop is None or stop.message.isprintable()
        seen.add(far)
    assert {"nothing", "a header", "2 layers"} <= seen


def test_an_input_of_the_long_run_is_its_number() -> None:
    assert mutated(1, 17) == mutated(1, 17)
    assert len({mutated(1, number).raw for number in range(200)}) > 150


def test_the_long_run_counts_what_it_did(tmp_path: Path) -> None:
    script, kept = str(ROOT / "scripts/fuzz_gguf"), str(tmp_path / "kept")
    argv = [sys.executable, script, "--inputs", "300", "--seed", "3", "--keep", kept]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "| refused by the reader |" in done.stdout
    assert "| neither a header nor a refusal, too slow or too large | 0 |" in done.stdout
    assert not (tmp_path / "kept").exists()


def test_a_hostile_file_ends_a_plan_with_exit_code_3(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "llmops", "plan", CORPUS / "tensor-size-overflows.gguf", "--gpu", "24GiB", "--json"],
        capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    document = json.loads(done.stdout)
    assert (done.returncode, document["error"]["where"]["file"].endswith(".gguf")) == (3, True)
    assert "Traceback" not in done.stderr
