"""Certificates at the rendered edge, with the real nginx: its own renewed under load, and those it asks clients for."""

import http.client
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import locks
import pytest
from edge import answers, applied, engine, free_port, nginx, said, trusting
from edge_attacks import HOST, MODELS, get

from llmops.cli import render
from llmops.domain.lock import Lock
from llmops.domain.profile import Serve
from llmops.formats.lock import dump_lock
from llmops.probe.programs import Programs

pytestmark = [pytest.mark.consumer("nginx-njs"), pytest.mark.slow]

EVENTS, GAP_SECONDS = 60, 0.05


def _lock(serve: Serve, engine_port: int = 8080) -> Lock:
    return locks.lock({"chat": locks.llama_cpu(port=engine_port)}, serve=serve, targets=("nginx",))


def _serial(port: int, trust: ssl.SSLContext) -> str:
    """The serial number of the certificate that is shown now."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        trust.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        shown = connection.getpeercert()
        assert shown is not None
        return str(shown["serialNumber"])


def test_a_certificate_is_renewed_under_load_without_a_dropped_request(tmp_path: Path) -> None:
    port, engine_port = free_port(), free_port()
    serve = Serve(listen=f"127.0.0.1:{port}")
    root = applied(_lock(serve, engine_port), tmp_path)
    key = (root / "etc/llmops/secrets/api-key.default").read_text().strip()
    trust, whole = trusting(root), list[bool]()

    def stream() -> None:
        connection = http.client.HTTPSConnection("localhost", port, timeout=30, context=trust)
        body = f'{{"stream": true, "max_tokens": {EVENTS}}}'
        connection.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {key}"})
        whole.append(connection.getresponse().read().rstrip().endswith(b"data: [DONE]"))
        connection.close()

    engine_key = (root / "etc/llmops/secrets/chat.engine-key").read_text().strip()
    with engine(engine_port, engine_key, gap=GAP_SECONDS), nginx(root, tmp_path, port=port) as server:
        before = _serial(port, trust)
        streams = [threading.Thread(target=stream) for _ in range(4)]
        for one in streams:
            one.start()
        time.sleep(EVENTS * GAP_SECONDS / 4)
        options = render.Options(lock=str(tmp_path / "llmops.lock"), root=str(root), apply=True, renew_certificate=True)
        assert render.run(options, runner=Programs(os.environ)).ok
        assert _serial(port, trust) == before, "what runs has read its certificate at the start"
        os.kill(server.pid, signal.SIGHUP)
        until = time.monotonic() + 5
        asked = list[list[int]]()
        while _serial(port, trust) == before:
            asked.append(answers(said(port, trust, MODELS.replace("KEY", "sk-unknown").encode())))
            assert time.monotonic() < until, server.log()
        assert all(one == [401] for one in asked), "somebody was not answered"
        assert whole == [], "a stream had ended before the new certificate was there: nothing is shown by it"
        for one in streams:
            one.join()
    assert whole == [True] * 4


def _certificate(directory: Path, name: str, signer: str) -> None:
    """`NAME.crt` and `NAME.key`, signed by another of these or by itself."""
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    words += ["-subj", f"/CN={name}", "-days", "2", "-keyout", f"{name}.key", "-out", f"{name}.crt"]
    words += ["-CA", f"{signer}.crt", "-CAkey", f"{signer}.key"] if signer != name else []
    subprocess.run(words, cwd=directory, check=True, capture_output=True, timeout=30)


@pytest.mark.consumer("openssl")
def test_with_a_client_ca_a_key_alone_is_not_heard(tmp_path: Path) -> None:
    for name, signer in (("ca", "ca"), ("client", "ca"), ("other-ca", "other-ca"), ("stranger", "other-ca")):
        _certificate(tmp_path, name, signer)
    port, engine_port = free_port(), free_port()
    serve = Serve(listen=f"127.0.0.1:{port}", client_ca=str(tmp_path / "ca.crt"))
    root = applied(_lock(serve, engine_port), tmp_path)
    key = (root / "etc/llmops/secrets/api-key.default").read_text().strip()

    def statuses(name: str | None, text: str) -> list[int]:
        trust = trusting(root)
        if name is not None:
            trust.load_cert_chain(tmp_path / f"{name}.crt", tmp_path / f"{name}.key")
        return answers(said(port, trust, text.replace("KEY", key).encode()))

    with nginx(root, tmp_path, port=port):
        assert statuses("client", MODELS) == [503], "through to where no engine listens"
        assert statuses("client", get("/v1/models", HOST)) == [401], "the certificate alone is not enough either"
        for who in (None, "stranger"):
            for text in (MODELS, get("/health"), get("/"), MODELS.replace("localhost", "evil.example")):
                assert statuses(who, text) in ([400], [421]), (who, text)


def test_a_client_ca_that_the_target_lacks_is_stood_in_for_and_named(tmp_path: Path) -> None:
    lock = tmp_path / "llmops.lock"
    made = _lock(Serve(client_ca="/etc/ssl/our-people.crt"))
    lock.write_text(dump_lock(replace(made, targets=("nginx",))))
    answer = render.run(render.Options(lock=str(lock), root=str(tmp_path)), runner=Programs(os.environ))
    said_of = {one.code: one.message for one in answer.findings}
    assert "/etc/ssl/our-people.crt" in said_of["RND103"]
    assert "RND101" not in said_of
