"""The embedded tiny model: always the same bytes, a whole file, and a real engine answers from it."""

import json
import socket
import subprocess
import time
import urllib.request
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import pytest

from llmops.domain.model import Attention
from llmops.formats.gguf import read_header
from llmops.formats.gguf_shape import model_shape
from llmops.formats.tiny_model import CONTEXT, LAYERS, TINY_NAME, tiny_model

SHA256 = "c3dcf4c29478c4edeba00ca1d541bf0cefda44b5b09caa02d93e1003497ae948"


def test_it_is_the_same_file_everywhere() -> None:
    assert sha256(tiny_model()).hexdigest() == SHA256


def test_it_is_a_whole_model_of_a_few_hundred_kilobytes() -> None:
    raw = tiny_model()
    header = read_header(lambda at, n: raw[at : at + n], name="tiny.gguf", file_bytes=len(raw))
    assert header.data_offset + header.data_bytes() == len(raw)
    assert 200_000 < len(raw) < 400_000
    one = model_shape([header], name="tiny.gguf")
    assert one.name == TINY_NAME
    assert one.has_chat_template
    assert one.context_length == CONTEXT
    assert [layer.attention for layer in one.layers] == [Attention.FULL] * LAYERS
    assert one.quantization == "F16"
    assert one.not_sized == ()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        loaded: dict[str, Any] = json.load(answer)
    return loaded


def wait_until_ready(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(300):
        assert server.poll() is None, log.read_text(errors="replace")
        try:
            ask(f"{url}/health")
        except (HTTPError, URLError, OSError):
            time.sleep(0.05)
        else:
            return
    pytest.fail(log.read_text(errors="replace"))


@pytest.mark.consumer("llama-server")
def test_a_real_llama_server_loads_it_and_answers_the_same_twice(tmp_path: Path, llama_server: Path) -> None:
    file, log, port = tmp_path / "tiny.gguf", tmp_path / "log", free_port()
    file.write_bytes(tiny_model())
    argv = [
        llama_server,
        "-m",
        file,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "-c",
        "512",
        "-np",
        "1",
        "-fit",
        "off",
    ]
    chat = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 16, "temperature": 0}
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as out, subprocess.Popen([str(word) for word in argv], stdout=out, stderr=out) as server:
        try:
            wait_until_ready(url, server, log)
            first, second = (ask(f"{url}/v1/chat/completions", chat) for _ in range(2))
        finally:
            server.terminate()
            server.wait(timeout=20)
    answers = [one["choices"][0]["message"]["content"] for one in (first, second)]
    assert answers[0] == answers[1]
    assert len(answers[0]) == 16
    assert answers[0].isascii()
