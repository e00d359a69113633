"""The rendered edge under attack: raw bytes against the real nginx, with an engine behind it that remembers what reached it."""

import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import locks
import pytest
from edge import answers, applied, free_port, nginx, said, trusting
from edge_attacks import BODY_LIMIT, GOES_ON, HOST, KEYED, LONGER, MODELS, NOT_HTTP, REFUSED, get, request
from listening_engine import ListeningEngine
from rendering import with_number

from llmops.domain.profile import Serve

pytestmark = [pytest.mark.consumer("nginx-njs"), pytest.mark.slow]

SECRET = "what-only-the-body-says"
HEADER_SECONDS, BODY_SECONDS = 10, 30
"""As rendered; the test of slow clients has them shorter."""


@dataclass(frozen=True, slots=True)
class Target:
    """The edge as it runs."""

    port: int
    root: Path
    engine: ListeningEngine
    key: str
    trust: ssl.SSLContext

    def send(self, text: str | bytes, *, seconds: float = 5) -> list[int]:
        """The statuses that raw bytes are answered with; `KEY` in them is the key."""
        data = text if isinstance(text, bytes) else text.encode("latin-1")
        return answers(said(self.port, self.trust, data.replace(b"KEY", self.key.encode()), seconds=seconds))

    def log(self) -> bytes:
        """The audit log."""
        return (self.root / "var/log/nginx/llmops-audit.jsonl").read_bytes()


def _behind(engine: ListeningEngine, directory: Path, *, per_minute: int, burst: int) -> tuple[Path, int]:
    port = free_port()
    deployment = locks.llama_cpu(port=engine.port())
    for name, value in (
        ("rate_limit_requests_per_minute", per_minute),
        ("rate_limit_burst", burst),
        ("body_limit_bytes", BODY_LIMIT),
    ):
        deployment = with_number(deployment, name, value)
    serve = Serve(listen=f"127.0.0.1:{port}")
    return applied(locks.lock({"chat": deployment}, serve=serve, targets=("nginx",)), directory), port


