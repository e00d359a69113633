"""`llmops plan --models-for` and `--gpus-for` with `--engine vllm`: formats by rule, weighed by vLLM's own ledger."""

from collections.abc import Sequence
from functools import cache, partial

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
from llmops.domain.catalogue import GpuRow, ModelRow
from llmops.domain.engine import Device, EngineName
from llmops.domain.errors import WrongInput, WrongUsage
from llmops.domain.forms import Json, dump
from llmops.domain.plan import Estimate
from llmops.domain.wide import GpuFor, ModelFor
from llmops.engines import ENGINES
from llmops.formats import devices
from llmops.formats.row_formats import BY_NAME, format_shape, order
from llmops.sizing import shares
from llmops.sizing.speed import speed
from llmops.sizing.wide import Room
from llmops.sizing.wide_pool import NO_HOST, Format, PoolFit, on_pool
from llmops.views.plan_wide import show_gpus_for, show_models_for

USUAL = ("BF16", "FP8", "AWQ", "NVFP4", "MXFP4")
"""What is looked at where many models are: INT8 is as large as FP8, GPTQ and W4A16 as AWQ."""

LEAST_CAPABILITY = (7, 5)
"""vLLM 0.33's wheels have no code for older cards."""


def run(options: Options) -> Answer:
    """The catalogue's rows in vLLM's formats → what fits."""
    if options.quantization is not None and options.quantization.upper() not in BY_NAME:
        raise WrongUsage(f"vLLM has no format `{options.quantization}`", hint=f"one of: {', '.join(BY_NAME)}")
    return _models_for(options) if options.models_for else _gpus_for(options, options.gpus_for or "")


def _models_for(options: Options) -> Answer:
    cards, notes = devices.from_options(options.models_for, gpu_rows())
    if not cards:
        raise WrongUsage(
            "`--models-for none` names no card", hint="`llmops plan --models-for 'RTX 4090' --engine vllm`"
        )
    old = next((card for card in cards if not _is_served(card)), None)
    if old is not None:
        raise WrongUsage(
            f"vLLM does not run on `{old.name}`: it needs a CUDA card of capability 7.5", hint="without `--engine`"
        )
    room = Room(cards=cards, reserve_bytes=reserve_bytes(options))
    rows, shorter = long_enough(models_of(options.words), options.context)
    found: list[ModelFor] = []
    smaller: list[str] = []
    not_sized: list[str] = []
    for row in rows:
        try:
            fit = _fit(row, _formats(row, cards, options, every=len(rows) == 1), room, options, every=len(rows) == 1)
        except WrongInput:
            not_sized.append(row.id)
            continue
        if fit.choice is None:
            smaller.append(row.id)
        else:
            found.append(_model_for(row, fit, cards))
    found.sort(key=worth)
    result: dict[str, Json] = {
        "engine": "vllm",
        "cards": [card.name for card in cards],
        "models": [dump(one) for one in found],
        "not_fitting": list[Json](smaller),
        "not_sized": list[Json](not_sized),
        "shorter": list[Json](shorter),
        "tried": sum(len(one.quantizations) for one in found) + len(smaller),
        "fitted": len(found),
    }
    return Answer(
        result={"models_for": result},
        show=lambda to: show_models_for(
            found, cards, len(smaller), not_sized, notes, to, engine="vllm", shorter=len(shorter)
        ),
        ok=bool(found),
    )


def _model_for(row: ModelRow, fit: PoolFit, cards: Sequence[Device]) -> ModelFor:
    assert fit.choice is not None  # noqa: S101 - for the type checker
    return ModelFor(
        model=row.id,
        repository=row.repository,
        parameters=row.parameters,
        parameters_active=row.parameters_active,
        choice=fit.choice,
        decode_tokens_per_second=_decode(row, fit, cards),
        quantizations=fit.quantizations,
    )


def _is_served(card: Device) -> bool:
    found = shares.capability(card)
    return found is None or found >= LEAST_CAPABILITY


def _formats(row: ModelRow, cards: Sequence[Device], options: Options, *, every: bool) -> tuple[Format, ...]:
    """The formats to try on these cards, the best first; shapes are made when they are asked for, once."""
    made = cache(partial(format_shape, row))
    known = [found for card in cards if (found := shares.capability(card)) is not None]
    wanted = None if options.quantization is None else options.quantization.upper()
    return tuple(
        Format(
            name=name,
            least_bits=16 if name == "BF16" else 8 if name in ("FP8", "INT8") else 4,
            shape=partial(made, name),
        )
        for name in ((wanted,) if wanted else order(row))
        if (wanted or every or name in USUAL) and all(found >= BY_NAME[name].capability for found in known)
    )


def _fit(row: ModelRow, formats: Sequence[Format], room: Room, options: Options, *, every: bool = False) -> PoolFit:
    return on_pool(
        formats,
        room,
        ENGINES[EngineName.VLLM],
        parameters=row.parameters,
        context_tokens=options.context,
        parallel=options.parallel,
        kv_cache_type=options.kv_cache_type or "f16",
        all_of_them=every,
    )


def _gpus_for(options: Options, name: str) -> Answer:
    row = row_of(name, options.context)
    try:
        formats = _formats(row, (), options, every=False)
        found = [
            best
            for gpu in cards_of(options.words)
            if gpu.vendor == "nvidia"
            if (best := _fewest(row, formats, gpu, options)) is not None
        ]
    except WrongInput as stopped:
        raise WrongUsage(stopped.message, hint="`--engine llama.cpp` sizes its GGUF files") from stopped
    found.sort(key=lambda each: (each.memory_bytes, each.power_watts or 0, each.gpu))
    result: dict[str, Json] = {"engine": "vllm", "model": row.id, "gpus": [dump(each) for each in found]}
    return Answer(
        result={"gpus_for": result}, show=lambda to: show_gpus_for(row.id, found, to, engine="vllm"), ok=bool(found)
    )


def _fewest(row: ModelRow, formats: Sequence[Format], gpu: GpuRow, options: Options) -> GpuFor | None:
    """As few cards as hold the model in any of the formats, the best of them first."""
    device = device_of(gpu)
    capability = shares.capability(device)
    if capability is None or capability < LEAST_CAPABILITY:
        return None
    possible = [one for one in formats if capability >= BY_NAME[one.name].capability]
    for count in COUNTS:
        room = Room(cards=(device,) * count, reserve_bytes=reserve_bytes(options))
        fit = _fit(row, possible, room, options)
        if fit.choice is not None:
            return GpuFor(
                gpu=gpu.name,
                count=count,
                memory_bytes=count * (gpu.memory_bytes or 0),
                power_watts=None if gpu.power_watts is None else count * gpu.power_watts,
                choice=fit.choice,
                decode_tokens_per_second=_decode(row, fit, room.cards),
            )
    return None


def _decode(row: ModelRow, fit: PoolFit, cards: Sequence[Device]) -> Estimate | None:
    """One request alone; encoders do not decode."""
    if row.embedding_model or fit.shape is None or fit.settings is None:
        return None
    told = speed(fit.shape, fit.settings, devices=tuple(cards), host=NO_HOST, read_bytes_per_second=None)
    return told.decode_tokens_per_second
