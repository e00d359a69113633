"""Hosts made for tests: a sound one, and ways to spoil it."""

# ruff: noqa: ANN401 - a spoiled field is of that field's own type, which `replace` takes as it comes

import datetime
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from llmops.domain.exposure import Exposure
from llmops.domain.gpu import ComputeMode, Ecc, PcieLink, Power, Virtualization
from llmops.domain.gpu_software import (
    ContainerEngine,
    Containers,
    Cuda,
    DeviceNode,
    DriverFiles,
    Found,
    FoundEngine,
    Python,
    Service,
)
from llmops.domain.host import (
    Container,
    Cpu,
    Disk,
    DisplayCard,
    Driver,
    Gpu,
    HostFacts,
    KernelSide,
    Listener,
    Memory,
    Nvidia,
    NvidiaState,
    RowRemapping,
    System,
    Tool,
)
from llmops.domain.host_memory import MemoryTuning
from llmops.domain.reading import Known, Unknown
from llmops.domain.references import Edition, References
from llmops.domain.storage import DiskSpeed, Storage, StorageKind
from llmops.domain.surroundings import Clock, FileLimits, Hub, Surroundings
from llmops.domain.units import GIB
from llmops.formats.advisories import advisories
from llmops.formats.engine_matrix import engine_matrix

LOST = Unknown("taken away")


YES, NO = Known(True), Known(False)
CATALOGUE = Path(__file__).parents[1] / "llmops" / "catalogue"


@cache
def references() -> References:
    """The shipped rows, on a day after they were last looked at."""
    matrix = engine_matrix((CATALOGUE / "engines.json").read_text())
    holes = advisories((CATALOGUE / "advisories.json").read_text(), file="advisories.json")
    editions = (
        Edition(name="engine matrix", as_of=matrix.as_of, place="shipped"),
        Edition(name="advisories", as_of=holes.as_of, place="shipped"),
    )
    today = max(datetime.date.fromisoformat(one.as_of) for one in editions)
    return References(matrix=matrix, advisories=holes, editions=editions, today=today)


def system(**changes: Any) -> System:
    sound = System(
        os_id="debian",
        os_version="12",
        os_name="Debian GNU/Linux 12 (bookworm)",
        kernel="6.1.0-38-amd64",
        systemd_version=Known(252),
        systemd_is_running=True,
        container=Known(Container.NONE),
        is_wsl=False,
        is_root=True,
        python_version="3.11.2",
        glibc=Known("2.36"),
    )
    return replace(sound, **changes)


def cpu(**changes: Any) -> Cpu:
    sound = Cpu(
        model="AMD EPYC 9354",
        architecture="x86_64",
        physical_cores=Known(32),
        threads=64,
        numa_nodes=Known(1),
        vector_extensions=("f16c", "fma", "avx2"),
        quota_threads=Known(None),
    )
    return replace(sound, **changes)


def tuning(**changes: Any) -> MemoryTuning:
    sound = MemoryTuning(
        swappiness=Known(60),
        vfs_cache_pressure=Known(100),
        overcommit=Known(0),
        commit_limit_bytes=Known(32 * GIB),
        huge_pages=Known(()),
        numa_balancing=Known(0),
        transparent_huge_pages=Known("madvise"),
    )
    return replace(sound, **changes)


def memory(**changes: Any) -> Memory:
    sound = Memory(
        total_bytes=64 * GIB,
        available_bytes=60 * GIB,
        limit_bytes=Known(None),
        swaps=Known(()),
        throttle_bytes=Known(None),
        tuning=tuning(),
        oom_kill_count=Known(0),
        oom_kills=Known(()),
    )
    return replace(sound, **changes)


def speed(bytes_per_second: int) -> DiskSpeed:
    return DiskSpeed(
        median_bytes_per_second=bytes_per_second,
        low_bytes_per_second=bytes_per_second,
        high_bytes_per_second=bytes_per_second,
        rounds=5,
        read_bytes=5 << 30,
        file_bytes=1 << 30,
        block_bytes=4 << 20,
        requests=4,
    )


def disk(**changes: Any) -> Disk:
    sound = Disk(
        path="/var/lib/llmops",
        mount="/",
        filesystem="ext4",
        total_bytes=500 * GIB,
        free_bytes=400 * GIB,
        free_inodes=1_000_000,
        read_only=False,
        source="/dev/nvme0n1p2",
        storage=Known(Storage(kind=StorageKind.NVME, name="nvme0n1", rotational=False)),
        speed=Known(speed(3_000_000_000)),
    )
    return replace(sound, **changes)


def gpu(**changes: Any) -> Gpu:
    sound = Gpu(
        index=0,
        vendor="nvidia",
        name=Known("NVIDIA L40S"),
        uuid=Known("GPU-00000000-0000-4000-8000-000000000000"),
        memory_bytes=Known(45 * GIB),
        free_bytes=Known(44 * GIB),
        reserved_bytes=Known(1 * GIB),
        compute_capability=Known("8.9"),
        mig_enabled=Known(False),
        ecc_errors=Known(0),
        temperature_celsius=Known(40),
        processes=Known(()),
        row_remapping=Known(RowRemapping(pending=False, failed=False)),
        pcie=PcieLink(width=Known(16), width_maximum=Known(16), generation=Known(4), generation_maximum=Known(4)),
        load_percent=Known(0),
        power=Power(limit_watts=Known(350.0), default_limit_watts=Known(350.0)),
        clock_reasons=Known(()),
        persistence_mode=YES,
        compute_mode=Known(ComputeMode.SHARED),
        virtualization=Known(Virtualization.NONE),
        ecc=Ecc(enabled=YES),
        retired_pages_pending=Unknown("the card remaps rows"),
        nvlinks=Known(()),
    )
    return replace(sound, **changes)


