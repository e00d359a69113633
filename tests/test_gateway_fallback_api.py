"""The hosted API behind edge and gateway: the real nginx and HAProxy, and a stand-in for the API with TLS of its own."""

import http.client
import json
import os
import re
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import locks
import pytest
from edge import applied, free_port, listens, nginx, trusting
from gateway import engine as engine_command
from gateway import wait
from rendering import NOW, with_number

from llmops.apply.certificate import make_ca, make_leaf
from llmops.domain.lock import LockedDeployment
from llmops.domain.ports import FALLBACK_API_PORT
from llmops.domain.profile import FallbackApi, Serve
from llmops.domain.programs import Running
from llmops.probe.programs import Programs

pytestmark = [pytest.mark.consumer("nginx-njs"), pytest.mark.consumer("haproxy"), pytest.mark.slow]

API_KEY, API_MODEL, HOST = "sk-of-the-hosted-api-0123456789", 'gpt-"ü"-mini', "localhost"
COMPLETIONS = "/v1/chat/completions"


class Api(ThreadingHTTPServer):
    """Answers completions of its own model to who has its key; remembers what it was asked."""

    daemon_threads = True

    def __init__(self, certificate: Path, key: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.seen: list[tuple[str, dict[str, str], dict[str, object]]] = []
        self.status = 200
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trust.load_cert_chain(certificate, key)
        self.socket = trust.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: object, client_address: object) -> None:
        """A handshake alone is how the gateway checks it."""


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        return

    def do_POST(self) -> None:
        assert isinstance(self.server, Api)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.server.status)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Set-Cookie", "seen=1")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for text in ("one", "two", "[DONE]"):
            event = f"data: {text}\n\n".encode()
            self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
            self.wfile.flush()
            time.sleep(0.2)
        self.wfile.write(b"0\r\n\r\n")


@dataclass(frozen=True, slots=True)
class House:
    """Edge, gateway and engines as they run, and the API outside."""

    port: int
    root: Path
    key: str
    api: Api
    engines: dict[str, Running]
    gateway: Running
    ways_in: tuple[int, ...]

    def ask(
        self, path: str = COMPLETIONS, *, key: str | None = None, words: int = 1
    ) -> tuple[int, dict[str, str], list[float]]:
        """Status, headers and when each event came."""
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=20, context=trusting(self.root))
        body = json.dumps({"model": "chat", "stream": True, "max_tokens": 3, "seed": 7, "prompt": "é" * words})
        began = time.monotonic()
        connection.request("POST", path, body, {"Authorization": f"Bearer {key or self.key}", "Cookie": "ours=1"})
        answer, came = connection.getresponse(), list[float]()
        while line := answer.readline():
            came += [time.monotonic() - began] if line.startswith(b"data:") else []
        connection.close()
        return answer.status, dict(answer.getheaders()), came

    def kill(self, name: str) -> None:
        """As the kernel does when memory is short."""
        os.kill(self.engines[name].pid, signal.SIGKILL)

    def answers(self, status: int, *, by_api: bool) -> bool:
        """Whether a completion is answered so within what the checks take."""
        until = time.monotonic() + 8
        while True:
            found, headers, _ = self.ask()
            if (found, "X-LLMOps-Answered-By" in headers) == (status, by_api):
                return True
            if time.monotonic() > until:
                return False
            time.sleep(0.2)


def _signed(directory: Path, name: str) -> tuple[Path, Path, Path]:
    """A CA, and a certificate of it with its key, as files."""
    ca = make_ca(name, now=NOW)
    leaf = make_leaf(ca, name, now=NOW)
    paths = directory / f"{name}-ca.crt", directory / f"{name}.crt", directory / f"{name}.key"
    for path, content in zip(paths, (ca.certificate, leaf.certificate, leaf.key), strict=True):
        path.write_bytes(content)
    return paths


def _deployment(name: str, fallback: tuple[str, ...] = ()) -> LockedDeployment:
    made = replace(locks.llama_cpu(alias=name, port=free_port()), fallback=fallback)
    return with_number(made, "gateway_port", free_port())


@contextmanager
def _house(
    directory: Path, *, fallback: bool = False, certificate_of: str = HOST, prefix: str = "/v1", first: float = 0.05
) -> Iterator[House]:
    ca, certificate, key = _signed(directory, certificate_of)
    api = Api(certificate, key)
    threading.Thread(target=lambda: api.serve_forever(poll_interval=0.05), daemon=True).start()
    port = free_port()
    url = f"https://{HOST}:{api.server_address[1]}{prefix}"
    hosted = FallbackApi(url=url, model=API_MODEL, key_credential="outside", ca=str(ca))
    deployments = {"chat": _deployment("chat", ("small",) if fallback else ())}
    if fallback:
        deployments["small"] = _deployment("small", ("chat",))
    serve = Serve(listen=f"127.0.0.1:{port}", fallback_api=hosted)
    root = applied(locks.lock(deployments, serve=serve, targets=("nginx", "haproxy")), directory)
    keys = {name: (root / f"etc/llmops/secrets/{name}.engine-key").read_text().strip() for name in deployments}
    programs = Programs(os.environ)
    with ExitStack() as stack:
        stack.callback(api.server_close)
        stack.callback(api.shutdown)
        engines: dict[str, Running] = {}
        for name, one in deployments.items():
            command = engine_command(one.numbers.engine_port.value, name, first=first, gap=0.01, key=keys[name])
            engines[name] = stack.enter_context(programs.serve(command))
            wait(one.numbers.engine_port.value, engines[name])
        gateway = stack.enter_context(programs.serve(["haproxy", "-W", "-f", str(_moved(root, directory))], environment={
            "LLMOPS_FALLBACK_API_KEY": API_KEY, **{f"LLMOPS_KEY_{name.upper()}": keys[name] for name in keys}
        }))  # fmt: skip
        wait(deployments["chat"].numbers.gateway_port.value, gateway)
        stack.enter_context(nginx(root, directory, port=port))
        client = (root / "etc/llmops/secrets/api-key.default").read_text().strip()
        ways = tuple(
            int(found) for found in re.findall(r"bind 127\.0\.0\.1:(\d+)", (directory / "haproxy.cfg").read_text())
        )
        yield House(port, root, client, api, engines, gateway, ways)


