"""The rendered gateway on loopback: the real HAProxy between clients and engines that count."""

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import locks
import pytest
from edge import free_port
from load import Asked, ask, at_once, at_rate, statuses
from rendering import EVERY_TARGET, rendered, text_of, with_number

from llmops.domain.lock import LockedDeployment
from llmops.domain.programs import Running
from llmops.probe.programs import Programs

pytestmark = [pytest.mark.consumer("haproxy"), pytest.mark.slow]

SLOTS, WAITING, WAIT_SECONDS = 3, 4, 3
KEYS = {"chat": "k" * 24, "small": "s" * 24}
OVERLOAD_SECONDS = float(os.environ.get("LLMOPS_OVERLOAD_SECONDS", "10"))
"""The whole two minutes: LLMOPS_OVERLOAD_SECONDS=120."""


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

    def metric(self, name: str, proxy: str) -> float:
        """One figure of HAProxy's own metrics."""
        text = _get(self.metrics_port, "/metrics?scope=backend&scope=frontend").decode()
        found = re.search(rf'^{name}\{{[^}}]*proxy="{proxy}"[^}}]*\}} (\S+)$', text, flags=re.MULTILINE)
        assert found, f"{name} of {proxy} is not in the metrics"
        return float(found[1])

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


def _deployment(name: str, *, fallback: tuple[str, ...] = (), slots: int = SLOTS) -> LockedDeployment:
    made = replace(locks.llama_cpu(alias=name), fallback=fallback)
    for number, value in (
        ("slots", slots),
        ("queue_length", WAITING),
        ("queue_timeout_seconds", WAIT_SECONDS),
        ("engine_port", free_port()),
        ("gateway_port", free_port()),
    ):
        made = with_number(made, number, value)
    return made


@contextmanager
def _gateway(
    directory: Path, *, fallback: bool = False, first: float = 0.1, gap: float = 0.01, engines: tuple[str, ...] = ()
) -> Iterator[Gateway]:
    """The rendered configuration with its own ports, in front of engines with the keys of the unit's credentials."""
    deployments = {"chat": _deployment("chat", fallback=("small",) if fallback else ())}
    if fallback:
        deployments["small"] = _deployment("small")
    text = text_of(rendered(locks.lock(deployments, targets=EVERY_TARGET)), "/etc/llmops/haproxy.cfg")
    metrics = free_port()
    text = text.replace("127.0.0.1:8405", f"127.0.0.1:{metrics}").replace("/run/llmops-gateway", str(directory))
    config = directory / "haproxy.cfg"
    config.write_text(text)
    programs = Programs(os.environ)
    ports = {name: one.numbers.engine_port.value for name, one in deployments.items()}
    with ExitStack() as stack:
        running: dict[str, Running] = {
            name: stack.enter_context(programs.serve(_engine(ports[name], name, first=first, gap=gap)))
            for name in (engines or tuple(deployments))
        }
        for name, engine in running.items():
            _wait(ports[name], engine)
        environment = {f"LLMOPS_KEY_{name.upper()}": KEYS[name] for name in deployments}
        process = stack.enter_context(programs.serve(["haproxy", "-W", "-f", str(config)], environment=environment))
        gateway = Gateway(
            port=deployments["chat"].numbers.gateway_port.value,
            metrics_port=metrics,
            process=process,
            engines=running,
            engine_ports=ports,
            programs=programs,
            config=config,
        )
        _wait(gateway.port, process)
        yield gateway


def _engine(port: int, name: str, *, first: float, gap: float) -> list[str]:
    program = str(Path(__file__).with_name("slots_engine.py"))
    words = ["--port", str(port), "--name", name, "--key", KEYS[name], "--first", str(first), "--gap", str(gap)]
    return [sys.executable, program, *words]


def _wait(port: int, process: Running) -> None:
    until = time.monotonic() + 10
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.ended() is None, process.log()
        assert time.monotonic() < until, process.log()
        time.sleep(0.02)


