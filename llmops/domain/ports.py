"""Every port that rendered files open on a host, and who opens it: one list for the plan, the files and the checks of a host."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from llmops.domain.profile import Gateway, Serve
from llmops.domain.records import dataclass

if TYPE_CHECKING:  # a plan of one file asks for ports, and reads no lock
    from llmops.domain.lock import LockedDeployment

GATEWAY_METRICS_PORT = 8405
"""Where the queue tells its figures, on loopback."""

FALLBACK_API_PORT = 8406
"""Where the edge hands over what goes to the hosted API, on loopback."""

GATEWAY_TARGET = "haproxy"
EDGE_TARGET = "nginx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """`part` opens it, for the key `field` of the lock; by `user`, with `program` (empty: the engine's own)."""

    number: int
    part: str
    field: str
    user: str
    program: str = ""


def has_gateway(serve: Serve, targets: Sequence[str]) -> bool:
    """Whether there is a queue before the engines."""
    return serve.gateway is Gateway.HAPROXY and GATEWAY_TARGET in targets


def ports_around(serve: Serve, targets: Sequence[str], *, edge_port: int) -> tuple[Port, ...]:
    """What is opened whatever the deployments are. `edge_port` is that of `serve.listen`."""
    found: list[Port] = []
    if EDGE_TARGET in targets:
        found.append(Port(number=edge_port, part="edge", field="serve.listen", user="root", program="nginx"))
    if not has_gateway(serve, targets):
        return tuple(found)
    found.append(_of_gateway(GATEWAY_METRICS_PORT, "gateway's metrics", "the gateway's metrics"))
    if serve.fallback_api is not None and EDGE_TARGET in targets:
        to = "the gateway's way to serve.fallback_api"
        found.append(_of_gateway(FALLBACK_API_PORT, "fallback API", to))
    return tuple(found)


def ports_of(name: str, deployment: "LockedDeployment", *, gateway: bool) -> tuple[Port, ...]:
    """A deployment's own."""
    numbers, key = deployment.numbers, f"deployments.{name}.numbers"
    engine = Port(number=numbers.engine_port.value, part="engine", field=f"{key}.engine_port", user=f"llmops-{name}")
    if not gateway:
        return (engine,)
    return engine, _of_gateway(numbers.gateway_port.value, "gateway", f"{key}.gateway_port")


def every_port(
    serve: Serve, targets: Sequence[str], deployments: "Mapping[str, LockedDeployment]", *, edge_port: int
) -> tuple[Port, ...]:
    """Of a whole lock."""
    gateway = has_gateway(serve, targets)
    own = (port for name, one in deployments.items() for port in ports_of(name, one, gateway=gateway))
    return (*ports_around(serve, targets, edge_port=edge_port), *own)


def _of_gateway(number: int, part: str, field: str) -> Port:
    return Port(number=number, part=part, field=field, user="llmops-gateway", program="haproxy")
