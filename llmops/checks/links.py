"""GPU: how the cards reach each other: NVLinks, and the fabric of NVSwitches."""

from llmops.checks.check import Check, Judgement, fail, ok, unknown, warn
from llmops.checks.gpu import each_card, label
from llmops.domain.finding import Status
from llmops.domain.gpu import FabricState
from llmops.domain.host import Gpu, HostFacts
from llmops.domain.reading import Unknown, known

RESTART = "`systemctl restart nvidia-fabricmanager`; `journalctl -u nvidia-fabricmanager` says why"


def the_fabric_is_complete(host: HostFacts) -> Judgement | None:
    """Every card behind NVSwitches is registered without an error."""
    if not any(_has_fabric(gpu) for gpu in host.nvidia.gpus):
        return None

    def judge(gpu: Gpu) -> Judgement | None:
        if isinstance(gpu.fabric, Unknown):
            return unknown(gpu.fabric, f"{label(gpu)} fabric")
        fabric = gpu.fabric.value
        if fabric.state is FabricState.NOT_SUPPORTED:
            return None
        if fabric.state is FabricState.COMPLETED and not fabric.error:
            return ok(f"{label(gpu)} is registered")
        why, fix = _cause(host)
        if fabric.state is FabricState.COMPLETED:
            return fail(f"{label(gpu)}: its registration with the fabric failed (NVML error {fabric.error}){why}", fix)
        state = fabric.state.value.replace("_", " ")
        return fail(f"{label(gpu)} is not registered with the fabric ({state}): CUDA answers error 802{why}", fix)

    return each_card(host, judge)


def _cause(host: HostFacts) -> tuple[str, str]:
    """What the fabric manager has to do with it, and the way out."""
    driver, reading = known(host.nvidia.driver), host.driver_files.fabric_manager
    if isinstance(reading, Unknown) or driver is None:
        return "", RESTART
    manager = reading.value
    package = f"nvidia-fabricmanager-{driver.version.split('.', 1)[0]}"
    if manager is None:
        return (
            "; no fabric manager is installed",
            f"apt-get install {package} (version {driver.version}) && systemctl enable --now nvidia-fabricmanager",
        )
    have = known(manager.version)
    if have is not None and have != driver.version:
        return (
            f"; the fabric manager is {have}, the driver {driver.version}",
            f"apt-get install {package} (version {driver.version})",
        )
    return f"; the fabric manager is {manager.state}", RESTART


def _has_fabric(gpu: Gpu) -> bool:
    fabric = known(gpu.fabric)
    return fabric is not None and fabric.state is not FabricState.NOT_SUPPORTED


def nvlinks_are_up(host: HostFacts) -> Judgement | None:
    """Where a card has an NVLink that is up, all of them are. Cards without bridges have none up, and need none."""

    def judge(gpu: Gpu) -> Judgement:
        if isinstance(gpu.nvlinks, Unknown):
            return unknown(gpu.nvlinks, f"{label(gpu)} NVLinks")
        up = sum(one.active for one in gpu.nvlinks.value)
        down = [str(one.index) for one in gpu.nvlinks.value if not one.active]
        if up and down:
            return warn(f"{label(gpu)}: {len(down)} of {up + len(down)} NVLinks are down ({', '.join(down)})")
        return ok(f"{label(gpu)} {up} NVLinks" if up else f"{label(gpu)} uses none")

    return each_card(host, judge, where=lambda gpu: len(host.nvidia.gpus) > 1 and not gpu.is_mig_instance)


CHECKS = (
    Check(
        code="GPU016",
        title="The NVSwitch fabric is complete",
        judge=the_fabric_is_complete,
        why="Cards on an NVSwitch board (HGX, DGX) refuse CUDA altogether until the fabric manager has registered them.",
        fix=RESTART,
        source="NVIDIA fabric manager user guide; nvml.h, nvmlGpuFabricState_t",
        worst=Status.FAIL,
    ),
    Check(
        code="GPU017",
        title="The NVLinks are up",
        judge=nvlinks_are_up,
        why="A link that is down slows every token of a model that is spread over cards.",
        fix="`nvidia-smi nvlink --status`; seat the bridge again, or have the board looked at",
        source="nvml.h, nvmlDeviceGetNvLinkState",
    ),
)