def nvidia(*gpus: Gpu, **changes: Any) -> Nvidia:
    sound = Nvidia(
        state=NvidiaState.READY,
        detail="",
        driver=Known(Driver(version="580.178.04", cuda=Known("13.0"))),
        gpus=gpus,
    )
    return replace(sound, **changes)


def without_nvml(state: NvidiaState, detail: str = "as NVML says") -> Nvidia:
    return Nvidia(state=state, detail=detail, driver=Unknown(detail), gpus=())


def card(**changes: Any) -> DisplayCard:
    sound = DisplayCard(address="0000:01:00.0", vendor_id="10de", device_id="26b9", kernel_driver="nvidia")
    return replace(sound, **changes)


def kernel_side(*cards: DisplayCard, **changes: Any) -> KernelSide:
    sound = KernelSide(modules=("nvidia",), nvidia_version="580.178.04", cards=cards)
    return replace(sound, **changes)


def tool(name: str, version: str | None = None, *, path: str | None = "") -> Tool:
    where = f"/usr/bin/{name}" if path == "" else path
    return Tool(name=name, path=where, version=Known(version) if version is not None else LOST)


TOOLS = (
    tool("llama-server", "b11669"),
    tool("nginx", "1.22.1"),
    tool("systemd-analyze", "252"),
    tool("docker compose", "2.40.3"),
    tool("docker-compose", path=None),
)


def with_tool(changed: Tool) -> tuple[Tool, ...]:
    return tuple(changed if one.name == changed.name else one for one in TOOLS)


def listener(port: int, program: str | None = None) -> Listener:
    return Listener(address="127.0.0.1", port=port, program=Known(program) if program else LOST)


def driver_files(**changes: Any) -> DriverFiles:
    sound = DriverFiles(
        library_version=Known("580.178.04"),
        open_module=YES,
        module_for_this_kernel=Known("580.178.04"),
        module_is_signed=YES,
        other_kernels=Known(()),
        secure_boot=NO,
        rejected=Known(()),
        nouveau_is_blocked=YES,
        fabric_manager=Known(None),
        persistence_daemon=Known(Service(name="nvidia-persistenced", state="active")),
        device_nodes=Known(
            tuple(
                DeviceNode(path=f"/dev/{name}", mode="0666", group="root", usable=True)
                for name in ("nvidia0", "nvidiactl", "nvidia-uvm")
            )
        ),
    )
    return replace(sound, **changes)


def docker(**changes: Any) -> ContainerEngine:
    sound = ContainerEngine(
        name="docker",
        version=Known("29.0.1"),
        answers=YES,
        runtimes=Known(("nvidia", "runc")),
        default_runtime=Known("runc"),
        cdi=YES,
    )
    return replace(sound, **changes)


def containers(*engines: ContainerEngine, **changes: Any) -> Containers:
    sound = Containers(toolkit_version=Known("1.19.1"), cdi_specs=Known(()), engines=Known(engines or (docker(),)))
    return replace(sound, **changes)


def surroundings(**changes: Any) -> Surroundings:
    sound = Surroundings(
        cgroup_version=Known(2),
        clock=Clock(synchronized=YES, error_seconds=Known(0.001), kept_by=Known("chronyd")),
        hub=Known(Hub(endpoint="https://hub.example", resolves=YES, status=200, seconds=0.2)),
        proxies=Known(()),
        firewalls=Known(()),
        files=Known(FileLimits(soft=1024, hard=524288, most_per_process=Known(1 << 20))),
    )
    return replace(sound, **changes)


ENGINES = (
    FoundEngine(
        name="llama.cpp",
        found=Found.PATH,
        where="/usr/bin/llama-server",
        version=Known("b11669"),
        backends=Known(("cuda", "cpu")),
    ),
)


def host(**changes: Any) -> HostFacts:
    sound = HostFacts(
        system=system(),
        cpu=Known(cpu()),
        memory=Known(memory()),
        disks=Known((disk(),)),
        nvidia=nvidia(gpu()),
        tools=TOOLS,
        listeners=Known(()),
        kernel_side=Known(kernel_side(card())),
        other_gpus=Known(()),
        xids=Known(()),
        driver_files=driver_files(),
        cuda=Cuda(nvcc_on_path=Known("12.8"), toolkits=Known(()), libraries=Known(())),
        containers=containers(),
        engines=Known(ENGINES),
        pythons=Known((Python(path="/usr/bin/python3", version=Known("3.11.2"), venv=YES),)),
        exposure=Exposure(engines=Known(()), certificates=Known(())),
        surroundings=surroundings(),
    )
    return replace(sound, **changes)
