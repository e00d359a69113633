"""LCK: the cards a lock was made for: that they are here, have the memory, and run what it says."""

from llmops.checks.check import Judgement, fail, ok, together, unknown, warn
from llmops.checks.gpu import label
from llmops.checks.lock_check import LockCheck, Wanted, beside
from llmops.domain.engine import EngineName
from llmops.domain.engine_matrix import Card
from llmops.domain.engine_verdicts import judge
from llmops.domain.finding import Status
from llmops.domain.host import Gpu
from llmops.domain.lock import LockedDevice
from llmops.domain.reading import Unknown, known
from llmops.domain.units import size_text

FORMATS = (
    ("nvfp4", "nvfp4"), ("mxfp4", "mxfp4"), ("mxfp8", "mxfp8"), ("awq", "awq"), ("gptq", "gptq"), ("w4a16", "w4a16"),
    ("w8a8", "w8a8-int8"), ("bitsandbytes", "bitsandbytes"), ("bnb", "bitsandbytes"), ("nf4", "bitsandbytes"), ("fp8", "fp8"),
)  # fmt: skip
"""A word of a quantization's name, and its feature in the engine matrix; the first that is found."""


def features(wanted: Wanted) -> tuple[str, ...]:
    """What the engine must have kernels for, in the matrix's words: the weights' kind and the cache's."""
    one = wanted.deployment
    found: list[str] = []
    if not one.engine.name.runs_llama_cpp():
        if any(file.name.endswith(".gguf") for file in one.model.files):
            found.append("gguf")
        words = (one.quantization or "").lower()
        found += [feature for word, feature in FORMATS if word in words][:1]
        kind = one.settings.kv_cache_type_k
        found += ["kv-fp8"] if kind.startswith("fp8") else ["kv-nvfp4"] if kind.startswith("nvfp4") else []
    return tuple(dict.fromkeys(found))


def card_of(wanted: Wanted, device: LockedDevice) -> Gpu | None:
    """The host's card that the lock means: by UUID, else by number, else the first of its name."""
    gpus = wanted.host.nvidia.gpus + (known(wanted.host.other_gpus) or ())
    if device.uuid is not None:
        return next((gpu for gpu in gpus if known(gpu.uuid) == device.uuid), None)
    same = [gpu for gpu in gpus if known(gpu.name) == device.name]
    return next((gpu for gpu in same if gpu.index == device.index), same[0] if same else None)


def locked_cards_are_here(wanted: Wanted) -> Judgement | None:
    """Every card the plan is for, and it answers."""
    if not wanted.deployment.devices:
        return None
    if wanted.host.nvidia.state.is_fault():
        return fail(
            f"the cards cannot be used: {wanted.host.nvidia.detail or wanted.host.nvidia.state.value}", "see GPU001"
        )
    return together([_is_here(wanted, device) for device in wanted.deployment.devices])


def _is_here(wanted: Wanted, device: LockedDevice) -> Judgement:
    gpu = card_of(wanted, device)
    if gpu is None:
        if any(isinstance(one.uuid, Unknown) for one in wanted.host.nvidia.gpus):
            return unknown(Unknown("not every card tells its UUID"), device.name)
        which = f" ({device.uuid})" if device.uuid else ""
        return fail(f"{device.name}{which} is not here", "plan for the cards that are: `llmops plan --out llmops.lock`")
    if gpu.fault is not None:
        return fail(f"{label(gpu)} does not answer: {gpu.fault}", "see GPU002")
    return ok(label(gpu))


def cards_have_room(wanted: Wanted) -> Judgement | None:
    """What the ledger takes of each card, and its reserve, is free there beside the deployments before it in the lock.

    A deployment that runs already has its own.
    """
    deployment = wanted.deployment
    if not deployment.devices:
        return None
    if wanted.runs_already():
        return ok("it runs already")
    judgements: list[Judgement] = []
    for device, ledger in zip(deployment.devices, deployment.ledger.devices, strict=False):
        gpu = card_of(wanted, device)
        if gpu is None:
            continue  # LCK001 says so
        if isinstance(gpu.free_bytes, Unknown):
            judgements.append(unknown(gpu.free_bytes, f"{label(gpu)} free memory"))
            continue
        need, free = ledger.total_bytes() + ledger.reserve_bytes, gpu.free_bytes.value
        others = _taken_before(wanted, gpu)
        if need <= free < need + sum(others.values()):
            judgements.append(
                fail(
                    f"{label(gpu)} has {size_text(free)} free, the plan takes {size_text(need)}{beside(tuple(others))}, "
                    f"planned at {size_text(sum(others.values()))}",
                    "put it on another card, or plan all of them for this one: `llmops plan --out llmops.lock`",
                )
            )
        elif free < need:
            busy = known(gpu.processes) or ()
            names = ", ".join(f"{one.name or 'a process'} (pid {one.pid})" for one in busy)
            who = f": {names} use it" if names else ""
            judgements.append(
                fail(
                    f"{label(gpu)} has {size_text(free)} free, the plan takes {size_text(need)}{who}",
                    "stop what uses the card, or plan with what is free: `llmops plan --out llmops.lock`",
                )
            )
        else:
            judgements.append(ok(f"{label(gpu)} has {size_text(free)} free for {size_text(need)}"))
    return together(judgements)


