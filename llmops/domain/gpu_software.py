"""What serves the cards: the driver's files, CUDA, container tools, engines and Pythons. Nothing is asked of older facts."""

from enum import StrEnum

from llmops.domain.reading import NOT_ASKED, Known, Unknown
from llmops.domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A systemd service: `state` is systemd's word ("active", "inactive", "failed"); the version of its program."""

    name: str
    state: str
    version: Known[str] | Unknown = NOT_ASKED


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceNode:
    """A device file of a card, its mode in octal, its group, and whether this user may open it for reading and writing."""

    path: str
    mode: str
    group: str
    usable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverFiles:
    """The NVIDIA driver beside NVML.

    `module_for_this_kernel` is the version of the `nvidia` module that lies below /lib/modules of the running kernel ("" where
    the file does not name it), None when there is none; `other_kernels` are those that have one. `open_module` is of the loaded
    module. `rejected` are lines of the kernel's log on modules it did not take.
    """

    library_version: Known[str | None] | Unknown = NOT_ASKED
    open_module: Known[bool] | Unknown = NOT_ASKED
    module_for_this_kernel: Known[str | None] | Unknown = NOT_ASKED
    module_is_signed: Known[bool] | Unknown = NOT_ASKED
    other_kernels: Known[tuple[str, ...]] | Unknown = NOT_ASKED
    secure_boot: Known[bool] | Unknown = NOT_ASKED
    rejected: Known[tuple[str, ...]] | Unknown = NOT_ASKED
    nouveau_is_blocked: Known[bool] | Unknown = NOT_ASKED
    fabric_manager: Known[Service | None] | Unknown = NOT_ASKED
    persistence_daemon: Known[Service | None] | Unknown = NOT_ASKED
    device_nodes: Known[tuple[DeviceNode, ...]] | Unknown = NOT_ASKED


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdFiles:
    """AMD's side: /dev/kfd, the versions of the amdgpu module and of ROCm; None is not installed (or built into the kernel)."""

    kfd_usable: Known[bool | None] | Unknown = NOT_ASKED
    module_version: Known[str | None] | Unknown = NOT_ASKED
    rocm_version: Known[str | None] | Unknown = NOT_ASKED
    device_nodes: Known[tuple[DeviceNode, ...]] | Unknown = NOT_ASKED


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaToolkit:
    """An installed CUDA toolkit; `nvcc` is whether its compiler is there."""

    path: str
    version: Known[str] | Unknown
    nvcc: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaLibrary:
    """A library of CUDA ("cudnn"), and its version as it says itself; it was loaded, not only found."""

    name: str
    path: str
    version: Known[str] | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuda:
    """CUDA beside the driver. `nvcc_on_path` is the version of the compiler found first, None where none is on the PATH."""

    toolkits: Known[tuple[CudaToolkit, ...]] | Unknown = NOT_ASKED
    nvcc_on_path: Known[str | None] | Unknown = NOT_ASKED
    libraries: Known[tuple[CudaLibrary, ...]] | Unknown = NOT_ASKED


@dataclass(frozen=True, slots=True, kw_only=True)
class CdiSpec:
    """A container device specification: `kind` ("nvidia.com/gpu"), its devices, files it names that are not there."""

    path: str
    kind: str
    devices: tuple[str, ...]
    missing: tuple[str, ...]
    library_version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerEngine:
    """Docker or Podman: whether it answers this user, its runtimes, the default one, and whether it takes CDI devices."""

    name: str
    version: Known[str] | Unknown
    answers: Known[bool] | Unknown
    runtimes: Known[tuple[str, ...]] | Unknown
    default_runtime: Known[str | None] | Unknown
    cdi: Known[bool] | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Containers:
    """How a container gets a card. `toolkit_version` is that of NVIDIA's container toolkit, None where it is not installed."""

    toolkit_version: Known[str | None] | Unknown = NOT_ASKED
    cdi_specs: Known[tuple[CdiSpec, ...]] | Unknown = NOT_ASKED
    engines: Known[tuple[ContainerEngine, ...]] | Unknown = NOT_ASKED


class Found(StrEnum):
    """Where an engine was found."""

    PATH = "path"
    VENV = "venv"
    IMAGE = "image"
    PROCESS = "process"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundEngine:
    """An engine that is here: "vllm", "llama.cpp", "ollama", "sglang", "tgi", and what it was built for, as "cu130" or "rocm".

    `where` is a program's path, a virtual environment, an image with its tag, or the program of process `pid`.
    `backends` are those a llama.cpp or Ollama has libraries for ("cuda", "rocm", "vulkan", "cpu"), as far as files tell.
    """

    name: str
    found: Found
    where: str
    version: Known[str] | Unknown
    build: Known[str | None] | Unknown = NOT_ASKED
    python_version: Known[str | None] | Unknown = NOT_ASKED
    torch_version: Known[str | None] | Unknown = NOT_ASKED
    backends: Known[tuple[str, ...]] | Unknown = NOT_ASKED
    pid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Python:
    """A Python that is installed: whether it can make virtual environments (`venv` and `ensurepip`)."""

    path: str
    version: Known[str] | Unknown
    venv: Known[bool] | Unknown
