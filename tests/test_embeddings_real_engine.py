"""A deployment that makes embeddings, as it is planned, on a real llama-server: one vector of each text."""

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from edge import free_port

from llmops.cli.hardware import Hardware
from llmops.cli.opened import Sources
from llmops.cli.placing import plan_all
from llmops.cli.planning import Options
from llmops.domain.engine import HostDevice
from llmops.domain.finding import Status
from llmops.domain.plan import Plan
from llmops.domain.profile import EngineChoice, Features, Intent, Profile, Workload
from llmops.domain.role import Role
from llmops.formats.tiny_model import tiny_model
from llmops.serve.smoke import smoke

KEY = "sk-test-of-embeddings-01"


def planned(model: Path, port: int) -> Plan:
    """Of the processor: the tiny model, texts of 64 tokens, two at a time."""
    intent = Intent(
        model=str(model),
        engine=EngineChoice.LLAMA_CPP,
        workload=Workload(context_tokens=64, parallel=2),
        features=Features(embeddings=True),
    )
    place = Hardware(cards=(), host=HostDevice(memory_bytes=8 << 30, physical_cores=1), facts=None, notes=())
    found = plan_all(Profile(deployments={"embed": intent}), place, Options(profile="p", port=port), Sources())
    return found.planned[0].plan


@pytest.fixture(scope="module")
def server(llama_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("engine"), free_port()
    (folder / "tiny.gguf").write_bytes(tiny_model())
    (folder / "engine-key").write_text(KEY + "\n")
    places = {"{model}": str(folder / "tiny.gguf"), "{credentials}/engine-key": str(folder / "engine-key")}
    words = [places.get(word, word) for word in planned(folder / "tiny.gguf", port).argv[1:]]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([llama_server, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            for _ in range(600):
                if process.poll() is not None or _ready(port):
                    break
                time.sleep(0.05)
            assert process.poll() is None, (folder / "log").read_text(errors="replace")[-2000:]
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def ask(url: str, body: Mapping[str, object]) -> tuple[int, bytes]:
    head = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), head), timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


@pytest.mark.consumer("llama-server")
def test_the_planned_line_makes_one_vector_of_each_text(server: str) -> None:
    status, body = ask(f"{server}/v1/embeddings", {"input": ["hello", "hello you"], "model": "embed"})
    assert status == 200
    vectors = [one["embedding"] for one in json.loads(body)["data"]]
    assert len(vectors) == 2
    assert len(vectors[0]) == len(vectors[1]) > 1
    assert vectors[0] != vectors[1]


@pytest.mark.consumer("llama-server")
def test_it_refuses_a_text_that_is_too_long_and_goes_on(server: str) -> None:
    status, body = ask(f"{server}/v1/embeddings", {"input": "a b c d e f g h " * 64, "model": "embed"})
    assert status in (400, 500), body
    assert ask(f"{server}/v1/embeddings", {"input": "hello", "model": "embed"})[0] == 200


@pytest.mark.consumer("llama-server")
def test_smoke_asks_it_for_vectors_and_not_for_a_chat(server: str) -> None:
    found = smoke(server, model=None, key=KEY, timeout_seconds=20, role=Role.EMBEDDINGS).findings
    statuses = {one.code: one.status for one in found}
    assert statuses.pop("SMK006") is Status.SKIP
    assert set(statuses.values()) == {Status.OK}
    assert {"SMK003", "SMK004", "SMK009", "SMK010"} <= set(statuses)


def test_the_line_says_so_and_a_text_is_one_batch(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(tiny_model())
    plan = planned(tmp_path / "tiny.gguf", 8080)
    words = " ".join(plan.argv)
    assert "--embeddings --pooling last" in words
    assert "-c 128 -np 2" in words
    assert "-b 64 -ub 64" in words
    assert plan.settings.embeddings
    assert any("one vector of each text" in sentence for sentence in plan.why)
