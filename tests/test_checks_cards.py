"""What the checks of driver and cards say: of each state, each fault, each branch of the driver."""

import hosts
import pytest
from hosts import LOST, card, gpu, host, kernel_side, nvidia, system
from spoiled_hosts import FAULTY, WARN, finding, judge, with_gpu

from llmops.checks import verdict
from llmops.domain.finding import Status
from llmops.domain.gpu import ClockReason, PcieLink
from llmops.domain.host import (
    Container,
    Driver,
    GpuProcess,
    KernelSide,
    NvidiaState,
    RowRemapping,
    Verdict,
)
from llmops.domain.reading import Known
from llmops.domain.units import GIB


@pytest.mark.parametrize("state", FAULTY)
def test_every_state_of_a_driver_that_cannot_serve_is_not_ready(state: NvidiaState) -> None:
    findings = judge(FAULTY[state])
    assert verdict(findings) is Verdict.NOT_READY


def test_every_fault_of_the_driver_has_words_and_a_fix_of_its_own() -> None:
    found = [finding("GPU001", facts) for facts in FAULTY.values()]
    assert len({one.message for one in found}) == len(FAULTY)
    assert len({one.fix for one in found}) == len(FAULTY)


def test_no_library_and_no_card_is_a_warning_that_says_cpu_only() -> None:
    facts = host(
        nvidia=hosts.without_nvml(NvidiaState.LIBRARY_ABSENT),
        kernel_side=Known(kernel_side(modules=(), nvidia_version=None)),
    )
    found = finding("GPU001", facts)
    assert found.status is Status.WARN
    assert "CPU only" in found.message
    assert verdict(judge(facts)) is Verdict.READY_WITH_WARNINGS


@pytest.mark.parametrize(
    ("side", "words"),
    [
        (
            kernel_side(card(kernel_driver=None), modules=(), nvidia_version=None),
            "1 NVIDIA card on the bus (10de:26b9)",
        ),
        (kernel_side(), "the NVIDIA kernel module is loaded"),
    ],
)
def test_a_card_without_the_library_is_not_ready(side: KernelSide, words: str) -> None:
    facts = host(nvidia=hosts.without_nvml(NvidiaState.LIBRARY_ABSENT), kernel_side=Known(side))
    found = finding("GPU001", facts)
    assert found.status is Status.FAIL
    assert words in found.message


def test_a_card_that_is_handed_on_to_a_virtual_machine_is_not_this_hosts() -> None:
    side = kernel_side(card(kernel_driver="vfio-pci"), modules=(), nvidia_version=None)
    facts = host(nvidia=hosts.without_nvml(NvidiaState.LIBRARY_ABSENT), kernel_side=Known(side))
    assert finding("GPU001", facts).status is Status.WARN


def test_in_a_container_the_fix_is_to_hand_the_cards_in() -> None:
    inside = system(container=Known(Container.DOCKER))
    facts = host(system=inside, nvidia=hosts.without_nvml(NvidiaState.NO_DEVICES))
    assert "--gpus all" in (finding("GPU001", facts).fix or "")


def test_nouveau_is_named() -> None:
    side = Known(kernel_side(card(kernel_driver="nouveau"), modules=("nouveau",), nvidia_version=None))
    facts = host(nvidia=hosts.without_nvml(NvidiaState.DRIVER_NOT_LOADED), kernel_side=side)
    assert "nouveau" in finding("GPU001", facts).message


def test_one_lost_card_of_two_is_not_ready_and_is_named() -> None:
    facts = host(nvidia=nvidia(gpu(), gpu(index=1, name=LOST, memory_bytes=LOST, fault="GPU is lost")))
    found = finding("GPU002", facts)
    assert found.status is Status.FAIL
    assert found.message.startswith("#1 ")
    assert finding("GPU003", facts).status is Status.OK


def test_mig_instances_warn_and_do_not_fail() -> None:
    facts = with_gpu(mig_enabled=Known(True), is_mig_instance=True)
    assert finding("GPU004", facts).status is Status.WARN


