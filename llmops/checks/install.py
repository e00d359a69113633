"""The exact lines that install what is missing beside the engines: the driver, NVIDIA's container toolkit, CUDA's archive.

Each is a version without known holes, where there is one. Lines are for a root shell of Debian or Ubuntu; on others the maker's
own page is named. A fresh system has no package lists: `apt-get update` comes before the first package.
"""

import re

from llmops.checks.gpu import label
from llmops.domain.engine_matrix import Card, numbers
from llmops.domain.gpu import Virtualization
from llmops.domain.host import Container, HostFacts
from llmops.domain.reading import known
from llmops.domain.references import References

APT = ("debian", "ubuntu")
UPDATE = "apt-get update"
OPEN_MODULE_FROM = (7, 5)
"""Turing: the first cards of the open kernel module, which is the only one for Blackwell (NVIDIA, open GPU kernel modules)."""

FIRST_TURING_DEVICE = 0x1E00
"""Cards of NVIDIA before Turing have smaller PCI numbers (pci.ids: GV100 ends at 1dff, TU102 begins at 1e02)."""

TOOLKIT = "nvidia-container-toolkit"
SOURCES = "/etc/apt/sources.list.d/nvidia-container-toolkit.list"


def commands(host: HostFacts, lines: str) -> tuple[str, ...]:
    """Those of the lines that a script may run: no remark, no restart of the host; none where they are words for people."""
    if host.system.os_id not in APT:
        return ()
    kept = [line for line in lines.splitlines() if line and not line.startswith("#") and line != "systemctl reboot"]
    return tuple(kept) if any(line.startswith("apt-get ") for line in kept) else ()


def cards_of(host: HostFacts) -> tuple[Card, ...]:
    """NVIDIA's cards that answer, as the matrix takes them."""
    return tuple(Card(label(gpu), known(gpu.compute_capability)) for gpu in host.nvidia.gpus if gpu.fault is None)


def has_old_card(host: HostFacts) -> bool:
    """A card before Turing, as NVML says or, where no driver answers, its number on the bus: the open module knows none."""
    told = [numbers(card.capability) for card in cards_of(host) if card.capability]
    if told:
        return min(told) < OPEN_MODULE_FROM
    side = known(host.kernel_side)
    found = (
        [card.device_id for card in side.cards if card.is_nvidia() and not card.is_handed_on()]
        if side is not None
        else []
    )
    return any(re.fullmatch("[0-9a-f]{4}", one) and int(one, 16) < FIRST_TURING_DEVICE for one in found)


def maintained(references: References) -> str:
    """`maintained: R580, R595`."""
    return f"maintained: {', '.join(f'R{one.branch}' for one in references.advisories.maintained())}"


def wanted_branch(host: HostFacts, references: References) -> tuple[int, str] | None:
    """The branch to install, and its version without known holes: the long-term one, which old cards need as well."""
    rows = references.advisories.maintained()
    needs = [references.matrix.generation(card.capability or "") for card in cards_of(host)]
    last = min((row.branch_last for row in needs if row is not None and row.branch_last is not None), default=None)
    if last is None and has_old_card(host):
        last = min(one.branch_last for one in references.matrix.generations if one.branch_last is not None)
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
    given = _from_outside(host, branch)
    if given is not None:
        return given
    old = has_old_card(host)
    kind = "" if old else "-open"
    if host.system.os_id == "ubuntu":
        return "\n".join(
            (
                f"# the driver, branch R{branch} ({fixed} or newer), from Ubuntu's own archive:",
                UPDATE,
                "apt-get install -y linux-headers-generic "
                f"nvidia-headless-{branch}{kind} nvidia-utils-{branch} nvidia-dkms-{branch}{kind}",
                "systemctl reboot",
            )
        )
    if host.system.os_id == "debian":
        return "\n".join(
            (
                f"# the driver, branch R{branch} ({fixed} or newer), from NVIDIA's archive (Debian's has an older one):",
                UPDATE,
                'apt-get install -y curl ca-certificates "linux-headers-$(dpkg --print-architecture)"',
                *cuda_archive_lines(host),
                f"apt-get install -y nvidia-driver-pinning-{branch}",
                f"apt-get install -y {'cuda-drivers' if old else 'nvidia-open'}",
                "systemctl reboot",
            )
        )
    return (
        f"install driver R{branch}, {fixed} or newer, {'the closed' if old else 'with the open'} kernel module "
        "(docs.nvidia.com/datacenter/tesla/driver-installation-guide), then reboot"
    )


def _from_outside(host: HostFacts, branch: int) -> str | None:
    """Whose driver it is where a package would replace one that another system hands in: words for people, no lines.

    WSL: "Do not install any Linux display driver" (NVIDIA, CUDA on WSL User Guide). A vGPU guest takes the driver of the release
    that the hypervisor runs (NVIDIA, Virtual GPU Software Release Notes).
    """
    if host.system.is_wsl:
        return (
            f"the driver is that of Windows: install its newest of branch R{branch} or later there, then `wsl --shutdown`; "
            "a Linux driver inside WSL breaks it"
        )
    if known(host.system.container) not in (None, Container.NONE):
        return "the driver is that of the container's host: run `llmops doctor` there"
    if any(known(gpu.virtualization) is Virtualization.VGPU for gpu in host.nvidia.gpus):
        return "a vGPU: the guest driver of the vGPU release that the hypervisor runs, from NVIDIA's licensing portal"
    return None


def cuda_archive_lines(host: HostFacts) -> tuple[str, ...]:
    """NVIDIA's package archive for this system, with its key (NVIDIA, CUDA Installation Guide for Linux); curl is there."""
    machine, release = known(host.cpu), host.system.os_version.replace(".", "")
    system = (
        f"ubuntu{release}" if host.system.os_id == "ubuntu" else f"debian{host.system.os_version.split('.')[0] or 12}"
    )
    arch = "sbsa" if machine is not None and machine.architecture == "aarch64" else "x86_64"
    place = f"https://developer.download.nvidia.com/compute/cuda/repos/{'wsl-ubuntu' if host.system.is_wsl else system}"
    return (
        f"curl -fsSLO {place}/{arch}/cuda-keyring_1.1-1_all.deb",
        "dpkg -i cuda-keyring_1.1-1_all.deb",
        UPDATE,
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
            UPDATE,
            "apt-get install -y curl ca-certificates gnupg",
            f"curl -fsSL {place}/gpgkey | gpg --dearmor --yes -o {keyring}",
            f'echo "deb [signed-by={keyring}] {place}/stable/deb/\\$(ARCH) /" > {SOURCES}',
            UPDATE,
            f"apt-get install -y {' '.join(f'{name}={pinned}-1' for name in packages)}",
            *_for_the_engines(host),
        )
    )


def _for_the_engines(host: HostFacts) -> tuple[str, ...]:
    """Docker is told of a runtime and started again; Podman reads a specification of the devices (NVIDIA's install guide)."""
    names = {one.name for one in known(host.containers.engines) or ()}
    cdi = ("nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",) if "podman" in names else ()
    docker = ("nvidia-ctk runtime configure --runtime=docker", "systemctl restart docker")
    return (*cdi, *docker) if "docker" in names or not cdi else cdi
