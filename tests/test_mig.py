"""MIG: instances are planned for one by one, and a process is told its own by UUID, from facts to the unit."""

import json
import os
from dataclasses import replace
from pathlib import Path

import hosts
import pytest

from llmops.checks import judge
from llmops.checks.lock_check import allows
from llmops.cli import plan, planning, render
from llmops.cli.hardware import Hardware
from llmops.cli.opened import Sources
from llmops.domain.engine import Device, DeviceKind, EngineName
from llmops.domain.errors import WrongInput
from llmops.domain.finding import Finding, Status
from llmops.domain.forms import dump
from llmops.domain.gpu import MigInstance
from llmops.domain.gpu_software import DeviceNode
from llmops.domain.host import Gpu, HostFacts
from llmops.domain.profile import HostWish, Profile
from llmops.domain.reading import Known, Unknown
from llmops.engines import ENGINES
from llmops.engines.card_count import unusable_instances
from llmops.engines.llama_cpp_cards import visible
from llmops.formats import catalogue
from llmops.formats.devices import from_facts
from llmops.formats.lock import parse_lock
from llmops.formats.tiny_model import tiny_model
from llmops.library import shipped
from llmops.probe.programs import Programs
from llmops.sizing.trial import card_sets

ROWS = catalogue.gpus(shipped.text("catalogue", "gpus.json"))
PROFILES = {"3g.40gb": 42412802048, "2g.20gb": 20937965568, "1g.10gb": 10468982784}
"""Memory of instances of an A100 with 80 GB as NVML tells it (tests/nvml/a100-mig.ini)."""


def instance(number: int, profile: str = "3g.40gb", **changes: object) -> Gpu:
    one = hosts.gpu(
        index=0,
        name=Known(f"NVIDIA A100-SXM4-80GB MIG {profile}"),
        uuid=Known(f"MIG-0000000{number}-0000-4000-8000-000000000000"),
        memory_bytes=Known(PROFILES[profile]),
        free_bytes=Known(PROFILES[profile]),
        compute_capability=Known("8.0"),
        mig_enabled=Known(True),
        is_mig_instance=True,
        mig_instance=MigInstance(
            profile=Known(profile), gpu_instance=Known(number + 1), compute_instance=Known(0), number=number
        ),
    )
    return replace(one, **changes)  # type: ignore[arg-type]  # of those fields' types


def box(*gpus: Gpu) -> HostFacts:
    return hosts.host(nvidia=hosts.nvidia(*gpus))


def device(at: int, free_bytes: int, part: int | None = None) -> Device:
    return Device(
        name=f"card {at}",
        kind=DeviceKind.CUDA,
        capacity_bytes=free_bytes,
        free_bytes=free_bytes,
        index=0,
        instance=part,
    )


@pytest.mark.parametrize(
    ("profile", "compute", "memory"), [("3g.40gb", 3 / 7, 4 / 8), ("2g.20gb", 2 / 7, 2 / 8), ("1g.10gb", 1 / 7, 1 / 8)]
)
def test_an_instance_has_its_part_of_the_cards_speed(profile: str, compute: float, memory: float) -> None:
    (one,), _ = from_facts(box(instance(0, profile)), ROWS)
    card = next(row for row in ROWS if row.name == "A100-SXM4-80GB")
    assert (card.bandwidth_gb_s, card.fp16_tflops) != (None, None)
    assert one.bandwidth_gb_s == pytest.approx((card.bandwidth_gb_s or 0) * memory)
    assert one.fp16_tflops == pytest.approx((card.fp16_tflops or 0) * compute)
    assert (one.instance, one.uuid, one.capacity_bytes) == (
        0,
        "MIG-00000000-0000-4000-8000-000000000000",
        PROFILES[profile],
    )


def test_an_instance_of_an_unknown_card_or_profile_has_no_speed() -> None:
    unheard = instance(0, name=Known("NVIDIA Z9 MIG 3g.40gb"))
    untold = instance(0, mig_instance=replace(instance(0).mig_instance, profile=Unknown("no")))  # type: ignore[type-var]
    for gpu in (unheard, untold):
        (one,), _ = from_facts(box(gpu), ROWS)
        assert (one.bandwidth_gb_s, one.instance) == (None, 0)


def test_two_compute_instances_of_one_memory_are_refused() -> None:
    part = MigInstance(profile=Known("1c.3g.40gb"), gpu_instance=Known(1), compute_instance=Known(0), number=0)
    gpus = (
        instance(0, mig_instance=part),
        instance(1, mig_instance=replace(part, compute_instance=Known(1), number=1)),
    )
    with pytest.raises(WrongInput, match="shares its memory"):
        from_facts(box(*gpus), ROWS)


def test_instances_are_never_joined_and_stand_before_whole_cards() -> None:
    cards = (device(0, 10, 0), device(1, 20, 1), device(2, 80), device(3, 80))
    assert card_sets(cards) == ((1,), (0,), (2,), (2, 3))
    assert card_sets(cards[:2]) == ((1,), (0,))