def test_as_many_as_there_are_slots_are_in_flight_and_the_rest_wait(tmp_path: Path) -> None:
    with _gateway(tmp_path) as gateway:
        asked = gateway.ask(SLOTS + WAITING)
        assert statuses(asked) == {200: SLOTS + WAITING}
        assert all(one.whole for one in asked)
        assert gateway.stats()["peak"] == SLOTS


def test_who_finds_the_queue_full_is_told_so_at_once_and_when_to_come_back(tmp_path: Path) -> None:
    with _gateway(tmp_path, first=0.3) as gateway:
        asked = gateway.ask(SLOTS + WAITING + 6)
        assert statuses(asked) == {200: SLOTS + WAITING, 429: 6}
        refused = [one for one in asked if one.status == 429]
        assert max(one.total for one in refused) < 1.0
        assert {one.retry_after for one in refused} == {"2"}


def test_nobody_waits_longer_than_planned(tmp_path: Path) -> None:
    with _gateway(tmp_path, first=WAIT_SECONDS + 1.5) as gateway:
        asked = gateway.ask(SLOTS + 1, tokens=1)
        assert statuses(asked) == {200: SLOTS, 503: 1}
        late = next(one for one in asked if one.status == 503)
        assert WAIT_SECONDS - 0.2 < late.total < WAIT_SECONDS + 0.7
        assert late.retry_after == "5"


def test_an_abandoned_request_leaves_the_queue_and_frees_its_slot(tmp_path: Path) -> None:
    async def abandoned(port: int) -> None:
        served = asyncio.create_task(at_once(port, KEYS["chat"], SLOTS, tokens=1000, give_up=1.2))
        await asyncio.sleep(0.4)
        await at_once(port, KEYS["chat"], WAITING, give_up=0.3)
        await served

    with _gateway(tmp_path, first=0.05, gap=0.05) as gateway:
        asyncio.run(abandoned(gateway.port))
        until = time.monotonic() + 3
        while gateway.stats()["running"] and time.monotonic() < until:
            time.sleep(0.05)
        assert gateway.stats() == {"running": 0, "peak": SLOTS, "done": 0, "cancelled": SLOTS}
        assert gateway.metric("haproxy_backend_current_queue", "llmops_chat") == 0
        assert statuses(gateway.ask(SLOTS)) == {200: SLOTS}


def test_overload_three_times_what_it_can_do_stays_within_every_bound(tmp_path: Path) -> None:
    first, gap, tokens = 0.1, 0.01, 10
    capacity = SLOTS / (first + gap * tokens)
    with _gateway(tmp_path, first=first, gap=gap) as gateway:
        asked = asyncio.run(_overload(gateway, per_second=3 * capacity, tokens=tokens))
        counted = statuses(asked)
        assert set(counted) == {200, 429}, counted
        assert gateway.stats()["peak"] == SLOTS
        assert gateway.metric("haproxy_backend_max_queue", "llmops_chat") <= WAITING
        assert max(one.total for one in asked if one.status == 429) < 1.0
        served = [one for one in asked if one.status == 200]
        assert all(one.whole for one in served)
        assert max(one.first_token or 0.0 for one in served) < WAIT_SECONDS + first + 0.5
        assert len(served) > 0.75 * capacity * OVERLOAD_SECONDS, "the engine was not kept busy"


async def _overload(gateway: Gateway, *, per_second: float, tokens: int) -> list[Asked]:
    return await at_rate(gateway.port, KEYS["chat"], per_second=per_second, seconds=OVERLOAD_SECONDS, tokens=tokens)


def test_the_first_token_is_not_delayed(tmp_path: Path) -> None:
    with _gateway(tmp_path, first=0.05) as gateway:
        through, straight = [], []
        for _ in range(15):
            through.append(asyncio.run(ask(gateway.port, KEYS["chat"], tokens=1)).first_token or 9.0)
            straight.append(asyncio.run(ask(gateway.engine_ports["chat"], KEYS["chat"], tokens=1)).first_token or 9.0)
        assert median(through) - median(straight) < 0.02


