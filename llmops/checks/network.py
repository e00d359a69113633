"""NET: the ports a deployment listens on by default."""

from collections.abc import Callable

from llmops.checks.check import Check, Judgement, ok, unknown, warn
from llmops.domain.host import HostFacts
from llmops.domain.reading import Known, Unknown

EDGE_PORT = 8443
ENGINE_PORT = 8080


def port_is_free(port: int) -> Callable[[HostFacts], Judgement]:
    """A judge: nothing listens on `port`, on any address."""

    def judge(host: HostFacts) -> Judgement:
        if isinstance(host.listeners, Unknown):
            return unknown(host.listeners, f"port {port}")
        taken = [listener for listener in host.listeners.value if listener.port == port]
        if not taken:
            return ok(f"port {port} is free")
        programs = sorted({one.program.value for one in taken if isinstance(one.program, Known)})
        return warn(f"port {port} is taken by {', '.join(programs) or 'a program that may not be looked at'}")

    return judge


CHECKS = (
    Check(
        code="NET001",
        title="The edge's port 8443 is free",
        judge=port_is_free(EDGE_PORT),
        why="nginx listens there unless the profile says otherwise. It may be an earlier deployment of llmops.",
        fix="see who it is (`ss -ltnp 'sport = :8443'`), or set `serve.listen` in llmops.yaml",
        source="bind(2), EADDRINUSE",
    ),
    Check(
        code="NET002",
        title="The engine's port 8080 is free",
        judge=port_is_free(ENGINE_PORT),
        why="Two programs cannot listen on one port: the second to start fails.",
        fix="see who it is: `ss -ltnp 'sport = :8080'`",
        source="bind(2), EADDRINUSE",
    ),
)
