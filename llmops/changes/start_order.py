"""Which services have to make room for each other when they are restarted, and who of them starts first.

A restart one by one asks for the new memory of the first while the second still holds its old one. So what shares a card, or
is ordered by its unit file, stops together, the last one first, and starts in order (systemd 252, systemd.unit(5), After=).
"""

from collections.abc import Sequence

from llmops.domain.effects import ServiceUnit


def in_start_order(units: Sequence[ServiceUnit]) -> tuple[ServiceUnit, ...]:
    """Each behind those it names in After= or Requires=, else by name. Of a circle, the first by name goes first."""
    waiting = {one.name: one for one in sorted(units, key=lambda one: one.name)}
    found: list[ServiceUnit] = []
    while waiting:
        free = [one for one in waiting.values() if not (one.after - {one.name}) & waiting.keys()]
        first = free[0] if free else next(iter(waiting.values()))
        found.append(waiting.pop(first.name))
    return tuple(found)


def groups(units: Sequence[ServiceUnit]) -> tuple[tuple[ServiceUnit, ...], ...]:
    """Those that make room for each other, in start order; a group as soon as its first one may start."""
    found: list[list[ServiceUnit]] = []
    for unit in in_start_order(units):
        near = [group for group in found if any(_is_near(unit, other) for other in group)]
        joined = [one for group in near for one in group]
        found = [group for group in found if group not in near]
        found.append([*joined, unit])
    placed = {one.name: at for at, one in enumerate(in_start_order(units))}
    ordered = [sorted(group, key=lambda one: placed[one.name]) for group in found]
    return tuple(tuple(group) for group in sorted(ordered, key=lambda group: placed[group[0].name]))


def _is_near(one: ServiceUnit, other: ServiceUnit) -> bool:
    return one.name in other.after or other.name in one.after or one.shares_card(other)
