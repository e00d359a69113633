"""The real pynvml against a stand-in library, every scenario in a process of its own: no crash, nothing falsely ready.

The scenarios and their library are in tests/nvml; the numbers in them are illustrative. No real card is claimed here.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import hosts
import pytest

from llmops.checks import judge, verdict
from llmops.domain.finding import Status
from llmops.domain.host import Nvidia, NvidiaState, Verdict
from llmops.domain.programs import Runner
from llmops.domain.reading import Known, Unknown, known
from llmops.probe import nvidia
from llmops.probe.programs import Programs

pytestmark = pytest.mark.consumer("cc")

STUB = Path(__file__).parent / "nvml"
SCENARIOS = sorted(path.stem for path in STUB.glob("*.ini"))

READY = Verdict.READY
WARNINGS = Verdict.READY_WITH_WARNINGS
NOT = Verdict.NOT_READY

EXPECTED = {
    "a100-mig": (WARNINGS, {"GPU004", "GPU008", "GPU024"}),  # the host around it has no device file of an instance
    "a6000-x2-bridge": (READY, set()),
    "busy-hot-throttled": (WARNINGS, {"GPU005", "GPU006", "GPU008", "GPU014", "GPU027"}),
    "driver-mismatch": (NOT, {"GPU001"}),
    "driver-not-loaded": (NOT, {"GPU001"}),
    "ecc-errors": (NOT, {"GPU007", "GPU008", "GPU010"}),
    "gb10-driver580": (WARNINGS, {"GPU008"}),
    "h100-fabric-not-started": (NOT, {"GPU016"}),
    "h100-x2-fabric": (READY, set()),
    "vgpu-a100-unlicensed": (NOT, {"GPU018"}),
    "gpu-lost": (NOT, {"GPU002", "GPU008"}),
    "gpu-lost-late": (NOT, {"GPU002", "GPU008"}),
    "h100-mig-empty": (NOT, {"GPU004", "GPU008"}),
    "h100-sxm-x8": (WARNINGS, {"GPU008"}),
    "mixed-driver610": (WARNINGS, {"ENG004", "GPU008", "GPU011", "GPU025"}),
    "no-devices": (NOT, {"GPU001"}),
    "no-permission": (NOT, {"GPU001"}),
    "rtx3090-x2-driver535": (WARNINGS, {"GPU008", "GPU013"}),
    "rtx4090": (WARNINGS, {"GPU008"}),
    "slow-init": (NOT, {"GPU001"}),
}
"""The verdict on an otherwise sound host, and the codes of what is wrong: worked out from the scenario files by hand."""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the stand-in as libnvidia-ml.so.1."""
    folder = tmp_path_factory.mktemp("nvml")
    output = folder / "libnvidia-ml.so.1"
    flags = ["-shared", "-fPIC", "-O1", "-Wl,-soname,libnvidia-ml.so.1"]
    subprocess.run(["cc", *flags, "-o", str(output), str(STUB / "fake_nvml.c")], check=True)
    return folder


@pytest.fixture
def runner() -> Runner:
    return Programs(os.environ)


def with_library(folder: Path, scenario: str) -> dict[str, str]:
    return {**os.environ, "LD_LIBRARY_PATH": str(folder), "FAKE_NVML": str(STUB / f"{scenario}.ini")}


def read(runner: Runner, library: Path, scenario: str, *, seconds: float = 20.0) -> Nvidia:
    return nvidia.read(nvidia.ask(runner, with_library(library, scenario), seconds=seconds))


def test_every_scenario_has_its_verdict() -> None:
    assert set(SCENARIOS) == set(EXPECTED)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_is_judged_as_worked_out_by_hand(runner: Runner, library: Path, scenario: str) -> None:
    cards = read(runner, library, scenario, seconds=1.0 if scenario == "slow-init" else 20.0)
    facts = hosts.host(nvidia=cards, kernel_side=Known(hosts.kernel_side(nvidia_version=None)))
    facts = replace(facts, nvidia=nvidia.with_host_memory(facts.nvidia, facts.memory))
    findings = judge(facts, hosts.references())
    wrong = {one.code for one in findings if one.status in (Status.WARN, Status.FAIL)}
    assert (verdict(findings), wrong) == EXPECTED[scenario]


def test_eight_cards_are_eight_with_reserve_and_free_apart(runner: Runner, library: Path) -> None:
    cards = read(runner, library, "h100-sxm-x8")
    assert [gpu.index for gpu in cards.gpus] == list(range(8))
    assert known(cards.driver) is not None
    first = cards.gpus[0]
    assert (known(first.memory_bytes), known(first.reserved_bytes)) == (85520809984, 553648128)
    assert known(first.free_bytes) == 85520809984 - 553648128
    assert known(first.compute_capability) == "9.0"


def test_mig_instances_stand_in_the_cards_stead(runner: Runner, library: Path) -> None:
    cards = read(runner, library, "a100-mig")
    assert [(gpu.index, known(gpu.memory_bytes)) for gpu in cards.gpus] == [(0, 42412802048)] * 2
    assert len({known(gpu.uuid) for gpu in cards.gpus}) == 2
    assert all(gpu.is_mig_instance for gpu in cards.gpus)


def test_a_card_that_shares_the_hosts_memory_is_given_it(runner: Runner, library: Path) -> None:
    cards = nvidia.with_host_memory(read(runner, library, "gb10-driver580"), Known(hosts.memory()))
    (gpu,) = cards.gpus
    assert gpu.unified_memory
    assert known(gpu.memory_bytes) == hosts.memory().total_bytes
    assert known(gpu.free_bytes) == hosts.memory().available_bytes


