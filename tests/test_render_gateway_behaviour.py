"""The rendered gateway on loopback: bounds, refusals, fallbacks and reloads."""

import asyncio
import os
import re
import signal
import threading
import time
from pathlib import Path
from statistics import median

import pytest
from gateway import KEYS, SLOTS, WAIT_SECONDS, WAITING, Gateway, gateway
from load import Asked, ask, at_once, at_rate, statuses
from rendering import CASES, rendered, text_of

pytestmark = [pytest.mark.consumer("haproxy"), pytest.mark.slow]


def test_as_many_as_there_are_slots_are_in_flight_and_the_rest_wait(tmp_path: Path) -> None:
    with gateway(tmp_path) as running:
        asked = running.ask(SLOTS + WAITING)
        assert statuses(asked) == {200: SLOTS + WAITING}
        assert all(one.whole for one in asked)
        assert running.stats()["peak"] == SLOTS


def test_who_finds_the_queue_full_is_told_so_at_once_and_when_to_come_back(tmp_path: Path) -> None:
    with gateway(tmp_path, first=0.3) as running:
        asked = running.ask(SLOTS + WAITING + 6)
        assert statuses(asked) == {200: SLOTS + WAITING, 429: 6}
        refused = [one for one in asked if one.status == 429]
        assert max(one.total for one in refused) < 1.0
        assert {one.retry_after for one in refused} == {"2"}
        assert running.metric("haproxy_backend_http_requests_total", "llmops_chat_full") == 6, "the alert sees them"


@pytest.mark.parametrize("fallback", [False, True])
def test_where_nobody_is_to_wait_every_slot_is_used_and_the_rest_refused_at_once(
    tmp_path: Path, fallback: bool
) -> None:
    with gateway(tmp_path, fallback=fallback, first=0.5, waiting=0) as running:
        places = SLOTS * (2 if fallback else 1)
        for _ in range(2):
            asked = running.ask(places + 3)
            assert statuses(asked) == {200: places, 429: 3}
            assert max(one.first_token or 0.0 for one in asked if one.status == 200) < 0.9
        assert running.metric("haproxy_backend_max_queue", "llmops_chat") == 0


def test_what_alerts_ask_of_the_gateway_is_among_its_figures(tmp_path: Path) -> None:
    with gateway(tmp_path, fallback=True) as running:
        figures = running.figures()
        for lock in CASES.values():
            rules = text_of(rendered(lock), "/etc/prometheus/llmops-rules.yml")
            asked = {(name, labels) for name, labels in re.findall(r"(haproxy_\w+)\{(.*?)\}", rules)}
            assert len(asked) >= 4 * len(lock.deployments)
            for name, labels in asked:
                ours = re.sub('proxy="llmops_[a-z0-9-]+', 'proxy="llmops_chat', labels)
                assert f"{name}{{{ours}}} " in figures, f"{name} {labels}"


def test_nobody_waits_longer_than_planned(tmp_path: Path) -> None:
    with gateway(tmp_path, first=WAIT_SECONDS + 1.5) as running:
        asked = running.ask(SLOTS + 1, tokens=1)
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

    with gateway(tmp_path, first=0.05, gap=0.05) as running:
        asyncio.run(abandoned(running.port))
        until = time.monotonic() + 3
        while running.stats()["running"] and time.monotonic() < until:
            time.sleep(0.05)
        assert running.stats() == {"running": 0, "peak": SLOTS, "done": 0, "cancelled": SLOTS}
        assert running.metric("haproxy_backend_current_queue", "llmops_chat") == 0
        assert statuses(running.ask(SLOTS)) == {200: SLOTS}


def test_the_first_token_is_not_delayed(tmp_path: Path) -> None:
    with gateway(tmp_path, first=0.05) as running:
        through, straight = [], []
        for _ in range(15):
            through.append(asyncio.run(ask(running.port, KEYS["chat"], tokens=1)).first_token or 9.0)
            straight.append(asyncio.run(ask(running.engine_ports["chat"], KEYS["chat"], tokens=1)).first_token or 9.0)
        assert median(through) - median(straight) < 0.02


def test_without_an_engine_key_nothing_is_answered(tmp_path: Path) -> None:
    with gateway(tmp_path) as running:
        assert asyncio.run(ask(running.port, "w" * 24)).status == 401
        assert asyncio.run(ask(running.port, "")).status == 401
        assert running.stats()["done"] == 0


KEY_SIGNS = "".join(chr(at) for at in range(0x21, 0x7F) if chr(at) not in '"\\$#' and not chr(at).isalnum())
"""What `render` takes in a key that somebody put there: the other signs it refuses."""


