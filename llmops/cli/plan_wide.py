"""`llmops plan --models-for` and `--gpus-for`: the whole catalogue at once, from shapes and rules, without a file or network."""

from collections.abc import Sequence
from dataclasses import fields, replace

from llmops.cli.answer import Answer
from llmops.cli.hardware import gpu_rows
from llmops.cli.plan_wide_rows import (
    COUNTS,
    Options,
    cards_of,
    device_of,
    long_enough,
    models_of,
    reserve_bytes,
    row_of,
    worth,
)
from llmops.cli.planning import Options as PlanOptions
from llmops.domain.catalogue import GpuRow, ModelRow
from llmops.domain.engine import Device, EngineName, EngineSettings, HostDevice
from llmops.domain.errors import WrongUsage
from llmops.domain.forms import Json, dump
from llmops.domain.model import ModelShape
from llmops.domain.plan import Estimate
from llmops.domain.profile import EngineChoice
from llmops.domain.wide import Choice, GpuFor, ModelFor
from llmops.engines.llama_cpp_bound import Bound
from llmops.formats import devices
from llmops.sizing.file_types import DEFAULTS
from llmops.sizing.quantized import bare_shape, is_covered
from llmops.sizing.speed import speed
from llmops.sizing.wide import Beside, Candidate, Room, Taken, WideFit, on_room
from llmops.views.plan_wide import show_gpus_for, show_models_for

FOUR_BITS = "Q4_K_M"
"""`--gpus-for` asks for as many cards as this needs, unless `--quantization` says otherwise."""

NO_HOST = HostDevice(memory_bytes=None, physical_cores=None)
USED = frozenset({"engine", "quantization", "context", "parallel", "kv_cache_type", "gpu_memory_reserve"})
"""Of a plan's options those that these look at; any other would be silently without effect."""


def asked(plan: PlanOptions, *, models_for: tuple[str, ...], gpus_for: str | None, words: tuple[str, ...]) -> Options:
    """These options beside a plan's own. Raises `WrongUsage` for those that do not go together."""
    if not models_for and gpus_for is None:
        raise WrongUsage("`--search` alone", hint="with `--models-for GPU` or `--gpus-for MODEL`")
    blank = PlanOptions()
    odd = [
        one.name
        for one in fields(blank)
        if one.name not in USED and getattr(plan, one.name) != getattr(blank, one.name)
    ]
    if odd:
        names = ", ".join({"model": "MODEL", "gpus": "--gpu"}.get(one, f"--{one.replace('_', '-')}") for one in odd)
        wide = "--models-for" if models_for else "--gpus-for"
        raise WrongUsage(f"`{wide}` goes over the whole catalogue: {names} has no place beside it")
    return Options(
        models_for=models_for,
        gpus_for=gpus_for,
        words=words,
        quantization=plan.quantization,
        context=plan.context,
        parallel=plan.parallel,
        kv_cache_type=plan.kv_cache_type,
        gpu_memory_reserve=plan.gpu_memory_reserve,
        engine=plan.engine or EngineChoice.AUTO,
    )


def run(options: Options) -> Answer:
    """The catalogue's rows → sizes of every quantization → what fits, in order of what is worth having."""
    if options.models_for and options.gpus_for is not None:
        raise WrongUsage("`--models-for` and `--gpus-for` together", hint="one of them")
    if options.engine is EngineChoice.VLLM:
        from llmops.cli import plan_wide_pool

        return plan_wide_pool.run(options)
    if options.engine not in (EngineChoice.AUTO, EngineChoice.LLAMA_CPP):
        hint = "`--engine llama.cpp` or `--engine vllm`; Ollama loads what llama.cpp does"
        raise WrongUsage(f"{options.engine.value} is not planned for the whole catalogue", hint=hint)
    if options.quantization is not None and options.quantization.upper() not in DEFAULTS:
        hint = f"one of: {', '.join(DEFAULTS)}"
        raise WrongUsage(f"`{options.quantization}` is not a file type with rules", hint=hint)
    if options.models_for:
        return _models_for(options)
    return _gpus_for(options, options.gpus_for or "")


