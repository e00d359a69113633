"""GPU: what of the driver lies on the disk and in the kernel: modules, signatures, device nodes, and who else saw the cards."""

from llmops.checks.check import Check, Judgement, fail, ok, together, unknown, warn
from llmops.checks.gpu import label, physical_cards
from llmops.domain.engine_matrix import Card, numbers
from llmops.domain.finding import Status
from llmops.domain.gpu import GpuSource
from llmops.domain.host import Container, HostFacts, NvidiaState
from llmops.domain.reading import Unknown, known
from llmops.domain.references import References

NEEDS_OPEN_MODULE = (10, 0)
"""Blackwell and later run with the open kernel module only (NVIDIA, open GPU kernel modules)."""


def has_nvidia_card(host: HostFacts) -> bool:
    """A card that this host is to use, whoever sees it."""
    side = known(host.kernel_side)
    on_bus = side is not None and any(card.is_nvidia() and not card.is_handed_on() for card in side.cards)
    return bool(host.nvidia.gpus) or on_bus


def a_module_is_there_for_this_kernel(host: HostFacts) -> Judgement | None:
    """The `nvidia` module lies below /lib/modules of the kernel that runs."""
    if not _has_its_own_kernel(host):
        return None
    files = host.driver_files
    if isinstance(files.module_for_this_kernel, Unknown):
        return unknown(files.module_for_this_kernel, "module of the driver")
    if files.module_for_this_kernel.value is not None:
        return ok(f"nvidia {files.module_for_this_kernel.value or 'module'} for {host.system.kernel}")
    others = known(files.other_kernels) or ()
    has = f" (there is one for {', '.join(others[:3])})" if others else ""
    fix = f"apt-get install linux-headers-{host.system.kernel} && dkms autoinstall -k {host.system.kernel} && modprobe nvidia"
    if host.nvidia.state is NvidiaState.READY:
        return warn(f"the driver is loaded, and no module of it lies there for {host.system.kernel}{has}", fix)
    if not others and host.nvidia.state is NvidiaState.LIBRARY_ABSENT:
        return None  # nothing of the driver is installed: GPU001 says so
    return fail(f"no module of the driver for the running kernel {host.system.kernel}{has}", fix)


def the_kernel_takes_the_module(host: HostFacts) -> Judgement | None:
    """With Secure Boot on, the module is signed; and the kernel's log has no refusal."""
    if not _has_its_own_kernel(host):
        return None
    files = host.driver_files
    if known(files.module_for_this_kernel) is None and host.nvidia.state is not NvidiaState.READY:
        return None
    refused = known(files.rejected)
    if refused and host.nvidia.state is not NvidiaState.READY:
        return fail(f"the kernel refused the module: {refused[-1][:120]}", ENROL)
    if isinstance(files.secure_boot, Unknown):
        return unknown(files.secure_boot, "Secure Boot")
    if not files.secure_boot.value:
        return ok("Secure Boot is off")
    if isinstance(files.module_is_signed, Unknown):
        return unknown(files.module_is_signed, "the module's signature")
    if files.module_is_signed.value:
        return ok("Secure Boot is on, and the module is signed")
    if host.nvidia.state is NvidiaState.READY:
        return warn(
            "Secure Boot is on and the module on the disk is not signed: after a reboot it will be refused", ENROL
        )
    return fail("Secure Boot is on and the driver's module is not signed: the kernel refuses it", ENROL)


ENROL = (
    "`mokutil --import /var/lib/dkms/mok.pub` (Ubuntu: /var/lib/shim-signed/mok/MOK.der), reboot and enrol the key; or take a "
    "signed module of the distribution"
)


def library_and_module_are_one_version(host: HostFacts) -> Judgement | None:
    """The driver's library on the disk, and the module in the kernel."""
    side = known(host.kernel_side)
    if side is None or side.nvidia_version is None or host.system.is_wsl:
        return None
    library = host.driver_files.library_version
    if isinstance(library, Unknown):
        return unknown(library, "the driver's library")
    if library.value is None:
        return fail(f"the kernel runs nvidia {side.nvidia_version}, and its library is not installed")
    if library.value != side.nvidia_version:
        return fail(f"the library on the disk is {library.value}, the kernel runs {side.nvidia_version}", RELOAD)
    return ok(f"both {library.value}")


RELOAD = "reboot, or with nothing on the cards `rmmod nvidia_uvm nvidia_drm nvidia_modeset nvidia && modprobe nvidia`"


