"""GPU: how the cards fare: errors in the kernel's log, links, clocks, power, pages, licences."""

from llmops.checks.check import Check, Judgement, fail, ok, unknown, warn
from llmops.checks.gpu import each_card, label
from llmops.domain.finding import Status
from llmops.domain.gpu import ClockReason, ComputeMode, Virtualization, Xid
from llmops.domain.host import Gpu, HostFacts
from llmops.domain.reading import Unknown, known

BROKEN_XIDS = {
    48: "uncorrected memory error",
    61: "the card's microcontroller halted",
    62: "the card's microcontroller halted",
    64: "a bad row could not be noted",
    74: "NVLink error",
    79: "fallen off the bus",
    95: "uncontained memory error",
    119: "the card's firmware does not answer",
    120: "the card's firmware failed",
    140: "unrecovered memory error",
}
"""After these the card must be reset, or looked at (NVIDIA, Xid errors)."""

SOFTWARE_XIDS = {13, 31, 43, 45}
"""What a program's own fault, or its being killed, leaves behind: an engine crashed, the card is well."""

HELD_BACK = {
    ClockReason.HARDWARE_SLOWDOWN: "the hardware slows it down",
    ClockReason.HARDWARE_THERMAL: "it is too hot",
    ClockReason.HARDWARE_POWER_BRAKE: "the power supply brakes it",
    ClockReason.SOFTWARE_THERMAL: "the driver slows it down for heat",
}


BUSY_PERCENT = 50
"""A card that computes half of the time has long left its idle link (the driver raises it with the clocks)."""


def the_log_has_no_card_errors(host: HostFacts) -> Judgement | None:
    """No Xid since boot that means a broken card (fails), and no other (warns)."""
    if not host.nvidia.gpus:
        return None
    if isinstance(host.xids, Unknown):
        return unknown(host.xids, "the kernel's log")
    xids = host.xids.value
    broken = [one for one in xids if one.code in BROKEN_XIDS]
    if broken:
        return fail("; ".join(_xid(one, BROKEN_XIDS[one.code]) for one in broken))
    others = [one for one in xids if one.code not in SOFTWARE_XIDS]
    if others:
        return warn("; ".join(_xid(one, one.text[:60]) for one in others))
    if xids:
        crashes = sum(one.count for one in xids)
        return ok(f"{crashes} crash{'es' if crashes != 1 else ''} of programs on the cards, no error of a card")
    return ok("no error of a card since boot")


def _xid(xid: Xid, words: str) -> str:
    times = f" {xid.count} times" if xid.count > 1 else ""
    return f"{'SXid' if xid.is_switch else 'Xid'} {xid.code} of {xid.address}{times}: {words}"


def links_have_their_width(host: HostFacts) -> Judgement | None:
    """As wide as card and slot can do together, and under load as fast: an idle card drops its generation, not its width."""

    def judge(gpu: Gpu) -> Judgement:
        if isinstance(gpu.pcie.width, Unknown):
            return unknown(gpu.pcie.width, f"{label(gpu)} PCIe width")
        if isinstance(gpu.pcie.width_maximum, Unknown):
            return unknown(gpu.pcie.width_maximum, f"{label(gpu)} PCIe width")
        width, most = gpu.pcie.width.value, gpu.pcie.width_maximum.value
        if width < most:
            return warn(f"{label(gpu)} has {width} of {most} PCIe lanes")
        return _at_its_generation(gpu, width)

    return each_card(host, judge, where=_has_a_slot)


def _at_its_generation(gpu: Gpu, width: int) -> Judgement:
    for reading in (gpu.pcie.generation, gpu.pcie.generation_maximum):
        if isinstance(reading, Unknown):
            return unknown(reading, f"{label(gpu)} PCIe generation")
    have, most = known(gpu.pcie.generation) or 0, known(gpu.pcie.generation_maximum) or 0
    if have >= most:
        return _fine(gpu, f"x{width}, generation {have}")
    if isinstance(gpu.load_percent, Unknown):
        return unknown(
            gpu.load_percent, f"{label(gpu)}: generation {have} of {most} is told only under load, and the load"
        )
    if gpu.load_percent.value >= BUSY_PERCENT:
        return warn(f"{label(gpu)} works at PCIe generation {have} of {most}")
    return _fine(gpu, f"x{width}, generation {have} of {most} while it idles")


def clocks_are_not_held_back(host: HostFacts) -> Judgement | None:
    """Neither heat nor the power supply. A power cap under load is what a cap is for."""

    def judge(gpu: Gpu) -> Judgement:
        if isinstance(gpu.clock_reasons, Unknown):
            return unknown(gpu.clock_reasons, f"{label(gpu)} clocks")
        held = [words for reason, words in HELD_BACK.items() if reason in gpu.clock_reasons.value]
        return warn(f"{label(gpu)}: {', '.join(held)}") if held else _whole(gpu, "runs freely")

    return each_card(host, judge, where=_is_whole)


