"""GPU: NVML and the kernel driver as a whole, before any card."""

from llmops.checks.check import Check, Judgement, fail, ok, unknown, warn
from llmops.checks.gpu import physical_cards, version
from llmops.checks.install import commands, driver_lines, has_old_card, maintained
from llmops.domain.engine_matrix import numbers
from llmops.domain.finding import Status
from llmops.domain.host import Container, HostFacts, KernelSide, NvidiaState
from llmops.domain.reading import Known, Unknown, known
from llmops.domain.references import References


def nvml_answers(host: HostFacts, references: References) -> Judgement:
    """It opens and shows cards; absent, without any card in sight, it means CPU only."""
    nvidia = host.nvidia
    match nvidia.state:
        case NvidiaState.READY:
            cards = physical_cards(nvidia)
            if not cards:
                return fail(
                    "NVML answers and shows no card", "`nvidia-smi -L` lists them; `lspci -d 10de:` shows the bus"
                )
            return ok(f"{cards} card{'s' if cards != 1 else ''}")
        case NvidiaState.LIBRARY_ABSENT:
            return _library_absent(host, references)
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
            return _no_devices(host, references)
        case NvidiaState.FAILED:
            return fail(
                f"NVML failed: {nvidia.detail}",
                "`nvidia-smi` and `dmesg | grep -i nvrm` say more; where it is only slow: `systemctl enable --now "
                "nvidia-persistenced`",
            )


def driver_branch_is_maintained(host: HostFacts, references: References) -> Judgement | None:
    """Of a branch that gets fixes, and with the last known ones."""
    if not host.nvidia.gpus:
        return None
    if isinstance(host.nvidia.driver, Unknown):
        return unknown(host.nvidia.driver, "driver")
    text = host.nvidia.driver.value.version
    have = version(text)
    if have is None:
        return unknown(Unknown(f"not a version: `{text}`"), "driver")
    rows, as_of = references.advisories, references.advisories.as_of
    branch = rows.branch(have[0])
    if branch is None:
        if have[0] > max(one.branch for one in rows.branches):
            return unknown(Unknown(f"branch R{have[0]} is newer than what is known here ({as_of})"), f"driver {text}")
        return warn(f"driver {text}: branch R{have[0]} gets no more fixes ({maintained(references)})")
    if branch.has_ended:
        ended = f" since {branch.ends}" if branch.ends else ""
        return warn(f"driver {text}: branch R{have[0]} gets no more fixes{ended} ({maintained(references)})")
    if branch.fixed is not None and have < numbers(branch.fixed):
        lines = driver_lines(host, references)
        return warn(
            f"driver {text} has known security holes, fixed in {branch.fixed}",
            f"upgrade the driver to {branch.fixed} or newer:\n{lines}",
            script=commands(host, lines),
        )
    return ok(f"{text} has the fixes known on {as_of}")


def _library_absent(host: HostFacts, references: References) -> Judgement:
    side = known(host.kernel_side)
    sign = _sign_of_a_card(side) if side is not None else None
    if sign is None:
        return warn("no NVIDIA library: CPU only")
    if _in_container(host):
        return fail(
            f"{sign}, but the driver's library is not in this container", "start the container with `--gpus all`"
        )
    lines = _install_driver(host, references)
    return fail(f"{sign}, but the driver's library is not installed", lines, script=commands(host, lines))


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


def _no_devices(host: HostFacts, references: References) -> Judgement:
    if _in_container(host):
        return fail("the driver shows no card in this container", "start the container with `--gpus all`")
    if known(host.driver_files.open_module) is False:
        return fail(
            "the driver shows no card, and its closed kernel module is loaded: Blackwell and later need the open one",
            "install the `-open` packages of the driver (`nvidia-open`, `nvidia-headless-580-open`), then reboot",
        )
    if known(host.driver_files.open_module) is True and has_old_card(host):
        lines = driver_lines(host, references)
        return fail(
            "the driver shows no card, and its open kernel module is loaded: cards before Turing need the closed one",
            lines,
            script=commands(host, lines),
        )
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


def _install_driver(host: HostFacts, references: References) -> str:
    side = known(host.kernel_side)
    loaded = side.nvidia_version if side is not None else None
    if loaded is not None:
        return f"install the libraries of the driver that is loaded: version {loaded}"
    return driver_lines(host, references)


def _in_container(host: HostFacts) -> bool:
    container = host.system.container
    return isinstance(container, Known) and container.value is not Container.NONE


CHECKS = (
    Check(
        code="GPU001",
        title="NVML answers",
        lookup=nvml_answers,
        why="NVML is the driver's own library; engines reach the cards through the same driver. Without it "
        "and without a card, serving is on the CPU; a library or card that is there and does not work will fail the engine, too.",
        fix="on a host with an NVIDIA card install its driver; without one, plan for the CPU: `llmops plan MODEL --gpu none`",
        decides=True,
        source="nvml.h, nvmlReturn_t",
        worst=Status.FAIL,
    ),
    Check(
        code="GPU008",
        title="The driver's branch is maintained and has the known fixes",
        lookup=driver_branch_is_maintained,
        why="Engines need the newer branches, and the driver's holes reach from a container to the host.",
        fix="upgrade to R580 (long-term) or newer; cards before Turing end with R580",
        source="NVIDIA product security bulletins 5747, 5821, 5861; data-centre driver documentation of R615",
    ),
)
