"""How many cards an engine that takes one process a card needs."""

from collections.abc import Sequence

from llmops.domain.engine import Device


def too_few_cards(ranks: int, devices: Sequence[Device]) -> tuple[str, ...]:
    """Why a start with so many ranks ends, empty where there are cards enough."""
    return (f"it needs {ranks} cards, {len(devices)} given",) if ranks > len(devices) else ()
