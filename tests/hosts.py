"""Hosts made for tests: a sound one, and ways to spoil it."""

# ruff: noqa: ANN401 - a spoiled field is of that field's own type, which `replace` takes as it comes

from dataclasses import replace
from typing import Any

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
from llmops.domain.reading import Known, Unknown
from llmops.domain.units import GIB

LOST = Unknown("taken away")


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


def memory(**changes: Any) -> Memory:
    sound = Memory(total_bytes=64 * GIB, available_bytes=60 * GIB, limit_bytes=Known(None), swaps=Known(()))
    return replace(sound, **changes)


def disk(**changes: Any) -> Disk:
    sound = Disk(
        path="/var/lib/llmops",
        mount="/",
        filesystem="ext4",
        total_bytes=500 * GIB,
        free_bytes=400 * GIB,
        free_inodes=1_000_000,
        read_only=False,
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
    )
    return replace(sound, **changes)
