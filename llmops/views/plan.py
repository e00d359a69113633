"""A plan: what was chosen and why, the memory by device and cause, whether it fits, and what else there was."""

import shlex
from collections.abc import Iterator, Mapping

from llmops.domain.engine import EngineName
from llmops.domain.forms import Json, dump
from llmops.domain.ledger import Causes, Confidence, DeviceLedger, HostLedger, Ledger
from llmops.domain.plan import Alternative, Estimate, Plan
from llmops.domain.units import figure_text, size_text
from llmops.views.screen import Screen, Tone

CAUSES = {
    "weights_bytes": "weights",
    "kv_cache_bytes": "KV cache",
    "recurrent_state_bytes": "recurrent state",
    "compute_bytes": "compute buffers",
    "cuda_graphs_bytes": "CUDA graphs",
    "projector_bytes": "projector",
    "draft_bytes": "draft model",
    "overhead_bytes": "overhead",
}
CARD_OVERHEAD = "CUDA context"
HOST_OVERHEAD = {EngineName.LLAMA_CPP.value: "process and prompt cache", EngineName.VLLM.value: "processes"}


def plan_result(plan: Plan) -> Json:
    """`result.plan` and `result.ledger`, as one object with these two keys."""
    settings = plan.settings
    is_vllm = settings.engine is EngineName.VLLM
    chosen: dict[str, Json] = {
        "model": plan.model,
        "engine": settings.engine.value,
        "quantization": plan.quantization,
        "kv_cache_type": settings.kv_cache_type_k,
        "context_tokens": settings.request_tokens(),
        "parallel": settings.parallel,
        "gpu_layers": plan.gpu_layers,
        "tensor_parallel": settings.tensor_parallel if is_vllm else None,
        "argv": list(plan.argv),
        "speed": dump(plan.speed),
        "why": list(plan.why),
        "alternatives": [dump(one) for one in plan.alternatives],
        "cards": list(plan.cards),
    }
    return {"plan": chosen, "ledger": dump(plan.ledger)}


def show_plan(plan: Plan, to: Screen) -> None:
    """The plan for a person."""
    _show_choice(plan, to)
    to.line()
    _show_ledger(plan.ledger, to)
    _show_pool(plan.ledger, to)
    to.line()
    _show_verdict(plan, to)
    if plan.ledger.fits():
        _show_speed(plan, to)
    _show_alternatives(plan, to)
    to.line()
    to.line("Command line (`render` fills in the places of `{model}` and `{credentials}`):", tone=Tone.TITLE)
    to.verbatim("  " + shlex.join(plan.argv))


def _show_choice(plan: Plan, to: Screen) -> None:
    settings = plan.settings
    parts = [settings.engine.value]
    if plan.quantization:
        parts.append(plan.quantization)
    parts.append(f"{settings.request_tokens()} tokens a request")
    parts.append(f"{settings.parallel} at a time")
    parts.append(f"KV cache {settings.kv_cache_type_k}")
    to.line(f"{plan.model}: {', '.join(parts)}", tone=Tone.TITLE)
    for sentence in plan.why:
        to.line(f"  - {sentence}")


def _show_ledger(ledger: Ledger, to: Screen) -> None:
    """One column a device, the host last; causes that are zero everywhere are left out."""
    columns = [dict(_figures(device.causes)) for device in ledger.devices]
    columns.append(dict(_figures(ledger.host.causes)))
    head = ["", *_titles(ledger), ""]
    rows = [
        [_cause(name, ledger), *[_size(column[name]) for column in columns], _trust(name, ledger)]
        for name in CAUSES
        if any(column[name] for column in columns)
    ]
    rows.append(["total", *[size_text(sum(column.values())) for column in columns], ""])
    if any(device.reserve_bytes for device in ledger.devices):
        rows.append(["reserve", *[_size(device.reserve_bytes) for device in ledger.devices], "-", ""])
    free = [size_text(device.free_bytes) for device in ledger.devices]
    rows.append(["free", *free, _limit(ledger.host), ""])
    spare = [_spare(device.spare_bytes()) for device in ledger.devices]
    rows.append(["to spare", *spare, _spare(ledger.host.spare_bytes()), ""])
    to.table(head, rows, right=tuple(range(1, len(columns) + 1)))


def _titles(ledger: Ledger) -> Iterator[str]:
    for at, device in enumerate(ledger.devices):
        yield f"{at}: {device.name}" if len(ledger.devices) > 1 else device.name
    yield "RAM"


def _figures(causes: Causes) -> Iterator[tuple[str, int]]:
    for name in CAUSES:
        yield name, getattr(causes, name)


def _cause(name: str, ledger: Ledger) -> str:
    if name != "overhead_bytes":
        return CAUSES[name]
    on_cards = any(device.causes.overhead_bytes for device in ledger.devices)
    in_ram = HOST_OVERHEAD.get(ledger.engine, "process")
    return f"{CARD_OVERHEAD}; {in_ram}" if on_cards else in_ram


def _trust(name: str, ledger: Ledger) -> str:
    """The weakest confidence of a cause over the cards that have it, else of RAM."""
    cards = [device for device in ledger.devices if getattr(device.causes, name)]
    holders: list[DeviceLedger | HostLedger] = [*cards] or [ledger.host]
    known = [confidence for one in holders if (confidence := one.confidence.get(name)) is not None]
    return _weakest(known)


