"""A plan: what was chosen and why, the memory by device and cause, whether it fits, and what else there was."""

import shlex
from collections.abc import Mapping

from llmops.domain.forms import Json, dump
from llmops.domain.plan import Alternative, Estimate, Plan
from llmops.domain.units import figure_text, size_text
from llmops.views.ledger import show_fit, show_ledger
from llmops.views.screen import Screen, Tone


def plan_result(plan: Plan) -> Json:
    """`result.plan` and `result.ledger`, as one object with these two keys."""
    settings = plan.settings
    chosen: dict[str, Json] = {
        "model": plan.model,
        "engine": settings.engine.value,
        "quantization": plan.quantization,
        "kv_cache_type": settings.kv_cache_type_k,
        "context_tokens": settings.request_tokens(),
        "parallel": settings.parallel,
        "gpu_layers": plan.gpu_layers,
        "tensor_parallel": settings.tensor_parallel if settings.engine.takes_pool() else None,
        "argv": list(plan.argv),
        "environment": dict(plan.environment),
        "binding": dump(plan.binding),
        "speed": dump(plan.speed),
        "why": list(plan.why),
        "alternatives": [dump(one) for one in plan.alternatives],
        "cards": list(plan.cards),
        "quantizations": [dump(one) for one in plan.quantizations],
    }
    return {"plan": chosen, "ledger": dump(plan.ledger)}


def show_plan(plan: Plan, to: Screen, *, starts: bool = True) -> None:
    """The plan for a person; `starts` False: something else than memory ends it, which is said below."""
    _show_choice(plan, to)
    to.line()
    show_ledger(plan.ledger, to)
    to.line()
    _show_verdict(plan, to, starts=starts)
    if plan.ledger.fits() and starts:
        _show_speed(plan, to)
    _show_alternatives(plan, to)
    _show_quantizations(plan, to)
    to.line()
    to.line("Command line (`render` fills in the places of `{model}` and `{credentials}`):", tone=Tone.TITLE)
    to.verbatim("  " + " ".join([*(f"{name}={value}" for name, value in plan.environment), shlex.join(plan.argv)]))


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


def _show_verdict(plan: Plan, to: Screen, *, starts: bool) -> None:
    ledger = plan.ledger
    show_fit(ledger, to, starts=starts)
    if not ledger.fits():
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
    head = ["", "type", "tokens", "slots", "KV", ""]
    to.table(head, rows, right=(2, 3), first_left_out=("KV", "slots", "type"))


def _show_quantizations(plan: Plan, to: Screen) -> None:
    """Every quantization of a catalogue model, by rules: what it takes, and how long a request may be with these settings."""
    if len(plan.quantizations) < 2:
        return
    to.line()
    to.line("Quantizations of this model, with the slots and the KV cache of this plan:", tone=Tone.TITLE)
    rows = [
        [
            f"{one.quantization} (this plan)" if one.is_chosen else one.quantization,
            size_text(one.weights_bytes),
            {True: "yes", False: "no", None: "?"}[one.fits],
            {None: "?", 0: ""}.get(one.context_tokens, f"{one.context_tokens}"),
            one.repository or "",
        ]
        for one in plan.quantizations
    ]
    head = ["type", "weights", "fits", "longest, at least", "published, for instance, as"]
    if not any(one.repository for one in plan.quantizations):
        head, rows = head[:-1], [row[:-1] for row in rows]
    to.table(head, rows, right=(1, 3), first_left_out=head[:3:-1])


def _label(one: Alternative) -> str:
    """What is different; where that is options to type, the columns beside it say them."""
    return "what would fit" if one.why.startswith("`--") else one.why


def _verdict(one: Alternative) -> str:
    if one.fits:
        return f"fits, {size_text(one.spare_bytes)} to spare"
    return f"misses {size_text(-one.spare_bytes)}" if one.spare_bytes < 0 else "does not fit"