def test_without_an_engine_key_nothing_is_answered(tmp_path: Path) -> None:
    with _gateway(tmp_path) as gateway:
        assert asyncio.run(ask(gateway.port, "w" * 24)).status == 401
        assert asyncio.run(ask(gateway.port, "")).status == 401
        assert gateway.stats()["done"] == 0


def test_whether_it_is_well_is_answered_without_a_slot_and_follows_the_engine(tmp_path: Path) -> None:
    with _gateway(tmp_path) as gateway:
        assert gateway.health("no-key-of-ours") == 401
        assert gateway.becomes(200)
        busy = threading.Thread(target=lambda: gateway.ask(SLOTS + WAITING, tokens=100))
        busy.start()
        time.sleep(0.2)
        began = time.monotonic()
        assert gateway.health(KEYS["chat"]) == 200
        assert time.monotonic() - began < 0.5, "it waited in the queue"
        busy.join()
        gateway.kill("chat")
        assert gateway.becomes(503)


def test_an_engine_that_dies_is_replaced_by_its_fallback(tmp_path: Path) -> None:
    with _gateway(tmp_path, fallback=True) as gateway:
        assert {one.engine for one in gateway.ask(2)} == {"chat"}
        gateway.kill("chat")
        asked = [asyncio.run(ask(gateway.port, KEYS["chat"])) for _ in range(4)]
        assert [(one.status, one.engine, one.whole) for one in asked] == [(200, "small", True)] * 4


def test_requests_without_a_first_byte_are_asked_again_of_the_fallback(tmp_path: Path) -> None:
    async def killed_meanwhile(gateway: Gateway) -> list[Asked]:
        asking = asyncio.gather(*(ask(gateway.port, KEYS["chat"], tokens=2) for _ in range(SLOTS + WAITING)))
        await asyncio.sleep(0.4)
        gateway.kill("chat")
        return list(await asking)

    with _gateway(tmp_path, fallback=True, first=0.8) as gateway:
        asked = asyncio.run(killed_meanwhile(gateway))
        assert statuses(asked) == {200: SLOTS + WAITING}
        assert {one.engine for one in asked} == {"small"}


def test_a_full_queue_spills_to_the_fallback_before_anyone_is_refused(tmp_path: Path) -> None:
    with _gateway(tmp_path, fallback=True, first=0.4) as gateway:
        asked = gateway.ask(2 * (SLOTS + WAITING) + 2)
        assert statuses(asked) == {200: 2 * (SLOTS + WAITING), 429: 2}
        assert sum(one.engine == "small" for one in asked) == SLOTS + WAITING
        assert [gateway.stats(name)["peak"] for name in ("chat", "small")] == [SLOTS, SLOTS]


def test_without_any_engine_the_answer_says_when_to_come_back(tmp_path: Path) -> None:
    with _gateway(tmp_path, fallback=True) as gateway:
        gateway.kill("chat")
        gateway.kill("small")
        for _ in range(3):
            answer = asyncio.run(ask(gateway.port, KEYS["chat"]))
            assert (answer.status, answer.retry_after) == (503, "5")
            assert answer.total < 5


def test_a_reload_under_load_loses_nothing(tmp_path: Path) -> None:
    async def reloaded_meanwhile(gateway: Gateway) -> list[Asked]:
        asking = asyncio.create_task(at_rate(gateway.port, KEYS["chat"], per_second=8, seconds=4, tokens=10))
        for _ in range(3):
            await asyncio.sleep(1)
            os.kill(gateway.process.pid, signal.SIGUSR2)
        return await asking

    with _gateway(tmp_path, first=0.05) as gateway:
        asked = asyncio.run(reloaded_meanwhile(gateway))
        assert statuses(asked) == {200: len(asked)}
        assert all(one.whole for one in asked)
        assert "Loading success" in gateway.process.log() or gateway.process.log().count("New worker") >= 4
