"""Every check on a host where it holds, one where it does not, one where it cannot be known."""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace

import hosts
import pytest
from hosts import LOST, card, cpu, disk, gpu, host, kernel_side, listener, memory, nvidia, system, tool, with_tool

from llmops.checks import CHECKS, verdict
from llmops.checks import judge as judge_by
from llmops.domain.exposure import Certificate, Exposure, ListeningEngine, UnreadCertificate
from llmops.domain.finding import Finding, Status
from llmops.domain.gpu import (
    ClockReason,
    ComputeMode,
    Fabric,
    FabricState,
    GpuSource,
    NvLink,
    PcieLink,
    Power,
    SeenCard,
    Virtualization,
    Xid,
)
from llmops.domain.gpu_software import (
    AmdFiles,
    CdiSpec,
    ContainerEngine,
    Cuda,
    DeviceNode,
    Found,
    Python,
    Service,
)
from llmops.domain.host import (
    Container,
    Driver,
    GpuProcess,
    HostFacts,
    KernelSide,
    NvidiaState,
    RowRemapping,
    Swap,
    SwapKind,
    UnreadDisk,
    Verdict,
)
from llmops.domain.host_memory import HugePages
from llmops.domain.reading import NOT_ASKED, Known, Unknown
from llmops.domain.storage import Storage, StorageKind
from llmops.domain.surroundings import Clock, FileLimits, Hub, ProxyVariable
from llmops.domain.units import GIB, MIB

FAULTY = {state: host(nvidia=hosts.without_nvml(state)) for state in NvidiaState if state.is_fault()}


@dataclass(frozen=True)
class Case:
    """Hosts of one check. `unknown` None: what it judges is always known (named below, with the reason)."""

    good: HostFacts
    bad: HostFacts
    status: Status
    unknown: HostFacts | None


def swap(kind: SwapKind, used_bytes: int = 0) -> Swap:
    name = "/dev/zram0" if kind is SwapKind.ZRAM else "/swap.img"
    return Swap(name=name, kind=kind, size_bytes=8 * GIB, used_bytes=used_bytes, priority=-2)


def with_gpu(**changes: object) -> HostFacts:
    return host(nvidia=nvidia(gpu(**changes)))


def with_memory(**changes: object) -> HostFacts:
    return host(memory=Known(memory(**changes)))


def with_disk(**changes: object) -> HostFacts:
    return host(disks=Known((disk(**changes),)))


def with_cpu(**changes: object) -> HostFacts:
    return host(cpu=Known(cpu(**changes)))


def cards_unknown(changes: dict[str, object]) -> HostFacts:
    return host(nvidia=nvidia(gpu(), gpu(index=1, **changes)))


def judge(facts: HostFacts, **only: Sequence[str]) -> tuple[Finding, ...]:
    return judge_by(facts, hosts.references(), **only)


def with_files(**changes: object) -> HostFacts:
    return host(driver_files=hosts.driver_files(**changes))


def with_tuning(**changes: object) -> HostFacts:
    return with_memory(tuning=hosts.tuning(**changes))


def with_swaps(*swaps: Swap, **changes: object) -> HostFacts:
    return with_memory(swaps=Known(swaps), tuning=hosts.tuning(**changes))


def with_surroundings(**changes: object) -> HostFacts:
    return host(surroundings=hosts.surroundings(**changes))


def with_containers(*engines: ContainerEngine, **changes: object) -> HostFacts:
    return host(containers=hosts.containers(*engines, **changes))


def with_engine(**changes: object) -> HostFacts:
    return host(engines=Known((replace(hosts.ENGINES[0], **changes),)))  # type: ignore[arg-type]  # of that field's type


