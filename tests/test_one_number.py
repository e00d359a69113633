"""One number, one source: a planned figure is changed, and every file of every target is read back, over all engines."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import locks
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rendering import CASES, rendered

from llmops.cli import render
from llmops.domain.engine import EngineName
from llmops.domain.ledger import Confidence
from llmops.domain.lock import Lock, LockedDeployment
from llmops.domain.numbers import Number
from llmops.domain.plan import Estimate, Speed
from llmops.domain.profile import Queue, Serve
from llmops.domain.units import MIB
from llmops.engines import ENGINES
from llmops.engines.agreement import refuse_disagreement
from llmops.engines.llama_cpp import SPARE_HTTP_THREADS
from llmops.formats.lock import dump_lock
from llmops.probe.programs import Programs
from llmops.sizing.numbers import DRAIN_SECONDS, numbers

ALONE = [case for case, lock in CASES.items() if len(lock.deployments) == 1]
"""Every engine; what several deployments do to each other is in test_together_rendered.py."""

UNIT, COMPOSE = "/etc/systemd/system/llmops-chat.service", "/etc/llmops/compose/chat/compose.yaml"
HAPROXY, GATEWAY = "/etc/llmops/haproxy.cfg", "/etc/systemd/system/llmops-gateway.service"
NGINX, RULES = "/etc/nginx/conf.d/llmops.conf", "/etc/prometheus/llmops-rules.yml"
SCRAPE = "/etc/prometheus/llmops.yml"
SLOT_OPTIONS = {
    EngineName.LLAMA_CPP: (r" -np (\d+) ", r'"-np", "(\d+)"'),
    EngineName.VLLM: (r" --max-num-seqs (\d+) ", r'"--max-num-seqs", "(\d+)"'),
    EngineName.SGLANG: (r" --max-running-requests (\d+) ", r'"--max-running-requests", "(\d+)"'),
    EngineName.TGI: (r" --max-concurrent-requests (\d+) ", r'"--max-concurrent-requests", "(\d+)"'),
    EngineName.OLLAMA: (r" OLLAMA_NUM_PARALLEL=(\d+) ", r'OLLAMA_NUM_PARALLEL: "(\d+)"'),
}
"""What an engine is told of its slots, in a unit and in a compose file."""

Places = Mapping[str, tuple[str, ...]]
"""By file, what finds the figure in it."""

READERS: dict[str, Places] = {
    "slots": {HAPROXY: (r"server engine \S+ maxconn (\d+) ", r"# chat: (\d+) in flight")},
    "queue_length": {
        HAPROXY: (r"acl is_full queue\(llmops_chat\) ge (\d+)\n", r"in flight, (\d+) waiting"),
        RULES: (r"# (\d+) may wait",),
    },
    "queue_timeout_seconds": {HAPROXY: (r"timeout queue (\d+)s", r"waiting for at most (\d+) s")},
    "gateway_timeout_seconds": {
        HAPROXY: (
            r"(?s)frontend llmops_chat\n.*?timeout client (\d+)s",
            r"(?s)backend llmops_chat\n.*?timeout server (\d+)s",
        )
    },
    "edge_read_timeout_seconds": {NGINX: (r"proxy_read_timeout (\d+)s;",)},
    "retry_after_seconds": {
        HAPROXY: (r"set-var\(txn.retry_after\) str\((\d+)\)",),
        NGINX: (r"@llmops_429 \{[^}]*Retry-After (\d+) always",),
    },
    "start_timeout_seconds": {
        UNIT: (r"TimeoutStartSec=(\d+)\n", r"ExecStartPost=/usr/lib/llmops/wait-ready \d+ \S+ (\d+)\n"),
        COMPOSE: (r"start_period: (\d+)s",),
    },
    "stop_timeout_seconds": {
        UNIT: (r"TimeoutStopSec=(\d+)\n",),
        COMPOSE: (r"stop_grace_period: (\d+)s",),
        HAPROXY: (r"hard-stop-after (\d+)s",),
    },
    "rate_limit_requests_per_minute": {NGINX: (r"_stranger:10m rate=(\d+)r/m", r"_tenant:1m rate=(\d+)r/m")},
    "rate_limit_burst": {NGINX: (r"_stranger burst=(\d+) ", r"_tenant burst=(\d+) ")},
    "connections_per_key": {NGINX: (r"limit_conn llmops_chat_open (\d+);",)},
    "body_limit_bytes": {NGINX: (r"client_max_body_size (\d+);", r"client_body_buffer_size (\d+);")},
    "memory_max_bytes": {
        UNIT: (r"MemoryMax=(\d+)\n",),
        COMPOSE: (r"mem_limit: (\d+)\n    memswap", r"memswap_limit: (\d+)\n"),
    },
    "tasks_max": {UNIT: (r"TasksMax=(\d+)\n",), COMPOSE: (r"pids_limit: (\d+)\n    mem_limit: \d+\n    memswap",)},
    "alert_queue_length": {RULES: (r"haproxy_backend_current_queue\{.*\}\[2m\]\) >= (\d+)\n",)},
    "engine_port": {
        UNIT: (r"(?:--port |OLLAMA_HOST=127\.0\.0\.1:)(\d+) ", r"wait-ready (\d+) "),
        COMPOSE: (
            r'ports: \["127\.0\.0\.1:(\d+):',
            r'ports: \["127\.0\.0\.1:\d+:(\d+)"',
            r'(?:"--port", "|OLLAMA_HOST: "0\.0\.0\.0:)(\d+)"',
        ),
        HAPROXY: (r"server engine 127\.0\.0\.1:(\d+) ",),
    },
    "gateway_port": {
        NGINX: (r"server 127\.0\.0\.1:(\d+) max_fails",),
        HAPROXY: (r"frontend llmops_chat\n    bind 127\.0\.0\.1:(\d+)\n",),
    },
}
"""Where every planned figure is written. The client's, which no file has, are in the call that `render` ends with."""

