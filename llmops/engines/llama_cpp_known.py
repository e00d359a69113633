"""Simulated compute buffers, each worked out once: many placements and settings of a search come to the same reduced graph.

Layers that move from one card to the next leave it as it is, and the split that a command line says is not seen by a graph.
"""

from dataclasses import replace

from llmops.domain.model import ModelShape
from llmops.engines.llama_cpp_compute import Case
from llmops.engines.llama_cpp_once import Once
from llmops.engines.llama_cpp_placement import Placement
from llmops.engines.llama_cpp_repeats import Effort, kinds_of, with_fewer_layers
from llmops.engines.llama_cpp_simulation import Sizes, on_every_card, with_every_layer, without_repeats


def _none_yet(_shape: ModelShape) -> dict[object, Sizes | None]:
    return {}


_answers = Once(_none_yet, kept=64)


def _no_efforts(_shape: ModelShape) -> dict[object, Effort]:
    return {}


_efforts = Once(_no_efforts)
"""How much could be left out last time, for as many cards: what did not hold once is not tried first again."""


def simulated(case: Case, placement: Placement, *, copies: int) -> Sizes:
    """From what is known where the same was asked of the same layers in the same places; else from as few layers as will do."""
    passed = _passed(case, placement, copies=copies)
    if passed is not None:
        return passed
    efforts, sort = _efforts(case.shape), (placement.cards, placement.is_whole(), copies)
    for effort in Effort:
        if effort < efforts.get(sort, Effort.ROWS_IN_GROUPS):
            continue
        short = with_fewer_layers(case.shape, placement, pipelined=copies > 1, effort=effort)
        if not short.leaves_out():
            break
        efforts[sort] = effort
        answers, key = _answers(short.shape), (*_key(case, short.placement, copies), short.seams)
        if key not in answers:
            answers[key] = without_repeats(case, short, copies=copies)
        found = answers[key]
        if found is not None:
            return on_every_card(found, short)
    answers, key = _answers(case.shape), _key(case, placement, copies)
    whole = answers.get(key)
    if whole is None:
        whole = answers[key] = with_every_layer(case, placement, copies=copies)
    return whole


def _passed(case: Case, placement: Placement, *, copies: int) -> Sizes | None:
    """Over several cards, of layers of several kinds; a short row of layers of one kind has as few, and is read sooner."""
    kinds = kinds_of(case.shape) if copies > 1 else None
    if kinds is None or len(set(kinds)) < 2:
        return None
    from llmops.engines.llama_cpp_passed import passed_in_order

    return passed_in_order(case, placement, copies=copies)


def _key(case: Case, placement: Placement, copies: int) -> tuple[object, ...]:
    settings = replace(case.settings, tensor_split=())
    return (copies, settings, case.context, *placement.seen())
