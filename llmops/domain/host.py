"""What is known of a host. Every field a probe may fail to read is a `Reading`."""

from dataclasses import dataclass
from enum import StrEnum

from llmops.domain.reading import Known, Unknown


class SwapKind(StrEnum):
    """Where swapped pages go."""

    FILE = "file"
    PARTITION = "partition"
    ZRAM = "zram"


class Container(StrEnum):
    """What the program runs inside of."""

    NONE = "none"
    DOCKER = "docker"
    PODMAN = "podman"
    LXC = "lxc"
    SYSTEMD_NSPAWN = "systemd-nspawn"
    KUBERNETES = "kubernetes"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """The processor: cores are physical, threads are what the scheduler sees, extensions as in /proc/cpuinfo."""

    model: str
    architecture: str
    physical_cores: Known[int] | Unknown
    threads: int
    numa_nodes: Known[int] | Unknown
    vector_extensions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """One swap area."""

    name: str
    kind: SwapKind
    size_bytes: int
    used_bytes: int
    priority: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Host memory; `limit_bytes` is the cgroup limit in force, None when there is none."""

    total_bytes: int
    available_bytes: int
    limit_bytes: Known[int | None] | Unknown
    swaps: Known[tuple[Swap, ...]] | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A mounted filesystem that matters here: `path` asked for, where it is mounted, what is free to this user."""

    path: str
    mount: str
    filesystem: str
    total_bytes: int
    free_bytes: int
    free_inodes: int | None
    read_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuProcess:
    """Who holds memory on a card."""

    pid: int
    name: str | None
    used_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One card as its driver reports it. `free_bytes` leaves out what the driver reserves."""

    index: int
    vendor: str
    name: Known[str] | Unknown
    uuid: Known[str] | Unknown
    memory_bytes: Known[int] | Unknown
    free_bytes: Known[int] | Unknown
    reserved_bytes: Known[int] | Unknown
    compute_capability: Known[str] | Unknown
    mig_enabled: Known[bool] | Unknown
    ecc_errors: Known[int] | Unknown
    temperature_celsius: Known[int] | Unknown
    processes: Known[tuple[GpuProcess, ...]] | Unknown
    unified_memory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """The NVIDIA kernel driver and the newest CUDA it serves ("12.8")."""

    version: str
    cuda: Known[str] | Unknown


class NvidiaState(StrEnum):
    """What NVML said when it was opened: the first is fine, the second means CPU only, the rest are faults."""

    READY = "ready"
    LIBRARY_ABSENT = "library_absent"
    DRIVER_NOT_LOADED = "driver_not_loaded"
    VERSION_MISMATCH = "version_mismatch"
    NO_PERMISSION = "no_permission"
    NO_DEVICES = "no_devices"
    FAILED = "failed"

    def is_fault(self) -> bool:
        """A library that is there but cannot serve: the host is not ready."""
        return self not in (NvidiaState.READY, NvidiaState.LIBRARY_ABSENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nvidia:
    """The NVIDIA side of the host; `detail` is NVML's own words when the state is not `ready`."""

    state: NvidiaState
    detail: str
    driver: Known[Driver] | Unknown
    gpus: tuple[Gpu, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A program that was looked for: an engine, a consumer of rendered files, a container tool."""

    name: str
    path: str | None
    version: Known[str] | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A listening TCP socket; `program` is unknown without the right to look."""

    address: str
    port: int
    program: Known[str] | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """The operating system as a unit will find it."""

    os_id: str
    os_version: str
    os_name: str
    kernel: str
    systemd_version: Known[int] | Unknown
    systemd_is_running: bool
    container: Known[Container] | Unknown
    is_wsl: bool
    is_root: bool
    python_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """All of it: what `doctor --json` prints under `result.facts` and `--facts` reads."""

    schema: str = "llmops.facts/1"
    system: System
    cpu: Known[Cpu] | Unknown
    memory: Known[Memory] | Unknown
    disks: Known[tuple[Disk, ...]] | Unknown
    nvidia: Nvidia
    tools: tuple[Tool, ...]
    listeners: Known[tuple[Listener, ...]] | Unknown
