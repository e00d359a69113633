"""What a plan over the whole catalogue asks, for any engine: its options, the models and the cards that they name."""

from collections.abc import Iterable, Sequence

from llmops.cli.hardware import gpu_rows
from llmops.cli.opening import model_rows
from llmops.domain.catalogue import GpuRow, ModelRow
from llmops.domain.engine import Device, DeviceKind
from llmops.domain.errors import WrongUsage
from llmops.domain.profile import EngineChoice
from llmops.domain.records import dataclass
from llmops.domain.units import size_bytes
from llmops.domain.wide import ModelFor
from llmops.formats import catalogue, devices
from llmops.formats.catalogue import holds

COUNTS = (1, 2, 4, 8)
RESERVE = "1GiB"
_KINDS = {"nvidia": DeviceKind.CUDA, "amd": DeviceKind.ROCM}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`models_for` are cards, `gpus_for` a model; the rest narrows what is asked. Words are looked for in names."""

    models_for: tuple[str, ...] = ()
    gpus_for: str | None = None
    words: tuple[str, ...] = ()
    quantization: str | None = None
    context: int | None = None
    parallel: int | None = None
    kv_cache_type: str | None = None
    gpu_memory_reserve: str | None = None
    engine: EngineChoice = EngineChoice.AUTO


def long_enough(rows: Sequence[ModelRow], context: int | None) -> tuple[list[ModelRow], list[str]]:
    """The models that were trained for a context, and the names of the others; a model that says none has no limit."""
    found = [row for row in rows if context is None or context <= (row.context_length or context)]
    return found, [row.id for row in rows if row not in found]


def row_of(name: str, context: int | None) -> ModelRow:
    """The catalogue's row. Raises `WrongUsage` with the candidates, or where it was not trained for the context."""
    rows = model_rows()
    row = catalogue.find_published(rows, name)
    if row is not None:
        if not long_enough([row], context)[0]:
            raise WrongUsage(f"`{row.id}` was trained for {row.context_length} tokens", hint="a smaller `--context`")
        return row
    near = catalogue.near_models(rows, name)
    hint = f"did you mean: {', '.join(near)}" if near else "`llmops catalog models` lists them"
    raise WrongUsage(f"no model `{name}` in the catalogue", hint=hint)


def device_of(gpu: GpuRow) -> Device:
    """A card of the catalogue, nothing else on it."""
    return Device(
        name=gpu.name,
        kind=_KINDS.get(gpu.vendor, DeviceKind.OTHER),
        capacity_bytes=gpu.memory_bytes or 0,
        free_bytes=devices.free_bytes(gpu),
        compute_capability=gpu.compute_capability,
        bandwidth_gb_s=gpu.bandwidth_gb_s,
        fp16_tflops=gpu.fp16_tflops,
    )


def reserve_bytes(options: Options) -> int:
    """What stays free on each card."""
    text = options.gpu_memory_reserve or RESERVE
    size = size_bytes(text)
    if size is None:
        raise WrongUsage(f"`{text}` is not a size", hint="write it with its unit: 1GiB, 512MiB")
    return size


def models_of(words: Sequence[str]) -> list[ModelRow]:
    """The catalogue's models of `--search`. Raises `WrongUsage` where no name holds the words: that is not "none fits"."""
    rows = [row for row in model_rows() if holds(words, row.id, row.repository, row.family, row.licence)]
    if not rows:
        near = catalogue.near_models(model_rows(), " ".join(words))
        hint = f"did you mean: {', '.join(near)}" if near else "`llmops catalog models` lists them"
        raise WrongUsage(f"no model of the catalogue is named {_quoted(words)}", hint=hint)
    return rows


def cards_of(words: Sequence[str]) -> list[GpuRow]:
    """The catalogue's cards of `--search` that have a memory of their own. Raises `WrongUsage` as `models_of` does."""
    named = [row for row in gpu_rows() if row.vendor != "cpu" and holds(words, row.name, row.vendor, row.architecture)]
    rows = [row for row in named if row.memory_bytes]
    if named and not rows:
        raise WrongUsage(
            f"{named[0].name} and the like share the host's memory: hosts with them have more or less",
            hint="`llmops plan --models-for 96GiB`, or `llmops plan MODEL --gpu 96GiB`",
        )
    if not rows:
        near = catalogue.near_gpus(gpu_rows(), " ".join(words))
        hint = f"did you mean: {', '.join(near)}" if near else "`llmops catalog gpus` lists them"
        raise WrongUsage(f"no card of the catalogue is named {_quoted(words)}", hint=hint)
    return rows


def _quoted(words: Iterable[str]) -> str:
    return " and ".join(f"`{word}`" for word in words)


def worth(one: ModelFor) -> tuple[bool, int, str]:
    """Four bits or more first, then the most parameters."""
    few_bits = one.choice.weights_bytes * 8 < 4 * one.parameters
    return few_bits, -one.parameters, one.model
