"""Simulated compute buffers, each worked out once: many placements and settings of a search come to the same reduced graph.

Layers that move from one card to the next leave it as it is, and the split that a command line says is not seen by a graph.
"""

from dataclasses import fields, replace

from llmops.domain.model import ModelShape
from llmops.engines.llama_cpp_compute import Case
from llmops.engines.llama_cpp_once import Once
from llmops.engines.llama_cpp_placement import Placement
from llmops.engines.llama_cpp_repeats import with_fewer_layers
from llmops.engines.llama_cpp_simulation import Sizes, with_every_layer, without_repeats

_SEEN = tuple(one.name for one in fields(Placement) if one.name not in ("moves", "offloaded_layers"))
"""What of a placement a graph is built from, beside the moves."""


def _none_yet(_shape: ModelShape) -> dict[object, Sizes | None]:
    return {}


_answers = Once(_none_yet, kept=64)


def simulated(case: Case, placement: Placement, *, copies: int) -> Sizes:
    """As `simulate`, from what is known where the same was asked of the same layers in the same places."""
    shape, shorter, seams = with_fewer_layers(case.shape, placement)
    answers, key = _answers(shape), (*_key(case, shorter, copies), seams)
    if key not in answers:
        answers[key] = without_repeats(case, placement, copies=copies)
    found = answers[key]
    if found is not None:
        return found
    answers, key = _answers(case.shape), _key(case, placement, copies)
    whole = answers.get(key)
    if whole is None:
        whole = answers[key] = with_every_layer(case, placement, copies=copies)
    return whole


def _key(case: Case, placement: Placement, copies: int) -> tuple[object, ...]:
    settings = replace(case.settings, tensor_split=())
    moves = tuple(placement.moves.items())
    return (copies, settings, case.context, moves, *(getattr(placement, name) for name in _SEEN))