@pytest.mark.parametrize("key", [f"key-{KEY_SIGNS}", "%[path]%ci%{+Q}o%%%H", "a,b,a,b,a,b,a,b,a,b"])
def test_a_key_of_any_sign_is_that_key_and_no_format_or_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setitem(KEYS, "chat", key)
    with gateway(tmp_path) as running:
        assert asyncio.run(ask(running.port, key)).status == 200
        for wrong in (key[:-1], f"{key}x", f"x,Bearer {key}", key.split(",", maxsplit=1)[0] + "x"):
            assert asyncio.run(ask(running.port, wrong)).status == 401
        assert running.stats()["done"] == 1


def test_whether_it_is_well_is_answered_without_a_slot_and_follows_the_engine(tmp_path: Path) -> None:
    with gateway(tmp_path) as running:
        assert running.health("no-key-of-ours") == 401
        assert running.becomes(200)
        busy = threading.Thread(target=lambda: running.ask(SLOTS + WAITING, tokens=100))
        busy.start()
        time.sleep(0.2)
        began = time.monotonic()
        assert running.health(KEYS["chat"]) == 200
        assert time.monotonic() - began < 0.5, "it waited in the queue"
        busy.join()
        running.kill("chat")
        assert running.becomes(503)


def test_with_a_fallback_it_is_well_as_long_as_one_of_the_two_is(tmp_path: Path) -> None:
    with gateway(tmp_path, fallback=True, first=1) as running:
        assert running.becomes(200)
        running.kill("chat")
        assert running.becomes(200)
        busy = threading.Thread(target=lambda: running.ask(SLOTS + WAITING + 2))
        busy.start()
        time.sleep(0.4)
        assert running.health(KEYS["chat"]) == 200, "busy is not ill"
        busy.join()
        running.kill("small")
        assert running.becomes(503)


def test_an_engine_that_dies_is_replaced_by_its_fallback(tmp_path: Path) -> None:
    with gateway(tmp_path, fallback=True) as running:
        assert {one.engine for one in running.ask(2)} == {"chat"}
        running.kill("chat")
        asked = [asyncio.run(ask(running.port, KEYS["chat"])) for _ in range(4)]
        assert [(one.status, one.engine, one.whole) for one in asked] == [(200, "small", True)] * 4


def test_requests_without_a_first_byte_are_asked_again_of_the_fallback(tmp_path: Path) -> None:
    async def killed_meanwhile(running: Gateway) -> list[Asked]:
        asking = asyncio.gather(*(ask(running.port, KEYS["chat"], tokens=2) for _ in range(SLOTS + WAITING)))
        await asyncio.sleep(0.4)
        running.kill("chat")
        return list(await asking)

    with gateway(tmp_path, fallback=True, first=0.8) as running:
        asked = asyncio.run(killed_meanwhile(running))
        assert statuses(asked) == {200: SLOTS + WAITING}
        assert {one.engine for one in asked} == {"small"}


def test_a_full_queue_spills_to_the_fallback_before_anyone_is_refused(tmp_path: Path) -> None:
    with gateway(tmp_path, fallback=True, first=0.4) as running:
        asked = running.ask(2 * (SLOTS + WAITING) + 2)
        assert statuses(asked) == {200: 2 * (SLOTS + WAITING), 429: 2}
        assert sum(one.engine == "small" for one in asked) == SLOTS + WAITING
        assert [running.stats(name)["peak"] for name in ("chat", "small")] == [SLOTS, SLOTS]


def test_without_any_engine_the_answer_says_when_to_come_back(tmp_path: Path) -> None:
    with gateway(tmp_path, fallback=True) as running:
        running.kill("chat")
        running.kill("small")
        for _ in range(3):
            answer = asyncio.run(ask(running.port, KEYS["chat"]))
            assert (answer.status, answer.retry_after) == (503, "5")
            assert answer.total < 5


def test_a_reload_under_load_loses_nothing(tmp_path: Path) -> None:
    async def reloaded_meanwhile(running: Gateway) -> list[Asked]:
        asking = asyncio.create_task(at_rate(running.port, KEYS["chat"], per_second=8, seconds=4, tokens=10))
        for _ in range(3):
            await asyncio.sleep(1)
            os.kill(running.process.pid, signal.SIGUSR2)
        return await asking

    with gateway(tmp_path, first=0.05) as running:
        asked = asyncio.run(reloaded_meanwhile(running))
        assert statuses(asked) == {200: len(asked)}
        assert all(one.whole for one in asked)
        assert "Loading success" in running.process.log() or running.process.log().count("New worker") >= 4