CLIENT = {"client_timeout_seconds", "client_retries"}
UNWRITTEN = {"request_timeout_seconds"}
"""Only sums of it are written: the gateway's, the edge's and the client's timeout."""

SLOTS = (241, 239)
"""Two numbers of slots that llama-server takes, at most 256."""

STEP = 40
FIGURES: dict[str, tuple[int, int]] = {
    name: SLOTS if name == "slots" else (24_601 + STEP * at, 24_613 + STEP * at) for at, name in enumerate(READERS)
}
"""Two values of each that nothing else in a tree has, nor what follows from another; all are ports as well."""

ONE_CASE = "llama_cpp_gpu"


def _planned(case: str, figures: Mapping[str, int]) -> Lock:
    """The case with these figures, as another plan would have them: the command line is the engine's own for them."""
    lock = CASES[case]
    locked = lock.deployments["chat"]
    engine, wished = ENGINES[locked.engine.name], locked.settings
    if "slots" in figures:
        each = locked.settings.context_size // locked.settings.parallel
        whole = each * figures["slots"] if locked.engine.name.runs_llama_cpp() else locked.settings.context_size
        wished = replace(wished, parallel=figures["slots"], context_size=whole)
    argv = engine.argv(
        wished, alias="chat", port=figures.get("engine_port", locked.numbers.engine_port.value), threads=8
    )
    changed = replace(locked.numbers, **{name: Number(value=value, rule="test") for name, value in figures.items()})
    deployment = replace(locked, settings=engine.settings(argv), argv=argv, numbers=changed)
    made = replace(lock, deployments={"chat": deployment})
    refuse_disagreement(made, file="llmops.lock")
    return made


def _tree(case: str, figures: Mapping[str, int]) -> dict[str, str]:
    return {str(file.path): file.text for file in rendered(_planned(case, figures))}


def _places(case: str, name: str) -> Places:
    """The readers that this engine's files have: TGI has no unit, Ollama no metrics."""
    engine = CASES[case].deployments["chat"].engine.name
    places = dict(READERS[name])
    if name == "slots":
        places |= {UNIT: SLOT_OPTIONS[engine][:1], COMPOSE: SLOT_OPTIONS[engine][1:]}
    if engine is not EngineName.OLLAMA:
        if name == "start_timeout_seconds":
            places[RULES] = (r"alert: LlmopsEngineDown\n.*\n +for: (\d+)s", r"# A start may take (\d+) s")
        if name == "engine_port":
            places[SCRAPE] = (r'targets: \["127\.0\.0\.1:(\d+)"\]\n +labels: \{deployment: chat',)
            places[COMPOSE] = (*places[COMPOSE], r"http://127\.0\.0\.1:(\d+)/")
    elif name == "engine_port":
        places[UNIT] = (*places[UNIT], r"load-model \S+ (\d+) ")
        places[COMPOSE] = (*places[COMPOSE], r'OLLAMA_HOST: "http://engine:(\d+)"')
    if engine is EngineName.TGI:
        places.pop(UNIT, None)
    return places


