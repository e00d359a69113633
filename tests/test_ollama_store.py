"""Names of models that an Ollama on this host has pulled are the files of its store."""

import hashlib
import json
from pathlib import Path

import pytest
from explaining import document

from llmops.formats.tiny_model import tiny_model
from llmops.hub.ollama_store import stored_model


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    return tmp_path / "models"


def blob(store: Path, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    path = store / "blobs" / f"sha256-{digest}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return f"sha256:{digest}"


def manifest(store: Path, name: str, tag: str, text: str) -> None:
    path = store / "manifests" / "registry.ollama.ai" / "library" / name / tag
    path.parent.mkdir(parents=True)
    path.write_text(text)


def model(store: Path) -> None:
    layers = [
        {"mediaType": "application/vnd.ollama.image.model", "digest": blob(store, tiny_model())},
        {"mediaType": "application/vnd.ollama.image.params", "digest": blob(store, b'{"num_ctx": 2048, "top_k": 20}')},
    ]
    manifest(store, "qwen3", "8b", json.dumps({"schemaVersion": 2, "layers": layers}))


def test_a_pulled_name_is_planned_and_explained_from_its_file(store: Path) -> None:
    model(store)
    _, planned = document("plan", "qwen3:8b", "--engine", "ollama", "--gpu", "8GiB", "--parallel", "1")
    _, explained = document(
        "explain", "--gpu", "8GiB", "--model", "qwen3:8b", "--", *planned["result"]["plan"]["argv"]
    )  # fmt: skip
    assert planned["result"]["plan"]["model"] == "qwen3:8b"
    assert explained["result"]["ledger"] == planned["result"]["ledger"]
    assert any("num_ctx 2048" in one for one in planned["result"]["plan"]["why"])


def test_a_pulled_name_that_is_no_catalogue_name_needs_no_engine(store: Path) -> None:
    layers = [{"mediaType": "application/vnd.ollama.image.model", "digest": blob(store, tiny_model())}]
    manifest(store, "nobodys-model", "latest", json.dumps({"layers": layers}))
    _, planned = document("plan", "nobodys-model:latest", "--gpu", "8GiB")
    assert planned["result"]["plan"]["engine"] == "ollama"


def test_a_name_that_is_not_here_says_how_it_comes_here(store: Path) -> None:
    assert not store.exists()
    code, refused = document("plan", "nobodys-model:latest", "--gpu", "8GiB")
    assert code == 2
    assert "ollama pull" in refused["error"]["hint"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"layers": 7}',
        '{"layers": [7, {}]}',
        '{"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:../../../etc/passwd"}]}',
        '{"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:' + 64 * "0" + '"}]}',
        "[" * 100_000,
    ],
)
def test_a_broken_manifest_is_no_model(text: str, store: Path) -> None:
    manifest(store, "broken", "latest", text)
    assert stored_model("broken:latest") is None


def test_a_name_cannot_leave_the_store(store: Path) -> None:
    model(store)
    assert stored_model("qwen3:8b") is not None
    assert stored_model("..:8b") is None
    assert stored_model("qwen3/8b:x") is None
