"""A llama.cpp router explained: its models side by side, then what is to be said of them."""

from collections.abc import Sequence

from llmops.domain.finding import Finding
from llmops.domain.forms import Json
from llmops.domain.records import dataclass
from llmops.domain.units import size_text
from llmops.views.explain import Explained, explain_result
from llmops.views.screen import Screen, Tone, show_findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """Every model by name, and how many are loaded at once (None: all of them)."""

    models_max: int | None
    models: tuple[tuple[str, Explained, tuple[Finding, ...]], ...]


def routed_result(one: Routed) -> Json:
    """`result`: that of the first model, and `router` with the result of each."""
    models: list[Json] = []
    for name, explained, _ in one.models:
        result = explain_result(explained)
        models.append({"name": name, **(result if isinstance(result, dict) else {})})
    first = explain_result(one.models[0][1])
    return {**(first if isinstance(first, dict) else {}), "router": {"models_max": one.models_max, "models": models}}


def show_routed(one: Routed, findings: Sequence[Finding], to: Screen) -> None:
    """The models for a person: a row each."""
    at_once = "all at once" if one.models_max is None else f"{one.models_max} at once at most"
    to.line(f"llama.cpp, a router of {len(one.models)} models, {at_once}", tone=Tone.TITLE)
    to.line()
    head = ["model", "cards", "RAM", "fits", "file"]
    rows = [_row(name, explained) for name, explained, _ in one.models]
    to.table(head, rows, right=(1, 2))
    to.line()
    to.line("`--service NAME` explains one of them", tone=Tone.DIM)
    if findings:
        to.line()
        show_findings(to, findings)


def _row(name: str, one: Explained) -> list[str]:
    named = one.meaning.model.file or one.meaning.model.repository or "-"
    if one.ledger is None:
        return [name, "-", "-", "not known", named]
    cards = sum(device.total_bytes() for device in one.ledger.devices)
    sizes = [size_text(cards) if one.ledger.devices else "-", size_text(one.ledger.host.total_bytes())]
    return [name, *sizes, "yes" if one.ledger.fits() else "no", named]
