"""Engines that listen: asked over loopback without a key; certificates of the proxies' configurations."""

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.apply.certificate import make_ca, make_leaf
from llmops.domain.exposure import Certificate, ListeningEngine, UnreadCertificate
from llmops.domain.host import Listener
from llmops.domain.reading import Known, Unknown
from llmops.probe import certificates, engine_ports
from llmops.probe.engine_ports import Answer

NOW = datetime(2026, 11, 21, tzinfo=UTC)
MODELS = json.dumps({"object": "list", "data": [{"id": "qwen3-8b", "object": "model", "owned_by": "vllm"}]}).encode()


def listener(port: int, *, address: str = "0.0.0.0", program: str | None = None) -> Listener:
    return Listener(address=address, port=port, program=Known(program) if program else Unknown("no right to look"))


@pytest.mark.parametrize(
    ("one", "is_asked"),
    [
        (listener(5555, program="llama-server"), True),
        (listener(5555, program="ollama"), True),
        (listener(8000, program="python3"), True),
        (listener(8000), True),
        (listener(9100), False),
        (listener(5555, program="python3"), False),
        (listener(8080, program="java"), False),
        (listener(5000, program="docker-proxy"), False),
        (listener(22, program="sshd"), False),
    ],
)
def test_only_what_looks_like_an_engine_is_asked(one: Listener, is_asked: bool) -> None:
    assert (engine_ports.candidates([one]) == (one,)) is is_asked


def test_a_port_is_asked_once_on_its_widest_address_and_not_more_than_a_few_dozen() -> None:
    sockets = [listener(8000, address=address) for address in ("127.0.0.1", "::", "10.0.0.7")]
    assert [one.address for one in engine_ports.candidates(sockets)] == ["::"]
    many = [listener(port, program="llama-server") for port in range(20000, 20100)]
    assert len(engine_ports.candidates(many)) == engine_ports.MOST


def read(status: int, body: bytes, *, program: str | None = None) -> ListeningEngine | None:
    return engine_ports.read(listener(8000, program=program), Known(Answer(status=status, body=body)))


def test_a_list_of_models_without_a_key_is_an_open_engine() -> None:
    told = read(200, MODELS)
    assert told is not None
    assert (told.keyless, told.models, told.owned_by) == (Known(value=True), ("qwen3-8b",), "vllm")
    assert (told.everywhere, told.loopback) == (True, False)


def test_a_refusal_is_a_closed_engine_and_a_page_is_none() -> None:
    refused = read(401, b'{"error": {"code": 401, "message": "Invalid API Key"}}')
    assert refused is not None
    assert refused.keyless == Known(value=False)
    assert read(401, b"<html>Login</html>") is None
    assert read(200, b"<html>A web site</html>") is None
    assert read(404, b"") is None


def test_an_engine_known_by_its_name_stays_in_the_list_also_where_it_does_not_answer() -> None:
    told = engine_ports.read(listener(8000, program="llama-server"), Unknown("no answer to HTTP: timed out"))
    assert told is not None
    assert isinstance(told.keyless, Unknown)
    loading = read(503, b'{"error": {"message": "Loading model"}}', program="llama-server")
    assert loading is not None
    assert isinstance(loading.keyless, Unknown)
    empty = read(200, b'{"object": "list", "data": null}', program="ollama")
    assert empty is not None
    assert empty.keyless == Known(value=True)


@given(st.integers(100, 599), st.binary())
def test_no_answer_makes_the_reader_raise(status: int, body: bytes) -> None:
    read(status, body)
    read(status, body, program="ollama")


class Open(BaseHTTPRequestHandler):
    """An engine without a key, which shows its models to everyone."""

    def do_GET(self) -> None:
        assert self.headers.get("Authorization") is None
        self.send_response(200)
        self.send_header("Content-Length", str(len(MODELS)))
        self.end_headers()
        self.wfile.write(MODELS)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base names it so
        pass


@contextmanager
def serving(*, tls: Path | None = None) -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Open)
    if tls is not None:
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def pair(folder: Path, *, now: datetime) -> Path:
    """A certificate of 397 days from `now` and its key in one file."""
    ca = make_ca("models.example", now=now)
    leaf = make_leaf(ca, "models.example", now=now)
    path = folder / "pair.pem"
    path.write_bytes(leaf.certificate + leaf.key)
    return path


def test_an_engine_is_asked_over_http_and_over_tls(tmp_path: Path) -> None:
    with serving() as plain, serving(tls=pair(tmp_path, now=datetime.now(UTC))) as secret:
        sockets = tuple(listener(port, address="127.0.0.1", program="vllm") for port in (plain, secret))
        told = engine_ports.ask(Known(sockets))
    assert isinstance(told, Known)
    assert [one.keyless for one in told.value] == [Known(value=True)] * 2
    assert all(one.loopback and not one.everywhere for one in told.value)