def _read_back(case: str, files: Mapping[str, str], name: str, figure: int) -> None:
    for path, patterns in _places(case, name).items():
        for pattern in patterns:
            found = re.findall(pattern, files[path])
            assert found, f"{path}: nothing is {pattern}"
            assert set(found) == {str(figure)}, f"{path}: {pattern}"


@pytest.mark.parametrize("name", READERS)
def test_one_changed_number_is_read_back_from_every_file_and_changes_nothing_else(name: str) -> None:
    before, after = (_tree(ONE_CASE, {name: value}) for value in FIGURES[name])
    _read_back(ONE_CASE, before, name, FIGURES[name][0])
    _read_back(ONE_CASE, after, name, FIGURES[name][1])
    assert _blotted(ONE_CASE, before, {name: FIGURES[name][0]}) == _blotted(ONE_CASE, after, {name: FIGURES[name][1]})


@pytest.mark.parametrize("case", ALONE)
def test_over_every_engine_each_number_is_read_back_from_every_file_and_no_old_one_is_left(case: str) -> None:
    first, second = ({name: two[at] for name, two in FIGURES.items()} for at in (0, 1))
    before, after = _tree(case, first), _tree(case, second)
    for name in READERS:
        _read_back(case, before, name, first[name])
        _read_back(case, after, name, second[name])
    assert _blotted(case, before, first) == _blotted(case, after, second)


DERIVED: dict[str, Callable[[int], tuple[int, ...]]] = {
    "slots": lambda value: (value + SPARE_HTTP_THREADS, value * 16_384, value * 8_192),
    "start_timeout_seconds": lambda value: (5 * (value + 120),),
    "stop_timeout_seconds": lambda value: (value + 10,),
}
"""What is worked out of a figure and written: HTTP threads and the whole context; restarts; the gateway's stop."""


def _of_the_gateway(case: str, figures: Mapping[str, int]) -> dict[str, str]:
    """What is worked out of several: connections, twice what slots and queue hold; buffers and files of each; the slice."""
    numbers = CASES[case].deployments["chat"].numbers
    held = sum(figures.get(name, getattr(numbers, name).value) for name in ("slots", "queue_length"))
    connections = max(2048, 2 * held)
    memory = 256 * MIB + connections * 6 * 65_536
    whole = memory + figures.get("memory_max_bytes", numbers.memory_max_bytes.value)
    every = {"connections": connections, "files": max(65_536, 4 * connections), "memory": memory, "slice": whole}
    return {str(value): f"<{name}>" for name, value in every.items()}


def _blotted(case: str, files: Mapping[str, str], figures: Mapping[str, int]) -> dict[str, str]:
    """The files with each figure, and what follows from it, replaced by its name."""
    names = _of_the_gateway(case, figures) | {
        str(one): f"<{name}>"
        for name, value in figures.items()
        for one in (value, *(DERIVED[name](value) if name in DERIVED else ()))
    }
    pattern = re.compile(rf"(?<!\d)(?:{'|'.join(sorted(names, key=len, reverse=True))})(?!\d)")
    return {path: pattern.sub(lambda found: names[found[0]], text) for path, text in files.items()}


