"""What is known of a host. Every field a probe may fail to read is a `Reading`."""

from dataclasses import field
from enum import StrEnum
from typing import ClassVar

from llmops.domain.exposure import Exposure
from llmops.domain.gpu import (
    CardPair,
    ClockReason,
    Clocks,
    ComputeMode,
    Ecc,
    Fabric,
    GpuSource,
    MigInstance,
    NvLink,
    PcieLink,
    Power,
    Virtualization,
    Xid,
)
from llmops.domain.gpu_software import AmdFiles, Containers, Cuda, DriverFiles, FoundEngine, Python
from llmops.domain.host_memory import MemoryTuning, NumaNode, OomKill, Zram
from llmops.domain.reading import NOT_ASKED, Known, Unknown
from llmops.domain.records import dataclass
from llmops.domain.storage import DiskSpeed, Storage
from llmops.domain.surroundings import Surroundings


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
    """The processor: cores are physical, threads are what the scheduler sees, extensions as in /proc/cpuinfo.

    `quota_threads` is how many threads' worth of time the control group grants, None when it sets no limit.
    """

    model: str
    architecture: str
    physical_cores: Known[int] | Unknown
    threads: int
    numa_nodes: Known[int] | Unknown
    vector_extensions: tuple[str, ...]
    quota_threads: Known[float | None] | Unknown = NOT_ASKED


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
    """Host memory; `limit_bytes` is the cgroup limit in force, None when there is none.

    `throttle_bytes` is where a group is slowed down (`memory.high`), `swap_limit_bytes` how much swap it may use, None again
    without a limit; `lock_limit_bytes` is what this process may lock in memory (RLIMIT_MEMLOCK), None: as much as it likes.
    `oom_kill_count` is the kernel's own since boot, `oom_kills` those its log still names, the last first.
    """

    total_bytes: int
    available_bytes: int
    limit_bytes: Known[int | None] | Unknown
    swaps: Known[tuple[Swap, ...]] | Unknown
    throttle_bytes: Known[int | None] | Unknown = NOT_ASKED
    swap_limit_bytes: Known[int | None] | Unknown = NOT_ASKED
    lock_limit_bytes: Known[int | None] | Unknown = NOT_ASKED
    tuning: MemoryTuning = field(default_factory=MemoryTuning)
    numa_nodes: Known[tuple[NumaNode, ...]] | Unknown = NOT_ASKED
    zrams: Known[tuple[Zram, ...]] | Unknown = NOT_ASKED
    oom_kill_count: Known[int] | Unknown = NOT_ASKED
    oom_kills: Known[tuple[OomKill, ...]] | Unknown = NOT_ASKED


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A mounted filesystem that matters here: `path` asked for, where it is mounted, what is free to this user.

    `source` is what is mounted ("/dev/nvme0n1p2", "server:/export"). The speed is not known where it was not measured, and
    the reason says why.
    """

    path: str
    mount: str
    filesystem: str
    total_bytes: int
    free_bytes: int
    free_inodes: int | None
    read_only: bool
    source: str = ""
    storage: Known[Storage] | Unknown = NOT_ASKED
    speed: Known[DiskSpeed] | Unknown = NOT_ASKED


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadDisk:
    """A path whose filesystem did not answer, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuProcess:
    """Who holds memory on a card."""

    pid: int
    name: str | None
    used_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRemapping:
    """Bad memory rows of a card that were replaced: `pending` waits for a reset, `failed` means no spare row is left."""

    pending: bool
    failed: bool
    corrected_rows: int | None = None
    uncorrected_rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One device as its driver reports it. `free_bytes` leaves out what the driver reserves; `index` counts per vendor.

    A card in MIG mode is listed once per instance, each with the instance's own UUID and memory and the card's index: that
    is what CUDA shows, one at a time, to a process. With no instance the card stands here itself, its memory unknown.
    `fault` is NVML's word for a card that no longer answers ("GPU is lost"), None when it does. `ecc_errors` are uncorrected
    ones since the driver was loaded. `address` is its place on the PCI bus, as "0000:01:00.0". `architecture` is the
    generation of an NVIDIA card ("hopper"), the compiler's name of an AMD card ("gfx1100"). `shared_bytes` is host memory
    that a card with little or none of its own
    may use (GTT of an APU). The serial number is only read where it was asked for.
    """

    WRITTEN: ClassVar = ("fault",)

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
    fault: str | None = None
    is_mig_instance: bool = False
    row_remapping: Known[RowRemapping] | Unknown = NOT_ASKED
    address: Known[str] | Unknown = NOT_ASKED
    serial: Known[str] | Unknown = NOT_ASKED
    architecture: Known[str] | Unknown = NOT_ASKED
    shared_bytes: Known[int] | Unknown = NOT_ASKED
    numa_node: Known[int] | Unknown = NOT_ASKED
    pcie: PcieLink = field(default_factory=PcieLink)
    power: Power = field(default_factory=Power)
    clocks: Clocks = field(default_factory=Clocks)
    clock_reasons: Known[tuple[ClockReason, ...]] | Unknown = NOT_ASKED
    load_percent: Known[int] | Unknown = NOT_ASKED
    slowdown_celsius: Known[int] | Unknown = NOT_ASKED
    persistence_mode: Known[bool] | Unknown = NOT_ASKED
    compute_mode: Known[ComputeMode] | Unknown = NOT_ASKED
    display_active: Known[bool] | Unknown = NOT_ASKED
    virtualization: Known[Virtualization] | Unknown = NOT_ASKED
    vgpu_licensed: Known[bool] | Unknown = NOT_ASKED
    ecc: Ecc = field(default_factory=Ecc)
    retired_pages_pending: Known[bool] | Unknown = NOT_ASKED
    nvlinks: Known[tuple[NvLink, ...]] | Unknown = NOT_ASKED
    fabric: Known[Fabric] | Unknown = NOT_ASKED
    mig_instance: MigInstance | None = None


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
class DisplayCard:
    """A graphics card or accelerator on the PCI bus, whoever serves it: ids in hexadecimal, the kernel driver bound to it."""

    address: str
    vendor_id: str
    device_id: str
    kernel_driver: str | None

    def is_nvidia(self) -> bool:
        """Made by NVIDIA."""
        return self.vendor_id == "10de"

    def is_handed_on(self) -> bool:
        """Bound to a stub that gives it to a virtual machine: not this host's to use."""
        return self.kernel_driver in ("vfio-pci", "pci-stub")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelSide:
    """What the kernel says of graphics, apart from NVML: loaded modules of a card, and the version of `nvidia`."""

    modules: tuple[str, ...]
    nvidia_version: str | None
    cards: tuple[DisplayCard, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nvidia:
    """The NVIDIA side of the host; `detail` is NVML's own words when the state is not `ready`."""

    state: NvidiaState
    detail: str
    driver: Known[Driver] | Unknown
    gpus: tuple[Gpu, ...]
    pairs: Known[tuple[CardPair, ...]] | Unknown = NOT_ASKED


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A program that was looked for: an engine, a consumer of rendered files, a container tool."""

    name: str
    path: str | None
    version: Known[str] | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A listening TCP socket; `program` is unknown without the right to look, `user` is whose it is all the same."""

    address: str
    port: int
    program: Known[str] | Unknown
    user: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """The operating system as a unit will find it; `glibc` is None where the C library is another one.

    `unknown_directives` are those of rendered units that this systemd does not know, by its own list.
    """

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
    glibc: Known[str | None] | Unknown = NOT_ASKED
    unknown_directives: Known[tuple[str, ...]] | Unknown = NOT_ASKED


class Verdict(StrEnum):
    """Whether a host is fit to serve."""

    READY = "ready"
    READY_WITH_WARNINGS = "ready_with_warnings"
    NOT_READY = "not_ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """All of it: what `doctor --json` prints under `result.facts` and `--facts` reads.

    `nvidia.gpus` are NVIDIA's cards, `other_gpus` AMD's, Intel's and Apple's.
    """

    schema: str = "llmops.facts/1"
    system: System
    cpu: Known[Cpu] | Unknown
    memory: Known[Memory] | Unknown
    disks: Known[tuple[Disk, ...]] | Unknown
    nvidia: Nvidia
    tools: tuple[Tool, ...]
    listeners: Known[tuple[Listener, ...]] | Unknown
    unread_disks: tuple[UnreadDisk, ...] = ()
    kernel_side: Known[KernelSide] | Unknown = NOT_ASKED
    other_gpus: Known[tuple[Gpu, ...]] | Unknown = NOT_ASKED
    gpu_sources: tuple[GpuSource, ...] = ()
    xids: Known[tuple[Xid, ...]] | Unknown = NOT_ASKED
    driver_files: DriverFiles = field(default_factory=DriverFiles)
    amd: AmdFiles = field(default_factory=AmdFiles)
    cuda: Cuda = field(default_factory=Cuda)
    containers: Containers = field(default_factory=Containers)
    engines: Known[tuple[FoundEngine, ...]] | Unknown = NOT_ASKED
    pythons: Known[tuple[Python, ...]] | Unknown = NOT_ASKED
    exposure: Exposure = field(default_factory=Exposure)
    surroundings: Surroundings = field(default_factory=Surroundings)
