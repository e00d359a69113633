"""From changed files to what makes them count: users, directories, systemd's memory, reloads, restarts of what changed.

Only what runs is reloaded, restarted or stopped; a unit that does not run reads its files when it is started.
"""

from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from llmops.domain.changes import ChangeSet
from llmops.domain.effects import Effect, ServiceUnit
from llmops.domain.places import STORE

UNITS = PurePosixPath("/etc/systemd/system")
START_MARGIN_SECONDS = 30
"""Policy: for systemctl itself, beyond what the unit may take to stop and start."""

OTHERS = {"nginx.service": "/etc/nginx", "prometheus.service": "/etc/prometheus"}
"""Services that are not ours, and the directory each reads again on a reload."""

OWN_PLACES = (STORE / "state", PurePosixPath("/var/cache/llmops"))
"""Below these each service has a directory of its own (unit.service.j2)."""


def removed_units(changes: ChangeSet) -> tuple[str, ...]:
    """Services whose unit file goes, then slices: a slice ends when nothing is in it."""
    gone = [change.path for change in changes.changes if change.action.writes() and change.after is None]
    kinds = (".service", ".slice")
    return tuple(path.name for kind in kinds for path in gone if path.parent == UNITS and path.suffix == kind)


def before(changes: ChangeSet, *, enabled: Collection[str]) -> tuple[Effect, ...]:
    """What needs the files that go: systemd takes a unit out of the boot by what its file says."""
    names = tuple(name for name in removed_units(changes) if name in enabled)
    if not names:
        return ()
    return (Effect(argv=("systemctl", "disable", "--quiet", *names), why="their files go", required=False),)


def leftovers(units: Sequence[ServiceUnit]) -> tuple[Effect, ...]:
    """What services that are gone for good leave behind: what they wrote, and accounts of ours."""
    made = [
        Effect(argv=("rm", "-r", "-f", "--one-file-system", "--", str(path)), why="it was theirs alone", required=False)
        for path in sorted({path for unit in units for path in unit.directories if _is_its_own(path)})
    ]
    users = sorted({unit.user for unit in units if unit.user.startswith("llmops-")})
    return (*made, *(Effect(argv=("userdel", user), why="made for it", required=False) for user in users))


def _is_its_own(path: PurePosixPath) -> bool:
    """Whether it is a place that a unit is rendered with: an edited one may name the store, or lead out of it."""
    return any(place in path.parents for place in OWN_PLACES) and ".." not in path.parts


def effects(changes: ChangeSet, units: Sequence[ServiceUnit], *, active: Collection[str]) -> tuple[Effect, ...]:
    """Everything that has to be done, in order. `units`: the services there are then; `active`: those that run."""
    written = {change.path for change in changes.changes if change.action.writes()}
    there = {change.path for change in changes.changes if change.action.writes() and change.after is not None}
    made = [
        Effect(argv=("systemctl", "stop", name), why="its file is gone", required=False, timeout_seconds=600)
        for name in removed_units(changes)
        if name in active
    ]
    made += _prepared(there)
    if any(path.parent == UNITS for path in written):
        made.append(Effect(argv=("systemctl", "daemon-reload"), why="units changed"))
    made += _others(written, active)
    running = [one for one in units if one.name in active and not one.is_once]
    for unit in sorted(running, key=lambda one: (not one.on_reload, one.name)):
        made += _of_unit(unit, written)
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


def _others(written: Collection[PurePosixPath], active: Collection[str]) -> list[Effect]:
    made: list[Effect] = []
    for name, directory in OTHERS.items():
        if name not in active or not any(path.is_relative_to(directory) for path in written):
            continue
        if name == "nginx.service":
            made.append(Effect(argv=("nginx", "-t", "-q"), why="the edge changed"))
        why = f"{directory} changed"
        made.append(Effect(argv=("systemctl", "reload", name), why=why, required=name == "nginx.service"))
    return made


def _of_unit(unit: ServiceUnit, written: Collection[PurePosixPath]) -> list[Effect]:
    if (unit.at_start | {UNITS / unit.name}) & set(written):
        seconds = unit.start_seconds + unit.stop_seconds + START_MARGIN_SECONDS
        why = "what it reads at its start changed"
        return [Effect(argv=("systemctl", "restart", unit.name), why=why, timeout_seconds=seconds)]
    if unit.on_reload & set(written):
        return [Effect(argv=("systemctl", "reload", unit.name), why="its configuration changed")]
    return []
