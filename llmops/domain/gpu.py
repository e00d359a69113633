"""What a card says of itself beyond name and memory. Every part is a group of readings; none is asked of older facts."""

from enum import StrEnum

from llmops.domain.reading import NOT_ASKED, Known, Unknown
from llmops.domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PcieLink:
    """The card's way to the host. `maximum` is what card and slot can do together; an idle card drops its generation."""

    generation: Known[int] | Unknown = NOT_ASKED
    width: Known[int] | Unknown = NOT_ASKED
    generation_maximum: Known[int] | Unknown = NOT_ASKED
    width_maximum: Known[int] | Unknown = NOT_ASKED


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """In watts: drawn now, the limit in force, the limit the card came with, the highest it takes."""

    draw_watts: Known[float] | Unknown = NOT_ASKED
    limit_watts: Known[float] | Unknown = NOT_ASKED
    default_limit_watts: Known[float] | Unknown = NOT_ASKED
    maximum_limit_watts: Known[float] | Unknown = NOT_ASKED


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """In MHz: now, and the highest."""

    sm_mhz: Known[int] | Unknown = NOT_ASKED
    sm_maximum_mhz: Known[int] | Unknown = NOT_ASKED
    memory_mhz: Known[int] | Unknown = NOT_ASKED
    memory_maximum_mhz: Known[int] | Unknown = NOT_ASKED


@dataclass(frozen=True, slots=True, kw_only=True)
class Ecc:
    """Memory errors: since the driver was loaded (volatile), and since the card was made (aggregate)."""

    enabled: Known[bool] | Unknown = NOT_ASKED
    enabled_after_reboot: Known[bool] | Unknown = NOT_ASKED
    volatile_corrected: Known[int] | Unknown = NOT_ASKED
    volatile_uncorrected: Known[int] | Unknown = NOT_ASKED
    aggregate_corrected: Known[int] | Unknown = NOT_ASKED
    aggregate_uncorrected: Known[int] | Unknown = NOT_ASKED


class ClockReason(StrEnum):
    """Why the clocks are not at their highest: the bits of nvmlDeviceGetCurrentClocksEventReasons (nvml.h)."""

    IDLE = "idle"
    APPLICATION_CLOCKS = "application_clocks"
    SOFTWARE_POWER_CAP = "software_power_cap"
    HARDWARE_SLOWDOWN = "hardware_slowdown"
    SYNC_BOOST = "sync_boost"
    SOFTWARE_THERMAL = "software_thermal"
    HARDWARE_THERMAL = "hardware_thermal"
    HARDWARE_POWER_BRAKE = "hardware_power_brake"
    DISPLAY_CLOCKS = "display_clocks"
    OTHER = "other"


class ComputeMode(StrEnum):
    """Who may compute on the card (nvmlComputeMode_t)."""

    SHARED = "shared"
    EXCLUSIVE_THREAD = "exclusive_thread"
    PROHIBITED = "prohibited"
    EXCLUSIVE_PROCESS = "exclusive_process"


class Virtualization(StrEnum):
    """Whose card it is (nvmlGpuVirtualizationMode_t): `vgpu` is a share of a card, seen from the guest."""

    NONE = "none"
    PASSTHROUGH = "passthrough"
    VGPU = "vgpu"
    HOST_VGPU = "host_vgpu"
    HOST_VSGA = "host_vsga"


class LinkEnd(StrEnum):
    """What a link ends at (nvmlIntNvLinkDeviceType_t)."""

    GPU = "gpu"
    SWITCH = "switch"
    CPU = "cpu"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class NvLink:
    """One NVLink of a card: whether it is up, and what it ends at; `peer_address` is the PCI address of a card there."""

    index: int
    active: bool
    end: LinkEnd = LinkEnd.UNKNOWN
    peer_address: str | None = None


class FabricState(StrEnum):
    """How far a card's registration with the NVSwitch fabric is (nvmlGpuFabricState_t)."""

    NOT_SUPPORTED = "not_supported"
    NOT_STARTED = "not_started"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fabric:
    """The card's place in the fabric; `error` is NVML's number of a registration that was completed and failed."""

    state: FabricState
    error: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MigInstance:
    """Which part of a card: its profile ("3g.40gb"), and NVML's numbers of it; `number` is its own among the card's devices."""

    profile: Known[str] | Unknown
    gpu_instance: Known[int] | Unknown
    compute_instance: Known[int] | Unknown
    number: int | None = None


class CardPath(StrEnum):
    """What lies between two cards (nvmlGpuTopologyLevel_t), nearest first; `nvidia-smi topo -m` shows the same in letters."""

    SAME_BOARD = "same_board"
    ONE_SWITCH = "one_switch"
    SWITCHES = "switches"
    HOST_BRIDGE = "host_bridge"
    NUMA_NODE = "numa_node"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPair:
    """Two cards by index: what lies between them on PCIe, NVLinks that are up from one to the other, copies without the host."""

    first: int
    second: int
    path: Known[CardPath] | Unknown
    nvlinks: Known[int] | Unknown
    peer_access: Known[bool] | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenCard:
    """A card as one source shows it; None is what that source does not tell."""

    address: str | None
    name: str | None
    memory_bytes: int | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSource:
    """What one source of several (NVML, nvidia-smi, lspci, sysfs) says of the cards: they are compared, NVML decides."""

    name: str
    cards: Known[tuple[SeenCard, ...]] | Unknown
    driver_version: Known[str] | Unknown = NOT_ASKED


@dataclass(frozen=True, slots=True, kw_only=True)
class Xid:
    """NVIDIA's error reports in the kernel's log: equal ones of one card counted, the last one's words and time.

    `address` is as the log has it ("0000:01:00"); `is_switch` is an SXid, of an NVSwitch. `seconds_after_boot` is None where
    the log's lines carry no such stamp.
    """

    address: str
    code: int
    count: int
    text: str
    is_switch: bool = False
    seconds_after_boot: float | None = None