def _moved(root: Path, directory: Path) -> Path:
    """The applied configuration with ports of this machine, and its sockets in a short place."""
    text = (root / "etc/llmops/haproxy.cfg").read_text()
    text = text.replace("/run/llmops-gateway", str(directory)).replace(" /etc/llmops/", f" {root}/etc/llmops/")
    site, way = root / "etc/nginx/conf.d/llmops.conf", str(free_port())
    site.write_text(site.read_text().replace(f":{FALLBACK_API_PORT}$", f":{way}$"))
    text = text.replace(f"127.0.0.1:{FALLBACK_API_PORT}", f"127.0.0.1:{way}").replace(
        "127.0.0.1:8405", f"127.0.0.1:{free_port()}"
    )
    place = directory / "haproxy.cfg"
    place.write_text(text.replace("inter 30s fastinter 2s downinter 5s", "inter 500ms"))
    return place


def test_the_api_answers_when_the_engine_is_gone_and_not_before(tmp_path: Path) -> None:
    with _house(tmp_path) as house:
        assert house.answers(200, by_api=False)
        assert house.api.seen == []
        house.kill("chat")
        assert house.answers(200, by_api=True)
        house.api.seen.clear()
        status, headers, came = house.ask(words=30000)
        assert (status, headers["X-LLMOps-Answered-By"]) == (200, HOST)
        assert len(came) == 3
        assert came[2] - came[0] > 0.2, "events came in one lump"
        assert "Set-Cookie" not in headers
        [(path, seen, body)] = house.api.seen
        assert path == COMPLETIONS
        assert body == {"model": API_MODEL, "stream": True, "max_tokens": 3, "seed": 7, "prompt": "é" * 30000}
        assert seen["authorization"] == f"Bearer {API_KEY}"
        assert seen["host"].startswith(HOST)
        assert not {"cookie", "x-forwarded-for", "x-llmops-passed"} & set(seen)
        for secret in (house.key, (house.root / "etc/llmops/secrets/chat.engine-key").read_text().strip()):
            assert secret not in json.dumps(seen)


def test_a_request_that_the_engine_took_and_died_with_is_asked_of_the_api(tmp_path: Path) -> None:
    with _house(tmp_path, first=0.8) as house:
        answered: list[int] = []
        asking = [threading.Thread(target=lambda: answered.append(house.ask()[0])) for _ in range(4)]
        for one in asking:
            one.start()
        time.sleep(0.4)
        house.kill("chat")
        for one in asking:
            one.join()
        assert answered == [200] * 4
        assert len(house.api.seen) == 4, "asked more than once"


def test_own_fallbacks_come_first_also_in_a_circle(tmp_path: Path) -> None:
    with _house(tmp_path, fallback=True) as house:
        house.kill("chat")
        assert house.answers(200, by_api=False)
        assert house.api.seen == []
        house.kill("small")
        assert house.answers(200, by_api=True)


def test_only_completions_of_who_has_a_key_leave_the_house(tmp_path: Path) -> None:
    with _house(tmp_path) as house:
        house.kill("chat")
        assert house.answers(200, by_api=True)
        house.api.seen.clear()
        assert house.ask(key="sk-unknown-0123456789")[0] == 401
        assert house.ask("/v1/embeddings")[0] == 503, "vectors of another model are of no use"
        for port in house.ways_in:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("POST", COMPLETIONS, "{}", {"Authorization": f"Bearer {house.key}"})
            assert connection.getresponse().status in (401, 404), "the way out is open on this machine"
            connection.close()
        assert house.api.seen == []


def test_an_api_with_another_names_certificate_is_told_nothing(tmp_path: Path) -> None:
    with _house(tmp_path, certificate_of="elsewhere.example") as house:
        house.kill("chat")
        assert house.answers(503, by_api=False)
        assert house.api.seen == []


def test_an_api_that_is_down_is_a_503_as_without_one(tmp_path: Path) -> None:
    with _house(tmp_path) as house:
        house.kill("chat")
        assert house.answers(200, by_api=True)
        house.api.shutdown()
        house.api.server_close()
        assert not listens(int(house.api.server_address[1]))
        assert house.answers(503, by_api=False)


def test_paths_are_those_of_the_api(tmp_path: Path) -> None:
    with _house(tmp_path, prefix="/openai/v1") as house:
        house.kill("chat")
        assert house.answers(200, by_api=True)
        assert {path for path, _, _ in house.api.seen} == {"/openai/v1/chat/completions"}
