"""GPU: the driver and its cards. NVML decides; where it answers, what the kernel says otherwise only warns."""

from collections.abc import Callable

from llmops.checks.check import Check, Judgement, fail, ok, together, unknown, warn
from llmops.domain.engine import EngineName
from llmops.domain.engine_matrix import Card
from llmops.domain.engine_verdicts import build_for
from llmops.domain.finding import Status
from llmops.domain.host import Container, Gpu, HostFacts, Nvidia
from llmops.domain.reading import Known, Unknown, known
from llmops.domain.references import References
from llmops.domain.units import GIB, size_text

TAKEN_BYTES = 1 * GIB
"""A display takes a few hundred MiB; more is another program's model."""

HOT_CELSIUS = 85
"""Data-centre and desktop cards slow down at 85 to 95 °C; idle and well cooled they stay far below."""


def every_card_answers(host: HostFacts) -> Judgement | None:
    """No card is lost or waits for a reset."""
    gpus = host.nvidia.gpus
    lost = [gpu for gpu in gpus if gpu.fault is not None]
    if lost:
        indexes = dict.fromkeys(str(gpu.index) for gpu in lost)
        return fail(
            "; ".join(f"{label(gpu)} does not answer: {gpu.fault}" for gpu in lost),
            f"`dmesg | grep -i xid` says why; `nvidia-smi --gpu-reset -i {','.join(indexes)}`, else reboot, else power and seat",
        )
    return ok(f"{len(gpus)} of {len(gpus)} answer") if gpus else None


def memory_of_every_card_is_known(host: HostFacts) -> Judgement | None:
    """Total and free memory can be read of each card that answers."""

    def judge(gpu: Gpu) -> Judgement:
        if isinstance(gpu.memory_bytes, Unknown):
            return unknown(gpu.memory_bytes, label(gpu))
        if isinstance(gpu.free_bytes, Unknown):
            return unknown(gpu.free_bytes, label(gpu))
        shared = " shared with the host" if gpu.unified_memory else ""
        return ok(f"{label(gpu)} {size_text(gpu.memory_bytes.value)}{shared}")

    return each_card(host, judge, where=lambda gpu: not _is_unusable_mig(gpu))


def mig_leaves_something_to_use(host: HostFacts) -> Judgement | None:
    """MIG is off; with instances it warns, without any the card is useless."""

    def judge(gpu: Gpu) -> Judgement:
        if isinstance(gpu.mig_enabled, Unknown):
            return unknown(gpu.mig_enabled, label(gpu))
        if not gpu.mig_enabled.value:
            return ok(f"{label(gpu)} is whole")
        if _is_unusable_mig(gpu):
            reason = gpu.memory_bytes.reason if isinstance(gpu.memory_bytes, Unknown) else "it has no instance"
            return fail(
                f"{label(gpu)}: {reason}",
                f"`nvidia-smi mig -i {gpu.index} -lgip` lists sizes to create, or `nvidia-smi -i {gpu.index} -mig 0`",
            )
        return warn(f"{label(gpu)} is a MIG instance: a process sees one of them, and none can be joined")

    return each_card(host, judge)


def memory_is_not_taken_by_others(host: HostFacts) -> Judgement | None:
    """At most 1 GiB of each card is in use; what the driver reserves is not counted where it says so."""

    def judge(gpu: Gpu) -> Judgement:
        if isinstance(gpu.memory_bytes, Unknown):
            return unknown(gpu.memory_bytes, label(gpu))
        if isinstance(gpu.free_bytes, Unknown):
            return unknown(gpu.free_bytes, label(gpu))
        used = gpu.memory_bytes.value - gpu.free_bytes.value - (known(gpu.reserved_bytes) or 0)
        if used <= TAKEN_BYTES:
            return ok(f"{label(gpu)} {size_text(max(used, 0))} in use")
        who = ", ".join(f"{one.name or 'a process'} (pid {one.pid})" for one in known(gpu.processes) or ())
        return warn(f"{label(gpu)}: {size_text(used)} is in use{' by ' + who if who else ''}")

    return each_card(host, judge, where=lambda gpu: not gpu.unified_memory and not _is_unusable_mig(gpu))


def cards_are_not_hot(host: HostFacts) -> Judgement | None:
    """Below 85 °C."""

    def judge(gpu: Gpu) -> Judgement:
        if isinstance(gpu.temperature_celsius, Unknown):
            return unknown(gpu.temperature_celsius, label(gpu))
        celsius = gpu.temperature_celsius.value
        return (warn if celsius >= HOT_CELSIUS else ok)(f"{label(gpu)} at {celsius} °C")

    return each_card(host, judge)


