"""Many models on given cards, or one model on many cards: which quantization, how much context, how many slots.

Everything on the cards, card by card, one kind of cache. Weights by the quantizers' rules, what stands beside them as an upper
bound that is handed in: what is said to fit does. Exact settings are a plan's business.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate

from llmops.domain.catalogue import ModelRow
from llmops.domain.engine import Device
from llmops.domain.model import ModelShape
from llmops.domain.records import dataclass
from llmops.domain.wide import Choice, FittedQuantization
from llmops.sizing.grouped import Grouped, Stored
from llmops.sizing.ladder import QUALITY
from llmops.sizing.trial import CONTEXT_GRANULE, shared_out

CONTEXTS = (4096, 8192, 16384, 32768, 131072)
"""The contexts of one request that every quantization is tried at."""

TRAINED_SO = frozenset({"TQ2_0", "TQ1_0", "Q2_0", "Q1_0"})
"""Types of models that were trained in one or two bits; any other is not usable in them, so that they are not proposed."""

USEFUL_CONTEXT_TOKENS = 8192
SLOTS = (64, 32, 16, 8, 4, 2, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Beside the weights: caches, layer by layer, and what each card takes whatever its layers."""

    layer_bytes: tuple[int, ...]
    cache_bytes: int
    each_card_bytes: int