@pytest.mark.parametrize("case", ALONE)
def test_the_call_to_try_waits_and_asks_again_as_planned(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seconds, retries = 24_681, 97
    lock = _planned(case, {"client_timeout_seconds": seconds, "client_retries": retries})
    Path("llmops.lock").write_text(dump_lock(lock))
    Path("root").mkdir()
    chosen = tuple(one for one in lock.targets if one != "host-tuning")
    answer = render.run(render.Options(root="root", targets=chosen), runner=Programs({"PATH": "/nowhere"}))
    assert isinstance(answer.result, dict)
    call = answer.result["call"]
    assert isinstance(call, dict)
    assert f"--max-time {seconds} --retry {retries} " in str(call["curl"])
    assert f"timeout={seconds}, max_retries={retries}" in str(call["python"])
    assert f"timeout: {seconds}000, maxRetries: {retries}" in str(call["typescript"])


def test_every_planned_figure_has_a_reader() -> None:
    fields = type(locks.llama_cpu().numbers).__dataclass_fields__
    assert set(READERS) | CLIENT | UNWRITTEN == set(fields)


def _replanned(locked: LockedDeployment, rate: float, serve: Serve) -> LockedDeployment:
    """The deployment with the figures that the product itself works out of such a speed and queue."""
    figure = Estimate(value=rate, low=rate, high=rate, confidence=Confidence.LOW, basis="test")
    speed = Speed(decode_tokens_per_second=figure)
    port = locked.numbers.engine_port.value
    made = numbers(settings=locked.settings, ledger=locked.ledger, speed=speed, serve=serve, port=port)
    return replace(locked, numbers=made)


@pytest.mark.parametrize("case", ALONE)
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rate=st.floats(0.01, 5000), seconds=st.integers(1, 600), waiting=st.integers(0, 500))
def test_whoever_waits_for_another_waits_longer(case: str, rate: float, seconds: int, waiting: int) -> None:
    """Read back from the files: client > edge > gateway > queue + longest generation, stop > drain."""
    serve = Serve(queue=Queue(max_waiting=waiting, timeout_seconds=seconds))
    locked = _replanned(CASES[case].deployments["chat"], rate, serve)
    planned = locked.numbers
    files = {
        str(file.path): file.text for file in rendered(replace(CASES[case], deployments={"chat": locked}, serve=serve))
    }
    edge = _seconds(files[NGINX], r"proxy_read_timeout (\d+)s;")
    haproxy = files[HAPROXY]
    gateway = _seconds(haproxy, r"(?s)backend llmops_chat\n.*?timeout server (\d+)s")
    towards_edge = _seconds(haproxy, r"(?s)frontend llmops_chat\n.*?timeout client (\d+)s")
    queue = _seconds(haproxy, r"timeout queue (\d+)s")
    assert planned.out_of_order() == ()
    assert planned.client_timeout_seconds.value > edge > gateway == towards_edge
    assert gateway > queue + planned.request_timeout_seconds.value
    assert queue == seconds
    assert _seconds(files[NGINX], r"keepalive_timeout (\d+)s;") < _seconds(haproxy, r"timeout http-keep-alive (\d+)s")
    drain = _seconds(haproxy, r"hard-stop-after (\d+)s")
    assert _seconds(files[GATEWAY], r"TimeoutStopSec=(\d+)") > drain >= DRAIN_SECONDS
    grace = _seconds(files[COMPOSE], r"stop_grace_period: (\d+)s")
    assert grace > DRAIN_SECONDS
    if UNIT in files:
        assert _seconds(files[UNIT], r"TimeoutStopSec=(\d+)") == grace


@pytest.mark.parametrize(
    ("figure", "value"),
    [
        ("client_timeout_seconds", 1),
        ("edge_read_timeout_seconds", 1),
        ("gateway_timeout_seconds", 1),
        ("queue_timeout_seconds", 90_000),
        ("request_timeout_seconds", 90_000),
        ("alert_queue_length", 90_000),
    ],
)
def test_a_figure_that_a_hand_put_out_of_order_is_named(figure: str, value: int, tmp_path: Path) -> None:
    def codes(lock: Lock) -> list[str]:
        file = tmp_path / "llmops.lock"
        file.write_text(dump_lock(lock))
        options = render.Options(lock=str(file), root=str(tmp_path), targets=("haproxy",))
        answer = render.run(options, runner=Programs({"PATH": "/nowhere"}))
        return [one.where.key or "" for one in answer.findings if one.code == "RND025" and one.where is not None]

    assert codes(CASES[ONE_CASE]) == []
    blamed = "gateway_timeout_seconds" if figure.startswith(("queue_", "request_")) else figure
    assert f"deployments.chat.numbers.{blamed}" in codes(_planned(ONE_CASE, {figure: value}))


def _seconds(text: str, pattern: str) -> int:
    found = re.search(pattern, text)
    assert found is not None, pattern
    return int(found[1])