CAPS = "/dev/nvidia-caps/"
ADMINISTRATORS = (f"{CAPS}nvidia-cap1", f"{CAPS}nvidia-cap2")
"""To divide cards and to watch them: root's alone (minors 1 and 2 of /proc/driver/nvidia-caps/mig-minors), no engine's."""


def device_nodes_can_be_opened(host: HostFacts) -> Judgement | None:
    """/dev/nvidia0, nvidiactl and nvidia-uvm are there and open to this user: a hardened unit cannot make them."""
    if not host.nvidia.gpus or host.system.is_wsl:
        return None
    nodes = host.driver_files.device_nodes
    if isinstance(nodes, Unknown):
        return unknown(nodes, "device files")
    names = {node.path.rsplit("/", 1)[-1] for node in nodes.value}
    if "nvidia-uvm" not in names:
        return warn(
            "/dev/nvidia-uvm is not there: a hardened unit cannot make it, and CUDA fails in it",
            "`nvidia-modprobe -u -c 0`, at every boot: the `host-tuning` target, or nvidia-persistenced",
            script=(
                "modprobe nvidia-uvm",
                "if command -v nvidia-modprobe >/dev/null; then nvidia-modprobe -u -c 0; fi",
            ),
        )
    instance = next((gpu for gpu in host.nvidia.gpus if gpu.is_mig_instance), None)
    rights = [node for node in nodes.value if CAPS in node.path and node.path not in ADMINISTRATORS]
    if instance is not None and not rights:
        return warn(
            f"{label(instance)} has no device file in {CAPS}: a hardened unit cannot make it",
            f"`nvidia-modprobe -f /proc/driver/nvidia/capabilities/gpu{instance.index}/mig/gi*/access`, and of each `ci*`",
        )
    needed = [node for node in nodes.value if CAPS not in node.path] + (rights if instance is not None else [])
    closed = [node for node in needed if not node.usable]
    if closed:
        return warn(
            f"{closed[0].path} is closed to this user (mode {closed[0].mode}, group {closed[0].group})",
            f"`usermod -aG {closed[0].group} USER`, then log in again; units name the group with `SupplementaryGroups=`",
        )
    untold = next(
        (gpu for gpu in host.nvidia.gpus if not gpu.is_mig_instance and known(gpu.mig_enabled) is not False), None
    )
    if untold is not None and not rights:
        return unknown(Unknown(f"its MIG instances are not told, nor is a right of theirs in {CAPS}"), label(untold))
    return ok(f"{len(nodes.value)} device files")


def the_driver_knows_the_cards(host: HostFacts, references: References) -> Judgement | None:
    """Not too old for the newest card, not too new for the oldest, and with the open module where that is needed."""
    if not host.nvidia.gpus:
        return None
    if isinstance(host.nvidia.driver, Unknown):
        return unknown(host.nvidia.driver, "driver")
    driver = host.nvidia.driver.value.version
    if not numbers(driver):
        return unknown(Unknown(f"not a version: `{driver}`"), "driver")
    cards = [Card(label(gpu), known(gpu.compute_capability)) for gpu in host.nvidia.gpus if gpu.fault is None]
    return together([_served(card, driver, host, references) for card in cards])


def _served(card: Card, driver: str, host: HostFacts, references: References) -> Judgement:
    """NVML shows the card, so at worst it warns: a driver that did not know it at all would not show it."""
    if card.capability is None:
        return unknown(Unknown("its compute capability is not known"), card.name)
    row = references.matrix.generation(card.capability)
    if row is not None and numbers(driver) < numbers(row.driver_first):
        return warn(
            f"driver {driver} is older than {card.name} ({row.name}, from {row.driver_first} on)",
            f"upgrade the driver to {row.driver_first} or newer",
        )
    if row is not None and row.branch_last is not None and numbers(driver)[0] > row.branch_last:
        return warn(
            f"driver {driver} is of a branch that has dropped {card.name} ({row.name})",
            f"install a driver of branch R{row.branch_last}, the last one for it",
        )
    if numbers(card.capability) < NEEDS_OPEN_MODULE or host.system.is_wsl:
        return ok(f"{driver} serves {card.name}")
    if isinstance(host.driver_files.open_module, Unknown):
        return unknown(host.driver_files.open_module, f"{card.name} needs the open kernel module")
    if not host.driver_files.open_module.value:
        return warn(f"{card.name} needs the open kernel module, and the closed one is loaded", OPEN)
    return ok(f"{driver} serves {card.name}, with the open module")


OPEN = "install the `-open` packages of the driver"