def _weakest(known: list[Confidence]) -> str:
    if not known:
        return ""
    weakest = known[0]
    for one in known[1:]:
        weakest = weakest.weaker(one)
    return weakest.value


def _size(count_bytes: int) -> str:
    return size_text(count_bytes) if count_bytes else "-"


def _limit(host: HostLedger) -> str:
    return "not known" if host.limit_bytes is None else size_text(host.limit_bytes)


def _spare(count_bytes: int | None) -> str:
    return "-" if count_bytes is None else size_text(count_bytes)


def _show_pool(ledger: Ledger, to: Screen) -> None:
    if ledger.pool is None:
        return
    pool = ledger.pool
    to.line(
        f"KV pool: {pool.num_blocks:,} blocks of {size_text(pool.bytes_per_block)}, {pool.kv_pool_tokens:,} tokens, "
        f"{figure_text(pool.max_concurrency)} requests of full length at a time"
    )


def _show_verdict(plan: Plan, to: Screen) -> None:
    ledger = plan.ledger
    confidence = f"confidence: {_confidence(ledger)}, checked on {ledger.engine} {ledger.engine_build}"
    if ledger.fits():
        to.line(f"It fits ({confidence})", tone=Tone.GOOD)
    else:
        for text in what_is_missing(ledger):
            to.line(f"It does not fit: {text} ({confidence})", tone=Tone.BAD)
        to.line(way_out(plan))
    for note in ledger.notes:
        to.line(f"note: {note}", tone=Tone.DIM)


def way_out(plan: Plan) -> str:
    """What to type after a plan that does not fit."""
    possible = next((one for one in plan.alternatives if one.fits), None)
    if possible is None:
        return (
            "what would help: a smaller model (`llmops catalog models` lists them), or more memory (`--gpu NAME:COUNT` "
            "plans for other cards)"
        )
    kind = f"--quantization {possible.quantization} " if possible.quantization != plan.quantization else ""
    options = f"{kind}--context {possible.context_tokens} --parallel {possible.parallel}"
    spare = size_text(possible.spare_bytes)
    return f"`{options} --kv-cache-type {possible.kv_cache_type}` would fit, with {spare} to spare"


def _confidence(ledger: Ledger) -> str:
    """The ledger's word, and each cause it leaves out because it is less sure and was judged all the same."""
    judged: list[tuple[DeviceLedger | HostLedger, str]] = [(one, f" on `{one.name}`") for one in ledger.devices]
    if ledger.host.limit_bytes is not None:
        judged.append((ledger.host, " in RAM" if ledger.devices else ""))
    less = dict.fromkeys(
        f"{_cause(name, ledger).rpartition('; ')[2]}{place} {value.value}"
        for one, place in judged
        for name, value in one.confidence.items()
        if getattr(one.causes, name) and value.weaker(ledger.confidence) is not ledger.confidence
    )
    return f"{ledger.confidence.value}; only {', '.join(less)}" if less else ledger.confidence.value


def what_is_missing(ledger: Ledger) -> Iterator[str]:
    """Where a ledger that does not fit lacks how much."""
    short = [device for device in ledger.devices if device.spare_bytes() < 0]
    if len(short) == 1:
        yield f"`{short[0].name}` misses {size_text(-short[0].spare_bytes())}"
    elif short:
        together = sum(-device.spare_bytes() for device in short)
        yield f"{len(short)} of {len(ledger.devices)} cards miss {size_text(together)} together"
    spare = ledger.host.spare_bytes()
    if spare is not None and spare < 0:
        yield f"RAM misses {size_text(-spare)}"
    if ledger.pool is not None and ledger.pool.max_concurrency < 1:
        yield f"the KV pool of {ledger.pool.kv_pool_tokens:,} tokens does not hold one request"


def _show_speed(plan: Plan, to: Screen) -> None:
    rows: Mapping[str, Estimate | None] = {
        "answer, tokens a second": plan.speed.decode_tokens_per_second,
        "prompt, tokens a second": plan.speed.prefill_tokens_per_second,
        "loading, seconds": plan.speed.load_seconds,
    }
    to.line()
    if not any(rows.values()):
        to.line("Speed: not estimated, the rates of the device are not known")
        return
    to.line("Speed of one request alone (estimates, not measured here):", tone=Tone.TITLE)
    table = [
        [name, figure_text(one.value), f"{figure_text(one.low)} to {figure_text(one.high)}", one.confidence.value]
        if one is not None
        else [name, "?", "not estimated", ""]
        for name, one in rows.items()
    ]
    to.table(["", "about", "range", ""], table, right=(1,))


def _show_alternatives(plan: Plan, to: Screen) -> None:
    if not plan.alternatives:
        return
    to.line()
    to.line("Alternatives:", tone=Tone.TITLE)
    rows = [
        [
            _label(one),
            one.quantization or "",
            str(one.context_tokens),
            str(one.parallel),
            one.kv_cache_type,
            _verdict(one),
        ]
        for one in plan.alternatives
    ]
    to.table(["", "type", "tokens", "slots", "KV", ""], rows, right=(2, 3))


def _label(one: Alternative) -> str:
    """What is different; where that is options to type, the columns beside it say them."""
    return "what would fit" if one.why.startswith("`--") else one.why


def _verdict(one: Alternative) -> str:
    if one.fits:
        return f"fits, {size_text(one.spare_bytes)} to spare"
    return f"misses {size_text(-one.spare_bytes)}" if one.spare_bytes < 0 else "does not fit"