def with_other(**changes: object) -> HostFacts:
    """An AMD card beside no NVIDIA one."""
    side = Known(kernel_side(card(vendor_id="1002", kernel_driver="amdgpu"), modules=("amdgpu",), nvidia_version=None))
    radeon = gpu(vendor="amd", name=Known("AMD Radeon RX 7900 XTX"), memory_bytes=Known(24 * GIB))
    files: dict[str, object] = {"kfd_usable": hosts.YES, "rocm_version": Known("7.2.0"), **changes}
    return host(
        nvidia=hosts.without_nvml(NvidiaState.LIBRARY_ABSENT),
        kernel_side=side,
        other_gpus=Known((replace(radeon, memory_bytes=files.pop("memory_bytes", radeon.memory_bytes)),)),  # type: ignore[arg-type]
        amd=AmdFiles(**files),  # type: ignore[arg-type]  # of those fields' types
    )


def two_nodes(balancing: Known[int | None] | Unknown) -> HostFacts:
    """A host that serves on its processors."""
    return host(
        nvidia=hosts.without_nvml(NvidiaState.LIBRARY_ABSENT),
        kernel_side=Known(kernel_side(modules=(), nvidia_version=None)),
        cpu=Known(cpu(numa_nodes=Known(2))),
        memory=Known(memory(tuning=hosts.tuning(numa_balancing=balancing))),
    )


def linked(*active: bool) -> HostFacts:
    links = Known(tuple(NvLink(index=at, active=one) for at, one in enumerate(active)))
    return host(nvidia=nvidia(gpu(nvlinks=links), gpu(index=1, nvlinks=links)))


def switched(state: str = "active", **changes: object) -> HostFacts:
    """A card behind NVSwitches."""
    fabric = Known(Fabric(state=FabricState.COMPLETED, error=0))
    manager = Known(Service(name="nvidia-fabricmanager", state=state, version=Known("580.178.04")))
    facts: dict[str, object] = {"fabric": fabric, **changes}
    return host(nvidia=nvidia(gpu(**facts)), driver_files=hosts.driver_files(fabric_manager=manager))


def seen(name: str, *, cards: int = 1, driver: str | None = None) -> GpuSource:
    shown = tuple(SeenCard(address=f"0000:0{at + 1}:00.0", name="NVIDIA L40S") for at in range(cards))
    return GpuSource(name=name, cards=Known(shown), driver_version=Known(driver) if driver else NOT_ASKED)


def listening(*, keyless: Known[bool] | Unknown, loopback: bool = False) -> HostFacts:
    one = ListeningEngine(
        address="0.0.0.0", port=8000, everywhere=True, loopback=loopback, program=Known("vllm"), keyless=keyless
    )
    return host(exposure=Exposure(engines=Known((one,)), certificates=Known(())))


def certified(days_left: int) -> HostFacts:
    one = Certificate(path="/etc/ssl/a.pem", used_by="nginx", names=("a",), not_after="2026-12-01", days_left=days_left)
    return host(exposure=Exposure(engines=Known(()), certificates=Known((one,))))


UNREAD = UnreadCertificate(path="/etc/ssl/b.pem", used_by="nginx", reason="permission denied")
XID_79 = Xid(address="0000:01:00", code=79, count=1, text="GPU has fallen off the bus.")
PROXY = ProxyVariable(name="https_proxy", value="http://proxy:3128", has_credentials=False)
SPEC = CdiSpec(
    path="/etc/cdi/nvidia.yaml", kind="nvidia.com/gpu", devices=("0", "all"), missing=(), library_version="580.178.04"
)
LICENSED = {"virtualization": Known(Virtualization.VGPU), "vgpu_licensed": hosts.YES}

WARN, FAIL = Status.WARN, Status.FAIL
GOOD = host()

