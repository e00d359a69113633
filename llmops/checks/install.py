"""The exact lines that install what is missing: the driver, the container toolkit, an engine, for this system, driver and card.

Each is a version that the matrix allows and, where there is one, without known holes. Lines are for a root shell of Debian or
Ubuntu; on others the maker's own page is named.
"""

from llmops.checks.gpu import label, version
from llmops.domain.engine import EngineName
from llmops.domain.engine_matrix import BuildRow, Card, numbers
from llmops.domain.engine_verdicts import build_for
from llmops.domain.host import HostFacts
from llmops.domain.reading import Known, known
from llmops.domain.references import References

APT = ("debian", "ubuntu")
OPEN_MODULE_FROM = (7, 5)
"""Turing: the first cards of the open kernel module, which is the only one for Blackwell (NVIDIA, open GPU kernel modules)."""

TOOLKIT = "nvidia-container-toolkit"
SOURCES = "/etc/apt/sources.list.d/nvidia-container-toolkit.list"
LLAMA_CPP_BUILD = 11669
"""The build llama.cpp's memory model was checked on."""


def commands(host: HostFacts, lines: str) -> tuple[str, ...]:
    """Those of the lines that a script may run: no remark, no restart of the host; none where they are words for people."""
    if host.system.os_id not in APT:
        return ()
    kept = [line for line in lines.splitlines() if line and not line.startswith("#") and line != "systemctl reboot"]
    return tuple(kept) if any(line.startswith("apt-get ") for line in kept) else ()


def engine_commands(host: HostFacts) -> tuple[str, ...]:
    """llama.cpp's alone: which of several engines to install is for a person to say."""
    return commands(host, "\n".join(_llama_cpp_lines(host))) if not host.nvidia.state.is_fault() else ()


def cards_of(host: HostFacts) -> tuple[Card, ...]:
    """NVIDIA's cards that answer, as the matrix takes them."""
    return tuple(Card(label(gpu), known(gpu.compute_capability)) for gpu in host.nvidia.gpus if gpu.fault is None)


def maintained(references: References) -> str:
    """`maintained: R580, R595`."""
    return f"maintained: {', '.join(f'R{one.branch}' for one in references.advisories.maintained())}"


def wanted_branch(host: HostFacts, references: References) -> tuple[int, str] | None:
    """The branch to install, and its version without known holes: the long-term one, which old cards need as well."""
    rows = references.advisories.maintained()
    needs = [references.matrix.generation(card.capability or "") for card in cards_of(host)]
    last = min((row.branch_last for row in needs if row is not None and row.branch_last is not None), default=None)
    able = [one for one in rows if last is None or one.branch <= last]
    long_term = [one for one in able if one.kind == "long-term"] or able
    if not long_term or long_term[-1].fixed is None:
        return None
    return long_term[-1].branch, long_term[-1].fixed


def driver_lines(host: HostFacts, references: References) -> str:
    """How the driver gets here."""
    wanted = wanted_branch(host, references)
    if wanted is None:
        return f"install an NVIDIA driver of a maintained branch ({maintained(references)}), then reboot"
    branch, fixed = wanted
    old = [card for card in cards_of(host) if card.capability and numbers(card.capability) < OPEN_MODULE_FROM]
    kind = "" if old else "-open"
    if host.system.os_id == "ubuntu":
        return "\n".join(
            (
                f"# the driver, branch R{branch} ({fixed} or newer), from Ubuntu's own archive:",
                "apt-get update",
                "apt-get install -y linux-headers-generic "
                f"nvidia-headless-{branch}{kind} nvidia-utils-{branch} nvidia-dkms-{branch}{kind}",
                "systemctl reboot",
            )
        )
    if host.system.os_id == "debian":
        major = host.system.os_version.split(".", 1)[0] or "12"
        machine = known(host.cpu)
        arch = "sbsa" if machine is not None and machine.architecture == "aarch64" else "x86_64"
        place = f"https://developer.download.nvidia.com/compute/cuda/repos/debian{major}/{arch}"
        return "\n".join(
            (
                f"# the driver, branch R{branch} ({fixed} or newer), from NVIDIA's archive (Debian's has an older one):",
                'apt-get install -y curl "linux-headers-$(dpkg --print-architecture)"',
                f"curl -fsSLO {place}/cuda-keyring_1.1-1_all.deb",
                "dpkg -i cuda-keyring_1.1-1_all.deb",
                "apt-get update",
                f"apt-get install -y nvidia-driver-pinning-{branch}",
                f"apt-get install -y {'cuda-drivers' if old else 'nvidia-open'}",
                "systemctl reboot",
            )
        )
    return (
        f"install driver R{branch}, {fixed} or newer, {'the closed' if old else 'with the open'} kernel module "
        "(docs.nvidia.com/datacenter/tesla/driver-installation-guide), then reboot"
    )


