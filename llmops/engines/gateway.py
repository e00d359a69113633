"""The queue between edge and engines: how many connections it takes, and what these cost of the host."""

from collections.abc import Iterable

from llmops.domain.deployment import GatewaySite
from llmops.domain.numbers import Numbers
from llmops.domain.ports import GATEWAY_METRICS_PORT
from llmops.domain.units import KIB, MIB

LEAST_CONNECTIONS = 2048
"""Policy: so many may come at once, and each is told that the queue is full; a connection beyond waits without a word."""

ROOM = 2
"""As many again as may be answered or wait, so that who is too much is heard also when every queue is full."""

BUFFER_BYTES = 64 * KIB
"""What of a request is kept to be asked elsewhere (`tune.bufsize`); four times HAProxy's default: some 15,000 tokens."""

BUFFERS = 6
"""Of a connection, at most: its two channels, and what comes in and goes out on both of its sides (HAProxy 2.6, src/stream.c,
src/mux_h1.c)."""

PROCESS_BYTES = 256 * MIB
"""Policy: the program, its statistics, and an older process that answers its last requests after a reload."""

LEAST_FILES = 65536
FILES = 4
"""Open files of a connection: both sides, twice while an old process ends (HAProxy itself counts two)."""

LAST_SECONDS = 10
"""Policy: beyond the drain, for the process itself to end."""


def connections(numbers: Iterable[Numbers]) -> int:
    """How many the gateway takes: more than all slots and queues hold."""
    held = sum(one.slots.value + one.queue_length.value for one in numbers)
    return max(LEAST_CONNECTIONS, ROOM * held)


def gateway_bytes(numbers: Iterable[Numbers]) -> int:
    """What its process may take, every buffer in use: 1 GiB with the least of connections."""
    return PROCESS_BYTES + connections(numbers) * BUFFERS * BUFFER_BYTES


def gateway_site(numbers: Iterable[Numbers]) -> GatewaySite:
    """One process for all deployments."""
    every = tuple(numbers)
    drain = max(one.stop_timeout_seconds.value for one in every)
    taken = connections(every)
    return GatewaySite(
        unit="llmops-gateway",
        user="llmops-gateway",
        metrics_port=GATEWAY_METRICS_PORT,
        connections=taken,
        buffer_bytes=BUFFER_BYTES,
        memory_max_bytes=gateway_bytes(every),
        open_files=max(LEAST_FILES, FILES * taken),
        drain_seconds=drain,
        stop_timeout_seconds=drain + LAST_SECONDS,
    )
