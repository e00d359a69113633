"""A model with fewer of its equal layers: the allocator's buffers are the same, its graph is built in a tenth of the time.

Equal layers in a row take and give back the same blocks each time; three of a row and its last show
all the states there are. Where every layer has a recurrent state, or one has an indexer, the graph is built in full:
there it hardly ever holds. Held to the full graph by `tests/test_llama_cpp_cases.py`.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from llmops.domain.model import ModelShape, Tensor
from llmops.engines.llama_cpp_allocator import Seam
from llmops.engines.llama_cpp_once import Once
from llmops.engines.llama_cpp_placement import BLOCK, Placement
from llmops.engines.llama_cpp_weights import Block, blocks_of

KEPT = 4
"""Of a row of equal groups of layers: the first three and the last."""

LONGEST_PERIOD = 8
BY_NUMBER = frozenset(
    {"gemma-embedding", "modern-bert", "gemma3n", "gemma4", "smollm3", "arctic", "baichuan", "smallthinker"}
)
"""Families whose graph asks for a layer's number, or has tensors over all layers."""


def with_fewer_layers(shape: ModelShape, placement: Placement) -> tuple[ModelShape, Placement, tuple[Seam, ...]]:
    """The shape and the placement without the repeats, and where some were left out.

    Where weights are copied, their types count as well.
    """
    same = shape, placement, ()
    adapted = shape.companions is not None and shape.companions.adapters
    if shape.architecture in BY_NUMBER or adapted:
        return same
    if any(layer.indexer is not None for layer in shape.layers) or all(layer.recurrent for layer in shape.layers):
        return same
    blocks = blocks_of(shape).by_layer
    kinds = _kinds(shape, blocks, placement)
    kept, seams = kept_layers(kinds)
    if not seams:
        return same
    moves = placement.moves
    renamed = {
        f"blk.{new}.{name}": moves[tensor.name]
        for new, at in enumerate(kept)
        for name, tensor in (blocks.get(at, NONE).named if moves else ())
        if tensor.name in moves
    }
    elsewhere = {name: to for name, to in moves.items() if BLOCK.match(name) is None}
    layers = tuple(placement.layers[at] for at in kept)
    return _shorter(shape)(kept), replace(placement, layers=layers, moves=elsewhere | renamed), seams


def _kinds(shape: ModelShape, blocks: Mapping[int, Block], placement: Placement) -> tuple[int, ...]:
    """Numbers of the layers: equal ones are alike in all that the graph asks of them, and lie alike."""
    moves = placement.moves
    if not moves:
        alike = _alike(shape)
        of_layers = alike.untyped if placement.is_whole() else alike.typed
        return _numbered(zip(of_layers, placement.layers, strict=True))
    return _numbered(
        (
            layer,
            placement.layers[at],
            tuple((name, one.dims, one.type, moves.get(one.name)) for name, one in blocks.get(at, NONE).named),
        )
        for at, layer in enumerate(shape.layers)
    )


class _Alike(NamedTuple):
    """Numbers of a shape's layers wherever they lie: equal ones have equal tensors, with and without their types."""

    typed: tuple[int, ...]
    untyped: tuple[int, ...]


def _numbers_of(shape: ModelShape) -> _Alike:
    blocks = blocks_of(shape).by_layer
    named = [(layer, blocks.get(at, NONE).named) for at, layer in enumerate(shape.layers)]
    return _Alike(
        typed=_numbered((layer, tuple((name, one.dims, one.type) for name, one in own)) for layer, own in named),
        untyped=_numbered((layer, tuple((name, one.dims) for name, one in own)) for layer, own in named),
    )


def _numbered(things: Iterable[Hashable]) -> tuple[int, ...]:
    numbers: dict[Hashable, int] = {}
    return tuple(numbers.setdefault(one, len(numbers)) for one in things)


def _shortener(shape: ModelShape) -> Callable[[tuple[int, ...]], ModelShape]:
    """The shape of some of its layers, the same object for layers that are alike: what is known of it is found again."""
    known: dict[tuple[int, ...], ModelShape] = {}
    alike = _alike(shape).typed

    def shorter(kept: tuple[int, ...]) -> ModelShape:
        key = tuple(alike[at] for at in kept)
        if key not in known:
            blocks = blocks_of(shape)
            tensors = [
                Tensor(f"blk.{new}.{name}", tensor.dims, tensor.type)
                for new, at in enumerate(kept)
                for name, tensor in blocks.by_layer.get(at, NONE).named
            ]
            known[key] = replace(shape, layers=tuple(shape.layers[at] for at in kept), tensors=(*blocks.rest, *tensors))
        return known[key]

    return shorter


NONE = Block()
_alike = Once(_numbers_of)
_shorter = Once(_shortener)


def kept_layers(kinds: Sequence[int]) -> tuple[tuple[int, ...], tuple[Seam, ...]]:
    """Positions that stay, where groups of up to eight layers repeat more than four times.

    A seam is the new numbers of the first layers of the second, third and last group.
    """
    kept: list[int] = []
    seams: list[Seam] = []
    at = 0
    while at < len(kinds):
        period, times = _longest_repeat(kinds, at)
        if times <= KEPT:
            kept.append(at)
            at += 1
            continue
        end = at + period * times
        seams.append((len(kept) + period, len(kept) + 2 * period, len(kept) + 3 * period))
        kept += range(at, at + period * (KEPT - 1))
        kept += range(end - period, end)
        at = end
    return tuple(kept), tuple(seams)


def _longest_repeat(kinds: Sequence[int], at: int) -> tuple[int, int]:
    for period in range(1, LONGEST_PERIOD + 1):
        group = kinds[at : at + period]
        times = 1
        while kinds[at + period * times : at + period * (times + 1)] == group and len(group) == period:
            times += 1
        if times > KEPT:
            return period, times
    return 1, 1
