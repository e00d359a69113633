"""Every port that a rendered file opens is on one list, and whoever looks at ports goes by it."""

import re
from dataclasses import replace

import hosts
import locks
import pytest
from rendering import CASES, rendered, site_of, with_number
from test_doctor_for import box, needs

from llmops.checks.for_lock import judge_for
from llmops.domain.errors import WrongInput
from llmops.domain.finding import Status
from llmops.domain.host import Listener
from llmops.domain.lock import Lock
from llmops.domain.ports import Port, every_port, ports_around
from llmops.domain.reading import Known
from llmops.formats.listen import address_and_port

OPENED = {
    "haproxy.cfg": (r"^ *bind 127\.0\.0\.1:(\d+)",),
    "llmops.conf": (r"^ *listen \S*?:(\d+) ssl",),
    "compose.yaml": (r'^ *ports: \["127\.0\.0\.1:(\d+):',),
    ".service": (
        r"^ExecStart=/usr/.* --port (\d+)",
        r"^ExecStart=/opt/.* --port (\d+)",
        r"OLLAMA_HOST=127\.0\.0\.1:(\d+)",
    ),
}
"""How each kind of file says that something listens."""


def listed(lock: Lock) -> tuple[Port, ...]:
    listen = address_and_port(lock.serve.listen)
    assert listen is not None
    return every_port(lock.serve, lock.targets, lock.deployments, edge_port=listen[1])


@pytest.mark.parametrize("case", CASES)
def test_what_the_files_of_every_target_open_is_the_list(case: str) -> None:
    lock = CASES[case]
    found = {
        int(port)
        for file in rendered(lock)
        for end, patterns in OPENED.items()
        if str(file.path).endswith(end)
        for pattern in patterns
        for port in re.findall(pattern, file.text, re.MULTILINE)
    }
    assert found == {one.number for one in listed(lock)}
    assert len(found) >= 4


@pytest.mark.parametrize("part", ["edge", "gateway's metrics", "fallback API", "gateway", "engine"])
def test_doctor_finds_whoever_holds_one_of_them(part: str) -> None:
    lock = CASES["fallback_api"]
    [port] = [one for one in listed(lock) if one.part == part]
    for user, program, status in (("alice", "caddy", Status.FAIL), (port.user, port.program or "x", Status.OK)):
        held = Listener(address="127.0.0.1", port=port.number, program=Known(program), user=user)
        answers = judge_for(needs(lock), box(listeners=Known((held,))), hosts.references())
        [ports] = [one.judgement for one in answers if one.check.code == "LCK013"]
        assert ports.status is status
        assert f"the {part}'s port {port.number} is " in ports.message


@pytest.mark.parametrize("part", ["edge", "gateway's metrics", "fallback API"])
def test_an_engine_on_a_port_of_the_others_is_refused(part: str) -> None:
    lock = CASES["fallback_api"]
    [port] = [one for one in listed(lock) if one.part == part]
    taken = with_number(lock.deployments["chat"], "engine_port", port.number)
    with pytest.raises(WrongInput, match=f"port {port.number} is also {re.escape(port.field)}"):
        site_of(replace(lock, deployments={"chat": taken}))


def test_what_is_not_rendered_opens_nothing() -> None:
    lock = CASES["fallback_api"]
    assert ports_around(lock.serve, ("systemd",), edge_port=8443) == ()
    assert [one.part for one in ports_around(lock.serve, ("haproxy",), edge_port=8443)] == ["gateway's metrics"]
    alone = locks.lock(targets=("systemd", "env"))
    assert [one.part for one in listed(alone)] == ["engine"]