def all_sources_see_the_same_cards(host: HostFacts) -> Judgement | None:
    """NVML, nvidia-smi, lspci and sysfs. NVML decides; what another one sees otherwise only warns."""
    others = [source for source in host.gpu_sources if source.name in ("nvidia-smi", "lspci")]
    if not host.nvidia.gpus or not others or host.system.is_wsl or known(host.system.container) is not Container.NONE:
        return None  # a container sees a host's whole bus, and has some of its cards
    return together([answer for source in others for answer in (_cards(source, host), _driver(source, host))])


def _cards(source: GpuSource, host: HostFacts) -> Judgement:
    if isinstance(source.cards, Unknown):
        return unknown(source.cards, source.name)
    side = known(host.kernel_side)
    handed_on = {card.address for card in side.cards if card.is_handed_on()} if side is not None else set()
    # lspci shows every maker's, a server's own small one and those of virtual machines among them
    is_bus = source.name == "lspci"
    shown = [
        card
        for card in source.cards.value
        if not is_bus or ((card.name or "NVIDIA").startswith("NVIDIA") and card.address not in handed_on)
    ]
    count = physical_cards(host.nvidia)
    # a card inside the processor's package may not be on a bus that lspci shows (Jetson), or may (GB10)
    inside = len({gpu.index for gpu in host.nvidia.gpus if gpu.unified_memory}) if is_bus else 0
    if not count - inside <= len(shown) <= count:
        return warn(f"{source.name} shows {len(shown)} card{'s' if len(shown) != 1 else ''}, NVML {count}")
    fault = next((card.fault for card in shown if card.fault), None)
    if fault is not None and not any(gpu.fault for gpu in host.nvidia.gpus):
        return warn(f"{source.name} says of a card: {fault}")
    return ok(f"{source.name} agrees")


def _driver(source: GpuSource, host: HostFacts) -> Judgement:
    driver = host.nvidia.driver
    if source.name == "lspci":  # it knows none
        return ok(f"{source.name} agrees")
    if isinstance(source.driver_version, Unknown):
        return unknown(source.driver_version, source.name)
    if isinstance(driver, Unknown):
        return unknown(driver, "NVML's driver")
    if source.driver_version.value != driver.value.version:
        return warn(f"{source.name} says driver {source.driver_version.value}, NVML {driver.value.version}")
    return ok(f"{source.name} agrees")


def _has_its_own_kernel(host: HostFacts) -> bool:
    """A card here, and the kernel is this system's: neither a container's nor Windows'."""
    container = known(host.system.container)
    return has_nvidia_card(host) and not host.system.is_wsl and container is Container.NONE


CHECKS = (
    Check(
        code="GPU021",
        title="The driver has a module for the running kernel",
        judge=a_module_is_there_for_this_kernel,
        why="After an upgrade of the kernel the driver has to be built again; DKMS does that only with the kernel's headers.",
        fix="install the kernel's headers, then `dkms autoinstall`",
        source="dkms(8); /lib/modules/$(uname -r)",
        worst=Status.FAIL,
    ),
    Check(
        code="GPU022",
        title="The kernel takes the driver's module",
        judge=the_kernel_takes_the_module,
        why="With Secure Boot a module must be signed by a key that the firmware knows.",
        fix=ENROL,
        source="Linux, Documentation/admin-guide/module-signing.rst; mokutil(1)",
        worst=Status.FAIL,
    ),
    Check(
        code="GPU023",
        title="The driver's library and module are one version",
        judge=library_and_module_are_one_version,
        why="An upgrade replaces the library at once and the module at the next boot; until then new programs do not start.",
        fix=RELOAD,
        source="nvml.h, NVML_ERROR_LIB_RM_VERSION_MISMATCH",
        worst=Status.FAIL,
    ),
    Check(
        code="GPU024",
        title="The cards' device files are there and open",
        judge=device_nodes_can_be_opened,
        why="CUDA loads nvidia-uvm through a setuid helper, which a unit with NoNewPrivileges= may not run.",
        fix="`ls -l /dev/nvidia*`",
        source="nvidia-modprobe(1); systemd.exec(5), NoNewPrivileges=",
    ),
    Check(
        code="GPU025",
        title="The driver serves these cards",
        lookup=the_driver_knows_the_cards,
        why="A driver knows the cards of its time: a newer one it does not start, an old one it has dropped.",
        fix="install the branch that the cards need",
        source="the engine matrix, generations; NVIDIA, open GPU kernel modules",
    ),
    Check(
        code="GPU026",
        title="All sources see the same cards",
        judge=all_sources_see_the_same_cards,
        why="Where they differ, one of them has lost a card, or another driver has it.",
        fix="`lspci -nnk -d 10de:` shows who has which",
        source="NVML, nvidia-smi, lspci, /sys/bus/pci",
    ),
)
