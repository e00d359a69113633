"""Facts that were edited, cut or made up: no traceback, and no host is `ready` for what was lost of it."""

import json
import random
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import host_archives
import hosts
import pytest

from llmops.checks import judge, verdict
from llmops.domain.errors import WrongInput
from llmops.domain.finding import Finding, Status
from llmops.domain.forms import Json, KeyPath, dump
from llmops.domain.host import Verdict
from llmops.formats.facts import parse_facts

GONE = object()
BAD = (Status.WARN, Status.FAIL)
ALL = host_archives.names()
FEW = sorted({*ALL[::7], "l40s-lost", "h100-mig-empty", "rtx5070ti-fell-off", "vgpu-unlicensed"})
SAMPLE = 40
"""Recorded hosts, and damages of each, in a run without the mark; the damages are drawn by the host's name."""


@pytest.fixture(scope="module")
def nvml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in for NVML's library."""
    folder = tmp_path_factory.mktemp("nvml-damaged")
    flags = ["-shared", "-fPIC", "-O1", "-Wl,-soname,libnvidia-ml.so.1"]
    stub = Path(__file__).parent / "nvml" / "fake_nvml.c"
    subprocess.run(["cc", *flags, "-o", str(folder / "libnvidia-ml.so.1"), str(stub)], check=True)
    return folder


def places(data: Json, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Every key and list position, tables too."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, one in items:
        yield (*path, key)
        yield from places(one, (*path, key))


def damages(path: KeyPath, value: Json) -> tuple[object, ...]:
    """What may stand in a value's place: another kind, numbers and words that no host has, and of a key or a card nothing.

    Any other list with one entry less is another host's.
    """
    return (*((GONE,) if isinstance(path[-1], str) or path[-2] == "gpus" else ()), *_others(value))


def _others(value: Json) -> tuple[object, ...]:
    if isinstance(value, bool):
        return (None, "yes", 7)
    if isinstance(value, int | float):
        return (None, "x", -1, -(10**15))
    if isinstance(value, str):
        return (None, 5, "", "zzz", "\0")
    return (None, "x", [] if isinstance(value, dict) else {}, 5)


def damaged(text: str, path: KeyPath, damage: object) -> str:
    data = json.loads(text)
    inside = data
    for key in path[:-1]:
        inside = inside[key]
    if damage is GONE:
        del inside[path[-1]]
    else:
        inside[path[-1]] = damage
    return json.dumps(data)


@cache
def said(text: str) -> tuple[Verdict, tuple[Finding, ...]]:
    findings = judge(parse_facts(text, file="facts.json"), hosts.references())
    return verdict(findings), findings


def hold(text: str, path: KeyPath, damage: object) -> None:
    """Refused with the key, or judged; and what was wrong before is wrong or unknown where all else is said to be ready."""
    try:
        found = said.__wrapped__(damaged(text, path, damage))
    except WrongInput:
        return
    before = said(text)
    if found[0] is not Verdict.READY or before[0] is Verdict.READY:
        return
    wrong = {one.code for one in before[1] if one.status in BAD}
    unknown = {one.code for one in found[1] if one.status is Status.SKIP}
    assert wrong & unknown, (path, damage, before[0])


def facts_of(name: str, folder: Path, nvml: Path) -> str:
    return json.dumps(dump(host_archives.facts(host_archives.archive(name), folder, nvml)))


def at(data: Json, path: KeyPath) -> Json:
    for key in path:
        data = data[key]  # type: ignore[index]  # a path of this document
    return data


@pytest.mark.parametrize("name", FEW)
def test_a_damaged_host_is_never_ready_for_what_it_lost(name: str, tmp_path: Path, nvml: Path) -> None:
    text, draw = facts_of(name, tmp_path / "root", nvml), random.Random(name)
    data = json.loads(text)
    for path in draw.sample(list(places(data)), SAMPLE):
        hold(text, path, draw.choice(damages(path, at(data, path))))


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ALL)
def test_no_damage_of_any_recorded_host_makes_it_ready(name: str, tmp_path: Path, nvml: Path) -> None:
    text = facts_of(name, tmp_path / "root", nvml)
    data = json.loads(text)
    for path in places(data):
        for damage in damages(path, at(data, path)):
            hold(text, path, damage)


@pytest.mark.parametrize("name", ["l40s-lost", "rtx5070ti-fell-off"])
def test_a_lost_card_whose_fault_is_cut_out_is_refused(name: str, tmp_path: Path, nvml: Path) -> None:
    text = facts_of(name, tmp_path / "root", nvml)
    with pytest.raises(WrongInput, match="`fault` is missing"):
        parse_facts(damaged(text, ("nvidia", "gpus", 0, "fault"), GONE), file="facts.json")


def test_a_number_below_zero_is_refused_with_its_key(tmp_path: Path, nvml: Path) -> None:
    text = facts_of("rtx4090-gen1-under-load", tmp_path / "root", nvml)
    path = ("nvidia", "gpus", 0, "load_percent", "value")
    with pytest.raises(WrongInput, match="below zero") as stop:
        parse_facts(damaged(text, path, -1), file="facts.json")
    assert stop.value.where is not None
    assert stop.value.where.key == "nvidia.gpus[0].load_percent.value"


def test_nvml_that_answers_without_a_card_is_not_ready() -> None:
    (one,) = judge(hosts.host(nvidia=hosts.nvidia()), hosts.references(), select=["GPU001"])
    assert (one.status, one.message) == (Status.FAIL, "NVML answers and shows no card")