def test_without_the_hosts_memory_that_card_has_none_known(runner: Runner, library: Path) -> None:
    cards = nvidia.with_host_memory(read(runner, library, "gb10-driver580"), Unknown("no /proc"))
    assert isinstance(cards.gpus[0].memory_bytes, Unknown)


def test_a_lost_card_leaves_the_other_one_readable(runner: Runner, library: Path) -> None:
    sound, lost = read(runner, library, "gpu-lost").gpus
    assert sound.fault is None
    assert known(sound.memory_bytes) == 48305799168
    assert lost.fault == "GPU is lost"
    assert isinstance(lost.memory_bytes, Unknown)


def test_functions_an_old_or_new_driver_lacks_cost_one_reading_at_most(runner: Runner, library: Path) -> None:
    for scenario in ("rtx3090-x2-driver535", "mixed-driver610"):
        for gpu in read(runner, library, scenario).gpus:
            assert known(gpu.temperature_celsius) == 40
            assert isinstance(gpu.memory_bytes, Known)


def test_a_driver_with_only_the_old_memory_call_is_read_through_it(
    runner: Runner, library: Path, tmp_path: Path
) -> None:
    old = (STUB / "rtx4090.ini").read_text() + "error.nvmlDeviceGetMemoryInfo_v2 = 13\n"
    (tmp_path / "old.ini").write_text(old)
    environment = with_library(library, "x") | {"FAKE_NVML": str(tmp_path / "old.ini")}
    (gpu,) = nvidia.read(nvidia.ask(runner, environment)).gpus
    assert known(gpu.memory_bytes) == 25757220864
    assert isinstance(gpu.reserved_bytes, Unknown)


@pytest.mark.parametrize("memory", ["memory = -1", "memory = 0", "reserved = 99999999999999"])
def test_memory_that_cannot_be_is_one_cards_unknown_and_no_fault_of_nvml(
    runner: Runner, library: Path, tmp_path: Path, memory: str
) -> None:
    key = memory.partition(" ")[0]
    lines = (STUB / "rtx3090-x2-driver535.ini").read_text().splitlines()
    at = next(number for number, line in enumerate(lines) if line.replace(" ", "").startswith(f"{key}="))
    lines[at] = memory
    (tmp_path / "odd.ini").write_text("\n".join(lines))
    environment = with_library(library, "x") | {"FAKE_NVML": str(tmp_path / "odd.ini")}
    odd, sound = nvidia.read(nvidia.ask(runner, environment)).gpus
    assert isinstance(odd.memory_bytes, Unknown)
    assert "cannot be" in odd.memory_bytes.reason
    assert isinstance(sound.memory_bytes, Known)


def test_an_unknown_error_of_one_card_is_a_fault_of_it(runner: Runner, library: Path, tmp_path: Path) -> None:
    sick = (
        STUB / "rtx4090.ini"
    ).read_text() + "error.nvmlDeviceGetMemoryInfo = 999\nerror.nvmlDeviceGetMemoryInfo_v2 = 999\n"
    (tmp_path / "sick.ini").write_text(sick)
    environment = with_library(library, "x") | {"FAKE_NVML": str(tmp_path / "sick.ini")}
    (gpu,) = nvidia.read(nvidia.ask(runner, environment)).gpus
    assert gpu.fault == "Unknown Error"


def test_a_library_that_hangs_is_given_up_on(runner: Runner, library: Path) -> None:
    cards = read(runner, library, "slow-init", seconds=0.7)
    assert cards.state is NvidiaState.FAILED
    assert "0.7 s" in cards.detail


def test_no_library_is_absent_not_broken(runner: Runner, tmp_path: Path) -> None:
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    if shutil.which("nvidia-smi") is not None:
        pytest.skip("this machine has a driver")
    cards = nvidia.read(nvidia.ask(runner, environment))
    assert cards.state is NvidiaState.LIBRARY_ABSENT
    assert cards.gpus == ()


def test_a_library_that_does_not_load_is_broken_not_absent(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_text("not a library")
    cards = nvidia.read(nvidia.ask(runner, {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}))
    assert cards.state is NvidiaState.FAILED
    assert "does not load" in cards.detail


def test_a_library_outside_the_loaders_path_is_found(library: Path) -> None:
    """WSL and Kubernetes put it where the loader does not look: loaded by its path, pynvml finds it by its name."""
    code = (
        "from llmops.probe import nvidia_child as child; "
        f"child.EXTRA_PLACES = ({str(library)!r},); "
        "print(child.ask().state.value)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    environment["FAKE_NVML"] = str(STUB / "rtx4090.ini")
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == "ready"


def test_an_interruption_is_answered_at_once_and_leaves_nothing_behind(library: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "llmops", "doctor", "--json"],
        env=with_library(library, "slow-init"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        children = wait_for_children(process.pid)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        stdout, _ = process.communicate(timeout=20)
        assert time.monotonic() - started < 3
    finally:
        process.kill()
    assert process.returncode == 130
    assert json.loads(stdout)["exit_code"] == 130
    assert children
    assert not [pid for pid in children if is_running(pid)]


def wait_for_children(parent: int) -> list[int]:
    """The child that asks NVML, once it is there."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                is_child = int(status.read_text().rsplit(")", 1)[1].split()[1]) == parent
                if is_child and b"nvidia_child" in (status.parent / "cmdline").read_bytes():
                    return [int(status.parent.name)]
            except OSError:
                continue
        time.sleep(0.05)
    return []


def is_running(pid: int) -> bool:
    """Whether it is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