def _models_for(options: Options) -> Answer:
    cards, notes = devices.from_options(options.models_for, gpu_rows())
    if not cards:
        raise WrongUsage("`--models-for none` names no card", hint="`llmops plan --models-for 'RTX 4090'`")
    room = Room(cards=cards, reserve_bytes=reserve_bytes(options))
    found: list[ModelFor] = []
    smaller: list[str] = []
    tried = fitted = 0
    rows, shorter = long_enough(models_of(options.words), options.context)
    for row in rows:
        if not is_covered(row):
            continue
        one = _candidate(row, options)
        fit = on_room(one, room, context_tokens=options.context, parallel=options.parallel)
        tried += fit.tried
        fitted += fit.fitted
        if fit.choice is None:
            smaller.append(row.id)
        else:
            found.append(_model_for(one, room, fit, fit.choice))
    found.sort(key=worth)
    not_sized = [row.id for row in rows if not is_covered(row)]
    result: dict[str, Json] = {
        "cards": [card.name for card in cards],
        "models": [dump(one) for one in found],
        "not_fitting": list[Json](smaller),
        "not_sized": list[Json](not_sized),
        "shorter": list[Json](shorter),
        "tried": tried,
        "fitted": fitted,
    }
    return Answer(
        result={"models_for": result},
        show=lambda to: show_models_for(found, room.cards, len(smaller), not_sized, notes, to, shorter=len(shorter)),
        ok=bool(found),
    )


def _model_for(one: Candidate, room: Room, fit: WideFit, choice: Choice) -> ModelFor:
    row = one.row
    return ModelFor(
        model=row.id,
        repository=row.repository,
        parameters=row.parameters,
        parameters_active=row.parameters_active,
        choice=choice,
        decode_tokens_per_second=_decode(one, room.cards, choice),
        quantizations=fit.quantizations,
    )


def _gpus_for(options: Options, name: str) -> Answer:
    row = row_of(name, options.context)
    if not is_covered(row):
        hint = f"`llmops plan --gpus-for {row.id} --engine vllm` sizes it for vLLM"
        raise WrongUsage(f"llama.cpp does not run `{row.id}`", hint=hint)
    one = _candidate(row, options)
    reserve = reserve_bytes(options)
    found = [best for gpu in cards_of(options.words) if (best := _fewest(one, gpu, reserve, options)) is not None]
    found.sort(key=lambda each: (each.memory_bytes, each.power_watts or 0, each.gpu))
    result: dict[str, Json] = {"model": row.id, "gpus": [dump(each) for each in found]}
    return Answer(result={"gpus_for": result}, show=lambda to: show_gpus_for(row.id, found, to), ok=bool(found))


def _fewest(one: Candidate, gpu: GpuRow, reserve: int, options: Options) -> GpuFor | None:
    """As few cards as hold the model at four bits (or as asked), then the best quantization on them."""
    device = device_of(gpu)
    least = one.grouped.stored((options.quantization or FOUR_BITS).upper())
    useful = one.useful_context(options.context)
    for count in COUNTS:
        room = Room(cards=(device,) * count, reserve_bytes=reserve)
        if least is None or not one.fits(room, least, useful, options.parallel or 1):
            continue
        choice = on_room(one, room, context_tokens=options.context, parallel=options.parallel).choice
        if choice is not None:
            return GpuFor(
                gpu=gpu.name,
                count=count,
                memory_bytes=count * (gpu.memory_bytes or 0),
                power_watts=None if gpu.power_watts is None else count * gpu.power_watts,
                choice=choice,
                decode_tokens_per_second=_decode(one, room.cards, choice),
            )
    return None


def _candidate(row: ModelRow, options: Options) -> Candidate:
    kinds = None if options.quantization is None else (options.quantization.upper(),)
    return candidate(row, kv_cache_type=options.kv_cache_type or "f16", quantizations=kinds)


def candidate(row: ModelRow, *, kv_cache_type: str, quantizations: Sequence[str] | None = None) -> Candidate:
    """A model of the catalogue made ready for llama.cpp: at these quantizations, or at every one."""
    shape = bare_shape(row)
    return Candidate(row, shape, _beside(shape, kv_cache_type), quantizations=quantizations)


def _beside(shape: ModelShape, kv_cache_type: str) -> Beside:
    bound = Bound(shape)

    def taken(context_tokens: int, parallel: int, cards: int) -> Taken:
        one = bound.beside(context_tokens=context_tokens, parallel=parallel, kv_cache_type=kv_cache_type, cards=cards)
        layers = one.layer_bytes
        return Taken(layer_bytes=layers, cache_bytes=sum(layers), each_card_bytes=one.each_card_bytes)

    return taken


def _decode(one: Candidate, cards: Sequence[Device], choice: Choice) -> Estimate | None:
    """One request alone; encoders do not decode."""
    if one.row.embedding_model:
        return None
    shape = replace(one.shape, tensors=one.grouped.tensors(choice.quantization))
    settings = EngineSettings(engine=EngineName.LLAMA_CPP, context_size=choice.context_tokens, parallel=1)
    told = speed(shape, settings, devices=tuple(cards), host=NO_HOST, read_bytes_per_second=None)
    return told.decode_tokens_per_second
