"""Which memory node an engine is bound to: by the host's facts, in the plan, the lock and the unit."""

import json
from dataclasses import replace
from pathlib import Path

import hosts
import locks
import pytest
from rendering import rendered, text_of
from test_cli_plan import llmops, plan
from workstation import FACTS

from llmops.domain.binding import Binding, HostNode, MemoryPolicy
from llmops.domain.engine import Device, DeviceKind, HostDevice
from llmops.domain.forms import dump
from llmops.domain.host import HostFacts
from llmops.domain.host_memory import NumaNode, count_of
from llmops.domain.ledger import Causes, Confidence, HostLedger, Ledger
from llmops.domain.reading import Known, Unknown
from llmops.domain.units import GIB
from llmops.formats.lock import parse_lock
from llmops.formats.nodes import nodes
from llmops.formats.tiny_model import tiny_model
from llmops.probe.near_node import with_near_nodes
from llmops.sizing.binding import binding, left_by, threads

NODES = (
    HostNode(index=0, threads="0-15,32-47", physical_cores=16, room_bytes=60 * GIB),
    HostNode(index=1, threads="16-31,48-63", physical_cores=16, room_bytes=62 * GIB),
)
HOST = HostDevice(memory_bytes=120 * GIB, physical_cores=32, nodes=NODES)


def _ledger(gib: int) -> Ledger:
    host = HostLedger(causes=Causes(weights_bytes=gib * GIB), limit_bytes=120 * GIB)
    return Ledger(engine="llama.cpp", engine_build="b1", confidence=Confidence.LOW, devices=(), host=host)


def _card(node: int | None) -> Device:
    return Device(name="card", kind=DeviceKind.CUDA, capacity_bytes=GIB, free_bytes=GIB, numa_node=node)


def test_on_the_processor_the_emptiest_node_is_taken_where_all_of_it_fits() -> None:
    bound = binding((), _ledger(20), HOST)
    assert bound == Binding(nodes="1", policy=MemoryPolicy.PREFERRED, threads="16-31,48-63")
    assert threads(bound, HOST) == 16


def test_a_second_engine_goes_to_the_node_that_the_first_one_left() -> None:
    first = binding((), _ledger(20), HOST)
    second = binding((), _ledger(20), left_by(first, _ledger(20), HOST))
    assert (first and first.nodes, second and second.nodes) == ("1", "0")


def test_what_no_node_holds_is_spread_over_all_with_every_core() -> None:
    bound = binding((), _ledger(100), HOST)
    assert bound == Binding(nodes="0,1", policy=MemoryPolicy.INTERLEAVE, threads=None)
    assert threads(bound, HOST) == 32


def test_with_cards_it_is_the_node_they_hang_on_whatever_is_free_there() -> None:
    bound = binding((_card(0), _card(0)), _ledger(100), HOST)
    assert bound == Binding(nodes="0", policy=MemoryPolicy.PREFERRED, threads="0-15,32-47")


@pytest.mark.parametrize("near", [(None,), (0, 1), (7,), (0, None)])
def test_cards_on_several_nodes_or_on_none_that_is_known_leave_it_unbound(near: tuple[int | None, ...]) -> None:
    assert binding(tuple(_card(node) for node in near), _ledger(1), HOST) is None


def test_one_node_is_nothing_to_bind_to() -> None:
    assert binding((), _ledger(1), replace(HOST, nodes=NODES[:1])) is None
    assert threads(None, HOST) == 32


@pytest.mark.parametrize(
    ("text", "count"), [("0-15,32-47", 32), ("0", 1), ("", 0), ("3-1", 0), ("a", 0), ("0-3,", 0), ("1,3,5", 3)]
)
def test_lists_of_processors_are_counted(text: str, count: int) -> None:
    assert count_of(text) == count


def _two_sockets(**cpu: object) -> HostFacts:
    rows = tuple(
        NumaNode(index=at, total_bytes=64 * GIB, free_bytes=GIB, threads=one.threads) for at, one in enumerate(NODES)
    )
    memory = hosts.memory(total_bytes=128 * GIB, available_bytes=120 * GIB, numa_nodes=Known(rows))
    return replace(FACTS, memory=Known(memory), cpu=Known(hosts.cpu(numa_nodes=Known(2), **cpu)))


def _nodes(facts: HostFacts) -> tuple[HostNode, ...]:
    assert isinstance(facts.memory, Known)
    assert isinstance(facts.cpu, Known)
    return nodes(facts.memory.value, facts.cpu.value)


def test_a_nodes_room_is_not_what_the_page_cache_leaves() -> None:
    assert [one.room_bytes for one in _nodes(_two_sockets())] == [56 * GIB, 56 * GIB]
    assert [one.physical_cores for one in _nodes(_two_sockets())] == [16, 16]


def test_nothing_is_bound_where_a_process_may_not_use_every_processor() -> None:
    assert _nodes(_two_sockets(threads=32)) == ()
    assert _nodes(_two_sockets(quota_threads=Known(8.0))) == ()
    assert _nodes(_two_sockets(physical_cores=Unknown("?"))) == ()


def test_a_card_has_the_node_of_its_slot(tmp_path: Path) -> None:
    card = hosts.gpu(address=Known("0000:c1:00.0"), numa_node=Unknown("not supported"))
    nvidia = hosts.nvidia(card)
    place = tmp_path / "sys/bus/pci/devices/0000:c1:00.0/numa_node"
    place.parent.mkdir(parents=True)
    for text, expected in (("1\n", Known(1)), ("-1\n", Unknown("not supported"))):
        place.write_text(text)
        assert with_near_nodes(tmp_path, nvidia).gpus[0].numa_node == expected


def test_the_plan_decides_and_the_unit_is_bound_with_as_many_threads_as_cores(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(tiny_model())
    (tmp_path / "facts.json").write_text(json.dumps(dump(_two_sockets())))
    more = ("tiny.gguf", "--gpu", "none", "--facts", "facts.json", "--out", "llmops.lock")
    code, document = plan(*more, cwd=tmp_path)
    chosen = document["result"]["plan"]
    assert code == 0
    assert chosen["binding"] == {"nodes": "0", "policy": "preferred", "threads": "0-15,32-47"}
    assert chosen["argv"][chosen["argv"].index("--threads") + 1] == "16"
    assert any("memory node 0 (16 cores" in one for one in chosen["why"])

    assert llmops("render", "--out", "out", cwd=tmp_path).returncode == 0
    unit = (tmp_path / "out/etc/systemd/system/llmops-tiny.service").read_text()
    assert "\nCPUAffinity=0-15,32-47\nNUMAPolicy=preferred\nNUMAMask=0\n" in unit
    assert " --threads 16 " in unit
    assert parse_lock((tmp_path / "llmops.lock").read_text(), file="llmops.lock").deployments["tiny"].binding


def test_a_unit_without_a_binding_says_nothing_of_processors() -> None:
    text = text_of(rendered(locks.lock()), "/etc/systemd/system/llmops-chat.service")
    assert not any(word in text for word in ("CPUAffinity", "NUMA"))


def test_an_older_systemd_binds_processors_and_is_not_told_of_memory_nodes() -> None:
    lock = locks.lock({"chat": locks.bound(locks.llama_cpu())})
    path = "/etc/systemd/system/llmops-chat.service"
    assert "NUMAPolicy=preferred\nNUMAMask=1\n" in text_of(rendered(lock, systemd_version=243), path)
    older = text_of(rendered(lock, systemd_version=242), path)
    assert "NUMA" not in older
    assert "\nCPUAffinity=16-31,48-63\n" in older