def power_limits_are_not_lowered(host: HostFacts) -> Judgement | None:
    """Each card may draw what it came with."""

    def judge(gpu: Gpu) -> Judgement:
        if isinstance(gpu.power.limit_watts, Unknown):
            return unknown(gpu.power.limit_watts, f"{label(gpu)} power limit")
        if isinstance(gpu.power.default_limit_watts, Unknown):
            return unknown(gpu.power.default_limit_watts, f"{label(gpu)} power limit")
        limit, default = gpu.power.limit_watts.value, gpu.power.default_limit_watts.value
        if limit < default - 0.5:
            return warn(
                f"{label(gpu)} is limited to {limit:g} of {default:g} W: prompts are read slower than planned",
                f"if nobody meant that: `nvidia-smi -i {gpu.index} -pl {default:g}`",
            )
        return _fine(gpu, f"{limit:g} W")

    return each_card(host, judge, where=_has_power_limit)


def the_driver_stays_loaded(host: HostFacts) -> Judgement | None:
    """The persistence daemon runs, or persistence mode is on for every card."""
    if not host.nvidia.gpus or host.system.is_wsl:
        return None
    daemon = known(host.driver_files.persistence_daemon)
    if daemon is not None and daemon.state == "active":
        return ok("nvidia-persistenced runs")

    def judge(gpu: Gpu) -> Judgement:
        if isinstance(gpu.persistence_mode, Unknown):
            return unknown(gpu.persistence_mode, f"{label(gpu)} persistence mode")
        if gpu.persistence_mode.value:
            return _fine(gpu, "stays initialised")
        fix = "`systemctl enable --now nvidia-persistenced`"
        if daemon is None:
            fix += ", from the driver's own packages (`nvidia-persistenced`)"
        return warn(
            f"{label(gpu)} is taken down when the last program leaves it",
            fix,
            script=("systemctl enable --now nvidia-persistenced",),
        )

    return each_card(host, judge, where=lambda gpu: _is_whole(gpu) and not _is_vgpu(gpu))


def a_vgpu_is_licensed(host: HostFacts) -> Judgement | None:
    """Without a licence it is throttled after twenty minutes. Whether a card is virtual may itself not be known."""

    def judge(gpu: Gpu) -> Judgement:
        if known(gpu.vgpu_licensed) is False:
            return fail(f"{label(gpu)} is a vGPU without a licence: after 20 minutes it is throttled to a crawl")
        if isinstance(gpu.virtualization, Unknown):
            return unknown(gpu.virtualization, f"{label(gpu)} virtual or not")
        if isinstance(gpu.vgpu_licensed, Unknown):
            return unknown(gpu.vgpu_licensed, f"{label(gpu)} licence")
        return ok(f"{label(gpu)} is licensed")

    return each_card(host, judge, where=_may_be_vgpu)


def engines_may_compute(host: HostFacts) -> Judgement | None:
    """Compute mode is not "prohibited", and not for one process only."""

    def judge(gpu: Gpu) -> Judgement:
        if isinstance(gpu.compute_mode, Unknown):
            return unknown(gpu.compute_mode, f"{label(gpu)} compute mode")
        fix = f"`nvidia-smi -i {gpu.index} -c DEFAULT`"
        match gpu.compute_mode.value:
            case ComputeMode.PROHIBITED:
                return fail(f"{label(gpu)} is closed to computing (compute mode)", fix)
            case ComputeMode.EXCLUSIVE_PROCESS | ComputeMode.EXCLUSIVE_THREAD:
                return warn(f"{label(gpu)} takes one process only: a second engine, or a warm restart, is refused", fix)
            case ComputeMode.SHARED:
                return _whole(gpu, "is open to programs")

    return each_card(host, judge, where=_is_whole)


def no_page_waits_to_be_retired(host: HostFacts) -> Judgement | None:
    """On cards before Ampere, which retire pages in place of remapping rows."""

    def judge(gpu: Gpu) -> Judgement | None:
        if isinstance(gpu.retired_pages_pending, Unknown):
            remaps = known(gpu.row_remapping) is not None  # then it retires no pages
            return None if remaps else unknown(gpu.retired_pages_pending, f"{label(gpu)} retired pages")
        if gpu.retired_pages_pending.value:
            return warn(f"{label(gpu)}: a bad page of memory waits for a reset to be retired")
        return _whole(gpu, "none")

    return each_card(host, judge, where=_is_whole)


