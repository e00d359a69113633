"""Ports of the engines: each with its gateway's, none of another's."""

from collections.abc import Set

from llmops.domain.errors import WrongUsage
from llmops.sizing.numbers import gateway_port

LAST_PORT = 65535


def engine_ports(count: int, first: int, taken: Set[int]) -> tuple[int, ...]:
    """`count` ports from `first` on, each free together with the gateway's port of that engine."""
    found: list[int] = []
    for port in range(first, LAST_PORT + 1):
        if len(found) == count:
            break
        mine = {port, gateway_port(port).value}
        theirs = taken | {one for other in found for one in (other, gateway_port(other).value)}
        if not mine & theirs:
            found.append(port)
    if len(found) < count:
        raise WrongUsage(f"{count} engines have no free ports from {first} on", hint="`--port 8080`")
    return tuple(found)