def test_a_port_that_never_answers_costs_a_few_seconds_at_most() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        told = engine_ports.ask(Known((listener(silent.getsockname()[1], address="127.0.0.1", program="vllm"),)))
        assert time.monotonic() - begun < 5
    assert isinstance(told, Known)
    assert isinstance(told.value[0].keyless, Unknown)


@pytest.mark.consumer("llama-server")
def test_a_real_llama_server_is_open_without_a_key_and_closed_with_one(tmp_path: Path) -> None:
    from llmops.formats.tiny_model import tiny_model

    model = tmp_path / "tiny.gguf"
    model.write_bytes(tiny_model())
    for key, keyless in ((None, True), ("k3y", False)):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        argv = [
            "llama-server",
            "-m",
            str(model),
            "--port",
            str(port),
            "-c",
            "256",
            *(["--api-key", key] if key else []),
        ]
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                told = None
                for _ in range(100):
                    told = engine_ports.ask(Known((listener(port, address="127.0.0.1", program="llama-server"),)))
                    if isinstance(told, Known) and isinstance(told.value[0].keyless, Known):
                        break
                    time.sleep(0.2)
            finally:
                server.terminate()
        assert isinstance(told, Known)
        assert told.value[0].keyless == Known(keyless)
        assert (told.value[0].owned_by == "llamacpp") is keyless


NGINX = """
# ssl_certificate /commented/out.pem;
http {
    include conf.d/*.conf;
    include /etc/nginx/conf.d/*.conf;  # twice
    log_format x '{"a": "ssl_certificate /in/a/string.pem;"}';
    server { ssl_certificate "/tls/a b.pem"; ssl_certificate_key /tls/key.pem; }
}
"""


def put(root: Path, path: str, text: str | bytes) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(text.encode() if isinstance(text, str) else text)


def test_every_certificate_the_proxies_show_is_read_once(tmp_path: Path) -> None:
    old, new = (pair(tmp_path, now=NOW - timedelta(days=days)).read_bytes() for days in (390, 0))
    put(tmp_path, "etc/nginx/nginx.conf", NGINX)
    put(tmp_path, "etc/nginx/conf.d/llmops.conf", "server { ssl_certificate /tls/old.pem; }\n")
    put(tmp_path, "etc/nginx/conf.d/vars.conf", "server { ssl_certificate /tls/$ssl_server_name.pem; }\n")
    put(
        tmp_path,
        "etc/haproxy/haproxy.cfg",
        "global\n crt-base /tls\nfrontend x\n bind :443 ssl crt new.pem crt /tls/many\n",
    )
    put(tmp_path, "tls/a b.pem", new)
    put(tmp_path, "tls/old.pem", old)
    put(tmp_path, "tls/new.pem", new)
    put(tmp_path, "tls/many/1.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    known, unread = certificates.ask(tmp_path, now=NOW)
    assert isinstance(known, Known)
    told = {one.path: one for one in known.value}
    assert set(told) == {"/tls/a b.pem", "/tls/old.pem", "/tls/new.pem"}
    assert (told["/tls/old.pem"].days_left, told["/tls/old.pem"].used_by) == (6, "nginx")
    assert (told["/tls/new.pem"].names, told["/tls/new.pem"].used_by) == (("models.example",), "haproxy")
    assert told["/tls/new.pem"].not_after.startswith("2027-12-")
    assert [(one.path, one.reason) for one in unread] == [("/tls/many/1.pem", "a certificate that is not understood")]


def test_an_expired_certificate_has_days_below_nothing(tmp_path: Path) -> None:
    data = pair(tmp_path, now=NOW - timedelta(days=400)).read_bytes()
    told = certificates.read_pem(data, path="/x", used_by="nginx", now=NOW)
    assert isinstance(told, Certificate)
    assert told.days_left < 0


def test_a_certificate_that_is_not_there_is_named(tmp_path: Path) -> None:
    put(tmp_path, "etc/nginx/nginx.conf", "http { server { ssl_certificate cert.pem; } }")
    known, unread = certificates.ask(tmp_path, now=NOW)
    assert known == Known(())
    assert unread == (
        UnreadCertificate(path="/etc/nginx/cert.pem", used_by="nginx", reason="no such file or directory"),
    )


@pytest.mark.root
def test_a_configuration_that_may_not_be_read_is_unknown_not_empty(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from llmops.probe import certificates; "
        "os.setgid(65534); os.setuid(65534); print(certificates.ask(Path(sys.argv[1]))[0])"
    )
    import sys
    import tempfile

    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        put(Path(folder), "etc/nginx/nginx.conf", "http {}")
        (Path(folder) / "etc/nginx/nginx.conf").chmod(0o600)
        done = subprocess.run(
            [sys.executable, "-c", code, folder], capture_output=True, text=True, check=False, env=os.environ
        )
    assert "permission denied" in done.stdout


@given(st.text())
def test_no_configuration_makes_a_reader_raise(text: str) -> None:
    list(certificates.read_nginx(text))
    certificates.read_haproxy(f"crt-base {text}\nbind {text} crt {text}")
    certificates.read_pem(text.encode("utf-8", "replace"), path="x", used_by="x", now=NOW)