CASES = {
    "SYS001": Case(GOOD, host(system=system(os_id="fedora", os_version="44")), WARN, host(system=system(os_id=""))),
    "SYS002": Case(GOOD, host(system=system(python_version="3.10.9")), WARN, host(system=system(python_version="?"))),
    "SYS003": Case(
        GOOD, host(system=system(systemd_is_running=False)), WARN, host(system=system(systemd_version=LOST))
    ),
    "SYS004": Case(
        GOOD, host(system=system(container=Known(Container.PODMAN))), WARN, host(system=system(container=LOST))
    ),
    "SYS005": Case(GOOD, host(system=system(glibc=Known("2.17"))), WARN, host(system=system(glibc=LOST))),
    "SYS006": Case(GOOD, host(system=system(is_root=False)), WARN, None),
    "CPU001": Case(GOOD, with_cpu(vector_extensions=("sse4_2", "avx")), WARN, host(cpu=LOST)),
    "CPU002": Case(
        GOOD,
        host(cpu=Known(cpu(numa_nodes=Known(2))), nvidia=hosts.without_nvml(NvidiaState.LIBRARY_ABSENT)),
        WARN,
        with_cpu(numa_nodes=LOST),
    ),
    "CPU003": Case(GOOD, with_cpu(quota_threads=Known(2.0)), WARN, with_cpu(quota_threads=LOST)),
    "MEM001": Case(GOOD, with_memory(total_bytes=GIB // 2), FAIL, host(memory=LOST)),
    "MEM002": Case(GOOD, with_memory(limit_bytes=Known(8 * GIB)), WARN, with_memory(limit_bytes=LOST)),
    "MEM003": Case(GOOD, with_memory(swaps=Known((swap(SwapKind.ZRAM, 3 * GIB),))), WARN, with_memory(swaps=LOST)),
    "MEM004": Case(
        with_memory(swaps=Known((swap(SwapKind.ZRAM),))),
        with_memory(swaps=Known((swap(SwapKind.ZRAM), swap(SwapKind.FILE)))),
        WARN,
        with_memory(swaps=LOST),
    ),
    "DSK001": Case(GOOD, with_disk(free_bytes=3 * GIB), WARN, host(disks=LOST)),
    "DSK002": Case(
        GOOD, with_disk(read_only=True), WARN, host(unread_disks=(UnreadDisk(path="/mnt", reason="no answer"),))
    ),
    "DSK003": Case(with_disk(free_inodes=None), with_disk(free_inodes=7), WARN, host(disks=LOST)),
    "DSK004": Case(GOOD, with_disk(filesystem="nfs4"), WARN, with_disk(filesystem="")),
    "GPU001": Case(GOOD, FAULTY[NvidiaState.VERSION_MISMATCH], FAIL, None),
    "GPU002": Case(GOOD, with_gpu(fault="GPU is lost", memory_bytes=LOST), FAIL, None),
    "GPU003": Case(GOOD, GOOD, Status.OK, cards_unknown({"memory_bytes": LOST})),
    "GPU004": Case(
        GOOD, with_gpu(mig_enabled=Known(True), memory_bytes=LOST), FAIL, cards_unknown({"mig_enabled": LOST})
    ),
    "GPU005": Case(GOOD, with_gpu(free_bytes=Known(4 * GIB)), WARN, cards_unknown({"free_bytes": LOST})),
    "GPU006": Case(GOOD, with_gpu(temperature_celsius=Known(91)), WARN, cards_unknown({"temperature_celsius": LOST})),
    "GPU007": Case(GOOD, with_gpu(ecc_errors=Known(3)), FAIL, cards_unknown({"ecc_errors": LOST})),
    "GPU008": Case(
        GOOD,
        host(nvidia=nvidia(gpu(), driver=Known(Driver(version="550.90.07", cuda=LOST)))),
        WARN,
        host(nvidia=nvidia(gpu(), driver=LOST)),
    ),
    "GPU009": Case(
        GOOD,
        host(kernel_side=Known(kernel_side(card(), nvidia_version="570.124.06"))),
        WARN,
        host(kernel_side=LOST),
    ),
    "GPU010": Case(
        GOOD,
        with_gpu(row_remapping=Known(RowRemapping(pending=True, failed=True))),
        FAIL,
        cards_unknown({"row_remapping": LOST}),
    ),
    "GPU011": Case(GOOD, with_gpu(compute_capability=Known("6.1")), WARN, cards_unknown({"compute_capability": LOST})),
    "GPU012": Case(GOOD, host(xids=Known((XID_79,))), FAIL, host(xids=LOST)),
    "GPU013": Case(
        GOOD,
        with_gpu(pcie=PcieLink(width=Known(4), width_maximum=Known(16))),
        WARN,
        cards_unknown({"pcie": PcieLink()}),
    ),
    "GPU014": Case(
        GOOD,
        with_gpu(clock_reasons=Known((ClockReason.HARDWARE_THERMAL,))),
        WARN,
        cards_unknown({"clock_reasons": LOST}),
    ),
    "GPU015": Case(
        GOOD,
        host(
            nvidia=nvidia(gpu(persistence_mode=hosts.NO)),
            driver_files=hosts.driver_files(persistence_daemon=Known(None)),
        ),
        WARN,
        host(nvidia=nvidia(gpu(persistence_mode=LOST)), driver_files=hosts.driver_files(persistence_daemon=LOST)),
    ),
    "GPU016": Case(
        switched(),
        switched("failed", fabric=Known(Fabric(state=FabricState.IN_PROGRESS))),
        FAIL,
        host(
            nvidia=nvidia(gpu(fabric=Known(Fabric(state=FabricState.COMPLETED, error=0))), gpu(index=1, fabric=LOST)),
            driver_files=hosts.driver_files(fabric_manager=LOST),
        ),
    ),
    "GPU017": Case(
        linked(True, True), linked(True, False), WARN, host(nvidia=nvidia(gpu(), gpu(index=1, nvlinks=LOST)))
    ),
    "GPU018": Case(
        with_gpu(**LICENSED),
        with_gpu(virtualization=Known(Virtualization.VGPU), vgpu_licensed=hosts.NO),
        FAIL,
        with_gpu(virtualization=Known(Virtualization.VGPU), vgpu_licensed=LOST),
    ),
    "GPU019": Case(
        GOOD, with_gpu(compute_mode=Known(ComputeMode.PROHIBITED)), FAIL, cards_unknown({"compute_mode": LOST})
    ),
    "GPU020": Case(
        with_gpu(retired_pages_pending=hosts.NO, row_remapping=Unknown("the card remaps no rows")),
        with_gpu(retired_pages_pending=hosts.YES),
        WARN,
        with_gpu(retired_pages_pending=LOST, row_remapping=Unknown("the card remaps no rows")),
    ),
    "GPU021": Case(
        GOOD,
        host(
            nvidia=hosts.without_nvml(NvidiaState.DRIVER_NOT_LOADED),
            driver_files=hosts.driver_files(
                module_for_this_kernel=Known(None), other_kernels=Known(("6.1.0-37-amd64",))
            ),
        ),
        FAIL,
        with_files(module_for_this_kernel=LOST),
    ),
    "GPU022": Case(
        GOOD,
        host(
            nvidia=hosts.without_nvml(NvidiaState.DRIVER_NOT_LOADED),
            driver_files=hosts.driver_files(secure_boot=hosts.YES, module_is_signed=hosts.NO),
        ),
        FAIL,
        with_files(secure_boot=hosts.YES, module_is_signed=LOST),
    ),
    "GPU023": Case(GOOD, with_files(library_version=Known("580.95.05")), FAIL, with_files(library_version=LOST)),
    "GPU024": Case(
        GOOD,
        with_files(device_nodes=Known((DeviceNode(path="/dev/nvidia0", mode="0666", group="root", usable=True),))),
        WARN,
        with_files(device_nodes=LOST),
    ),
    "GPU025": Case(
        GOOD,
        host(
            nvidia=nvidia(
                gpu(compute_capability=Known("12.0")), driver=Known(Driver(version="550.90.07", cuda=Known("12.4")))
            )
        ),
        WARN,
        cards_unknown({"compute_capability": LOST}),
    ),
    "GPU026": Case(
        host(gpu_sources=(seen("nvidia-smi", driver="580.178.04"), seen("lspci"))),
        host(gpu_sources=(seen("nvidia-smi"), seen("lspci", cards=2))),
        WARN,
        host(gpu_sources=(GpuSource(name="nvidia-smi", cards=LOST),)),
    ),
    "GPU027": Case(
        GOOD,
        with_gpu(power=Power(limit_watts=Known(200.0), default_limit_watts=Known(350.0))),
        WARN,
        cards_unknown({"power": Power()}),
    ),
    "GPU028": Case(with_other(), with_other(kfd_usable=hosts.NO), WARN, with_other(kfd_usable=LOST)),
    "GPU029": Case(with_other(), with_other(rocm_version=Known(None)), WARN, with_other(rocm_version=LOST)),
    "GPU030": Case(with_other(), with_other(), Status.OK, with_other(memory_bytes=LOST)),
    "CUD001": Case(GOOD, host(cuda=Cuda(nvcc_on_path=Known("14.0"))), WARN, host(cuda=Cuda(nvcc_on_path=LOST))),
    "CTR001": Case(GOOD, with_containers(toolkit_version=Known(None)), WARN, with_containers(toolkit_version=LOST)),
    "CTR002": Case(GOOD, with_containers(toolkit_version=Known("1.17.7")), WARN, with_containers(toolkit_version=LOST)),
    "CTR003": Case(
        with_containers(cdi_specs=Known((SPEC,))),
        with_containers(cdi_specs=Known((replace(SPEC, missing=("/usr/lib/libcuda.so.570.1",)),))),
        WARN,
        with_containers(cdi_specs=LOST),
    ),
    "CTR004": Case(
        GOOD,
        with_containers(hosts.docker(runtimes=Known(("runc",)), cdi=hosts.NO)),
        WARN,
        with_containers(hosts.docker(answers=LOST)),
    ),
    "ENG004": Case(
        GOOD,
        host(
            engines=Known(
                (replace(hosts.ENGINES[0], name="vllm", found=Found.VENV, where="/opt/vllm", version=Known("0.33.0")),)
            ),
            nvidia=nvidia(gpu(), driver=Known(Driver(version="570.211.01", cuda=Known("12.8")))),
        ),
        WARN,
        host(nvidia=nvidia(gpu(), driver=LOST)),
    ),
    "ENG005": Case(GOOD, with_engine(backends=Known(("cpu",))), WARN, with_engine(backends=LOST)),
    "ENG006": Case(
        GOOD,
        host(pythons=Known((Python(path="/usr/bin/python3", version=Known("3.9.2"), venv=hosts.YES),))),
        WARN,
        host(pythons=LOST),
    ),
    "SYS007": Case(GOOD, host(system=system(kernel="3.10.0-1160.el7.x86_64")), WARN, host(system=system(kernel=""))),
    "SYS008": Case(GOOD, with_surroundings(cgroup_version=Known(1)), WARN, with_surroundings(cgroup_version=LOST)),
    "SYS009": Case(
        GOOD,
        with_surroundings(clock=Clock(synchronized=hosts.NO)),
        WARN,
        with_surroundings(clock=Clock(synchronized=LOST)),
    ),
    "SYS010": Case(
        GOOD,
        with_surroundings(files=Known(FileLimits(soft=1024, hard=4096, most_per_process=Known(4096)))),
        WARN,
        with_surroundings(files=LOST),
    ),
    "CPU004": Case(GOOD, with_cpu(threads=8), WARN, with_cpu(physical_cores=LOST)),
    "MEM005": Case(GOOD, with_memory(oom_kill_count=Known(2)), WARN, with_memory(oom_kill_count=LOST, oom_kills=LOST)),
    "MEM006": Case(GOOD, with_swaps(swap(SwapKind.FILE)), WARN, with_tuning(swappiness=LOST)),
    "MEM007": Case(
        with_swaps(swap(SwapKind.ZRAM)),
        with_swaps(replace(swap(SwapKind.ZRAM), size_bytes=48 * GIB)),
        WARN,
        with_memory(swaps=LOST),
    ),
    "MEM008": Case(GOOD, with_tuning(vfs_cache_pressure=Known(50)), WARN, with_tuning(vfs_cache_pressure=LOST)),
    "MEM009": Case(GOOD, with_tuning(overcommit=Known(2)), WARN, with_tuning(overcommit=LOST)),
    "MEM010": Case(
        GOOD,
        with_tuning(huge_pages=Known((HugePages(size_bytes=2 * MIB, total=8192, free=8192),))),
        WARN,
        with_tuning(huge_pages=LOST),
    ),
    "MEM011": Case(two_nodes(Known(0)), two_nodes(Known(1)), WARN, two_nodes(LOST)),
    "MEM012": Case(GOOD, with_memory(throttle_bytes=Known(8 * GIB)), WARN, with_memory(throttle_bytes=LOST)),
    "DSK005": Case(GOOD, with_disk(speed=Known(hosts.speed(90_000_000))), WARN, with_disk(speed=LOST)),
    "DSK006": Case(
        GOOD, with_disk(storage=Known(Storage(kind=StorageKind.HDD, name="sda"))), WARN, with_disk(storage=LOST)
    ),
    "NET003": Case(
        GOOD,
        with_surroundings(hub=Known(Hub(endpoint="https://hub.example", resolves=hosts.NO, status=None, seconds=1.0))),
        WARN,
        with_surroundings(hub=LOST),
    ),
    "NET004": Case(GOOD, with_surroundings(proxies=Known((PROXY,))), WARN, with_surroundings(proxies=LOST)),
    "OPN001": Case(GOOD, listening(keyless=hosts.YES), WARN, listening(keyless=LOST)),
    "OPN002": Case(
        GOOD,
        certified(5),
        WARN,
        host(exposure=Exposure(engines=Known(()), certificates=Known(()), unread_certificates=(UNREAD,))),
    ),
    "ENG001": Case(
        GOOD, host(tools=(), engines=Known(())), WARN, host(tools=with_tool(tool("llama-server")), engines=Known(()))
    ),
    "ENG002": Case(
        GOOD, host(tools=with_tool(tool("llama-server", "b4500"))), WARN, host(tools=with_tool(tool("llama-server")))
    ),
    "ENG003": Case(
        GOOD, host(tools=with_tool(tool("llama-server", "b9000"))), WARN, host(tools=with_tool(tool("llama-server")))
    ),
    "CON001": Case(GOOD, host(tools=with_tool(tool("nginx", path=None))), WARN, host(tools=with_tool(tool("nginx")))),
    "CON002": Case(GOOD, host(tools=with_tool(tool("systemd-analyze", path=None))), WARN, host(tools=())),
    "CON003": Case(
        GOOD,
        host(tools=(tool("docker compose", path=None), tool("docker-compose", "1.29.2"))),
        WARN,
        host(tools=with_tool(tool("docker compose"))),
    ),
    "NET001": Case(GOOD, host(listeners=Known((listener(8443, "nginx"),))), WARN, host(listeners=LOST)),
    "NET002": Case(GOOD, host(listeners=Known((listener(8080),))), WARN, host(listeners=LOST)),
}

ALWAYS_KNOWN = {
    "SYS006": "a process knows its own user",
    "GPU001": "a library that does not answer is a fault, not an unknown",
    "GPU002": "a card that does not answer is a fault, not an unknown",
}
NEVER_BAD = {
    "GPU003": "that memory cannot be read is the only thing it can say",
    "GPU030": "that memory cannot be read is the only thing it can say",
}
OF_THE_ROWS = {"DAT001"}
"""Judges no host: `test_rows_that_are_old_are_told` has its cases."""


def finding(code: str, facts: HostFacts) -> Finding:
    (found,) = judge(facts, select=[code])
    return found


def test_every_check_has_its_cases() -> None:
    assert set(CASES) | OF_THE_ROWS == {check.code for check in CHECKS}
    assert {code for code, case in CASES.items() if case.unknown is None} == set(ALWAYS_KNOWN)
    assert {code for code, case in CASES.items() if case.status is Status.OK} == set(NEVER_BAD)


@pytest.mark.parametrize("code", CASES)
def test_a_sound_host_is_ok(code: str) -> None:
    found = finding(code, CASES[code].good)
    assert (found.status, found.fix) == (Status.OK, None)
    assert found.message


@pytest.mark.parametrize("code", [code for code in CASES if code not in NEVER_BAD])
def test_a_spoiled_host_is_found_and_told_what_to_do(code: str) -> None:
    found = finding(code, CASES[code].bad)
    assert found.status is CASES[code].status
    assert found.message
    assert found.fix


@pytest.mark.parametrize("code", [code for code in CASES if code not in ALWAYS_KNOWN])
def test_what_cannot_be_known_is_skipped_with_the_reason(code: str) -> None:
    facts = CASES[code].unknown
    assert facts is not None
    found = finding(code, facts)
    assert found.status is Status.SKIP
    assert len(found.message.split(": ", 1)[1]) > 3


def test_codes_are_unique_and_every_row_says_everything() -> None:
    codes = [check.code for check in CHECKS]
    assert len(set(codes)) == len(codes)
    assert not any(code.startswith(("PLN", "EXP", "PULL", "VERIFY", "RND", "QST")) for code in codes), (
        "other commands' own"
    )
    for check in CHECKS:
        assert check.title
        assert check.why.endswith(".")
        assert check.fix
        assert not check.fix.endswith(".")


def every_host() -> Iterator[HostFacts]:
    for case in CASES.values():
        yield case.good
        yield case.bad
        if case.unknown is not None:
            yield case.unknown
    yield from FAULTY.values()


def spoiled(value: object) -> Iterator[object]:
    """The value once for each reading inside it, with that reading taken away."""
    if isinstance(value, Known):
        yield LOST
        for inner in spoiled(value.value):
            yield Known(inner)
    elif isinstance(value, tuple):
        for at, item in enumerate(value):
            for changed in spoiled(item):
                yield (*value[:at], changed, *value[at + 1 :])
    elif is_dataclass(value) and not isinstance(value, type | Unknown):
        for field in fields(value):
            for changed in spoiled(getattr(value, field.name)):
                yield replace(value, **{field.name: changed})


def test_no_check_turns_to_ok_when_a_fact_is_taken_away() -> None:
    tried = 0
    for facts in set(every_host()):
        before = {one.code: one.status for one in judge(facts)}
        for poorer in spoiled(facts):
            assert isinstance(poorer, HostFacts)
            tried += 1
            for one in judge(poorer):
                if one.status is Status.OK:
                    assert before.get(one.code) is Status.OK, (one, poorer)
    assert tried > 500


def test_a_verdict_never_gets_better_than_its_worst_known_fact() -> None:
    """Taking away any one fact of a host that is ready leaves it ready only where readiness does not hang on that fact."""
    deciding = {check.code for check in CHECKS if check.decides}
    for poorer in spoiled(GOOD):
        assert isinstance(poorer, HostFacts)
        findings = judge(poorer)
        skipped = {one.code for one in findings if one.status is Status.SKIP}
        expected = Verdict.READY_WITH_WARNINGS if skipped & deciding else Verdict.READY
        assert verdict(findings) is expected, skipped


def test_only_cards_driver_and_memory_can_make_a_host_not_ready() -> None:
    failing = {one.code[:3] for facts in every_host() for one in judge(facts) if one.status is Status.FAIL}
    assert failing == {"GPU", "MEM"}


def test_no_check_says_worse_than_its_row_allows() -> None:
    worst = {check.code: check.worst for check in CHECKS}
    order = [Status.OK, Status.SKIP, Status.WARN, Status.FAIL]
    for facts in every_host():
        for one in judge(facts):
            assert order.index(one.status) <= order.index(worst[one.code]), one


@pytest.mark.parametrize(("days", "status"), [(0, Status.OK), (180, Status.OK), (181, WARN), (-1, Status.SKIP)])
def test_rows_that_are_old_are_told(days: int, status: Status) -> None:
    rows = hosts.references()
    same = tuple(replace(one, as_of=rows.today.isoformat()) for one in rows.editions)
    later = replace(rows, editions=same, today=rows.today + datetime.timedelta(days=days))
    (found,) = judge_by(GOOD, later, select=["DAT001"])
    assert found.status is status
    assert f"{days} days old" in found.message or days < 0


def test_a_sound_host_is_ready() -> None:
    assert verdict(judge(GOOD)) is Verdict.READY


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


def test_a_low_limit_of_memory_fails_although_the_host_has_plenty() -> None:
    facts = with_memory(limit_bytes=Known(512 * MIB))
    assert finding("MEM001", facts).status is Status.FAIL
    assert verdict(judge(facts)) is Verdict.NOT_READY


def test_little_available_memory_warns() -> None:
    assert finding("MEM001", with_memory(available_bytes=2 * GIB)).status is Status.WARN


@pytest.mark.parametrize(
    ("driver", "capability", "wheel"),
    [
        ("580.178.04", "9.0", "vllm==0.33.0"),
        ("570.124.06", "9.0", "vllm==0.19.1"),
        ("570.124.06", "12.0", "vllm==0.19.1"),
        ("550.90.07", "9.0", "vllm==0.19.1"),
        ("550.90.07", "10.0", None),
        ("580.178.04", "6.1", None),
        ("470.256.02", "8.0", None),
    ],
)
def test_a_missing_engines_fix_is_for_this_driver_and_card(driver: str, capability: str, wheel: str | None) -> None:
    cards = nvidia(gpu(compute_capability=Known(capability)), driver=Known(Driver(version=driver, cuda=LOST)))
    fix = finding("ENG001", host(tools=(), nvidia=cards)).fix or ""
    assert "-DGGML_CUDA=ON" in fix
    assert (wheel in fix) if wheel is not None else ("vllm==" not in fix)


def test_without_a_card_the_fix_builds_for_the_cpu_with_its_threads() -> None:
    fix = finding("ENG001", host(tools=(), nvidia=hosts.without_nvml(NvidiaState.LIBRARY_ABSENT))).fix or ""
    assert "CUDA" not in fix
    assert "-j 64" in fix


def test_compose_is_found_in_either_form() -> None:
    alone = (tool("docker compose", path=None), tool("docker-compose", "2.40.3"))
    assert finding("CON003", host(tools=alone)).message == "docker-compose 2.40.3"


def test_select_and_ignore_take_prefixes() -> None:
    assert {one.code[:3] for one in judge(GOOD, select=["GPU", "NET001"])} == {"GPU", "NET"}
    assert "MEM004" not in {one.code for one in judge(GOOD, ignore=["MEM004"])}
    assert judge(GOOD, select=["GPU"], ignore=["GPU"]) == ()


def test_checks_of_cards_say_nothing_where_there_is_none() -> None:
    side = Known(kernel_side(modules=(), nvidia_version=None))
    facts = host(nvidia=hosts.without_nvml(NvidiaState.LIBRARY_ABSENT), kernel_side=side)
    assert [one.code for one in judge(facts, select=["GPU"])] == ["GPU001"]
