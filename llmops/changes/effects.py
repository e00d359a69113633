"""From changed files to what makes them count: users, directories, systemd's memory, reloads, restarts of what changed.

Only what runs is reloaded or restarted; a unit that does not run reads its files when it is started.
"""

from collections.abc import Collection
from pathlib import PurePosixPath

from llmops.domain.changes import ChangeSet
from llmops.domain.deployment import Deployment, Site
from llmops.domain.effects import Effect

UNITS = PurePosixPath("/etc/systemd/system")
START_MARGIN_SECONDS = 30


def effects(changes: ChangeSet, site: Site, *, active: Collection[str]) -> tuple[Effect, ...]:
    """Everything that has to be done, in order. `active`: the units that run, such as `nginx.service`."""
    written = {change.path for change in changes.changes if change.action.writes()}
    there = {change.path for change in changes.changes if change.action.writes() and change.after is not None}
    made = _prepared(there)
    if any(path.parent == UNITS for path in written):
        made.append(Effect(argv=("systemctl", "daemon-reload"), why="units changed"))
    if any(path.is_relative_to("/etc/nginx") for path in written) and "nginx.service" in active:
        made.append(Effect(argv=("nginx", "-t", "-q"), why="the edge changed"))
        made.append(Effect(argv=("systemctl", "reload", "nginx.service"), why="the edge changed"))
    made += _gateway(written, site, active)
    for deployment in site.deployments:
        unit = f"{deployment.unit}.service"
        if unit in active and written & _read_at_start(deployment):
            seconds = deployment.numbers.start_timeout_seconds.value + deployment.numbers.stop_timeout_seconds.value
            made.append(
                Effect(
                    argv=("systemctl", "restart", unit),
                    why="what it reads at its start changed",
                    timeout_seconds=seconds + START_MARGIN_SECONDS,
                )
            )
    return tuple(made)


def _prepared(there: Collection[PurePosixPath]) -> list[Effect]:
    made: list[Effect] = []
    for directory, argv in (
        ("/etc/sysusers.d", ("systemd-sysusers",)),
        ("/etc/tmpfiles.d", ("systemd-tmpfiles", "--create")),
        ("/etc/sysctl.d", ("sysctl", "--quiet", "--load")),
    ):
        paths = sorted(str(path) for path in there if str(path.parent) == directory)
        made += [Effect(argv=(*argv, path), why=f"{path} changed", required=False) for path in paths]
    return made


def _gateway(written: Collection[PurePosixPath], site: Site, active: Collection[str]) -> list[Effect]:
    if site.gateway is None or f"{site.gateway.unit}.service" not in active:
        return []
    unit = f"{site.gateway.unit}.service"
    at_start = {UNITS / unit, PurePosixPath("/usr/lib/llmops/start-gateway")}
    at_start |= {deployment.key_file for deployment in site.deployments}
    if at_start & set(written):
        seconds = site.gateway.stop_timeout_seconds + START_MARGIN_SECONDS
        why = "what it reads at its start changed"
        return [Effect(argv=("systemctl", "restart", unit), why=why, timeout_seconds=seconds)]
    if PurePosixPath("/etc/llmops/haproxy.cfg") in written:
        return [Effect(argv=("systemctl", "reload", unit), why="its configuration changed")]
    return []


def _read_at_start(deployment: Deployment) -> set[PurePosixPath]:
    helpers = ("check-key", "with-key", "wait-ready")
    return {
        UNITS / f"{deployment.unit}.service",
        deployment.environment_file,
        deployment.key_file,
        *(PurePosixPath("/usr/lib/llmops") / name for name in helpers),
    }
