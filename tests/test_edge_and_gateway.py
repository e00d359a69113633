"""A refusal of the gateway on its way through the edge: the real nginx in front of the real HAProxy."""

import http.client
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import gateway
import locks
import pytest
from edge import applied, free_port, nginx, trusting
from rendering import with_number

from llmops.domain.profile import Serve
from llmops.probe.programs import Programs

pytestmark = [pytest.mark.consumer("nginx-njs"), pytest.mark.consumer("haproxy"), pytest.mark.slow]

BODY_LIMIT = 8 << 20
PLACES = 6
"""Of the lock: two slots, and four who wait."""
FIRST = 1.5


@dataclass(frozen=True, slots=True)
class Front:
    """What a client sees of it."""

    port: int
    root: Path

    def ask(self, size: int = 1) -> tuple[int, str | None, str | None, bytes]:
        """Status, `Retry-After`, kind and body of the answer to a prompt of so many bytes."""
        key = (self.root / "etc/llmops/secrets/api-key.default").read_text().strip()
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=20, context=trusting(self.root))
        body = json.dumps({"stream": True, "max_tokens": 2, "prompt": "x" * size})
        connection.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        found = answer.status, answer.getheader("Retry-After"), answer.getheader("Content-Type"), answer.read()
        connection.close()
        return found


@contextmanager
def front(directory: Path) -> Iterator[Front]:
    """Edge, gateway and an engine that takes its time."""
    port, deployment = free_port(), locks.llama_cpu(port=free_port())
    for name, value in (("body_limit_bytes", BODY_LIMIT), ("connections_per_key", 100), ("gateway_port", free_port())):
        deployment = with_number(deployment, name, value)
    serve = Serve(listen=f"127.0.0.1:{port}")
    root = applied(locks.lock({"chat": deployment}, serve=serve, targets=("nginx", "haproxy")), directory)
    key = (root / "etc/llmops/secrets/chat.engine-key").read_text().strip()
    text = (root / "etc/llmops/haproxy.cfg").read_text().replace("/run/llmops-gateway", str(directory))
    text = text.replace("127.0.0.1:8405", f"127.0.0.1:{free_port()}").replace(" /etc/llmops/", f" {root}/etc/llmops/")
    config = directory / "haproxy.cfg"
    config.write_text(text)
    command = gateway.engine(deployment.numbers.engine_port.value, "chat", first=FIRST, gap=0.01, key=key)
    programs = Programs(os.environ)
    with programs.serve(command) as engine:
        gateway.wait(deployment.numbers.engine_port.value, engine)
        with (
            programs.serve(["haproxy", "-W", "-f", str(config)], environment={"LLMOPS_KEY_CHAT": key}) as queue,
            nginx(root, directory, port=port),
        ):
            gateway.wait(deployment.numbers.gateway_port.value, queue)
            yield Front(port, root)


def test_who_finds_the_queue_full_is_told_so_whatever_the_size_of_the_prompt(tmp_path: Path) -> None:
    with front(tmp_path) as one:
        assert one.ask()[0] == 200
        served: list[int] = []
        holding = [threading.Thread(target=lambda: served.append(one.ask()[0])) for _ in range(PLACES)]
        for thread in holding:
            thread.start()
        time.sleep(0.6)
        for size in (1, 60_000, 70_000, 500_000, 2 << 20, 7 << 20):
            status, retry_after, kind, body = one.ask(size)
            assert (status, retry_after, kind) == (429, "2", "application/json"), size
            assert json.loads(body)["error"]["message"] == "queue full"
        for thread in holding:
            thread.join()
        assert served == [200] * PLACES
