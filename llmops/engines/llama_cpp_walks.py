"""A start over cards that are passed in order: which few layers show every step that its cards make from layer to layer.

A card's layers are a walk over kinds: it begins with some kind, and steps from one to the next. Cards with the same beginning
and the same steps are shown by one, which holds the shortest row of the model's layers that has them all.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

Step = tuple[int | None, int, bool]
"""The kind of the layer before on the same card, the layer's own, and whether it is the model's last."""


class Walk(NamedTuple):
    """A card's layers by their kinds. `is_last`: its last layer is the model's, which goes on with fewer rows."""

    kinds: tuple[int, ...]
    is_last: bool

    def steps(self) -> frozenset[tuple[int, int]]:
        """From layer to layer, but for the one to the model's last."""
        return frozenset(pairwise(self.kinds[:-1] if self.is_last else self.kinds))


class Shown(NamedTuple):
    """Positions of the layers of each card that is kept, and by card of the placement the one that shows it."""

    kept: tuple[tuple[int, ...], ...]
    cards: tuple[int, ...]


def steps_of(kinds: Sequence[int], *, is_last: bool) -> tuple[Step, ...]:
    """Of each layer of a card: the kind before it there, its own, and whether it is the model's last."""
    ends = [False] * (len(kinds) - 1) + [is_last]
    return tuple(zip((None, *kinds), kinds, ends, strict=False))


def walks_of(kinds: Sequence[int], places: Sequence[int], cards: int) -> tuple[Walk, ...] | None:
    """None where the cards are not passed in order, each with a layer."""
    if list(places) != sorted(places) or set(places) != set(range(cards)):
        return None
    return tuple(
        Walk(tuple(kind for kind, place in zip(kinds, places, strict=True) if place == card), card == cards - 1)
        for card in range(cards)
    )


@lru_cache(maxsize=64)
def shown(kinds: tuple[int, ...], walks: tuple[Walk, ...]) -> Shown:
    """The first card and the last, which do more than pass rows on, and of those between one for every sort."""
    kept: list[tuple[int, ...]] = []
    numbers: dict[object, int] = {}
    cards = []
    for card, walk in enumerate(walks):
        sort = (walk.kinds[0], walk.steps()) if 0 < card < len(walks) - 1 else card
        if sort not in numbers:
            numbers[sort] = len(kept)
            kept.append(_shortest(kinds, walk))
        cards.append(numbers[sort])
    return Shown(tuple(kept), tuple(cards))


def _shortest(kinds: tuple[int, ...], walk: Walk) -> tuple[int, ...]:
    """The first of the shortest rows with these steps and no others; a last card's goes on to the model's last layer."""
    last = len(kinds) - 1
    own = walk.kinds[:-1] if walk.is_last else walk.kinds
    if not own:
        return (last,)
    steps = walk.steps()
    best = range(last + 1 - len(walk.kinds), last + 1 - len(walk.kinds) + len(own)) if walk.is_last else range(0)
    for begin, kind in enumerate(kinds):
        if kind != own[0]:
            continue
        seen = set[tuple[int, int]]()
        for at in range(begin, last + 1 if not walk.is_last else last):
            if at > begin:
                if (kinds[at - 1], kinds[at]) not in steps:
                    break
                seen.add((kinds[at - 1], kinds[at]))
            if len(seen) == len(steps) and (not walk.is_last or kinds[at] == own[-1]):
                if not best or at + 1 - begin < len(best):
                    best = range(begin, at + 1)
                break
    return (*best, last) if walk.is_last else tuple(best)
