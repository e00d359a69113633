"""The rendered gateway on this machine: the real HAProxy between clients and engines that count."""

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import locks
from edge import free_port
from load import Asked, at_once
from rendering import EVERY_TARGET, rendered, text_of, with_number

from llmops.domain.lock import LockedDeployment
from llmops.domain.programs import Running
from llmops.probe.programs import Programs

SLOTS, WAITING, WAIT_SECONDS = 3, 4, 3
KEYS = {"chat": "k" * 24, "small": "s" * 24}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A running gateway, its engines by name, and where they are."""

    port: int
    metrics_port: int
    process: Running
    engines: dict[str, Running]
    engine_ports: dict[str, int]
    programs: Programs
    config: Path

    def ask(self, count: int, *, tokens: int = 8, give_up: float | None = None) -> list[Asked]:
        """So many at the same moment, with the key."""
        return asyncio.run(at_once(self.port, KEYS["chat"], count, tokens=tokens, give_up=give_up))

    def stats(self, name: str = "chat") -> dict[str, int]:
        """What an engine counted."""
        return dict(json.loads(_get(self.engine_ports[name], "/stats")))

    def log(self, name: str = "chat") -> list[tuple[str, float, float]]:
        """Each request an engine had: its identity, its first and its last moment."""
        return [
            (identity, began, ended) for identity, began, ended in json.loads(_get(self.engine_ports[name], "/log"))
        ]

    def metric(self, name: str, proxy: str) -> float:
        """One figure of HAProxy's own metrics; of a proxy with one server also the server's."""
        found = re.search(rf'^{name}\{{[^}}]*proxy="{proxy}"[^}}]*\}} (\S+)$', self.figures(), flags=re.MULTILINE)
        assert found, f"{name} of {proxy} is not in the metrics"
        return float(found[1])

    def figures(self) -> str:
        """HAProxy's own metrics."""
        return _get(self.metrics_port, "/metrics?scope=backend&scope=frontend&scope=server").decode()

    def health(self, key: str) -> int:
        """The status of `/health` for who has this key."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("GET", "/health", headers={"Authorization": f"Bearer {key}"})
        status = connection.getresponse().status
        connection.close()
        return status

    def becomes(self, status: int) -> bool:
        """Whether `/health` answers so within what three checks take."""
        until = time.monotonic() + 8
        while self.health(KEYS["chat"]) != status:
            if time.monotonic() > until:
                return False
            time.sleep(0.1)
        return True

    def kill(self, name: str) -> None:
        """As the kernel does when memory is short."""
        os.kill(self.engines[name].pid, signal.SIGKILL)


def _get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path)
    body = connection.getresponse().read()
    connection.close()
    return body


def deployment(
    name: str, *, fallback: tuple[str, ...] = (), slots: int = SLOTS, waiting: int = WAITING
) -> LockedDeployment:
    """A deployment with ports of this machine and short waits."""
    made = replace(locks.llama_cpu(alias=name), fallback=fallback)
    for number, value in (
        ("slots", slots),
        ("queue_length", waiting),
        ("queue_timeout_seconds", WAIT_SECONDS),
        ("engine_port", free_port()),
        ("gateway_port", free_port()),
    ):
        made = with_number(made, number, value)
    return made


@contextmanager
def gateway(
    directory: Path,
    *,
    fallback: bool = False,
    first: float = 0.1,
    gap: float = 0.01,
    engines: tuple[str, ...] = (),
    waiting: int = WAITING,
) -> Iterator[Gateway]:
    """The rendered configuration with its own ports, in front of engines with the keys of the unit's credentials."""
    deployments = {"chat": deployment("chat", fallback=("small",) if fallback else (), waiting=waiting)}
    if fallback:
        deployments["small"] = deployment("small", waiting=waiting)
    files = rendered(locks.lock(deployments, targets=EVERY_TARGET))
    for file in files:
        if file.path.suffix == ".lua":
            (directory / file.path.name).write_text(file.text)
    text = text_of(files, "/etc/llmops/haproxy.cfg").replace(" /etc/llmops/", f" {directory}/")
    metrics = free_port()
    text = text.replace("127.0.0.1:8405", f"127.0.0.1:{metrics}").replace("/run/llmops-gateway", str(directory))
    config = directory / "haproxy.cfg"
    config.write_text(text)
    programs = Programs(os.environ)
    ports = {name: one.numbers.engine_port.value for name, one in deployments.items()}
    with ExitStack() as stack:
        running: dict[str, Running] = {
            name: stack.enter_context(programs.serve(engine(ports[name], name, first=first, gap=gap)))
            for name in (engines or tuple(deployments))
        }
        for name, one in running.items():
            wait(ports[name], one)
        environment = {f"LLMOPS_KEY_{name.upper()}": KEYS[name] for name in deployments}
        process = stack.enter_context(programs.serve(["haproxy", "-W", "-f", str(config)], environment=environment))
        made = Gateway(
            port=deployments["chat"].numbers.gateway_port.value,
            metrics_port=metrics,
            process=process,
            engines=running,
            engine_ports=ports,
            programs=programs,
            config=config,
        )
        wait(made.port, process)
        yield made


def engine(port: int, name: str, *, first: float, gap: float, key: str | None = None) -> list[str]:
    """The command of an engine with exact timing; a key may begin with a hyphen."""
    program = str(Path(__file__).with_name("slots_engine.py"))
    words = [
        "--port",
        str(port),
        "--name",
        name,
        f"--key={key or KEYS[name]}",
        "--first",
        str(first),
        "--gap",
        str(gap),
    ]
    return [sys.executable, program, *words]


def wait(port: int, process: Running) -> None:
    """Until something listens there."""
    until = time.monotonic() + 10
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.ended() is None, process.log()
        assert time.monotonic() < until, process.log()
        time.sleep(0.02)
