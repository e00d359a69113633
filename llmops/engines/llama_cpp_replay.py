"""What layers take and give back of a card's buffer, recorded once for each kind, and done again for as many as there are.

An allocator decides by the graph alone whether a node takes a block or its parent's place, and when the block is given back; only
where it lies depends on what came before. So a layer that follows one of the same kind as a recorded layer did takes and gives
the same, wherever its blocks come to lie. Held to the whole graph by `tests/test_llama_cpp_repeats.py`.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from llmops.engines.llama_cpp_allocator import Allocation, Arena, Placed
from llmops.engines.llama_cpp_graph import SizeOf

TAKE = -1

Event = tuple[int, int, int]
"""`TAKE` and the bytes; or the number of a block (those found come first), where in it a part is given back, its bytes."""


class Layer(NamedTuple):
    """One layer on its card: the blocks it finds taken, by their bytes; what it does; numbers and bytes of those it leaves."""

    found: tuple[int, ...]
    events: tuple[Event, ...]
    left: tuple[tuple[int, int], ...]

    def takes(self) -> bool:
        """Whether it needs room of its own."""
        return any(event[0] == TAKE for event in self.events)


class RecordingArena(Arena):
    """A buffer that keeps what each layer does to it. `is_clear` ends where blocks could not be told apart."""

    __slots__ = ("_ends", "_log", "_taken", "_takes", "is_clear", "lowest")

    def __init__(self, alignment: int) -> None:
        super().__init__(alignment)
        self.is_clear = True
        self.begin()

    def begin(self) -> None:
        """What was taken so far stays below all else."""
        self.lowest = self.highest
        self._taken: dict[int, tuple[int, int]] = {}
        self._takes = 0
        self._log: list[Event] = []
        self._ends: list[tuple[int, dict[int, int]]] = []

    def take(self, size: int) -> int:
        """As of any buffer; a block of no bytes has no address of its own."""
        address = super().take(size)
        self.is_clear = self.is_clear and size > 0
        self._taken[address] = (self._takes, size)
        self._log.append((TAKE, size, self._takes))
        self._takes += 1
        return address

    def give(self, address: int, size: int) -> None:
        """Of a block the end or the whole."""
        super().give(address, size)
        start = address if address in self._taken else max((at for at in self._taken if at < address), default=None)
        if start is None:
            self.is_clear = False
            return
        number, has = self._taken.pop(start)
        self.is_clear = self.is_clear and start + has == address + size
        if address > start:
            self._taken[start] = (number, address - start)
        self._log.append((number, address - start, size))

    def end_layer(self) -> None:
        """What follows is the next layer's."""
        self._ends.append((len(self._log), dict(sorted(self._taken.values()))))

    def layers(self) -> list[Layer]:
        """What each did. A block that is never given back is nothing that a layer finds."""
        given = {number for number, _, _ in self._log if number != TAKE}
        layers = []
        found: dict[int, int] = {}
        begun = 0
        for end, taken in self._ends:
            numbers = {block: at for at, block in enumerate(found)}
            events: list[Event] = []
            for number, at, size in self._log[begun:end]:
                if number == TAKE:
                    numbers[size] = len(numbers)
                    events.append((TAKE, at, 0))
                else:
                    events.append((numbers[number], at, size))
            left = {block: size for block, size in taken.items() if block in given}
            self.is_clear = self.is_clear and len(set(left.values())) == len(left)
            layers.append(
                Layer(tuple(found.values()), tuple(events), tuple((numbers[one], size) for one, size in left.items()))
            )
            found, begun = left, end
        return layers


def record(
    *, leafs: Placed, nodes: Placed, alignments: Sequence[int], size_of: Sequence[SizeOf], ends: Iterable[int]
) -> list[RecordingArena]:
    """The buffers of a graph whose layers end behind so many nodes, the last with the graph."""
    arenas = [RecordingArena(alignment) for alignment in alignments]
    run = Allocation(arenas, size_of)
    run.begin(leafs, nodes)
    for arena in arenas:
        arena.begin()
    done = 0
    for end in ends:
        run.allocate(nodes[done:end])
        done = end
        for arena in arenas:
            arena.end_layer()
    return arenas


def replayed(layers: Iterable[Layer], *, lowest: int, alignment: int) -> int | None:
    """How far a buffer is used by these layers, above what lies below all; None where one would not find what it found.

    A layer that was met in the same state of the buffer before leaves it as it did then.
    """
    arena = Arena(alignment)
    if lowest:
        arena.take(lowest)
    take, give = arena.take, arena.give
    blocks: tuple[int, ...] = ()
    found: tuple[int, ...] = ()
    met: dict[tuple[int, object], tuple[list[int], list[int], tuple[int, ...]]] = {}
    for layer in layers:
        if layer.found != found:
            return None
        state = (id(layer), (tuple(arena.offsets), tuple(arena.sizes), blocks))
        if state in met:
            offsets, sizes, blocks = met[state]
            arena.offsets[:], arena.sizes[:] = offsets, sizes
        else:
            taken = list(blocks)
            for number, at, size in layer.events:
                if number == TAKE:
                    taken.append(take(at))
                else:
                    give(taken[number] + at, size)
            blocks = tuple(taken[number] for number, _ in layer.left)
            met[state] = (list(arena.offsets), list(arena.sizes), blocks)
        found = tuple(size for _, size in layer.left)
    return arena.highest
