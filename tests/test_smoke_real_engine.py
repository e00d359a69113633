"""Smoke and the clients' own SDK against a real llama-server with the tiny model of `quickstart`."""

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import locks
import openai
import pytest
from edge import applied, free_port, nginx

from llmops.domain.finding import Status
from llmops.domain.profile import Serve
from llmops.formats.tiny_model import TINY_NAME, tiny_model
from llmops.serve.codes import SCORES, SMOKE_CHECKS, VECTORS
from llmops.serve.smoke import smoke

KEY = "sk-test-of-a-real-server-01"


OF_A_CHAT = {check.code for check in SMOKE_CHECKS} - {VECTORS.code, SCORES.code}


@contextmanager
def serving(program: Path, directory: Path, *, key: str, port: int) -> Iterator[str]:
    model, key_file, log = directory / "tiny.gguf", directory / "engine-key", directory / "engine.log"
    model.write_bytes(tiny_model())
    key_file.write_text(key + "\n")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "-m", model, "--alias", TINY_NAME, "--host", "127.0.0.1", "--port", str(port),
             "--api-key-file", key_file, "-c", "512", "-np", "1", "--threads", "1", "-fit", "off", "--no-ui", "--offline"],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            _wait_ready(f"http://127.0.0.1:{port}/health", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(scope="module")
def server(llama_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(llama_server, tmp_path_factory.mktemp("engine"), key=KEY, port=free_port()) as url:
        yield url


def _wait_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"llama-server is not ready: {log.read_text(errors='replace')[-2000:]}")


@pytest.mark.consumer("llama-server")
def test_a_real_server_gets_nine_times_ok(server: str) -> None:
    measurement = smoke(server, model=TINY_NAME, key=KEY, timeout_seconds=30)
    assert {finding.code: finding.status for finding in measurement.findings} == dict.fromkeys(OF_A_CHAT, Status.OK)
    assert measurement.model == TINY_NAME
    assert measurement.streamed_chunks > 1


@pytest.mark.consumer("llama-server")
def test_a_real_server_refuses_who_has_no_key_or_a_wrong_one(server: str) -> None:
    for key, fix in ((None, "it asks for a key"), ("sk-a-wrong-key", "is it the right key?")):
        measurement = smoke(server, model=TINY_NAME, key=key, timeout_seconds=30)
        found = {finding.code: finding for finding in measurement.findings}
        assert found["SMK003"].status is Status.OK
        assert found["SMK005"].status is Status.FAIL
        assert fix in str(found["SMK005"].fix)
        assert "SMK007" not in found


@pytest.mark.consumer("llama-server")
def test_what_smoke_says_of_the_key_is_what_a_bare_request_meets(server: str) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "hello"}], "max_tokens": 1}).encode()
    request = urllib.request.Request(f"{server}/v1/chat/completions", body, {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 401
    refused.value.close()


@pytest.mark.consumer("llama-server")
def test_the_openai_sdk_streams_from_the_same_server_and_counts_the_same(server: str) -> None:
    with openai.OpenAI(base_url=f"{server}/v1", api_key=KEY, max_retries=0, timeout=30) as client:
        assert [model.id for model in client.models.list()] == [TINY_NAME]
        with client.chat.completions.create(
            model=TINY_NAME,
            messages=[{"role": "user", "content": "Count from one to ten."}],
            max_tokens=16,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        ) as stream:
            chunks = list(stream)
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    usage = chunks[-1].usage
    measurement = smoke(server, model=TINY_NAME, key=KEY, timeout_seconds=30)
    assert usage is not None
    assert len(texts) == measurement.streamed_chunks
    said = next(finding.message for finding in measurement.findings if finding.code == "SMK009")
    assert said == f"{usage.prompt_tokens} prompt and {usage.completion_tokens} answer tokens"


@pytest.mark.consumer("llama-server")
def test_the_openai_sdk_is_refused_without_the_key(server: str) -> None:
    with (
        openai.OpenAI(base_url=f"{server}/v1", api_key="sk-a-wrong-key", max_retries=0, timeout=30) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()


@pytest.mark.slow
@pytest.mark.consumer("llama-server", "nginx-njs")
def test_through_the_rendered_edge_the_same_server_passes_with_the_clients_key_only(
    llama_server: Path, tmp_path: Path
) -> None:
    engine_port, edge_port = free_port(), free_port()
    lock = locks.lock(
        {"chat": locks.llama_cpu(alias=TINY_NAME, port=engine_port)},
        serve=Serve(listen=f"127.0.0.1:{edge_port}"),
        targets=("nginx",),
    )
    root = applied(lock, tmp_path)
    secrets = {path.name: path.read_text().strip() for path in (root / "etc/llmops/secrets").iterdir()}
    engine_key, key = secrets["chat.engine-key"], secrets["api-key.default"]
    url, ca = f"https://localhost:{edge_port}", root / "etc/llmops/ca.crt"
    with nginx(root, tmp_path, port=edge_port):
        down = smoke(url, model=TINY_NAME, key=key, ca=ca, timeout_seconds=30)
        with serving(llama_server, tmp_path, key=engine_key, port=engine_port):
            good = smoke(url, model=TINY_NAME, key=key, ca=ca, timeout_seconds=30)
            wrong = smoke(url, model=TINY_NAME, key=engine_key, ca=ca, timeout_seconds=30)
    assert {finding.code: finding.status for finding in good.findings} == dict.fromkeys(OF_A_CHAT, Status.OK), good
    assert next(one.message for one in down.findings if one.code == "SMK005").startswith("/v1/models answers 503")
    assert next(one.status for one in wrong.findings if one.code == "SMK005") is Status.FAIL
