"""The lines that bring llama.cpp: Debian's package where it has one, else a build for the cards that are here.

Source: llama.cpp, docs/build.md (CUDA, HIP, Vulkan), CMakeLists.txt of ggml-vulkan (SPIRV-Headers is required) and ggml-hip.
"""

from llmops.checks.gpu import version
from llmops.checks.install import APT, UPDATE, cards_of, cuda_archive_lines
from llmops.domain.engine_matrix import Toolkit, is_older, numbers
from llmops.domain.host import HostFacts
from llmops.domain.reading import Known, known
from llmops.domain.records import dataclass
from llmops.domain.references import References

LLAMA_CPP_BUILD = 11669
"""The build llama.cpp's memory model was checked on."""

NVIDIA_VENDOR = "10de"
COMPILES = (((5, 0), (12, 0), (13, 0)), ((7, 5), (12, 0), None), ((10, 0), (12, 8), None), ((12, 1), (12, 9), None))
"""From this compute capability on, the first CUDA whose nvcc compiles for a card, and the first that no longer does (CUDA release
notes: 12.8 brings Blackwell, 12.9 its 10.3 and 12.1, 13.0 ends Maxwell, Pascal and Volta)."""

OLD_VULKAN_HEADERS = {"debian": (12, 99), "ubuntu": (23, 10)}
"""The last releases whose Vulkan headers are too old: Debian 12's 1.3.239 has no vk::LayerSettingEXT (tried: 1.3.239 does not
compile); Ubuntu 24.04 has 1.3.275."""

VULKAN_HEADERS = "v1.4.309"
"""Those of Debian 13."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Build:
    """One way to build: what for, further packages, what comes before cmake, its options and what it finds in its environment."""

    title: str
    packages: str = ""
    before: tuple[str, ...] = ()
    options: str = ""
    environment: str = ""


def llama_cpp_lines(host: HostFacts, references: References) -> tuple[str, ...]:
    """Debian has llama.cpp as a package from forky on, for the CPU."""
    system = host.system
    build = _build(host, references)
    if build.title == "the CPU" and system.os_id == "debian" and _is_forky(system.os_version, system.os_name):
        return ("# llama.cpp for the CPU:", UPDATE, "apt-get install -y llama.cpp-tools")
    threads = host.cpu.value.threads if isinstance(host.cpu, Known) else 2
    return (
        f"# llama.cpp for {build.title}:",
        UPDATE,
        f"apt-get install -y git ca-certificates build-essential cmake{build.packages}",
        *build.before,
        f"test -d llama.cpp || git clone --depth 1 --branch b{LLAMA_CPP_BUILD} https://github.com/ggml-org/llama.cpp",
        # one file without libraries of its own, so that it can be copied to where the unit finds it
        f"{build.environment}cmake -S llama.cpp -B llama.cpp/build {build.options}-DBUILD_SHARED_LIBS=OFF",
        f"cmake --build llama.cpp/build --target llama-server -j {threads}",
        "install llama.cpp/build/bin/llama-server /usr/local/bin/",
    )


def _build(host: HostFacts, references: References) -> _Build:
    others = known(host.other_gpus) or ()
    if host.nvidia.gpus:
        return _cuda(host, references)
    amd = [gpu for gpu in others if gpu.vendor == "amd"]
    rocm = known(host.amd.rocm_version)
    if amd and rocm is not None:
        targets = dict.fromkeys(name for gpu in amd if (name := known(gpu.architecture)) is not None)
        only = f"-DGPU_TARGETS='{';'.join(targets)}' " if targets else ""
        return _Build(
            title=f"ROCm {rocm}",
            before=("# from ROCm's own archive, which ROCm came from:", "apt-get install -y rocm-hip-sdk"),
            options=f"-DGGML_HIP=ON {only}",
            environment='HIPCXX="$(/opt/rocm/bin/hipconfig -l)/clang" HIP_PATH="$(/opt/rocm/bin/hipconfig -R)" ',
        )
    if amd or any(gpu.vendor == "intel" for gpu in others):
        return _vulkan(host)
    return _Build(title="the CPU")


def _vulkan(host: HostFacts) -> _Build:
    """With the system's headers where they are new enough: ggml-vulkan.cpp uses VK_EXT_layer_settings."""
    packages = " libvulkan-dev glslc spirv-headers"
    newest_old = OLD_VULKAN_HEADERS.get(host.system.os_id)
    have = version(host.system.os_version)
    if newest_old is None or have is None or have > newest_old:
        return _Build(title="Vulkan", packages=packages, options="-DGGML_VULKAN=ON ")
    place = "https://github.com/KhronosGroup/Vulkan-Headers"
    return _Build(
        title="Vulkan",
        packages=packages,
        before=(f"test -d Vulkan-Headers || git clone --depth 1 --branch {VULKAN_HEADERS} {place}",),
        options='-DGGML_VULKAN=ON -DVulkan_INCLUDE_DIR="$PWD/Vulkan-Headers/include" ',
    )


def _cuda(host: HostFacts, references: References) -> _Build:
    """With the compiler that is here, else with the newest toolkit that the driver serves and that knows the cards."""
    names = [card.capability for card in cards_of(host) if card.capability]
    only = dict.fromkeys(name.replace(".", "") for name in names)
    options = "-DGGML_CUDA=ON " + (f"-DCMAKE_CUDA_ARCHITECTURES='{';'.join(only)}' " if only else "")
    on_path = known(host.cuda.nvcc_on_path)
    if on_path is not None and _knows(on_path, names):
        return _Build(title=f"CUDA {on_path}", options=options)
    for one in known(host.cuda.toolkits) or ():
        cuda = known(one.version)
        if one.nvcc and cuda is not None and _knows(cuda, names):
            return _Build(title=f"CUDA {cuda}", options=f"{options}-DCMAKE_CUDA_COMPILER={one.path}/bin/nvcc ")
    toolkit = _toolkit(host, references, names)
    if toolkit is None or host.system.os_id not in APT:
        return _Build(title="CUDA (needs the CUDA toolkit's nvcc)", options=options)
    return _Build(
        title=f"CUDA {toolkit.cuda}",
        packages=" curl",
        before=(*cuda_archive_lines(host), f"apt-get install -y cuda-toolkit-{toolkit.cuda.replace('.', '-')}"),
        options=f"{options}-DCMAKE_CUDA_COMPILER=/usr/local/cuda-{toolkit.cuda}/bin/nvcc ",
    )


def _toolkit(host: HostFacts, references: References, capabilities: list[str]) -> Toolkit | None:
    driver = known(host.nvidia.driver)
    if driver is None or version(driver.version) is None or not capabilities:
        return None
    able = [
        one
        for one in references.matrix.toolkits
        if not is_older(driver.version, one.driver_least) and _knows(one.cuda, capabilities)
    ]
    return max(able, key=lambda one: numbers(one.cuda), default=None)


def _knows(cuda: str, capabilities: list[str]) -> bool:
    """Whether this CUDA's compiler makes code for each of the cards."""
    have = numbers(cuda)
    for capability in capabilities:
        card = (12, 1) if capability == "10.3" else numbers(capability)
        rows = [row for row in COMPILES if row[0] <= card]
        if not rows or have < rows[-1][1] or (rows[-1][2] is not None and have >= rows[-1][2]):
            return False
    return True


def _is_forky(os_version: str, os_name: str) -> bool:
    have = version(os_version)
    return "forky" in os_name or (have is not None and have >= (14,))
