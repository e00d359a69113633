"""The cards and the host that a lock was planned for, again: as then, whatever else runs on them now."""

from collections.abc import Iterable
from dataclasses import replace

from llmops.cli.hardware import Hardware, gpu_rows, hardware, of_facts, this_host
from llmops.domain.engine import Device, HostDevice
from llmops.domain.errors import WrongUsage
from llmops.domain.ledger import DeviceLedger
from llmops.domain.lock import Lock, LockedDevice
from llmops.domain.programs import Runner
from llmops.formats import devices
from llmops.formats.facts import facts_digest


def place_of(lock: Lock, facts: str | None, runner: Runner | None = None) -> Hardware | None:
    """By `facts`, by the names of the lock's cards where it was planned for named cards, or this host where it is that one.

    None: it cannot be known.
    """
    if facts is not None:
        return _as_then(hardware(gpus=(), facts=facts), lock)
    if lock.facts_digest is not None:
        here = this_host(runner)
        return _as_then(of_facts(here), lock) if facts_digest(here) == lock.facts_digest else None
    host = HostDevice(memory_bytes=None, physical_cores=None)
    return _as_then(Hardware(cards=_named(lock), host=host, facts=None, notes=()), lock)


def _rows(lock: Lock) -> Iterable[tuple[LockedDevice, DeviceLedger]]:
    for one in lock.deployments.values():
        yield from zip(one.devices, one.ledger.devices, strict=False)


def _key(card: LockedDevice | Device) -> tuple[str, str | None, int | None]:
    return (card.name, card.uuid, card.index)


def _named(lock: Lock) -> tuple[Device, ...]:
    """The cards by their names in the catalogue; a bare size is what it was."""
    cards: dict[tuple[str, str | None, int | None], Device] = {}
    for card, _ in _rows(lock):
        if _key(card) in cards:
            continue
        try:
            (device, *_), _notes = devices.from_options((card.name,), gpu_rows())
        except WrongUsage:
            size = f"{card.capacity_bytes}B"
            (device, *_), _notes = devices.from_options((size,), ())
            device = replace(device, name=card.name)
        cards[_key(card)] = replace(device, index=card.index, uuid=card.uuid)
    return tuple(sorted(cards.values(), key=lambda one: one.index or 0))


def _as_then(place: Hardware, lock: Lock) -> Hardware:
    """With the free memory that the lock's first deployment on each card found."""
    free: dict[tuple[str, str | None, int | None], int] = {}
    for card, row in _rows(lock):
        free[_key(card)] = max(row.free_bytes, free.get(_key(card), 0))
    cards = tuple(replace(card, free_bytes=free.get(_key(card), card.free_bytes)) for card in place.cards)
    return replace(place, cards=cards)
