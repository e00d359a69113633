"""Every function of NVML fails in turn, with every error, under the real pynvml: a reading is lost, nothing else changes.

The stand-in library lets one function answer one error (tests/nvml); which functions are asked is read from its own log, so
that a new question is tried here without a word. One process tries all of them: loading Python is what takes the time.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hosts
import pytest

from llmops.checks import judge
from llmops.domain.finding import Status
from llmops.domain.forms import Json, load
from llmops.domain.host import Nvidia
from llmops.domain.reading import Known
from llmops.probe import nvidia

pytestmark = pytest.mark.consumer("cc")

STUB = Path(__file__).parent / "nvml"

SCENARIOS = (
    "a100-mig",
    "a6000-x2-bridge",
    "busy-hot-throttled",
    "ecc-errors",
    "gb10-driver580",
    "h100-mig-empty",
    "h100-x2-fabric",
    "vgpu-a100-unlicensed",
)
FEW = (3, 4, 13, 15, 999)
ERRORS = (1, 2, 3, 4, 6, 7, 9, 10, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 25, 27, 29, 77, 999)
"""Every class of error in nvml.h that a question can be answered with, and a number that is none (77)."""

CHILD = """
import json, os, sys
from llmops.domain.forms import dump
from llmops.probe import nvidia_child
print(json.dumps(["", 0, dump(nvidia_child.ask())]))
os.environ.pop("FAKE_NVML_LOG")
functions = sorted(set(open(sys.argv[1]).read().split()))
for function in functions:
    for number in json.loads(sys.argv[2]):
        os.environ["FAKE_NVML_INJECT"] = f"{function}:{number}"
        print(json.dumps([function, number, dump(nvidia_child.ask())]))
"""


REASON = re.compile(r'"unknown": "(?:[^"\\]|\\.)*"')


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nvml")
    flags = ["-shared", "-fPIC", "-O1", "-Wl,-soname,libnvidia-ml.so.1"]
    subprocess.run(["cc", *flags, "-o", str(folder / "libnvidia-ml.so.1"), str(STUB / "fake_nvml.c")], check=True)
    return folder


def answers(library: Path, scenario: str, folder: Path) -> list[tuple[str, int, Json]]:
    """What the child says: first without a fault, then with each (all kinds of error in one scenario, five in the others)."""
    errors = ERRORS if scenario == "h100-x2-fabric" else FEW
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(library),
        "FAKE_NVML": str(STUB / f"{scenario}.ini"),
        "FAKE_NVML_LOG": str(folder / "log"),
    }
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder / "log"), json.dumps(errors)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [(function, number, form) for function, number, form in map(json.loads, done.stdout.splitlines())]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_function_that_fails_costs_its_reading_and_never_makes_an_ok(
    library: Path, scenario: str, tmp_path: Path
) -> None:
    (_, _, sound), *spoiled = answers(library, scenario, tmp_path)
    assert len({function for function, _, _ in spoiled}) >= 30
    good = ok_codes(sound)

    judged: dict[str, set[str]] = {}
    for function, number, form in spoiled:
        why = f"{function} answers {number}"
        # the words of an error change no judgement: what differs in them alone is judged once
        alike = REASON.sub('"unknown": ""', json.dumps(form))
        codes = judged[alike] if alike in judged else judged.setdefault(alike, ok_codes(form))
        assert not codes - good, f"{why}: {codes - good} became ok"
        changed = [path for path, now, before in differences(form, sound) if not is_allowed(path, now, before)]
        assert not changed, f"{why}: {changed}"


def ok_codes(form: Json) -> set[str]:
    """The checks that find nothing wrong on an otherwise sound host with these cards."""
    cards = nvidia.with_host_memory(load(Nvidia, form), Known(hosts.memory()))
    facts = hosts.host(nvidia=cards, kernel_side=Known(hosts.kernel_side(nvidia_version=None)))
    return {one.code for one in judge(replace(facts, nvidia=cards), hosts.references()) if one.status is Status.OK}


def is_allowed(path: str, now: Json, before: Json) -> bool:
    """A value may become unknown, a card sick; a library that does not open, or a card that is lost, tells nothing else."""
    if isinstance(now, dict) and set(now) == {"unknown"}:
        return True
    last = path.rsplit(".", 1)[-1]
    if last in ("fault", "detail"):
        return now is not None
    if last == "state":
        return now in ("failed", "driver_not_loaded", "version_mismatch", "no_permission", "library_absent")
    if last in ("gpus", "is_mig_instance", "mig_instance"):
        # instances that cannot be listed leave their card; cards that cannot be counted leave none
        return True
    if last in ("end", "peer_address"):
        return now in ("unknown", None)
    return last == "unified_memory" and now is False and before is True and "processes" not in path


def differences(now: Json, before: Json, path: str = "") -> Iterator[tuple[str, Json, Json]]:
    """The leaves (readings count as one) in which two documents differ, with their paths."""
    if now == before:
        return
    if isinstance(now, dict) and isinstance(before, dict) and set(now) == set(before) and set(now) != {"unknown"}:
        for key in now:
            yield from differences(now[key], before[key], f"{path}.{key}")
    elif isinstance(now, list) and isinstance(before, list) and len(now) == len(before):
        for at, (one, two) in enumerate(zip(now, before, strict=True)):
            yield from differences(one, two, f"{path}[{at}]")
    else:
        yield path, now, before


def test_the_law_would_notice_a_value_that_changes() -> None:
    sound: Json = {"a": {"value": 1}, "b": [{"value": 2}]}
    assert list(differences({"a": {"unknown": "x"}, "b": [{"value": 3}]}, sound)) == [
        (".a", {"unknown": "x"}, {"value": 1}),
        (".b[0].value", 3, 2),
    ]
    assert not is_allowed(".b[0].value", 3, 2)
    assert is_allowed(".a", {"unknown": "x"}, {"value": 1})