def memory_has_no_uncorrected_errors(host: HostFacts) -> Judgement | None:
    """None since the driver was loaded."""

    def judge(gpu: Gpu) -> Judgement:
        if isinstance(gpu.ecc_errors, Unknown):
            return unknown(gpu.ecc_errors, label(gpu))
        count = gpu.ecc_errors.value
        return fail(f"{label(gpu)}: {count} uncorrected memory errors") if count else ok(f"{label(gpu)} none")

    return each_card(host, judge)


def no_memory_row_is_bad(host: HostFacts) -> Judgement | None:
    """No remapping waits for a reset (warns), none failed (fails)."""

    def judge(gpu: Gpu) -> Judgement:
        if isinstance(gpu.row_remapping, Unknown):
            return unknown(gpu.row_remapping, label(gpu))
        if gpu.row_remapping.value.failed:
            return fail(f"{label(gpu)}: a bad memory row could not be replaced", "have the card replaced")
        if gpu.row_remapping.value.pending:
            return warn(f"{label(gpu)}: a bad memory row waits for a reset to be replaced")
        return ok(f"{label(gpu)} none")

    return each_card(host, judge)


def engines_know_the_cards(host: HostFacts, references: References) -> Judgement | None:
    """The newest vLLM, and a llama.cpp built for CUDA, have code for each."""
    matrix = references.matrix

    def judge(gpu: Gpu) -> Judgement:
        if isinstance(gpu.compute_capability, Unknown):
            return unknown(gpu.compute_capability, label(gpu))
        text = gpu.compute_capability.value
        if version(text) is None:
            return unknown(Unknown(f"not a compute capability: `{text}`"), label(gpu))
        cards = (Card(label(gpu), text),)
        if build_for(matrix, EngineName.LLAMA_CPP, driver=None, cards=cards) is None:
            return warn(f"{label(gpu)} has compute capability {text}: no current engine runs on it")
        newest = build_for(matrix, EngineName.VLLM, driver=None, cards=cards)
        last = matrix.builds_of(EngineName.VLLM)[0].newest
        if newest is None:
            return warn(f"{label(gpu)} has compute capability {text}: llama.cpp only, not vLLM")
        if newest.newest != last:
            return warn(f"{label(gpu)} has compute capability {text}: llama.cpp, and vLLM up to {newest.newest} only")
        return ok(f"{label(gpu)} {text}")

    return each_card(host, judge)


def the_kernel_agrees_with_nvml(host: HostFacts) -> Judgement | None:
    """The loaded module's version, and the number of cards on the bus."""
    if not host.nvidia.gpus:
        return None
    if isinstance(host.kernel_side, Unknown):
        return unknown(host.kernel_side, "the kernel's side")
    side, driver = host.kernel_side.value, host.nvidia.driver
    on_bus = sum(card.is_nvidia() and not card.is_handed_on() for card in side.cards)
    seen = len({gpu.index for gpu in host.nvidia.gpus})
    container = host.system.container  # one sees the whole bus, and has some of its cards
    if on_bus and on_bus != seen and isinstance(container, Unknown):
        return unknown(container, "whether the cards that NVML does not show are this system's")
    if on_bus and on_bus != seen and known(container) is Container.NONE:
        return warn(
            f"{on_bus} NVIDIA cards on the bus, NVML shows {seen}", "`lspci -nnk -d 10de:` shows who has the others"
        )
    if isinstance(driver, Unknown):
        return unknown(driver, "driver")
    if side.nvidia_version is not None and side.nvidia_version != driver.value.version:
        return warn(
            f"the kernel runs nvidia {side.nvidia_version}, NVML says {driver.value.version}",
            "reboot to load one version",
        )
    return ok("version and number of cards agree")


def label(gpu: Gpu) -> str:
    """`#0 NVIDIA L40S`, or the index alone."""
    name = known(gpu.name)
    return f"#{gpu.index} {name}" if name else f"#{gpu.index}"


def version(text: str) -> tuple[int, ...] | None:
    """`570.124.06` as numbers; None where it is not dotted digits."""
    parts = text.strip().split(".")
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        return None
    return tuple(int(part) for part in parts)


def physical_cards(nvidia: Nvidia) -> int:
    """How many cards there are, instances of one counted once."""
    return len({gpu.index for gpu in nvidia.gpus})


