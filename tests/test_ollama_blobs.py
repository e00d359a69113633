"""A blob of Ollama's store is a GGUF file without the name of one: the same path as any other file."""

import hashlib
import os
from pathlib import Path

import pytest

from llmops.cli.opened import Opened, Sources
from llmops.cli.opening import open_model
from llmops.domain.errors import WrongInput
from llmops.domain.profile import EngineChoice
from llmops.formats.gguf import read_header
from llmops.formats.tiny_model import tiny_model


def blob(store: Path, content: bytes) -> Path:
    path = store / ".ollama" / "models" / "blobs" / f"sha256-{hashlib.sha256(content).hexdigest()}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def opened(text: str) -> Opened:
    return open_model(
        text, engine=EngineChoice.AUTO, quantization="auto", rooms_bytes=(1 << 34,), pinned=True, sources=Sources()
    )


def test_a_blob_by_its_path_is_sized_and_pinned_by_the_digest_in_its_name(tmp_path: Path) -> None:
    path = blob(tmp_path, tiny_model())
    named = tmp_path / "tiny.gguf"
    named.write_bytes(tiny_model())
    found = opened(str(path))
    assert found.shapes[0].tensors == opened(str(named)).shapes[0].tensors
    (file,) = found.pin(None).files
    assert file.digest is not None
    assert path.name == f"sha256-{file.digest.value}"


def test_a_blob_by_its_bare_name_is_the_file_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = blob(tmp_path, tiny_model())
    monkeypatch.chdir(path.parent)
    assert opened(path.name).shapes[0].architecture == "llama"


def test_a_blob_that_is_a_layer_of_settings_says_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(WrongInput, match="it looks like JSON text"):
        opened(str(blob(tmp_path, b'{"stop": ["<|im_end|>"], "temperature": 0.7}')))


def test_an_open_file_is_read_as_well(tmp_path: Path) -> None:
    path = blob(tmp_path, tiny_model())
    with path.open("rb") as file:
        header = read_header(
            lambda at, length: os.pread(file.fileno(), length, at), name="an open file", file_bytes=path.stat().st_size
        )
    assert header.data_offset + header.data_bytes() == path.stat().st_size