def test_who_holds_the_memory_is_named() -> None:
    busy = (GpuProcess(pid=4242, name="python3", used_bytes=20 * GIB),)
    facts = with_gpu(free_bytes=Known(20 * GIB), processes=Known(busy))
    assert "24.00 GiB is in use by python3 (pid 4242)" in finding("GPU005", facts).message


def test_what_the_driver_reserves_is_nobodys_use() -> None:
    facts = with_gpu(memory_bytes=Known(45 * GIB), free_bytes=Known(42 * GIB), reserved_bytes=Known(3 * GIB))
    assert finding("GPU005", facts).status is Status.OK


def test_a_pending_row_warns_a_failed_one_fails() -> None:
    pending = with_gpu(row_remapping=Known(RowRemapping(pending=True, failed=False)))
    assert finding("GPU010", pending).status is Status.WARN


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("535.274.02", WARN),
        ("570.211.01", WARN),
        ("580.95.05", WARN),
        ("580.178.03", WARN),
        ("580.178.04", Status.OK),
        ("595.91.07", Status.OK),
        ("610.57.04", WARN),
        ("615.71.09", Status.OK),
        ("620.10", Status.SKIP),
        ("unknown", Status.SKIP),
    ],
)
def test_driver_branches_and_their_fixes(version: str, status: Status) -> None:
    facts = host(nvidia=nvidia(gpu(), driver=Known(Driver(version=version, cuda=LOST))))
    assert finding("GPU008", facts).status is status


def test_checks_of_cards_say_nothing_where_there_is_none() -> None:
    side = Known(kernel_side(modules=(), nvidia_version=None))
    facts = host(nvidia=hosts.without_nvml(NvidiaState.LIBRARY_ABSENT), kernel_side=side)
    assert [one.code for one in judge(facts, select=["GPU"])] == ["GPU001"]


@pytest.mark.parametrize(("load", "status"), [(0, Status.OK), (97, WARN)])
def test_a_slow_link_is_one_that_stays_slow_under_load(load: int, status: Status) -> None:
    link = PcieLink(width=Known(16), width_maximum=Known(16), generation=Known(1), generation_maximum=Known(5))
    found = finding("GPU013", with_gpu(pcie=link, load_percent=Known(load)))
    assert found.status is status
    assert "generation 1 of 5" in found.message
    assert finding("GPU013", with_gpu(pcie=link, load_percent=LOST)).status is Status.SKIP


def test_an_idle_card_is_not_held_back() -> None:
    assert finding("GPU014", with_gpu(clock_reasons=Known((ClockReason.IDLE,)))).status is Status.OK


@pytest.mark.parametrize(("device", "is_old"), [("1db5", True), ("1e02", False), ("2684", False)])
def test_an_open_module_that_shows_no_card_is_told_apart_by_the_cards_age(device: str, is_old: bool) -> None:
    facts = host(
        nvidia=hosts.without_nvml(NvidiaState.NO_DEVICES), kernel_side=Known(kernel_side(card(device_id=device)))
    )
    assert ("need the closed one" in finding("GPU001", facts).message) is is_old


@pytest.mark.parametrize(("device", "package"), [("1b38", "cuda-drivers"), ("26b9", "nvidia-open")])
def test_a_fresh_hosts_driver_is_for_the_card_on_its_bus(device: str, package: str) -> None:
    side = kernel_side(card(device_id=device, kernel_driver=None), modules=(), nvidia_version=None)
    facts = host(nvidia=hosts.without_nvml(NvidiaState.LIBRARY_ABSENT), kernel_side=Known(side))
    assert f"apt-get install -y {package}\n" in (finding("GPU001", facts).fix or "")


def test_a_card_that_does_not_say_whether_it_is_virtual_is_not_said_to_need_no_licence() -> None:
    assert finding("GPU018", with_gpu(virtualization=LOST, vgpu_licensed=LOST)).status is Status.SKIP
    assert finding("GPU018", with_gpu(virtualization=LOST, vgpu_licensed=hosts.NO)).status is Status.FAIL