Beside = Callable[[int, int, int], Taken]
"""Context of one request, slots and cards → what they take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Cards together: `free_bytes` of each, `reserve_bytes` left free on each."""

    cards: tuple[Device, ...]
    reserve_bytes: int

    def places(self, layers: int, *, mtp_layers: int = 0) -> tuple[int, ...]:
        """The card of each block and, last, of the output: as many to a card as its room says, the way a plan begins."""
        counts = shared_out(layers + 1, [max(card.free_bytes - self.reserve_bytes, 1) for card in self.cards])
        ends = tuple(accumulate(counts))
        blocks = layers + mtp_layers + 1
        return tuple(
            next(card for card, end in enumerate(ends) if at * ends[-1] < end * blocks) for at in range(blocks)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WideFit:
    """One model on one room; `choice` None: nothing fits. `fitted` of `tried` combinations of quantization and context do."""

    choice: Choice | None
    quantizations: tuple[FittedQuantization, ...]
    tried: int
    fitted: int


class Candidate:
    """A model made ready: its sizes by quantization, and what stands beside them, each asked once."""

    __slots__ = ("_beside", "_known", "_weights", "grouped", "row", "shape", "stored")

    def __init__(
        self, row: ModelRow, shape: ModelShape, beside: Beside, *, quantizations: Sequence[str] | None = None
    ) -> None:
        self.row = row
        self.shape = shape
        self.grouped = Grouped(row)
        self.stored: tuple[Stored, ...] = (
            self.grouped.every() if quantizations is None else self.grouped.every(quantizations)
        )
        self._beside = beside
        self._known: dict[tuple[int, int, int], Taken] = {}
        self._weights: dict[tuple[str, tuple[int, ...]], tuple[int, ...] | None] = {}

    def taken(self, context_tokens: int, parallel: int = 1, cards: int = 1) -> Taken:
        """Beside the weights."""
        key = (context_tokens, parallel, cards)
        if key not in self._known:
            self._known[key] = self._beside(context_tokens, parallel, cards)
        return self._known[key]

    def contexts(self) -> tuple[int, ...]:
        """Those of `CONTEXTS` that the model was trained for, and its own where it is shorter than all."""
        trained = self.trained
        return tuple(one for one in CONTEXTS if one <= trained) or (trained,)

    def useful_context(self, wanted: int | None) -> int:
        """The context that must fit: the one wished for, else 8192, at most the trained one."""
        return min(wanted or USEFUL_CONTEXT_TOKENS, self.trained)

    @property
    def trained(self) -> int:
        """Tokens the model was trained for; one that keeps no cache may not say any: the longest that is tried."""
        return self.row.context_length or CONTEXTS[-1]

    def fits(self, room: Room, stored: Stored, context_tokens: int, parallel: int = 1) -> bool:
        """Whether it is certain to fit, on every card."""
        return min(self.spares(room, stored, context_tokens, parallel)) >= 0

    def spares(self, room: Room, stored: Stored, context_tokens: int, parallel: int = 1) -> tuple[int, ...]:
        """What is left on each card."""
        count = len(room.cards)
        taken = self.taken(context_tokens, parallel, count)
        used = [stored.card_bytes + taken.cache_bytes] if count == 1 else self._used(room, stored.quantization, taken)
        beside = taken.each_card_bytes + room.reserve_bytes
        return tuple(card.free_bytes - own - beside for card, own in zip(room.cards, used, strict=True))

    def _used(self, room: Room, quantization: str, taken: Taken) -> list[int]:
        """Weights and caches on each of several cards, block by block."""
        places = room.places(self.row.layers, mtp_layers=self.shape.mtp_layers)
        key = (quantization, places)
        if key not in self._weights:
            self._weights[key] = self.grouped.by_card(*key)
        used = [0] * len(room.cards)
        for card, size in enumerate(self._weights[key] or ()):
            used[card] = size
        for card, size in zip(places, taken.layer_bytes, strict=False):  # an MTP block and the output keep nothing
            used[card] += size
        return used


def on_room(one: Candidate, room: Room, *, context_tokens: int | None = None, parallel: int | None = None) -> WideFit:
    """Every quantization at every context, and the best of them."""
    tried = fitted = 0
    table: list[FittedQuantization] = []
    contexts = one.contexts() if context_tokens is None else (one.useful_context(context_tokens),)
    for stored in one.stored:
        fitting = [context for context in contexts if one.fits(room, stored, context, parallel or 1)]
        tried += len(contexts)
        fitted += len(fitting)
        table.append(
            FittedQuantization(
                quantization=stored.quantization,
                weights_bytes=stored.total_bytes,
                context_tokens=max(fitting, default=0),
            )
        )
    return WideFit(
        choice=_choice(one, room, context_tokens, parallel), quantizations=tuple(table), tried=tried, fitted=fitted
    )


def _choice(one: Candidate, room: Room, wanted: int | None, parallel: int | None) -> Choice | None:
    useful = one.useful_context(wanted)
    stored = _best(one, room, useful, parallel or 1)
    if stored is None:
        return None
    slots = parallel or next(count for count in SLOTS if one.fits(room, stored, useful, count))
    longest = useful if wanted is not None else max(longest_context(one, room, stored), useful)
    spare = sum(one.spares(room, stored, longest, parallel or 1))
    free = sum(card.free_bytes for card in room.cards)
    return Choice(
        quantization=stored.quantization,
        weights_bytes=stored.total_bytes,
        context_tokens=longest,
        parallel=slots,
        parallel_context_tokens=useful,
        used_bytes=free - spare,
        spare_bytes=spare,
    )


def _best(one: Candidate, room: Room, context_tokens: int, parallel: int) -> Stored | None:
    """The first of the usual quantizations that fits, else the largest of all others that does."""
    by_name = {stored.quantization: stored for stored in one.stored}
    usual = [by_name[name] for name in QUALITY if name in by_name]
    others = sorted(one.stored, key=lambda stored: -stored.card_bytes)
    if len(others) > 1:  # not the one that was asked for
        others = [stored for stored in others if stored.quantization not in TRAINED_SO]
    for stored in (*usual, *others):
        if one.fits(room, stored, context_tokens, parallel):
            return stored
    return None


def longest_context(one: Candidate, room: Room, stored: Stored, *, parallel: int = 1) -> int:
    """The longest context of one request that is certain to fit, in whole granules, at most the trained length; 0: none."""
    trained = one.trained
    if one.fits(room, stored, trained, parallel):
        return trained
    low, high = 0, -(-trained // CONTEXT_GRANULE)
    while high - low > 1:
        middle = (low + high) // 2
        if one.fits(room, stored, middle * CONTEXT_GRANULE, parallel):
            low = middle
        else:
            high = middle
    return low * CONTEXT_GRANULE
