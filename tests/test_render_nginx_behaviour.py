"""The rendered edge at work: the real nginx with the applied files, a stub engine behind it, real TLS in front."""

import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import cast

import locks
import pytest
from consumers import search_path
from rendering import with_number

from llmops.cli import render
from llmops.domain.profile import Serve
from llmops.formats.lock import dump_lock
from llmops.probe.programs import Programs

pytestmark = [pytest.mark.consumer("nginx-njs"), pytest.mark.slow]

EVENTS = 4
PAUSE_SECONDS = 0.2
MODULES = ("/usr/lib/nginx/modules", "/usr/lib/x86_64-linux-gnu/nginx/modules")


class Engine(ThreadingHTTPServer):
    """Answers like an engine that has its own key; remembers what reached it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.seen: list[tuple[str, dict[str, str]]] = []


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        return

    def do_GET(self) -> None:
        assert isinstance(self.server, Engine)
        self.server.seen.append((self.path, dict(self.headers)))
        body = b'{"data": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        assert isinstance(self.server, Engine)
        self.server.seen.append((self.path, dict(self.headers)))
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for at in range(EVENTS):
            delta = {"index": 0, "delta": {"content": f"w{at} "}, "finish_reason": None}
            chunk = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "chat", "choices": [delta]}
            event = f"data: {json.dumps(chunk)}\n\n".encode()
            self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
            self.wfile.flush()
            time.sleep(PAUSE_SECONDS)
        self.wfile.write(b"0\r\n\r\n")


@dataclass(frozen=True, slots=True)
class Site:
    """The edge as it runs, and the calls `render` ended with."""

    call: dict[str, str]
    port: int
    root: Path
    engine: Engine
    key: str

    def ask(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """One request, verified against the internal CA."""
        connection = self.connection()
        bearer = {"Authorization": f"Bearer {key}"} if key is not None else {}
        connection.request(method, path, body=body, headers=bearer | (headers or {}))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders()), content

    def connection(self) -> http.client.HTTPSConnection:
        trust = ssl.create_default_context(cafile=self.root / "etc/llmops/ca.crt")
        return http.client.HTTPSConnection("localhost", self.port, timeout=10, context=trust)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    engine = Engine()
    threading.Thread(target=lambda: engine.serve_forever(poll_interval=0.05), daemon=True).start()
    port, root = _free_port(), tmp_path / "root"
    root.mkdir()
    deployment = locks.llama_cpu(port=int(engine.server_address[1]))
    for name, value in (("rate_limit_requests_per_minute", 60), ("rate_limit_burst", 6), ("body_limit_bytes", 65536)):
        deployment = with_number(deployment, name, value)
    serve = Serve(listen=f"127.0.0.1:{port}")
    lock = tmp_path / "llmops.lock"
    lock.write_text(dump_lock(locks.lock({"chat": deployment}, serve=serve, targets=("nginx",))))
    runner = Programs(os.environ)
    answer = render.run(render.Options(lock=str(lock), root=str(root), apply=True), runner=runner)
    assert answer.ok
    conf = _running_copy(root, tmp_path)
    with runner.serve(["nginx", "-e", "stderr", "-p", str(tmp_path), "-c", str(conf)]) as nginx:
        _wait(port, nginx.log)
        result = cast("dict[str, dict[str, str]]", answer.result)
        yield Site(
            result["call"], port, root, engine, (root / "etc/llmops/secrets/api-key.default").read_text().strip()
        )
    engine.shutdown()
    engine.server_close()


def _running_copy(root: Path, scratch: Path) -> Path:
    """A whole nginx.conf around the applied site, whose paths are below the root."""
    text = (root / "etc/nginx/conf.d/llmops.conf").read_text()
    text = re.sub(r"/(etc/nginx/llmops|var/log/nginx)", rf"{root}/\1", text)
    (root / "var/log/nginx").mkdir(parents=True)
    site_conf = scratch / "site.conf"
    site_conf.write_text(text)
    module = next(
        f"{place}/ngx_http_js_module.so" for place in MODULES if Path(place, "ngx_http_js_module.so").exists()
    )
    temporary = "".join(
        f"{kind}_temp_path {scratch}/temporary;\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    conf = scratch / "nginx.conf"
    user = "user root;\n" if os.geteuid() == 0 else ""
    conf.write_text(
        f"load_module {module};\n{user}daemon off;\npid {scratch}/nginx.pid;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}include {site_conf};\n}}\n"
    )
    return conf


def _wait(port: int, log: object) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    assert callable(log)
    pytest.fail(f"nginx does not listen: {log()}")


CHAT = "/v1/chat/completions"


@pytest.mark.consumer("curl")
def test_the_curl_call_that_render_ends_with_works(site: Site) -> None:
    run = subprocess.run(
        ["/bin/bash", "-c", site.call["curl"]], capture_output=True, text=True, timeout=30, check=False
    )
    assert run.stdout.count('"content": "w') == EVENTS, run.stderr


def test_the_openai_sdk_call_that_render_ends_with_works(site: Site) -> None:
    pytest.importorskip("openai")
    command = [sys.executable, "-c", site.call["python"]]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.stdout.split() == [f"w{at}" for at in range(EVENTS)], run.stderr


@pytest.mark.consumer("openai-node")
def test_the_typescript_call_that_render_ends_with_works(site: Site, tmp_path: Path) -> None:
    program = tmp_path / "try.mjs"
    program.write_text(site.call["typescript"])
    assert site.call["node"].endswith(" node try.mjs")
    run = subprocess.run(
        ["openai-node", program],
        env={"PATH": search_path(os.environ), "NODE_EXTRA_CA_CERTS": site.call["ca_file"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.stdout == "".join(f"w{at} " for at in range(EVENTS)), run.stderr


def test_every_form_of_the_call_has_the_plans_timeout_and_retries(site: Site) -> None:
    numbers = locks.llama_cpu().numbers
    seconds, retries = numbers.client_timeout_seconds.value, numbers.client_retries.value
    assert f"--max-time {seconds} --retry {retries} " in site.call["curl"]
    assert f"timeout={seconds}, max_retries={retries}" in site.call["python"]
    assert f"timeout: {seconds * 1000}, maxRetries: {retries}" in site.call["typescript"]


def test_without_the_right_key_nothing_reaches_the_engine(site: Site) -> None:
    for key in (None, "sk-wrong-key-of-good-length", "x" * 300, "short"):
        status, headers, body = site.ask("POST", CHAT, key=key, body=b"{}")
        assert status == 401
        assert headers["Content-Type"] == "application/json"
        assert headers["WWW-Authenticate"] == "Bearer"
        assert json.loads(body)["error"]["code"] == 401
    assert site.engine.seen == []


def test_with_the_key_events_arrive_when_they_are_sent(site: Site) -> None:
    connection = site.connection()
    connection.request("POST", CHAT, body=b"{}", headers={"Authorization": f"Bearer {site.key}"})
    answer = connection.getresponse()
    assert answer.status == 200
    start, arrived = time.monotonic(), []
    while line := answer.readline():
        if line.startswith(b"data:"):
            arrived.append(time.monotonic() - start)
    connection.close()
    assert len(arrived) == EVENTS
    gaps = [after - before for before, after in pairwise(arrived)]
    assert min(gaps) > PAUSE_SECONDS / 2, f"events came in lumps: {arrived}"


def test_the_engine_gets_its_own_key_and_no_forged_address(site: Site) -> None:
    forged = {"X-Forwarded-For": "10.9.8.7", "X-Request-ID": "good-1", "Connection": "close"}
    status, headers, _ = site.ask("GET", "/v1/models", key=site.key, headers=forged)
    [(path, seen)] = site.engine.seen
    assert (status, path) == (200, "/v1/models")
    engine_key = (site.root / "etc/llmops/secrets/chat.engine-key").read_text().strip()
    assert seen["Authorization"] == f"Bearer {engine_key}"
    assert engine_key != site.key
    assert seen["X-Forwarded-For"] == "127.0.0.1"
    assert seen["X-Request-ID"] == headers["X-Request-ID"] == "good-1"


PATHS = (
    *("/metrics", "/", "/health/", "/slots", "/props", "/invocations", "/_llmops_auth"),
    *("/v1/../metrics", "/v1/models/x", "/v1/chat/completions/", "/%2e%2e/metrics", "/v1/%2e%2e/metrics"),
)


def test_whether_the_engine_is_well_is_told_to_those_with_a_key_only(site: Site) -> None:
    assert site.ask("GET", "/health", key=None)[0] == 401
    assert site.ask("GET", "/health", key=site.key)[0] == 200
    assert [path for path, _ in site.engine.seen] == ["/health"]


def test_only_listed_paths_are_open_even_with_the_key(site: Site) -> None:
    statuses = {path: site.ask("GET", path, key=site.key)[0] for path in PATHS}
    assert statuses == dict.fromkeys(PATHS, 404) | {"/%2e%2e/metrics": 400}
    assert site.engine.seen == []


def test_the_query_is_not_logged_and_no_key_or_body_is(site: Site) -> None:
    site.ask("POST", f"{CHAT}?token=in-the-query", key=site.key, body=b'{"prompt": "a private question"}')
    site.ask("POST", CHAT, key="sk-wrong-key-of-good-length", body=b"{}")
    text = ""
    for _ in range(50):
        text = (site.root / "var/log/nginx/llmops-audit.jsonl").read_text()
        if text.count("\n") == 2:
            break
        time.sleep(0.05)
    first, second = (json.loads(line) for line in text.splitlines())
    assert (first["tenant"], first["path"], first["status"]) == ("default", CHAT, 200)
    assert (second["tenant"], second["status"]) == ("", 401)
    for secret in (site.key, "in-the-query", "private question", "sk-wrong"):
        assert secret not in text


def test_wrong_keys_are_counted_by_the_rate_limit(site: Site) -> None:
    answers = [site.ask("POST", CHAT, key="sk-wrong-key-of-good-length", body=b"{}")[:2] for _ in range(12)]
    assert [status for status, _ in answers[:7]] == [401] * 7, "the first and the burst of 6"
    late = [headers for status, headers in answers if status == 429]
    assert len(late) >= 4
    assert all(headers["Retry-After"] == "2" for headers in late)
    assert site.engine.seen == []
    assert site.ask("GET", "/v1/models", key=site.key)[0] == 200, "a stranger does not use up a tenant's rate"


def test_a_tenant_is_limited_too(site: Site) -> None:
    statuses = [site.ask("GET", "/v1/models", key=site.key)[0] for _ in range(12)]
    assert statuses[:7] == [200] * 7
    assert 429 in statuses
    assert len(site.engine.seen) == statuses.count(200)


def test_a_body_over_the_planned_size_is_refused(site: Site) -> None:
    status, headers, _ = site.ask("POST", CHAT, key=site.key, body=b"x" * 65537)
    assert (status, headers["Content-Type"]) == (413, "application/json")
    assert site.engine.seen == []


def test_an_engine_that_is_gone_is_a_503_that_says_when_to_come_back(site: Site) -> None:
    site.engine.shutdown()
    site.engine.server_close()
    status, headers, body = site.ask("GET", "/v1/models", key=site.key)
    assert (status, headers["Retry-After"]) == (503, "5")
    assert json.loads(body)["error"]["code"] == 503


def test_another_server_name_gets_no_certificate(site: Site) -> None:
    trust = ssl.create_default_context()
    trust.check_hostname = False
    trust.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", site.port), timeout=5) as plain,
        pytest.raises(ssl.SSLError, match=r"(?i)unrecognized"),
    ):
        trust.wrap_socket(plain, server_hostname="elsewhere.example")
