"""Few combinations of many choices, such that every two values of two choices meet in one of them."""

from collections.abc import Mapping, Sequence
from itertools import combinations, product

Choices = Mapping[str, Sequence[str]]
Row = dict[str, str]
Pair = tuple[tuple[str, str], tuple[str, str]]


def pairs_of(choices: Choices) -> set[Pair]:
    """Every two values of two choices."""
    return {
        ((first, one), (second, other))
        for first, second in combinations(choices, 2)
        for one, other in product(choices[first], choices[second])
    }


def met_in(row: Row) -> set[Pair]:
    """The pairs of one combination."""
    return set(combinations(row.items(), 2))


def pairwise(choices: Choices) -> list[Row]:
    """Greedy, and the same every time: a pair that has not met begins a row, each other choice takes what meets most."""
    order = list(choices)
    open_pairs = dict.fromkeys(
        sorted(
            pairs_of(choices),
            key=lambda pair: (
                [order.index(name) for name, _ in pair],
                [choices[name].index(one) for name, one in pair],
            ),
        )
    )
    rows: list[Row] = []
    while open_pairs:
        chosen = dict(next(iter(open_pairs)))
        for name in choices:
            if name not in chosen:
                chosen[name] = max(choices[name], key=lambda value: _gain(chosen, name, value, open_pairs, choices))
        row = {name: chosen[name] for name in choices}
        rows.append(row)
        for pair in met_in(row):
            open_pairs.pop(pair, None)
    return rows


def _gain(chosen: Row, name: str, value: str, open_pairs: Mapping[Pair, None], choices: Choices) -> int:
    order = list(choices)
    made = (tuple(sorted(((name, value), one), key=lambda two: order.index(two[0]))) for one in chosen.items())
    return sum(pair in open_pairs for pair in made)
