"""The rendered gateway under three times what its engine can do: for ten seconds, for two minutes where everything is asked for.

Some clients give up meanwhile, and HAProxy is reloaded twice. `scripts/test` runs it beside the others in CI: it mostly waits.
"""

import asyncio
import json
import math
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pytest
from conftest import in_ci
from gateway import KEYS, SLOTS, WAIT_SECONDS, WAITING, Gateway, gateway
from load import Asked, ask, statuses

pytestmark = [pytest.mark.consumer("haproxy"), pytest.mark.slow]

SECONDS = float(os.environ.get("LLMOPS_OVERLOAD_SECONDS", "120" if in_ci() else "10"))
FIRST, GAP, TOKENS = 0.1, 0.01, 10
CAPACITY = SLOTS / (FIRST + GAP * TOKENS)
GIVE_UP_SECONDS, ONE_IN = 0.35, 7
"""Every seventh client waits no longer than this: most of them leave the queue, some their slot."""
SAMPLE_SECONDS = 0.2


@dataclass(slots=True)
class Seen:
    """What clients and HAProxy's own metrics say.

    `peak`: the most it let through at a time before the first reload. `stalls`: how long a server that has nothing to do took
    meanwhile to refuse a request, which is the machine's part of what a client waits.
    """

    patient: list[Asked] = field(default_factory=list)
    impatient: list[Asked] = field(default_factory=list)
    queued: list[float] = field(default_factory=list)
    stalls: list[float] = field(default_factory=list)
    peak: float = 0
    reloaded: float = 0


def test_three_times_what_it_can_do_stays_within_every_bound(tmp_path: Path) -> None:
    with gateway(tmp_path, first=FIRST, gap=GAP) as running:
        seen = asyncio.run(_overload(running))
        counted = statuses(seen.patient)
        assert set(counted) == {200, 429}, counted
        assert max(seen.queued) <= WAITING
        assert seen.peak == SLOTS, "more, or less, than the gateway itself counts"
        log, left = running.log(), {one.identity: one.left for one in seen.patient + seen.impatient}
        assert _most_waited_for(log, left, until=seen.reloaded) == SLOTS
        assert _most_waited_for(log, left) <= 2 * SLOTS, "more than what an old and a new process let through"
        refused = [one for one in seen.patient if one.status == 429]
        stall = max(seen.stalls)
        assert max(_refusals_ms(running)) < 100, "the gateway itself refuses at once"
        assert max(one.total for one in refused) < 1.0 + stall
        assert {one.retry_after for one in refused} == {"2"}
        served = [one for one in seen.patient if one.status == 200]
        assert all(one.whole for one in served), "a reload cut an answer short"
        assert max(one.first_token or 0.0 for one in served) < WAIT_SECONDS + FIRST + 0.5 + stall
        assert median(one.total - (one.first_token or 0.0) for one in served) < 2 * TOKENS * GAP, "tokens come in lumps"
        assert len(served) > 0.6 * CAPACITY * SECONDS, "the engine was not kept busy"
        assert any(one.status != 429 and not one.whole for one in seen.impatient), "nobody gave up"
        assert _empty(running), "who gave up still holds a place"
        assert statuses(running.ask(SLOTS + WAITING)) == {200: SLOTS + WAITING}


def _refusals_ms(running: Gateway) -> list[int]:
    """How long each refusal took by HAProxy's own log."""
    lines = [json.loads(line) for line in running.process.log().splitlines() if line.startswith('{"id"')]
    return [int(line["total_ms"]) for line in lines if line["status"] == 429]


def _most_waited_for(log: list[tuple[str, float, float]], left: Mapping[str, float], *, until: float = math.inf) -> int:
    """The most requests that the engine had at a time and whose clients still waited.

    Exact, whatever the scheduler does: who has left may hold the engine a moment longer than the gateway's slot, who waits
    has the slot until the engine has written the end.
    """
    changes = []
    for identity, began, ended in log:
        gone = min(ended, left[identity], until)
        if began < gone:
            changes += [(began, 1), (gone, -1)]
    running = most = 0
    for _, change in sorted(changes):  # at the same moment ends come first
        running += change
        most = max(most, running)
    return most


def _empty(running: Gateway) -> bool:
    until = time.monotonic() + 3
    while running.stats()["running"] or running.metric("haproxy_backend_current_queue", "llmops_chat"):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


async def _overload(running: Gateway) -> Seen:
    seen, began = Seen(), time.monotonic()
    sampling = asyncio.create_task(_sample(running, seen))
    reloads = [SECONDS / 3, SECONDS * 2 / 3]
    patient: list[asyncio.Task[Asked]] = []
    impatient: list[asyncio.Task[Asked]] = []
    while (now := time.monotonic() - began) < SECONDS:
        while len(patient) + len(impatient) <= now * 3 * CAPACITY:
            gives_up = (len(patient) + len(impatient)) % ONE_IN == 0
            asking = ask(running.port, KEYS["chat"], tokens=TOKENS, give_up=GIVE_UP_SECONDS if gives_up else None)
            (impatient if gives_up else patient).append(asyncio.create_task(asking))
        if reloads and now > reloads[0]:
            seen.peak = seen.peak or await asyncio.to_thread(
                running.metric, "haproxy_server_max_sessions", "llmops_chat"
            )
            seen.reloaded = seen.reloaded or time.monotonic()
            reloads.pop(0)
            os.kill(running.process.pid, signal.SIGUSR2)
        await asyncio.sleep(0.3 / CAPACITY)
    seen.patient, seen.impatient = await asyncio.gather(*patient), await asyncio.gather(*impatient)
    sampling.cancel()
    with suppress(asyncio.CancelledError):
        await sampling
    return seen


async def _sample(running: Gateway, seen: Seen) -> None:
    """How many wait, again and again, as Prometheus sees it, and what the machine itself takes."""
    while True:
        await asyncio.sleep(SAMPLE_SECONDS)
        seen.stalls.append((await ask(running.engine_ports["chat"], "not a key")).total)
        try:
            queued = await asyncio.to_thread(running.metric, "haproxy_backend_current_queue", "llmops_chat")
        except OSError:
            continue  # between two processes
        seen.queued.append(queued)
