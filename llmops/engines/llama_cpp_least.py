"""llama.cpp b11669: what a start takes on each card at least, said without the graph, which is most of a ledger's time.

Weights, caches, states and the driver's context; compute buffers, projector and draft come on top. Held to the ledger of every
family by `tests/test_llama_cpp_repeats.py`.
"""

from collections.abc import Sequence

from llmops.domain.engine import Device, EngineSettings
from llmops.domain.model import ModelShape
from llmops.engines.llama_cpp_caches import caches_of
from llmops.engines.llama_cpp_compute import Case
from llmops.engines.llama_cpp_context import context
from llmops.engines.llama_cpp_placement import place
from llmops.engines.llama_cpp_weights import weights


def least_bytes(shape: ModelShape, settings: EngineSettings, devices: Sequence[Device]) -> tuple[int, ...]:
    """Of every card, with a model's layers over all of them."""
    case = Case(shape=shape, settings=settings, context=context(settings, trained_tokens=shape.context_length))
    placement = place(shape, settings, devices)
    placed, caches = weights(shape, placement), caches_of(case, placement)
    return tuple(
        placed.cards[at] + caches.kv_cards[at] + caches.state_cards[at] + (device.overhead_bytes or 0)
        for at, device in enumerate(devices)
    )