def toolkit_lines(host: HostFacts, references: References) -> str:
    """How NVIDIA's container toolkit gets here, at the first version without known holes."""
    rows = [one.fixed for one in references.advisories.advisories if one.product == TOOLKIT and one.fixed]
    pinned = max(rows, key=numbers, default=None)
    if host.system.os_id not in APT or pinned is None:
        return f"install NVIDIA's container toolkit, {pinned or 'the newest'} or newer, then `nvidia-ctk runtime configure`"
    keyring = "/usr/share/keyrings/nvidia-container-toolkit-keyring.gpg"
    place = "https://nvidia.github.io/libnvidia-container"
    packages = (
        "nvidia-container-toolkit",
        "nvidia-container-toolkit-base",
        "libnvidia-container-tools",
        "libnvidia-container1",
    )
    return "\n".join(
        (
            f"# NVIDIA's container toolkit, {pinned}:",
            "apt-get install -y curl gnupg",
            f"curl -fsSL {place}/gpgkey | gpg --dearmor --yes -o {keyring}",
            f'echo "deb [signed-by={keyring}] {place}/stable/deb/\\$(ARCH) /" > {SOURCES}',
            "apt-get update",
            f"apt-get install -y {' '.join(f'{name}={pinned}-1' for name in packages)}",
            "nvidia-ctk runtime configure --runtime=docker",
            "systemctl restart docker",
        )
    )


def engine_lines(host: HostFacts, references: References) -> str:
    """llama.cpp for this system and card, and vLLM and Ollama where driver and card allow them."""
    if host.nvidia.state.is_fault():
        return "first see to the driver (GPU001): which engine to install depends on the card"
    lines = list(_llama_cpp_lines(host))
    driver, cards = known(host.nvidia.driver), cards_of(host)
    if driver is not None and cards and version(driver.version) is not None and all(card.capability for card in cards):
        vllm = build_for(references.matrix, EngineName.VLLM, driver=driver.version, cards=cards)
        if vllm is not None:
            lines += _vllm_lines(vllm)
        ollama = build_for(references.matrix, EngineName.OLLAMA, driver=driver.version, cards=cards)
        if ollama is not None:
            lines += ["# or Ollama, which brings its own CUDA:", "curl -fsSL https://ollama.com/install.sh | sh"]
    return "\n".join(lines)


def locked_engine_lines(host: HostFacts, references: References, engine: EngineName, build: str) -> str:
    """The lock's engine at the lock's build, where the rendered unit starts it (vLLM: its own virtual environment)."""
    if engine is EngineName.LLAMA_CPP:
        return "\n".join(_llama_cpp_lines(host))
    if engine is EngineName.VLLM:
        return "\n".join(
            (
                f"# vLLM {build}, in a virtual environment of its own:",
                "apt-get install -y python3-venv",
                "test -d /opt/llmops/vllm || python3 -m venv /opt/llmops/vllm",
                f"/opt/llmops/vllm/bin/pip install vllm=={build}",
            )
        )
    return engine_lines(host, references)


def _vllm_lines(row: BuildRow) -> tuple[str, ...]:
    note = f"; {row.note}" if row.note else ""
    return (
        f"# vLLM, the newest for this driver (CUDA {row.cuda}{note}):",
        "apt-get install -y python3-venv",
        "python3 -m venv /opt/vllm",
        f"/opt/vllm/bin/pip install vllm=={row.newest}",
        "ln -sf /opt/vllm/bin/vllm /usr/local/bin/vllm",
    )


def _llama_cpp_lines(host: HostFacts) -> tuple[str, ...]:
    """Debian has llama.cpp as a package from forky on; elsewhere it is built, for the cards that are here."""
    system = host.system
    others = {gpu.vendor for gpu in known(host.other_gpus) or ()}
    if (
        system.os_id == "debian"
        and not host.nvidia.gpus
        and not others
        and _is_forky(system.os_version, system.os_name)
    ):
        return ("# llama.cpp for the CPU:", "apt-get install -y llama.cpp-tools")
    flags, title, packages = "", "the CPU", ""
    if host.nvidia.gpus:
        known_cards = dict.fromkeys(card.capability.replace(".", "") for card in cards_of(host) if card.capability)
        only = f" -DCMAKE_CUDA_ARCHITECTURES='{';'.join(known_cards)}'" if known_cards else ""
        flags, title = f"-DGGML_CUDA=ON{only} ", "CUDA (needs the CUDA toolkit's nvcc)"
    elif "amd" in others or "intel" in others:
        flags, title, packages = "-DGGML_VULKAN=ON ", "Vulkan", " libvulkan-dev glslc"
    threads = host.cpu.value.threads if isinstance(host.cpu, Known) else 2
    return (
        f"# llama.cpp for {title}:",
        f"apt-get install -y git build-essential cmake{packages}",
        f"test -d llama.cpp || git clone --depth 1 --branch b{LLAMA_CPP_BUILD} https://github.com/ggml-org/llama.cpp",
        # one file without libraries of its own, so that it can be copied to where the unit finds it
        f"cmake -S llama.cpp -B llama.cpp/build {flags}-DBUILD_SHARED_LIBS=OFF",
        f"cmake --build llama.cpp/build --target llama-server -j {threads}",
        "install llama.cpp/build/bin/llama-server /usr/local/bin/",
    )


def _is_forky(os_version: str, os_name: str) -> bool:
    have = version(os_version)
    return "forky" in os_name or (have is not None and have >= (14,))
