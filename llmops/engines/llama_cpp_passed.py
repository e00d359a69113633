"""Compute buffers of a start over cards that are passed in order, from a few layers of each card, done again for all of them.

What a card's layers take depends on which steps they make from kind to kind (`llama_cpp_walks`), and is recorded once
(`llama_cpp_replay`); a split that moves layers between cards is the same steps in other numbers, and a longer context the same
blocks above longer inputs (`llama_cpp_kept_inputs`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from llmops.domain.model import ModelShape
from llmops.engines.llama_cpp_compute import Case
from llmops.engines.llama_cpp_kept_inputs import Inputs, Kept, Sample, kept_inputs
from llmops.engines.llama_cpp_once import Once
from llmops.engines.llama_cpp_order import layer_ends, passes_in_order
from llmops.engines.llama_cpp_placement import Placement
from llmops.engines.llama_cpp_repeats import kinds_of, of_layers
from llmops.engines.llama_cpp_replay import Layer, record, replayed
from llmops.engines.llama_cpp_simulation import (
    ALONE_LAST,
    GROWING,
    Sizes,
    alignments_of,
    card_sizes,
    cut_for,
    generates_in_more,
    sample_for,
    with_margin,
)
from llmops.engines.llama_cpp_walks import Shown, Step, Walk, shown, steps_of, walks_of


class _Tape(NamedTuple):
    """What each card that is shown does at every step, above its inputs; the last buffer is the host's.

    `played`: by such a card and the kinds of its layers how far the buffer is used, None where it does not show.
    """

    steps: tuple[Mapping[Step, Layer], ...]
    lowest: tuple[int, ...]
    host: int
    inputs: Inputs
    played: dict[tuple[int, Walk], int | None]


class _Known(NamedTuple):
    """Of a shape: samples by what is asked, tapes by what they show."""

    samples: dict[object, Sample | None]
    tapes: dict[object, _Tape | None]


def _nothing(_shape: ModelShape) -> _Known:
    return _Known({}, {})


_known = Once(_nothing)


def passed_in_order(case: Case, placement: Placement, *, copies: int) -> Sizes | None:
    """Of each card, and of the host; None where that does not show in a few layers."""
    kinds = kinds_of(case.shape)
    if copies == 1 or kinds is None or placement.moves or case.shape.architecture in ALONE_LAST | GROWING:
        return None
    walks = walks_of(kinds, placement.layers, placement.cards)
    if walks is None or placement.output != placement.cards - 1:
        return None
    some = shown(kinds, walks)
    known, settings = _known(case.shape), replace(case.settings, tensor_split=())
    asked = (settings, case.context, case.flash_refused, placement.metal)
    if asked not in known.samples:
        known.samples[asked] = sample_for(case, placement)
    sample = known.samples[asked]
    key = (copies, some.kept, placement.op_offload, placement.metal, asked if sample is None else sample.others)
    if key not in known.tapes:
        known.tapes[key] = _taped(case, placement, kinds, some, copies=copies)
    tape = known.tapes[key]
    if tape is None:
        return None
    return _played(case, placement, walks, some, tape, {} if sample is None else sample.inputs)


def _taped(case: Case, placement: Placement, kinds: Sequence[int], some: Shown, *, copies: int) -> _Tape | None:
    kept = [at for own in some.kept for at in own]
    places = [card for card, own in enumerate(some.kept) for _ in own]
    cards = len(some.kept)
    short = replace(placement, layers=tuple(places), output=cards - 1, offloaded_layers=len(kept) + 1, cards=cards)
    shape = of_layers(case.shape)(tuple(kept))
    try:
        made = cut_for(replace(case, shape=shape), short, copies=copies)
    except (LookupError, ValueError, ArithmeticError):  # a layer that reads another's
        return None
    inputs, ends = kept_inputs(made), layer_ends(made.nodes, range(len(kept) - 1))
    bounds = [*(ends.get(at, -1) for at in range(len(kept) - 1)), len(made.nodes)]
    if inputs is None or bounds != sorted(bounds) or bounds[0] < 0 or not passes_in_order(made.nodes, cards):
        return None
    arenas = record(
        leafs=made.leafs,
        nodes=made.nodes,
        alignments=alignments_of(short),
        size_of=[card_sizes(short)] * cards + [lambda node: node.size],
        ends=bounds,
    )
    steps: list[dict[Step, Layer]] = [{} for _ in range(cards)]
    for card, own in enumerate(some.kept):
        first, every = places.index(card), arenas[card].layers()
        row = every[first : first + len(own)]
        elsewhere = [*every[:first], *every[first + len(own) :]]
        named = steps_of([kinds[at] for at in own], is_last=card == cards - 1)
        if not arenas[card].is_clear or any(layer.takes() for layer in elsewhere):
            return None
        if any(steps[card].setdefault(step, layer) != layer for step, layer in zip(named, row, strict=True)):
            return None
    return _Tape(tuple(steps), tuple(one.lowest for one in arenas), arenas[-1].highest, inputs, {})


def _played(
    case: Case,
    placement: Placement,
    walks: Sequence[Walk],
    some: Shown,
    tape: _Tape,
    inputs: Mapping[str, int],
) -> Sizes | None:
    """Every card's layers from the tape of the card that shows it; `inputs`: their bytes where they are not the tape's."""
    alignments = alignments_of(placement)
    below = [
        [(0, name, size) for device, name, size in tape.inputs if device == card] for card in range(len(tape.steps) + 1)
    ]
    sizes: list[int] = []
    for card, walk in zip(some.cards, walks, strict=True):
        found = _highest(tape, card, walk, alignments[0])
        if found is None:
            return None
        sizes += Kept((found,), tuple(below[card])).with_inputs(inputs, alignments)
    sizes += Kept((tape.host,), tuple(below[-1])).with_inputs(inputs, alignments[-1:])
    return None if generates_in_more(case, max(sizes)) else with_margin(case, placement, sizes)


def _highest(tape: _Tape, card: int, walk: Walk, alignment: int) -> int | None:
    if (card, walk) not in tape.played:
        layers = [tape.steps[card][step] for step in steps_of(walk.kinds, is_last=walk.is_last)]
        tape.played[card, walk] = replayed(layers, lowest=tape.lowest[card], alignment=alignment)
    return tape.played[card, walk]
