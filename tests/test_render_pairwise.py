"""Every two choices of a profile, rendered together, and judged by the programs the files are for."""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import locks
import pytest
from pairwise import Row, met_in, pairs_of, pairwise
from rendering import EVERY_TARGET, NOW, on_amd, rendered, site_of

from llmops.apply.consumers import check
from llmops.domain.engine import EngineName
from llmops.domain.finding import Status
from llmops.domain.lock import Lock, LockedDeployment
from llmops.domain.reading import Known
from llmops.engines.agreement import refuse_disagreement
from llmops.formats.env_file import env_problems
from llmops.formats.lock import dump_lock, parse_lock
from llmops.formats.profile import parse_profile
from llmops.probe.programs import Programs

ENGINES: dict[str, Callable[[], LockedDeployment]] = {
    "llama.cpp, processor": locks.llama_cpu,
    "llama.cpp, NVIDIA": locks.llama_gpu,
    "llama.cpp, AMD": locks.amd_gpu,
    "vLLM, NVIDIA": locks.vllm_gpu,
    "vLLM, AMD": lambda: on_amd(locks.vllm_gpu()),
    "Ollama, NVIDIA": locks.ollama_gpu,
    "Ollama, AMD": lambda: on_amd(locks.ollama_gpu()),
    "SGLang, NVIDIA": locks.sglang_gpu,
    "SGLang, AMD": lambda: on_amd(locks.sglang_gpu()),
    "TGI, NVIDIA": locks.tgi_gpu,
}
TLS = {"own": "self_signed", "given": "{certificate: /etc/ssl/llm.crt, key: /etc/ssl/llm.key}"}
TARGETS = {
    "all": EVERY_TARGET,
    "without env": tuple(one for one in EVERY_TARGET if one != "env"),
    "default": ("systemd", "env", "nginx", "haproxy", "prometheus"),
}
CHOICES = {
    "engine": tuple(ENGINES),
    "hostname": ("localhost", "llm.example.internal", "2001:db8::7"),
    "listen": ("localhost:8443", "0.0.0.0:443", "[::]:9443"),
    "targets": tuple(TARGETS),
    "gateway": ("haproxy", "none"),
    "tls": tuple(TLS),
    "audit": ("true", "false"),
    "queue": ("auto", "0"),
    "beside": ("nothing", "a fallback"),
    "bound": ("no", "to a node"),
}
ROWS = pairwise(CHOICES)


def test_every_two_choices_meet_and_the_rows_are_few() -> None:
    met = {pair for row in ROWS for pair in met_in(row)}
    assert pairs_of(CHOICES) <= met
    assert len(ROWS) <= 3 * len(ENGINES) + 3  # every engine with each of three choices is the least there can be
    assert pairwise(CHOICES) == ROWS


def _deployments(row: Row) -> dict[str, LockedDeployment]:
    chosen = ENGINES[row["engine"]]()
    chosen = locks.bound(chosen) if row["bound"] == "to a node" else chosen
    if row["beside"] == "nothing":
        return {"chat": chosen}
    return {"chat": replace(chosen, fallback=("small",)), "small": locks.llama_cpu(alias="small", port=8091)}


def _lock(row: Row) -> Lock:
    """The choices in a profile's own words, parsed as one, over deployments as a plan makes them."""
    targets = TARGETS[row["targets"]]
    if ENGINES[row["engine"]]().engine.name is EngineName.TGI:
        targets = tuple(one for one in targets if one != "systemd")
    text = (
        "schema: llmops.profile/1\ndeployments: {chat: {model: x}}\n"
        f'serve: {{listen: "{row["listen"]}", hostname: "{row["hostname"]}", tls: {TLS[row["tls"]]}, '
        f"gateway: {row['gateway']}, queue: {{max_waiting: {row['queue']}}}}}\n"
        f"observe: {{audit_log: {row['audit']}}}\ntargets: [{', '.join(targets)}]\n"
    )
    profile = parse_profile(text, file="llmops.yaml")
    lock = locks.lock(_deployments(row), serve=profile.serve, observe=profile.observe, targets=profile.targets)
    return parse_lock(dump_lock(lock), file="llmops.lock")


MOST = {EngineName.VLLM: 1.8, EngineName.SGLANG: 1.8}
"""What compiles while it runs may score more than the others' 1.3; helpers 2.5."""


@pytest.mark.consumer("systemd-analyze", "systemd-analyze-trixie", "systemd-analyze-forky")
@pytest.mark.parametrize("engine", [name for name in ENGINES if not name.startswith("TGI")])
def test_every_engine_on_every_makers_cards_is_confined_as_promised(engine: str, tmp_path: Path) -> None:
    made = ENGINES[engine]()
    lock = locks.lock({"chat": made}, targets=EVERY_TARGET)
    for program, version in (("systemd-analyze", 252), ("systemd-analyze-trixie", 257), ("systemd-analyze-forky", 262)):
        units = [one for one in rendered(lock, systemd_version=version) if one.path.suffix == ".service"]
        for one in units:
            place = tmp_path / one.path.name
            place.write_text(one.text)
            ran = Programs(os.environ).run([program, "security", "--offline=yes", "--no-pager", str(place)])
            assert isinstance(ran, Known)
            found = re.search(r"Overall exposure level for .*: ([0-9.]+)", ran.value.stdout)
            assert found is not None, ran.value.stderr
            most = MOST.get(made.engine.name, 1.3) if one.path.name == "llmops-chat.service" else 2.5
            assert float(found[1]) <= most, (one.path, version)
        assert "llmops-gateway.service" in {one.path.name for one in units}


@pytest.mark.consumer("systemd-analyze", "nginx-njs", "docker-compose", "haproxy", "promtool", "logrotate")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: ", ".join(row.values()))
def test_the_consumers_accept_every_pair_of_choices(row: Row) -> None:
    lock = _lock(row)
    refuse_disagreement(lock, file="llmops.lock")
    files = rendered(lock)
    consumed = check(
        files,
        site=site_of(lock),
        runner=Programs(os.environ),
        env_problems=lambda text: [problem.why for problem in env_problems(text)],
        is_there=lambda _: False,
        now=NOW,
    )
    assert [(one.program, one.status.value, one.said) for one in consumed if one.status is not Status.OK] == []
    targets = {file.target for file in files}
    assert {one.target for one in consumed} >= targets - {"host-tuning"}
    assert (PurePosixPath("/etc/logrotate.d/llmops") in {file.path for file in files}) == (row["audit"] == "true")
