"""An explained command line: what it means, its memory, whether it fits, full load, mistakes, and what a plan would change."""

from collections.abc import Sequence

from llmops.domain.explained import Explainer, Meaning
from llmops.domain.finding import Finding, Status
from llmops.domain.forms import Json, dump
from llmops.domain.ledger import Ledger
from llmops.domain.model import ModelShape
from llmops.domain.records import dataclass
from llmops.views.ledger import show_fit, show_ledger
from llmops.views.screen import Screen, Tone, show_findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What `plan` would do: its options, the words of its command line that differ, and the sentence to follow."""

    options: str
    changes: tuple[str, ...]
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """Everything known of one command line."""

    meaning: Meaning
    explainer: Explainer
    shape: ModelShape | None
    ledger: Ledger | None
    has_cards: bool
    notes: tuple[str, ...]
    proposal: Proposal | None


def explain_result(one: Explained) -> Json:
    """`result`: settings with defaults resolved, the options that count (secrets hidden), the ledger."""
    shape = one.shape
    return {
        "engine": one.meaning.engine.value,
        "model": {
            "file": one.meaning.model.file,
            "repository": one.meaning.model.repository,
            "name": shape.name if shape is not None else None,
            "quantization": shape.quantization if shape is not None else None,
        },
        "settings": dump(one.meaning.settings),
        "request_tokens": one.explainer.request_tokens(one.meaning, shape) if shape is not None else None,
        "flags": [dump(flag) for flag in one.meaning.flags],
        "ledger": dump(one.ledger) if one.ledger is not None else None,
        "means": list(one.explainer.in_words(one.meaning, shape=shape, has_cards=one.has_cards)),
        "full_load": list(one.explainer.at_full_load(one.meaning, shape=shape)) if shape is not None else [],
        "not_counted": list(one.meaning.uncounted),
        "notes": list(one.notes),
        "proposal": dump(one.proposal),
    }


def _starts(findings: Sequence[Finding]) -> bool | None:
    """Whether the findings let it start; None: an assertion may end it (`EXP044` that could not be known)."""
    if any(one.status is Status.FAIL for one in findings):
        return False
    return None if any(one.status is Status.SKIP and one.code == "EXP044" for one in findings) else True


def show_explained(one: Explained, findings: Sequence[Finding], to: Screen) -> None:
    """The command line for a person."""
    standing_in = f"names no model, {one.shape.name} stands in" if one.shape is not None else "no model named"
    model = one.meaning.model.file or one.meaning.model.repository or standing_in
    to.line(f"{one.meaning.engine.value}: {model}", tone=Tone.TITLE)
    words = one.explainer.in_words(one.meaning, shape=one.shape, has_cards=one.has_cards)
    for sentence in (*words, *one.notes):
        to.line(f"  - {sentence}")
    if one.ledger is not None and one.shape is not None:
        to.line()
        show_ledger(one.ledger, to)
        to.line()
        show_fit(one.ledger, to, starts=_starts(findings))
        for note in one.ledger.notes:
            to.line(f"note: {note}", tone=Tone.DIM)
        to.line()
        to.line("At full load:", tone=Tone.TITLE)
        for sentence in one.explainer.at_full_load(one.meaning, shape=one.shape):
            to.line(f"  - {sentence}")
    if findings:
        to.line()
        show_findings(to, findings)
    if one.proposal is not None:
        to.line()
        if one.proposal.changes:
            to.line(f"`llmops plan … {one.proposal.options}` would write instead:", tone=Tone.TITLE)
            to.verbatim("  " + " ".join(one.proposal.changes))
        else:
            to.line("`llmops plan` would change nothing", tone=Tone.GOOD)