def _fine(gpu: Gpu, words: str) -> Judgement:
    """In order, as far as the card is one: of a share of a card these figures say nothing."""
    if isinstance(gpu.virtualization, Unknown):
        return unknown(gpu.virtualization, f"{label(gpu)}: whether it is a virtual card")
    return _whole(gpu, words)


def _whole(gpu: Gpu, words: str) -> Judgement:
    """In order, where it is known that the card is not cut into instances."""
    if isinstance(gpu.mig_enabled, Unknown):
        return unknown(gpu.mig_enabled, f"{label(gpu)}: whether it is cut into instances")
    return ok(f"{label(gpu)} {words}")


def _is_whole(gpu: Gpu) -> bool:
    """Not cut into instances: what is said of a whole card is not said of each."""
    return not gpu.is_mig_instance and known(gpu.mig_enabled) is not True


def _is_vgpu(gpu: Gpu) -> bool:
    return known(gpu.virtualization) is Virtualization.VGPU


def _may_be_vgpu(gpu: Gpu) -> bool:
    return isinstance(gpu.virtualization, Unknown) or _is_vgpu(gpu)


def _has_a_slot(gpu: Gpu) -> bool:
    """Not a part of the processor's own package, nor of a card."""
    return _is_whole(gpu) and not gpu.unified_memory and not _is_vgpu(gpu)


def _has_power_limit(gpu: Gpu) -> bool:
    return _has_a_slot(gpu)


CHECKS = (
    Check(
        code="GPU012",
        title="The kernel's log has no error of a card",
        judge=the_log_has_no_card_errors,
        why="An Xid is the driver's word for what went wrong on a card: some say that it must be reset or replaced, "
        "although it still answers.",
        fix="`dmesg | grep -i xid`; reset the card (`nvidia-smi --gpu-reset -i N`), else reboot, else power, seat and slot",
        source="NVIDIA, Xid errors",
        worst=Status.FAIL,
    ),
    Check(
        code="GPU013",
        title="PCIe links have their full width, and their speed under load",
        judge=links_have_their_width,
        why="A card on x4 or x1, or one that stays at generation 1, loads models slowly, and tensor parallelism over it waits. "
        "Engines do not notice.",
        fix="seat the card again, look at riser and slot (the manual says which slots share lanes): `nvidia-smi -q -d PCIE`",
        source="nvml.h, nvmlDeviceGetCurrPcieLinkWidth, …Generation; an idle card lowers its generation, not its width",
    ),
    Check(
        code="GPU014",
        title="No card is held back by heat or power",
        judge=clocks_are_not_held_back,
        why="The speeds of a plan do not hold on a card that is slowed down.",
        fix="see to airflow, power cables and supply: `nvidia-smi -q -d PERFORMANCE`",
        source="nvml.h, nvmlClocksEventReasons: bits 0x8, 0x20, 0x40, 0x80",
    ),
    Check(
        code="GPU015",
        title="The driver stays loaded between programs",
        judge=the_driver_stays_loaded,
        why="Otherwise each start waits for the cards to wake (seconds each), and power limits set by hand are lost.",
        fix="systemctl enable --now nvidia-persistenced",
        source="NVIDIA, driver persistence: the daemon replaces `nvidia-smi -pm 1`",
    ),
    Check(
        code="GPU018",
        title="A virtual GPU is licensed",
        judge=a_vgpu_is_licensed,
        why="The guest's driver lowers clocks and refuses CUDA by and by.",
        fix="put the licence token into /etc/nvidia/ClientConfigToken and `systemctl restart nvidia-gridd`",
        source="NVIDIA virtual GPU software, client licensing guide",
        worst=Status.FAIL,
    ),
    Check(
        code="GPU019",
        title="The cards take engines",
        judge=engines_may_compute,
        why="In exclusive mode the second process on a card is refused; in prohibited mode every one.",
        fix="nvidia-smi -c DEFAULT",
        source="nvml.h, nvmlComputeMode_t",
        worst=Status.FAIL,
    ),
    Check(
        code="GPU020",
        title="No page of GPU memory waits to be retired",
        judge=no_page_waits_to_be_retired,
        why="A bad page stays in use until the card is reset.",
        fix="reset the card when nothing runs on it: `nvidia-smi --gpu-reset -i N`",
        source="NVIDIA, dynamic page retirement",
    ),
    Check(
        code="GPU027",
        title="The power limits are the cards' own",
        judge=power_limits_are_not_lowered,
        why="A lowered limit costs prompt speed first. It is often meant; then `--ignore GPU027`.",
        fix="nvidia-smi -q -d POWER",
        source="nvml.h, nvmlDeviceGetPowerManagementDefaultLimit",
    ),
)
