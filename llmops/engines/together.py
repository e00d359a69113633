"""What the deployments of one lock take of their host together."""

from llmops.domain.lock import Lock
from llmops.engines.gateway import gateway_bytes


def together_bytes(lock: Lock, *, gateway: bool) -> int:
    """The sum of the units' limits, at most what the host has for all of them: each may reach its own, not all at once."""
    every = [
        *(one.numbers.memory_max_bytes.value for one in lock.deployments.values()),
        gateway_bytes(one.numbers for one in lock.deployments.values()) if gateway else 0,
    ]
    room = _room_bytes(lock)
    return sum(every) if room is None else max(min(sum(every), room), *every)


def _room_bytes(lock: Lock) -> int | None:
    """What may be used of the host's memory: a ledger's limit is what the others leave of it."""
    hosts = [one.ledger.host for one in lock.deployments.values()]
    taken = sum(one.total_bytes() for one in hosts)
    limits = [one.limit_bytes + taken - one.total_bytes() for one in hosts if one.limit_bytes is not None]
    return max(limits, default=None)
