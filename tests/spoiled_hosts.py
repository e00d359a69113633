"""Hosts with one thing wrong: what the cases of the checks are made of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import hosts
from hosts import card, cpu, disk, gpu, host, kernel_side, memory, nvidia

from llmops.checks import judge as judge_by
from llmops.domain.exposure import Certificate, Exposure, ListeningEngine, UnreadCertificate
from llmops.domain.finding import Finding, Status
from llmops.domain.gpu import (
    Fabric,
    FabricState,
    GpuSource,
    NvLink,
    SeenCard,
    Virtualization,
    Xid,
)
from llmops.domain.gpu_software import (
    AmdFiles,
    CdiSpec,
    ContainerEngine,
    Service,
)
from llmops.domain.host import (
    HostFacts,
    NvidiaState,
    Swap,
    SwapKind,
)
from llmops.domain.reading import NOT_ASKED, Known, Unknown
from llmops.domain.surroundings import ProxyVariable
from llmops.domain.units import GIB

FAULTY = {state: host(nvidia=hosts.without_nvml(state)) for state in NvidiaState if state.is_fault()}

WARN, FAIL = Status.WARN, Status.FAIL
GOOD = host()


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


def judge(facts: HostFacts, **only: Sequence[str]) -> tuple[Finding, ...]:
    return judge_by(facts, hosts.references(), **only)


def finding(code: str, facts: HostFacts) -> Finding:
    (found,) = judge(facts, select=[code])
    return found


UNREAD = UnreadCertificate(path="/etc/ssl/b.pem", used_by="nginx", reason="permission denied")
XID_79 = Xid(address="0000:01:00", code=79, count=1, text="GPU has fallen off the bus.")
PROXY = ProxyVariable(name="https_proxy", value="http://proxy:3128", has_credentials=False)
SPEC = CdiSpec(
    path="/etc/cdi/nvidia.yaml", kind="nvidia.com/gpu", devices=("0", "all"), missing=(), library_version="580.178.04"
)
LICENSED = {"virtualization": Known(Virtualization.VGPU), "vgpu_licensed": hosts.YES}
