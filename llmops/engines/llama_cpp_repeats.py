"""A model with fewer of its equal layers: the allocator's buffers are the same, its graph is built in a tenth of the time.

Equal layers in a row take and give back the same blocks each time; three of a row and its last show
all the states there are. Layers with a recurrent state or an indexer are built in full: there it did not hold. Held to the
full graph by `tests/test_llama_cpp_cases.py`.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from llmops.domain.model import ModelShape, Tensor
from llmops.engines.llama_cpp_placement import Placement

KEPT = 4
"""Of a row of equal groups of layers: the first three and the last."""

LONGEST_PERIOD = 8
BY_NUMBER = frozenset(
    {"gemma-embedding", "modern-bert", "gemma3n", "gemma4", "smollm3", "arctic", "baichuan", "smallthinker"}
)
"""Families whose graph asks for a layer's number, or has tensors over all layers."""

_BLOCK = re.compile(r"blk\.(\d+)\.(.+)")


def with_fewer_layers(shape: ModelShape, placement: Placement) -> tuple[ModelShape, Placement]:
    """The shape and the placement without the repeats. Where weights are copied, their types count as well."""
    same = shape, placement
    adapted = shape.companions is not None and shape.companions.adapters
    if shape.architecture in BY_NUMBER or adapted:
        return same
    if any(layer.recurrent is not None or layer.indexer is not None for layer in shape.layers):
        return same
    moves = placement.moves
    typed = not placement.is_whole() or bool(moves)
    blocks: list[list[tuple[str, Tensor]]] = [[] for _ in shape.layers]
    rest: list[Tensor] = []
    for tensor in shape.tensors:
        match = _BLOCK.match(tensor.name)
        if match is None:
            rest.append(tensor)
        elif int(match[1]) < len(blocks):
            blocks[int(match[1])].append((match[2], tensor))
    numbers: dict[object, int] = {}
    kinds = [
        numbers.setdefault(
            (
                layer,
                placement.layers[at],
                tuple(
                    (name, tensor.dims, tensor.type if typed else "", moves.get(tensor.name))
                    for name, tensor in blocks[at]
                ),
            ),
            len(numbers),
        )
        for at, layer in enumerate(shape.layers)
    ]
    kept = kept_layers(kinds)
    if len(kept) == len(kinds):
        return same
    tensors = rest + [
        Tensor(f"blk.{new}.{name}", tensor.dims, tensor.type)
        for new, at in enumerate(kept)
        for name, tensor in blocks[at]
    ]
    fewer = replace(shape, layers=tuple(shape.layers[at] for at in kept), tensors=tuple(tensors))
    renamed = {
        f"blk.{new}.{name}": moves[tensor.name]
        for new, at in enumerate(kept)
        for name, tensor in blocks[at]
        if tensor.name in moves
    }
    elsewhere = {name: to for name, to in moves.items() if _BLOCK.match(name) is None}
    layers = tuple(placement.layers[at] for at in kept)
    return fewer, replace(placement, layers=layers, moves=elsewhere | renamed)


def kept_layers(kinds: Sequence[int]) -> tuple[int, ...]:
    """Positions that stay, where groups of up to eight layers repeat more than four times."""
    kept: list[int] = []
    at = 0
    while at < len(kinds):
        period, times = _longest_repeat(kinds, at)
        if times <= KEPT:
            kept.append(at)
            at += 1
            continue
        end = at + period * times
        kept += range(at, at + period * (KEPT - 1))
        kept += range(end - period, end)
        at = end
    return tuple(kept)


def _longest_repeat(kinds: Sequence[int], at: int) -> tuple[int, int]:
    for period in range(1, LONGEST_PERIOD + 1):
        group = kinds[at : at + period]
        times = 1
        while kinds[at + period * times : at + period * (times + 1)] == group and len(group) == period:
            times += 1
        if times > KEPT:
            return period, times
    return 1, 1
