"""Names of models that an Ollama on this host has pulled are the files of its store."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from explaining import document

from llmops.domain.explained import OwnParameters
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


def with_parameters(store: Path, name: str, text: bytes) -> None:
    layers = [
        {"mediaType": "application/vnd.ollama.image.model", "digest": blob(store, tiny_model())},
        {"mediaType": "application/vnd.ollama.image.params", "digest": blob(store, text)},
    ]
    manifest(store, name, "latest", json.dumps({"layers": layers}))


def explained(name: str, *words: str) -> dict[str, Any]:
    _, answer = document("explain", "--gpu", "8GiB", "--model", name, "--", *words, "ollama", "serve")
    result: dict[str, Any] = answer["result"]
    return result


def test_a_models_own_context_goes_before_the_servers(store: Path) -> None:
    """Request, model, variable: `PARAMETER num_ctx` of a Modelfile is what a request that says nothing gets."""
    with_parameters(store, "short", b'{"num_ctx": 512}')
    with_parameters(store, "plain", b"{}")
    own, other = (explained(name, "OLLAMA_CONTEXT_LENGTH=2048") for name in ("short:latest", "plain:latest"))
    assert own["settings"]["context_size"] == 512
    assert other["settings"]["context_size"] == 2048
    assert own["ledger"]["devices"][0]["kv_cache_bytes"] * 4 == other["ledger"]["devices"][0]["kv_cache_bytes"]


def test_a_models_own_batch_and_layers_are_what_its_runner_gets(store: Path) -> None:
    with_parameters(store, "small", b'{"num_ctx": 1024, "num_batch": 64, "num_gpu": 1, "use_mmap": false}')
    settings = explained("small:latest")["settings"]
    assert (settings["batch_tokens"], settings["gpu_layers"], settings["load_mode"]) == (64, 1, "none")


def test_a_plan_takes_the_models_own_context(store: Path) -> None:
    with_parameters(store, "short", b'{"num_ctx": 512}')
    _, planned = document("plan", "short:latest", "--engine", "ollama", "--gpu", "8GiB", "--context", "2048")
    assert "OLLAMA_CONTEXT_LENGTH=512" in " ".join(planned["result"]["plan"]["argv"])


def test_parameters_that_are_no_numbers_are_passed_over(store: Path) -> None:
    with_parameters(store, "odd", b'{"num_ctx": "many", "num_gpu": true, "num_batch": 1e300}')
    found = stored_model("odd:latest")
    assert found is not None
    assert found.own == OwnParameters()


def test_a_name_without_a_tag_and_one_of_a_namespace_are_found(store: Path) -> None:
    with_parameters(store, "mine", b"{}")
    path = store / "manifests" / "registry.ollama.ai"
    (path / "me").mkdir()
    (path / "library" / "mine").rename(path / "me" / "mine")
    assert stored_model("me/mine") is not None
    assert stored_model("me/mine:latest") is not None
    assert stored_model("mine") is None


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