def _is_unusable_mig(gpu: Gpu) -> bool:
    return isinstance(gpu.mig_enabled, Known) and gpu.mig_enabled.value and not gpu.is_mig_instance


def each_card(
    host: HostFacts, judge: Callable[[Gpu], Judgement | None], *, where: Callable[[Gpu], bool] = lambda _: True
) -> Judgement | None:
    """The worst of what `judge` says of each card that answers, in the words of all equally bad ones; None without a card."""
    answers = [judge(gpu) for gpu in host.nvidia.gpus if gpu.fault is None and where(gpu)]
    return together([answer for answer in answers if answer is not None])


CHECKS = (
    Check(
        code="GPU002",
        title="Every card answers",
        judge=every_card_answers,
        why="A card that fell off the bus or waits for a reset takes down the engine that is told to use it.",
        fix="`dmesg | grep -i xid`, then reset the card or reboot",
        decides=True,
        source="nvml.h, NVML_ERROR_GPU_IS_LOST, NVML_ERROR_RESET_REQUIRED",
        worst=Status.FAIL,
    ),
    Check(
        code="GPU003",
        title="The memory of every card is known",
        judge=memory_of_every_card_is_known,
        why="Nothing can be planned for a card whose memory cannot be read.",
        fix="nvidia-smi --query-gpu=index,name,memory.total,memory.free --format=csv",
        decides=True,
        source="nvml.h, nvmlDeviceGetMemoryInfo",
    ),
    Check(
        code="GPU004",
        title="The cards are whole, not cut by MIG",
        judge=mig_leaves_something_to_use,
        why="With MIG on, a process sees one instance and its memory; with no instance, no card at all.",
        fix="`llmops plan` takes one of them for each deployment; to have the whole card: `nvidia-smi -i N -mig 0`",
        decides=True,
        source="NVIDIA MIG user guide",
        worst=Status.FAIL,
    ),
    Check(
        code="GPU005",
        title="The cards' memory is not taken by others",
        judge=memory_is_not_taken_by_others,
        why="`plan` counts on what is free now; a model that is loaded beside another fits until the other grows.",
        fix="stop the other program, or plan with what is free: `nvidia-smi` lists who holds it",
        source="vLLM 0.33, v1/worker/utils.py request_memory; llama.cpp, cudaMemGetInfo",
    ),
    Check(
        code="GPU006",
        title="The cards are not hot",
        judge=cards_are_not_hot,
        why="Near their limit cards slow down; the speeds of a plan do not hold then.",
        fix="see to the airflow, or lower the power limit: `nvidia-smi -i N -pl WATTS`",
        source="nvml.h, NVML_TEMPERATURE_THRESHOLD_SLOWDOWN; 85 °C where the card names none",
    ),
    Check(
        code="GPU007",
        title="GPU memory has no uncorrected errors",
        judge=memory_has_no_uncorrected_errors,
        why="An uncorrected error ends the engine's process; a growing count announces a failing board.",
        fix="reset the card (`nvidia-smi --gpu-reset -i N`) or reboot; have it replaced when the count grows again",
        source="nvml.h, NVML_MEMORY_ERROR_TYPE_UNCORRECTED; NVIDIA GPU memory error management",
        worst=Status.FAIL,
    ),
    Check(
        code="GPU009",
        title="The kernel agrees with NVML",
        judge=the_kernel_agrees_with_nvml,
        why="A version that differs will be a mismatch after the next restart; a card NVML does not show cannot be used.",
        fix="reboot, then `llmops doctor`",
        source="/sys/module/nvidia/version, /sys/bus/pci/devices",
    ),
    Check(
        code="GPU010",
        title="No row of GPU memory is bad",
        judge=no_memory_row_is_bad,
        why="Bad rows are replaced by spare ones at the next reset; when none is left, errors stay.",
        fix="reset the card when nothing runs on it: `nvidia-smi --gpu-reset -i N`",
        source="NVIDIA GPU memory error management, row remapping",
        worst=Status.FAIL,
    ),
    Check(
        code="GPU011",
        title="Engines know the cards' compute capability",
        lookup=engines_know_the_cards,
        why="Engines ship code for certain generations of cards only, and fail at the first kernel on others.",
        fix="choose an engine that has the card: `llmops plan MODEL --engine llama.cpp`",
        source="the engine matrix: machine code in the wheels",
    ),
)
