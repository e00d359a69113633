"""All deployments of a plan together: what they take of each card and of the host's memory, and in which order they start."""

from collections.abc import Mapping, Sequence

from llmops.domain.engine import Device
from llmops.domain.forms import Json
from llmops.domain.plan import Plan
from llmops.domain.units import size_text
from llmops.views.screen import Screen, Tone


def together_result(
    plans: Mapping[str, Plan], cards: Sequence[Device], starts_after: Mapping[str, Sequence[str]]
) -> Json:
    """`result.together`: bytes by card, by deployment and in sum."""
    return {
        "cards": [
            {
                "name": card.name,
                "index": card.index,
                "uuid": card.uuid,
                "free_bytes": card.free_bytes,
                "reserve_bytes": _reserve(plans, at),
                "total_bytes": sum(taken.values()),
                "deployments": dict(taken),
            }
            for at, card in enumerate(cards)
            if (taken := _taken(plans, at))
        ],
        "host": {
            "total_bytes": sum(plan.ledger.host.total_bytes() for plan in plans.values()),
            "deployments": {name: plan.ledger.host.total_bytes() for name, plan in plans.items()},
        },
        "starts_after": {name: list(others) for name, others in starts_after.items()},
    }


def show_together(plans: Mapping[str, Plan], cards: Sequence[Device], to: Screen) -> None:
    """The same for a person."""
    to.line("All together", tone=Tone.TITLE)
    for at, card in enumerate(cards):
        taken = _taken(plans, at)
        if taken:
            parts = ", ".join(f"{name} {size_text(size)}" for name, size in taken.items())
            number = "" if card.index is None or len(cards) == 1 else f"{card.index}: "
            reserve = f" and {size_text(_reserve(plans, at))} reserve" if _reserve(plans, at) else ""
            total = f"{size_text(sum(taken.values()))}{reserve} of {size_text(card.free_bytes)} free"
            to.line(f"{number}{card.name}: {total} ({parts})")
    hosts = {name: plan.ledger.host.total_bytes() for name, plan in plans.items()}
    parts = ", ".join(f"{name} {size_text(size)}" for name, size in hosts.items())
    to.line(f"RAM: {size_text(sum(hosts.values()))} ({parts})")


def _taken(plans: Mapping[str, Plan], at: int) -> dict[str, int]:
    """By deployment, of one card."""
    return {
        name: row.total_bytes()
        for name, plan in plans.items()
        for card, row in zip(plan.cards, plan.ledger.devices, strict=False)
        if card == at
    }


def _reserve(plans: Mapping[str, Plan], at: int) -> int:
    rows = (
        row for plan in plans.values() for card, row in zip(plan.cards, plan.ledger.devices, strict=False) if card == at
    )
    return max((row.reserve_bytes for row in rows), default=0)
