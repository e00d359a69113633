"""The whole catalogue on some cards, or one model on all cards, as tables."""

from collections import Counter
from collections.abc import Sequence

from llmops.domain.engine import Device
from llmops.domain.plan import Estimate
from llmops.domain.units import size_text
from llmops.domain.wide import Choice, GpuFor, ModelFor
from llmops.views.screen import Screen, Tone

_FOOT = {
    "llama.cpp": (
        "context: the longest of one request; slots: requests in flight at 8192 tokens each (or as asked); compute buffers are "
        "an upper bound, speeds an estimate of one request alone"
    ),
    "vllm": (
        "context: the longest of one request; slots: requests in flight at 8192 tokens each (or as asked) in the pool that "
        "surely is there; formats by rule, not from files; speeds an estimate of one request alone"
    ),
}


def show_models_for(
    found: Sequence[ModelFor],
    cards: Sequence[Device],
    smaller: int,
    not_sized: Sequence[str],
    notes: Sequence[str],
    to: Screen,
    *,
    engine: str = "llama.cpp",
    shorter: int = 0,
) -> None:
    """A model a row, those at four bits or more first."""
    names = ", ".join(dict.fromkeys(card.name for card in cards))
    what = f"{len(cards)} x {names}" if len(cards) > 1 else names
    to.line(f"on {what}, everything on the card{'s'[: len(cards) > 1]}, with {engine}", tone=Tone.TITLE)
    if found:
        rows = [
            (one.model, _billions(one.parameters), *_choice(one.choice, one.decode_tokens_per_second)) for one in found
        ]
        to.table(
            ("model", "parameters", "quantization", "weights", "context", "slots", "tokens/s", "left"),
            rows,
            right=(1, 3, 4, 5, 6, 7),
            first_left_out=("left", "parameters", "slots", "weights"),
        )
    if len(found) == 1:
        _show_quantizations(found[0], to)
    to.line(f"fit: {len(found)}; at no quantization and context of use: {smaller}", tone=Tone.DIM)
    if shorter:
        to.line(f"trained for fewer tokens than were asked for: {shorter}", tone=Tone.DIM)
    if not_sized:
        to.line(f"not sized for {engine}: {', '.join(not_sized)}", tone=Tone.DIM)
    for note in notes:
        to.line(note, tone=Tone.DIM)
    to.line(_FOOT.get(engine, _FOOT["llama.cpp"]), tone=Tone.DIM)
    if found:
        with_engine = f" --engine {engine}" if engine != "llama.cpp" else ""
        counts = Counter(card.name for card in cards)
        those = " ".join(f"--gpu '{name}{f':{count}' if count > 1 else ''}'" for name, count in counts.items())
        to.line(f"next: `llmops plan {found[0].model}{with_engine} {those}` weighs one of them exactly")


def _show_quantizations(one: ModelFor, to: Screen) -> None:
    """Asked for one model: what each of its quantizations takes, and the longest of the contexts tried."""
    rows = [
        (
            fit.quantization,
            size_text(fit.weights_bytes),
            "yes" if fit.context_tokens else "no",
            f"{fit.context_tokens}" if fit.context_tokens else "",
        )
        for fit in one.quantizations
    ]
    to.table(("quantization", "weights", "fits", "context, at least"), rows, right=(1, 3))


def show_gpus_for(model: str, found: Sequence[GpuFor], to: Screen, *, engine: str = "llama.cpp") -> None:
    """A kind of card a row, the least memory first."""
    to.line(f"cards that hold {model} whole, with {engine}", tone=Tone.TITLE)
    if found:
        rows = [
            (
                f"{one.count} x {one.gpu}" if one.count > 1 else one.gpu,
                size_text(one.memory_bytes),
                f"{one.power_watts} W" if one.power_watts is not None else "?",
                *_choice(one.choice, one.decode_tokens_per_second),
            )
            for one in found
        ]
        head = ("cards", "memory", "power", "quantization", "weights", "context", "slots", "tokens/s", "left")
        left_out = ("left", "memory", "slots", "weights", "power")
        to.table(head, rows, right=(1, 2, 4, 5, 6, 7, 8), first_left_out=left_out)
        to.line(_FOOT[engine], tone=Tone.DIM)
        several = next((one for one in found if one.count > 1), None)
        if several is not None:
            how = "each layer is cut into equal parts" if engine == "vllm" else "layers are shared out, card by card"
            to.line(f"several cards: {how}", tone=Tone.DIM)
    else:
        only = ": vLLM is planned on NVIDIA's" if engine == "vllm" else ""
        to.line(f"no card that was asked about does, up to 8 of a kind{only}")


def _choice(choice: Choice, decode: Estimate | None) -> tuple[str, ...]:
    return (
        choice.quantization,
        size_text(choice.weights_bytes),
        f"{choice.context_tokens}",
        f"{choice.parallel}",
        f"{decode.value:.0f}" if decode is not None else "",
        size_text(choice.spare_bytes),
    )


def _billions(parameters: int) -> str:
    return f"{parameters / 1e9:.1f} B" if parameters >= 1e9 else f"{parameters / 1e6:.0f} M"