@pytest.fixture(scope="module")
def engine() -> Iterator[ListeningEngine]:
    made = ListeningEngine()
    threading.Thread(target=lambda: made.serve_forever(poll_interval=0.05), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def _key(root: Path) -> str:
    return (root / "etc/llmops/secrets/api-key.default").read_text().strip()


@pytest.fixture(scope="module")
def running(engine: ListeningEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    directory = tmp_path_factory.mktemp("edge")
    root, port = _behind(engine, directory, per_minute=60000, burst=10000)
    with nginx(root, directory, port=port):
        yield Target(port, root, engine, _key(root), trusting(root))


@pytest.fixture
def edge(running: Target) -> Target:
    running.engine.seen.clear()
    return running


@pytest.mark.parametrize("case", REFUSED)
def test_nothing_of_an_attack_reaches_the_engine(edge: Target, case: str) -> None:
    data, status = REFUSED[case]
    statuses = edge.send(data, seconds=1.5)
    assert edge.engine.seen == []
    assert statuses == [status]


@pytest.mark.parametrize("case", NOT_HTTP)
def test_what_is_no_request_reaches_nothing(edge: Target, case: str) -> None:
    data, statuses = NOT_HTTP[case]
    assert edge.send(data, seconds=1) == statuses
    assert edge.engine.seen == []


def test_every_case_would_be_seen_if_it_came_through(edge: Target) -> None:
    assert edge.send(MODELS) == [200]
    assert [(one.method, one.path) for one in edge.engine.seen] == [("GET", "/v1/models")]


@pytest.mark.parametrize("case", GOES_ON)
def test_what_the_edge_understood_goes_on_and_no_second_request_hides_in_it(edge: Target, case: str) -> None:
    data, statuses = GOES_ON[case]
    assert edge.send(data, seconds=1.5) == statuses
    [one] = edge.engine.seen
    assert one.path in ("/v1/models", "/v1/chat/completions")
    names = {name.lower() for name in one.headers}
    assert not names & {"x-hidden", "upgrade", "transfer-encoding", "keep-alive"}
    assert edge.key not in json.dumps(one.headers)
    assert one.headers["Authorization"].startswith("Bearer ")
    assert one.headers.get("X-Forwarded-For", "127.0.0.1") == "127.0.0.1"
    assert one.headers["Host"] == "localhost"
    assert int(one.headers.get("Content-Length", 0)) == len(one.body)


SAID_TO_NGINX = {
    "X-Accel-Redirect": ("/_llmops_auth", "@llmops_401", "/v1/models", "/etc/passwd"),
    "X-Accel-Limit-Rate": ("1",),
    "X-Accel-Buffering": ("yes",),
    "X-Accel-Expires": ("3600",),
    "X-Accel-Charset": ("koi8-r",),
}


@pytest.mark.parametrize("name", SAID_TO_NGINX)
def test_what_an_engine_says_to_nginx_itself_is_not_obeyed(edge: Target, name: str) -> None:
    for value in SAID_TO_NGINX[name]:
        edge.engine.seen.clear()
        edge.engine.says = {name: value}
        try:
            answer = said(edge.port, edge.trust, MODELS.replace("KEY", edge.key).encode())
        finally:
            edge.engine.says = {}
        assert answers(answer) == [200]
        assert answer.endswith(b'{"data": []}')
        assert b"x-accel" not in answer.lower()
        assert len(edge.engine.seen) == 1


def test_the_lengths_of_the_attacks_are_those_of_the_key(edge: Target) -> None:
    assert len(edge.key) - len("KEY") == LONGER


def test_a_refused_bodys_bytes_are_not_read_as_the_next_request(edge: Target) -> None:
    body = MODELS.replace("KEY", edge.key)
    without_key = request("POST /v1/chat/completions", f"{HOST}Content-Length: {len(body)}\r\n", body, last="")
    statuses = edge.send(without_key, seconds=1.5)
    assert statuses == [401]
    assert edge.engine.seen == []


def test_a_body_that_never_ends_reaches_the_engine_not_even_in_part(edge: Target) -> None:
    data = request("POST /v1/chat/completions", f"{KEYED}Content-Length: 1000\r\n", "half of it")
    assert edge.send(data, seconds=1.5) == []
    assert edge.engine.seen == []


def test_the_audit_log_of_all_that_is_whole_lines_without_key_body_or_query(edge: Target) -> None:
    body = json.dumps({"prompt": SECRET})
    head = f'{KEYED}X-Request-ID: a"b\r\nContent-Length: {len(body)}\r\n'
    edge.send(request("POST /v1/chat/completions", head, body))
    edge.send(get(f"/v1/models?{SECRET}"))
    edge.send(REFUSED["not UTF-8"][0])
    edge.send(REFUSED["a line break, encoded"][0])
    lines = [json.loads(line) for line in edge.log().decode().splitlines()]
    assert {line["tenant"] for line in lines} == {"", "default"}
    assert all(set(line["path"]) <= {chr(at) for at in range(0x21, 0x7F)} for line in lines)
    for secret in (SECRET, edge.key, "sk-xxx", "X-Evil"):
        assert secret.encode() not in edge.log()


def test_slow_clients_are_let_go_and_hold_up_nobody(engine: ListeningEngine, tmp_path: Path) -> None:
    root, port = _behind(engine, tmp_path, per_minute=60000, burst=100)
    conf = root / "etc/nginx/conf.d/llmops.conf"
    text = conf.read_text()
    for name, seconds in (("client_header_timeout", HEADER_SECONDS), ("client_body_timeout", BODY_SECONDS)):
        assert f"{name} {seconds}s;" in text
        text = text.replace(f"{name} {seconds}s;", f"{name} 2s;")
    conf.write_text(text)
    engine.seen.clear()
    with nginx(root, tmp_path, port=port):
        edge = Target(port, root, engine, _key(root), trusting(root))
        heads = [_dripping(edge, b"GET /v1/models HTTP/1.1\r\n", b"X-A: b\r\n", every=0.3) for _ in range(20)]
        begun = (
            request("POST /v1/chat/completions", f"{KEYED}Content-Length: 500\r\n").replace("KEY", edge.key).encode()
        )
        bodies = [_dripping(edge, begun, b"", every=0.3) for _ in range(5)]
        took = time.monotonic()
        assert edge.send(MODELS) == [200]
        assert time.monotonic() - took < 1
        for thread, held in heads + bodies:
            thread.join()
            assert 1.5 < held[0] < 5, (thread, held)
    assert len(engine.seen) == 1, "only the whole request"


def _dripping(edge: Target, first: bytes, drop: bytes, *, every: float) -> tuple[threading.Thread, list[float]]:
    """A client that sends a little at a time, and how long it was let."""
    held: list[float] = []

    def drip() -> None:
        began = time.monotonic()
        with (
            socket.create_connection(("127.0.0.1", edge.port), timeout=10) as plain,
            edge.trust.wrap_socket(plain, server_hostname="localhost") as connection,
            suppress(OSError),
        ):
            connection.sendall(first)
            connection.settimeout(every)
            while time.monotonic() - began < 10:
                with suppress(TimeoutError):
                    if not connection.recv(4096):
                        break
                connection.sendall(drop)
        held.append(time.monotonic() - began)

    thread = threading.Thread(target=drip)
    thread.start()
    return thread, held


ADDRESSES = {
    "one IPv4 address": (("192.0.2.1",) * 12, True),
    "twelve IPv4 addresses": (tuple(f"203.0.113.{at}" for at in range(12)), False),
    "one /64 of IPv6": (tuple(f"2001:db8:1:2:{at:x}::{at + 1:x}" for at in range(12)), True),
    "the same /64 written short": (("2001:db8::1", "2001:db8:0:0:5::", "2001:db8:0:0:1:2:3:4") * 4, True),
    "twelve /64 of IPv6": (tuple(f"2001:db8:9:{at:x}::1" for at in range(12)), False),
}


def test_strangers_are_counted_by_address_and_by_the_64_bits_of_their_network(
    engine: ListeningEngine, tmp_path: Path
) -> None:
    root, port = _behind(engine, tmp_path, per_minute=1, burst=4)
    engine.seen.clear()
    told = "set_real_ip_from 127.0.0.1;\nreal_ip_header X-Test-Address;"  # addresses that the loopback interface does not have
    with nginx(root, tmp_path, port=port, around=told):
        edge = Target(port, root, engine, _key(root), trusting(root))
        for case, (addresses, are_one) in ADDRESSES.items():
            asked = [edge.send(get("/v1/models", f"{HOST}X-Test-Address: {one}\r\n")) for one in addresses]
            want = [[401]] * 5 + [[429]] * 7 if are_one else [[401]] * 12
            assert asked == want, case
        assert edge.send(MODELS) == [200], "who has a key is not counted as a stranger"
        own = [edge.send(get("/v1/models", f"{KEYED}X-Test-Address: 198.51.100.{at}\r\n"))[0] for at in range(8)]
        assert own == [200] * 4 + [429] * 4, "one key from many addresses is one"
    assert len(engine.seen) == 5


def test_tls_1_1_is_refused(edge: Target) -> None:
    trust = trusting(edge.root)
    trust.set_ciphers("DEFAULT:@SECLEVEL=0")  # else the client itself refuses
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        trust.minimum_version = trust.maximum_version = ssl.TLSVersion.TLSv1_1
    _refuses(edge, trust)


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "AES128-GCM-SHA256"])
def test_ciphers_without_forward_secrecy_or_authentication_are_refused(edge: Target, cipher: str) -> None:
    trust = trusting(edge.root)
    trust.maximum_version = ssl.TLSVersion.TLSv1_2
    trust.set_ciphers(cipher)
    _refuses(edge, trust)


def _refuses(edge: Target, trust: ssl.SSLContext) -> None:
    with (
        socket.create_connection(("127.0.0.1", edge.port), timeout=5) as plain,
        pytest.raises(ssl.SSLError, match=r"(?i)handshake failure|protocol version"),
    ):
        trust.wrap_socket(plain, server_hostname="localhost")


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_todays_protocols_have_forward_secrecy(edge: Target, version: str) -> None:
    trust = trusting(edge.root)
    trust.minimum_version = trust.maximum_version = ssl.TLSVersion[version]
    with (
        socket.create_connection(("127.0.0.1", edge.port), timeout=5) as plain,
        trust.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        cipher = connection.cipher()
        assert cipher is not None
        assert re.match(r"ECDHE-|TLS_", cipher[0])
