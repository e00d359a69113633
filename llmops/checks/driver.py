"""GPU: NVML and the kernel driver as a whole, before any card."""

from llmops.checks.check import Check, Judgement, fail, ok, unknown, warn
from llmops.checks.gpu import physical_cards, version
from llmops.domain.host import Container, HostFacts, KernelSide, NvidiaState
from llmops.domain.reading import Known, Unknown, known

MINIMUM = {580: (580, 178, 4), 595: (595, 91, 7), 615: (615, 71, 9)}
"""Branches that are maintained, and the first version of each without the holes of NVIDIA's bulletin of 2026-09-30.

Source: NVIDIA product security bulletin 5861, data-centre driver documentation of R615. Later branches are not known here.
"""

AS_OF = "September 2026"


def nvml_answers(host: HostFacts) -> Judgement:
    """It opens and shows cards; absent, without any card in sight, it means CPU only."""
    nvidia = host.nvidia
    match nvidia.state:
        case NvidiaState.READY:
            cards = physical_cards(nvidia)
            return ok(f"{cards} card{'s' if cards != 1 else ''}")
        case NvidiaState.LIBRARY_ABSENT:
            return _library_absent(host)
        case NvidiaState.DRIVER_NOT_LOADED:
            return _driver_not_loaded(host)
        case NvidiaState.VERSION_MISMATCH:
            side = known(host.kernel_side)
            running = f" (the kernel runs {side.nvidia_version})" if side and side.nvidia_version else ""
            return fail(
                f"the driver's library and its kernel module differ in version{running}",
                "reboot, or with nothing on the cards `rmmod nvidia_uvm nvidia_drm nvidia_modeset nvidia && modprobe nvidia`",
            )
        case NvidiaState.NO_PERMISSION:
            return fail(
                "this user may not open the NVIDIA devices",
                "`ls -l /dev/nvidia*` names the group; `usermod -aG video,render $USER`, then log in again",
            )
        case NvidiaState.NO_DEVICES:
            return _no_devices(host)
        case NvidiaState.FAILED:
            return fail(
                f"NVML failed: {nvidia.detail}",
                "`nvidia-smi` and `dmesg | grep -i nvrm` say more; where it is only slow: `systemctl enable --now "
                "nvidia-persistenced`",
            )


def driver_branch_is_maintained(host: HostFacts) -> Judgement | None:
    """Of a branch that gets fixes, and with the last known ones."""
    if not host.nvidia.gpus:
        return None
    if isinstance(host.nvidia.driver, Unknown):
        return unknown(host.nvidia.driver, "driver")
    text = host.nvidia.driver.value.version
    have = version(text)
    if have is None:
        return unknown(Unknown(f"not a version: `{text}`"), "driver")
    if have[0] > max(MINIMUM):
        return ok(f"{text}, newer than what is known here ({AS_OF})")
    if have[0] not in MINIMUM:
        maintained = ", ".join(f"R{branch}" for branch in MINIMUM)
        return warn(f"driver {text}: branch R{have[0]} gets no more fixes (maintained: {maintained})")
    least = MINIMUM[have[0]]
    if have < least:
        wanted = f"{least[0]}.{least[1]}.{least[2]:02d}"
        return warn(
            f"driver {text} has known security holes, fixed in {wanted}", f"upgrade the driver to {wanted} or newer"
        )
    return ok(f"{text} has the fixes of {AS_OF}")


def _library_absent(host: HostFacts) -> Judgement:
    side = known(host.kernel_side)
    sign = _sign_of_a_card(side) if side is not None else None
    if sign is None:
        return warn("no NVIDIA library: CPU only")
    if _in_container(host):
        return fail(
            f"{sign}, but the driver's library is not in this container", "start the container with `--gpus all`"
        )
    return fail(f"{sign}, but the driver's library is not installed", _install_driver(side))


def _driver_not_loaded(host: HostFacts) -> Judgement:
    side = known(host.kernel_side)
    if side is not None and "nouveau" in side.modules:
        return fail(
            "the kernel runs nouveau in place of the NVIDIA driver",
            "`echo 'blacklist nouveau' > /etc/modprobe.d/nouveau.conf && update-initramfs -u`, then reboot",
        )
    return fail(
        "the NVIDIA driver is not loaded",
        "`modprobe nvidia` says why not; `dkms status` shows builds for other kernels, `mokutil --sb-state` Secure Boot",
    )


def _no_devices(host: HostFacts) -> Judgement:
    if _in_container(host):
        return fail("the driver shows no card in this container", "start the container with `--gpus all`")
    side = known(host.kernel_side)
    handed_on = side is not None and any(card.is_nvidia() and card.is_handed_on() for card in side.cards)
    where = ": they are handed on to virtual machines (vfio)" if handed_on else ""
    return fail(f"the driver shows no card{where}", "`lspci -nnk -d 10de:` shows the cards and who has them")


def _sign_of_a_card(side: KernelSide) -> str | None:
    """Why a card must be here although NVML is not."""
    cards = [card for card in side.cards if card.is_nvidia() and not card.is_handed_on()]
    if cards:
        return f"{len(cards)} NVIDIA card{'s' if len(cards) > 1 else ''} on the bus ({cards[0].vendor_id}:{cards[0].device_id})"
    if side.nvidia_version is not None or "nvidia" in side.modules:
        return "the NVIDIA kernel module is loaded"
    return None


def _install_driver(side: KernelSide | None) -> str:
    loaded = side.nvidia_version if side is not None else None
    if loaded is not None:
        return f"install the libraries of the driver that is loaded: version {loaded}"
    return f"install an NVIDIA driver of a maintained branch ({', '.join(f'R{branch}' for branch in MINIMUM)}), then reboot"


def _in_container(host: HostFacts) -> bool:
    container = host.system.container
    return isinstance(container, Known) and container.value is not Container.NONE


CHECKS = (
    Check(
        code="GPU001",
        title="NVML answers",
        judge=nvml_answers,
        why="NVML is the driver's own library; engines reach the cards through the same driver. Without it "
        "and without a card, serving is on the CPU; a library or card that is there and does not work will fail the engine, too.",
        fix="on a host with an NVIDIA card install its driver; without one, plan for the CPU: `llmops plan MODEL --gpu none`",
        decides=True,
    ),
    Check(
        code="GPU008",
        title="The driver's branch is maintained and has the known fixes",
        judge=driver_branch_is_maintained,
        why=f"Engines need the newer branches, and the driver's holes reach from a container to the host. As of {AS_OF}.",
        fix="upgrade to R580 (long-term) or newer; cards before Turing end with R580",
    ),
)
