"""CON: the programs that read rendered files, and check them before anything is applied."""

from llmops.checks.check import Check, Judge, Judgement, ok, unknown, warn
from llmops.checks.gpu import version
from llmops.checks.install import APT
from llmops.domain.host import HostFacts
from llmops.domain.reading import Unknown

PACKAGES = {"nginx": "nginx libnginx-mod-http-js", "systemd-analyze": "systemd"}


def is_installed(name: str) -> Judge:
    """A judge: the program is there and says its version."""

    def judge(host: HostFacts) -> Judgement:
        tool = next((one for one in host.tools if one.name == name), None)
        if tool is None:
            return unknown(Unknown("these facts do not say whether it was looked for"), name)
        if tool.path is None:
            packages = PACKAGES.get(name)
            script = (f"apt-get install -y {packages}",) if packages and host.system.os_id in APT else ()
            return warn(f"{name} is not installed", script=script)
        if isinstance(tool.version, Unknown):
            return unknown(tool.version, name)
        return ok(f"{name} {tool.version.value}")

    return judge


def compose_is_installed(host: HostFacts) -> Judgement:
    """Version 2, as docker's plug-in or on its own; the Python program before it does not know today's files."""
    tools = [one for one in host.tools if one.name in ("docker compose", "docker-compose")]
    there = [one for one in tools if one.path is not None]
    if not tools:
        return unknown(Unknown("these facts do not say whether it was looked for"), "docker compose")
    if not there:
        return warn("docker compose is not installed")
    unsure: Judgement | None = None
    for tool in there:
        if isinstance(tool.version, Unknown):
            unsure = unknown(tool.version, tool.name)
            continue
        numbers = version(tool.version.value)
        if numbers is not None and numbers >= (2,):
            return ok(f"{tool.name} {tool.version.value}")
    return unsure or warn("docker-compose is version 1, which does not read today's compose files")


CHECKS = (
    Check(
        code="CON001",
        title="nginx is installed",
        judge=is_installed("nginx"),
        why="It is the edge of a rendered deployment: TLS, keys, limits. `nginx -t` checks the rendered site.",
        fix="apt-get install nginx libnginx-mod-http-js",
        source="nginx -t",
    ),
    Check(
        code="CON002",
        title="systemd-analyze is installed",
        judge=is_installed("systemd-analyze"),
        why="It checks rendered units before they are applied.",
        fix="apt-get install systemd",
        source="systemd-analyze(1), verify",
    ),
    Check(
        code="CON003",
        title="docker compose, version 2, is installed",
        judge=compose_is_installed,
        why="It runs and checks the compose target. The systemd target does not need it.",
        fix="docker's own package `docker-compose-plugin` (docs.docker.com/engine/install); that of Debian 12 is version 1",
        source="Compose specification; docker compose config",
    ),
)