def _taken_before(wanted: Wanted, gpu: Gpu) -> dict[str, int]:
    """What each deployment before this one in the lock takes of a card, in bytes."""
    taken: dict[str, int] = {}
    for other in wanted.before():
        own = zip(other.deployment.devices, other.deployment.ledger.devices, strict=False)
        if total := sum(ledger.total_bytes() for device, ledger in own if card_of(other, device) == gpu):
            taken[other.name] = total
    return taken


def one_process_sees_its_cards(wanted: Wanted) -> Judgement | None:
    """Not two instances of MIG for one model: none can be joined."""
    gpus = [gpu for device in wanted.deployment.devices if (gpu := card_of(wanted, device)) is not None]
    if len(gpus) < 2:
        return None
    if any(gpu.is_mig_instance for gpu in gpus):
        return fail(
            f"{len(gpus)} instances of MIG for one model: they cannot be joined",
            "plan for one of them, or switch MIG off",
        )
    return ok(f"{len(gpus)} whole cards")


def driver_and_cards_run_the_engine(wanted: Wanted) -> Judgement | None:
    """The driver is new enough for the engine's CUDA, and its build has code for the cards."""
    return _by_the_matrix(wanted, subjects=("build", "driver", "card"), asked=())


def cards_have_kernels_for_the_model(wanted: Wanted) -> Judgement | None:
    """The engine has kernels for these weights and this cache on these cards; slow ones warn."""
    asked = features(wanted)
    return _by_the_matrix(wanted, subjects=asked, asked=asked) if asked else None


def _by_the_matrix(wanted: Wanted, *, subjects: tuple[str, ...], asked: tuple[str, ...]) -> Judgement | None:
    deployment = wanted.deployment
    gpus = [
        gpu for device in deployment.devices if (gpu := card_of(wanted, device)) is not None and gpu.vendor == "nvidia"
    ]
    if not gpus:
        return None
    if isinstance(wanted.host.nvidia.driver, Unknown):
        return unknown(wanted.host.nvidia.driver, "driver")
    cards = [Card(label(gpu), known(gpu.compute_capability)) for gpu in gpus]
    version = wanted.version()
    said = judge(
        wanted.references.matrix,
        EngineName(deployment.engine.name),
        version,
        driver=wanted.host.nvidia.driver.value.version,
        cards=cards,
        features=asked,
        allowed=deployment.argv,
    )
    bad = [fail(one.message, one.fix) for one in said if one.subject in subjects and one.status is Status.FAIL]
    slow = [warn(one.message, one.fix) for one in said if one.subject in subjects and one.status is Status.WARN]
    if bad or slow:
        return together([*bad, *slow])
    unsure = next((gpu for gpu in gpus if isinstance(gpu.compute_capability, Unknown)), None)
    if unsure is not None:
        return unknown(Unknown("its compute capability is not known"), label(unsure))
    words = ", ".join(asked) or f"driver {wanted.host.nvidia.driver.value.version}"
    return ok(f"{deployment.engine.name.value} {version}: {words}")


CHECKS = (
    LockCheck(
        code="LCK001",
        title="The lock's cards are here",
        judge=locked_cards_are_here,
        why="The unit names its cards by UUID: an engine that does not find them does not start.",
        source="CUDA_VISIBLE_DEVICES",
        decides=True,
    ),
    LockCheck(
        code="LCK002",
        title="The cards have room",
        judge=cards_have_room,
        why="An engine that asks for more than is free fails at its start, or takes what another one counts on.",
        source="the lock's ledger",
        decides=True,
    ),
    LockCheck(
        code="LCK003",
        title="Driver and cards run the engine's build",
        judge=driver_and_cards_run_the_engine,
        why="A build needs the driver of its CUDA, and has machine code for certain cards only.",
        source="the engine matrix",
        decides=True,
    ),
    LockCheck(
        code="LCK004",
        title="The cards have kernels for weights and cache",
        judge=cards_have_kernels_for_the_model,
        why="Quantized weights and caches need arithmetic that older cards do not have.",
        source="the engine matrix, features",
        decides=True,
    ),
    LockCheck(
        code="LCK005",
        title="One process sees its cards",
        judge=one_process_sees_its_cards,
        why="A process sees one MIG instance at a time.",
        source="NVIDIA MIG user guide",
    ),
)