def test_vllm_takes_the_first_instance_only_and_other_engines_were_not_read() -> None:
    first, second = device(0, 10, 0), device(1, 10, 1)
    assert unusable_instances(EngineName.VLLM, (first,)) == ()
    assert unusable_instances(EngineName.VLLM, (device(2, 80), device(3, 80))) == ()
    assert "first instance" in unusable_instances(EngineName.VLLM, (second,))[0]
    assert "cannot be joined" in unusable_instances(EngineName.VLLM, (first, second))[0]
    assert "was not tried" in unusable_instances(EngineName.SGLANG, (first,))[0]


def test_a_process_that_names_no_instance_sees_the_first() -> None:
    first, second = (replace(device(at, 10, at), uuid=f"MIG-{at}") for at in (0, 1))
    said: list[Finding] = []
    assert visible(None, (first, second), said) == (first,)
    assert [one.code for one in said] == ["EXP047"]
    assert visible("MIG-1", (first, second), []) == (second,)
    assert visible("MIG-1,MIG-0", (first, second), []) == (second,)
    assert visible(None, (first, device(2, 80)), []) == (first,)


def test_facts_of_instances_become_a_lock_and_a_unit_of_one_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.gguf").write_bytes(tiny_model())
    Path("facts.json").write_text(json.dumps(dump(box(instance(0, "1g.10gb"), instance(1)))))
    wish = planning.Options(model="./tiny.gguf", facts="facts.json", out="llmops.lock")
    assert plan.run(wish, sources=Sources()).ok
    lock = parse_lock(Path("llmops.lock").read_text(), file="llmops.lock")
    (one,) = lock.deployments["tiny"].devices
    assert (one.uuid, one.capacity_bytes) == ("MIG-00000001-0000-4000-8000-000000000000", PROFILES["3g.40gb"])
    options = render.Options(lock="llmops.lock", out="tree", systemd_version=252)
    files = {one.path: one.text for one in render.rendered_files(options, runner=Programs(os.environ))}
    unit = next(text for path, text in files.items() if str(path).endswith("llmops-tiny.service"))
    assert 'Environment="CUDA_VISIBLE_DEVICES=MIG-00000001-0000-4000-8000-000000000000"' in unit
    assert "DeviceAllow=char-nvidia* rw" in unit


def test_two_deployments_have_an_instance_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.gguf").write_bytes(tiny_model())
    Path("llmops.yaml").write_text(
        "schema: llmops.profile/1\ndeployments:\n  chat: {model: ./tiny.gguf, fallback: [code]}\n  code: {model: ./tiny.gguf}\n"
    )
    Path("facts.json").write_text(json.dumps(dump(box(instance(0), instance(1)))))
    assert plan.run(planning.Options(facts="facts.json", out="llmops.lock"), sources=Sources()).ok
    lock = parse_lock(Path("llmops.lock").read_text(), file="llmops.lock")
    taken = [[device.uuid for device in one.devices] for one in lock.deployments.values()]
    assert [len(one) for one in taken] == [1, 1]
    assert taken[0] != taken[1]


def node(path: str, mode: str, *, usable: bool) -> DeviceNode:
    return DeviceNode(path=path, mode=mode, group="root", usable=usable)


OPEN = tuple(node(f"/dev/{name}", "0666", usable=True) for name in ("nvidia0", "nvidiactl", "nvidia-uvm"))
ROOTS = (
    node("/dev/nvidia-caps/nvidia-cap1", "0400", usable=False),
    node("/dev/nvidia-caps/nvidia-cap2", "0444", usable=True),
)


@pytest.mark.parametrize(
    ("gpus", "nodes", "status", "said"),
    [
        ((hosts.gpu(),), (*OPEN, *ROOTS), Status.OK, "device files"),
        ((instance(0),), (*OPEN, *ROOTS), Status.WARN, "has no device file in /dev/nvidia-caps/"),
        ((instance(0),), (*OPEN, *ROOTS, node("/dev/nvidia-caps/nvidia-cap21", "0444", usable=True)), Status.OK, ""),
        (
            (instance(0),),
            (*OPEN, *ROOTS, node("/dev/nvidia-caps/nvidia-cap21", "0400", usable=False)),
            Status.WARN,
            "cap21",
        ),
    ],
)
def test_an_instance_needs_its_right_and_no_engine_those_of_administrators(
    gpus: tuple[Gpu, ...], nodes: tuple[DeviceNode, ...], status: Status, said: str
) -> None:
    facts = replace(box(*gpus), driver_files=hosts.driver_files(device_nodes=Known(nodes)))
    (one,) = judge(facts, hosts.references(), select=["GPU024"])
    assert one.status is status
    assert said in one.message


def test_vllm_is_a_version_that_takes_a_card_by_its_uuid() -> None:
    """0.22 reads the name as a number and ends; units name cards so."""
    assert not allows(ENGINES[EngineName.VLLM].VERSIONS, "0.22.0")
    assert allows(ENGINES[EngineName.VLLM].VERSIONS, "0.24.0")


def test_a_profile_names_a_card_with_all_its_instances_or_one_of_them() -> None:
    cards, host = from_facts(box(instance(0), instance(1)), ROWS)
    place = Hardware(cards=cards, host=host, facts=None, notes=())
    for named, count in ((0, 2), ("MIG-00000001-0000-4000-8000-000000000000", 1)):
        profile = Profile(deployments={}, host=HostWish(gpus=(named,)))
        assert len(planning.chosen_cards(place, profile).cards) == count
