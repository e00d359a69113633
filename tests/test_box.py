"""A deployment on a fresh booted Debian 12, from the wheel to nothing left, with a real llama-server, nginx and HAProxy."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from box import Box, booted

from llmops.formats.tiny_model import tiny_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.root,
    pytest.mark.consumer("box", "mmdebstrap", "llama-server"),
]

PROFILE = """\
schema: llmops.profile/1
deployments:
  chat:
    model: "/srv/models/tiny.gguf"
    engine: llama.cpp
    workload: {context_tokens: 2048, parallel: 2}
serve: {listen: "127.0.0.1:8443", hostname: localhost}
"""
SITE = "cd /srv/site;"
URL = "https://localhost:8443"
KEY = "/etc/llmops/secrets/api-key.default"
PLACES = ("/etc", "/usr", "/var/lib", "/var/cache", "/srv", "/opt/engine")
UNITS = ("llmops-chat.service", "llmops-gateway.service")


@pytest.fixture
def box(tmp_path: Path, shared: Path) -> Iterator[Box]:
    """A box with a model and a plan, pulled into the store; nothing is applied yet."""
    with booted(tmp_path, dict(os.environ), shared=shared) as one:
        place = tmp_path / "tiny.gguf"
        place.write_bytes(tiny_model())
        one.copy(place, to="/srv/models")
        one.write("/srv/site/llmops.yaml", PROFILE)
        one.shell(f"{SITE} llmops plan --out llmops.lock; llmops pull --from /srv/models")
        yield one


def status(box: Box, path: str, *, key: bool = True) -> int:
    """What the edge answers, its certificate verified against the internal CA."""
    header = f'-H "Authorization: Bearer $(cat {KEY})"' if key else ""
    call = f"curl -sS --cacert /etc/llmops/ca.crt -o /dev/null -w '%{{http_code}}' {header} {URL}{path}"
    return int(box.shell(call, check=False) or "0")


def becomes(box: Box, path: str, wanted: int, *, seconds: float = 20) -> bool:
    """Whether the edge comes to answer so: the gateway sees a started engine at its next check."""
    until = time.monotonic() + seconds
    while status(box, path) != wanted:
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


def answer(box: Box) -> str:
    """What the model says through edge and gateway."""
    body = '{"model": "chat", "max_tokens": 4, "messages": [{"role": "user", "content": "Hello"}]}'
    call = f"""curl -sS --cacert /etc/llmops/ca.crt -H "Authorization: Bearer $(cat {KEY})" \
      -H 'Content-Type: application/json' {URL}/v1/chat/completions -d '{body}'"""
    document = json.loads(box.shell(call))
    assert document["choices"][0]["finish_reason"] in {"length", "stop"}
    return str(document["choices"][0]["message"]["content"])


def started(box: Box) -> None:
    """Apply, then what it says is left to do."""
    box.shell(f"{SITE} llmops render --apply")
    box.shell(f"systemctl enable -q {' '.join(UNITS)}; systemctl restart {' '.join(UNITS)}")


def main_process(box: Box) -> str:
    """Its number inside, `0` while there is none."""
    return box.shell("systemctl show -P MainPID llmops-chat").strip()


def is_active(box: Box) -> bool:
    return box.run("systemctl", "is-active", *UNITS, check=False).stdout.split() == ["active"] * len(UNITS)


def test_a_deployment_answers_with_its_key_and_is_back_after_a_kill_a_reboot_and_a_power_cut(box: Box) -> None:
    started(box)
    assert becomes(box, "/health", 200)
    assert status(box, "/health", key=False) == 401
    assert status(box, "/v1/models") == 200
    assert status(box, "/v1/models", key=False) == 401
    answer(box)
    box.shell("systemctl stop llmops-gateway")  # what answers stands behind the gateway, not beside it
    assert status(box, "/v1/models") == 503
    box.shell("systemctl start llmops-gateway; systemctl stop llmops-chat")
    assert becomes(box, "/health", 503)
    box.shell("systemctl start llmops-chat")
    assert becomes(box, "/health", 200)
    killed = main_process(box)
    box.shell("systemctl kill -s KILL llmops-chat")
    until = time.monotonic() + 30
    while main_process(box) in {killed, "0"}:
        assert time.monotonic() < until, "systemd did not start it again"
        time.sleep(0.2)
    assert becomes(box, "/health", 200)
    for power_cut in (False, True):
        box.reboot(power_cut=power_cut)
        assert is_active(box)
        assert becomes(box, "/health", 200)
        assert status(box, "/health", key=False) == 401
        answer(box)


def test_a_change_is_taken_back_and_an_uninstall_leaves_nothing(box: Box) -> None:
    before = box.snapshot(*PLACES)
    started(box)
    an_edit_is_seen_in_memory_and_merged(box)
    assert "-np 2" in box.shell("systemctl cat llmops-chat")
    box.shell(f"{SITE} sed -i 's/parallel: 2/parallel: 3/' llmops.yaml; llmops plan --out llmops.lock")
    assert box.run("sh", "-c", f"{SITE} llmops render --check", check=False).returncode == 1
    box.shell(f"{SITE} llmops render --apply")
    assert "-np 3" in running(box)
    box.shell("llmops rollback")
    assert "-np 2" in running(box)
    assert becomes(box, "/health", 200)
    box.shell("llmops uninstall")
    assert box.shell("systemctl list-units --all --no-legend 'llmops*'") == ""
    assert box.shell("systemctl list-unit-files --no-legend 'llmops*'", check=False) == ""
    assert status(box, "/health", key=False) == 0
    assert {line for line in box.snapshot(*PLACES) ^ before if not is_list_of_accounts(line)} == set()
    assert "llmops" not in box.shell("getent passwd; getent group")


EDITED = {"nginx.service": "/etc/nginx/conf.d/llmops.conf", "llmops-gateway.service": "/etc/llmops/haproxy.cfg"}


def an_edit_is_seen_in_memory_and_merged(box: Box) -> None:
    """Servers that run with an older configuration are named until they are reloaded; a comment of ours stays."""
    assert box.run("sh", "-c", f"{SITE} llmops status", check=False).returncode == 0
    assert older(box) == set()
    time.sleep(3)  # an edit in the two seconds after a reload is not told from it
    for path in EDITED.values():
        box.shell(f"sed -i '1i # mine' {path}")
    assert older(box) == set(EDITED)
    box.shell(f"nginx -t -q && systemctl reload {' '.join(EDITED)}")
    assert older(box) == set()
    assert box.run("sh", "-c", f"{SITE} llmops render --apply", check=False).returncode == 5
    box.shell(f"{SITE} llmops render --apply --merge; llmops status; llmops render --check")
    assert box.shell(f"head -qn 1 {' '.join(EDITED.values())}") == "# mine\n# mine\n"
    box.shell(f"{SITE} llmops render --apply --overwrite; llmops status")


def older(box: Box) -> set[str]:
    """Services whose memory is behind the disk."""
    said = box.run("sh", "-c", f"{SITE} llmops status --json", check=False).stdout
    units = json.loads(said)["result"]["units"]
    return {one["name"] for one in units if one["config_older"] or one["runs_older"]}


FORBIDDEN = {
    "write to /etc": {"EROFS"},
    "write to /usr": {"EROFS"},
    "write to the model": {"EROFS", "EACCES"},
    "read the keys of the edge": {"EACCES"},
    "read a home": {"EACCES"},
    "make a device": {"EPERM"},
    "map memory to write and execute": {"EPERM", "EACCES"},
    "a namespace of users": {"EPERM"},
    "a namespace of networks": {"EPERM"},
    "another personality": {"EPERM"},
    "real time": {"EPERM"},
    "a setuid file": {"EPERM"},
    "raw packets": {"EAFNOSUPPORT"},
    "another host": {"EPERM"},
    "become root": {"EPERM", "EINVAL"},
    "load a module": {"EPERM"},
    "another process": {"ENOENT"},
}
"""What the sandbox of an engine on the processor forbids, and what the kernel says to it."""


def test_the_sandbox_and_the_limits_of_the_unit_hold(box: Box) -> None:
    """The rendered unit itself, with another program in the engine's place that tries what it must not."""
    box.shell(f"{SITE} llmops render --apply; ip address add 10.99.0.1/32 dev lo")
    box.copy(Path(__file__).with_name("sandboxed.py"), to="/opt/probe")
    tasks = int(box.shell("systemctl show -P TasksMax llmops-chat"))
    memory = int(box.shell("systemctl show -P MemoryMax llmops-chat"))
    program = f"/usr/bin/python3 /opt/probe/sandboxed.py {tasks} {(memory >> 20) + 300}"
    box.write(
        "/run/systemd/system/llmops-chat.service.d/probe.conf",
        f"[Service]\nType=oneshot\nRestart=no\nExecStartPost=\nExecStart=\nExecStart={program}\n",
    )
    box.shell("systemctl daemon-reload; systemctl start llmops-chat")
    found = json.loads(box.shell("cat /var/lib/llmops/state/chat/found.json"))
    assert {name: said for name, said in found.items() if said not in FORBIDDEN.get(name, {said})} == {}
    assert set(FORBIDDEN) < set(found)
    assert {found[name] for name in ("write to its home", "read its own key", "this host")} == {"done"}
    assert found["core dumps"] == 0
    assert 0 < found["threads"] < tasks
    assert found["too much memory"] == -9
    assert found["user"] == int(box.shell("id -u llmops-chat"))


def running(box: Box) -> str:
    """The command line of the engine's process."""
    return box.shell("tr '\\0' ' ' </proc/$(systemctl show -P MainPID llmops-chat)/cmdline")


def is_list_of_accounts(line: str) -> bool:
    """Files that are written anew for each account, with the copies the tools keep."""
    return line.rpartition("/")[2].rstrip("-") in {
        "passwd",
        "group",
        "shadow",
        "gshadow",
        ".pwd.lock",
        "subuid",
        "subgid",
    }
