"""From changed files to what makes them count: users, directories, systemd's memory, reloads, restarts of what changed.

Only what runs is reloaded, restarted or stopped; a unit that does not run reads its files when it is started.
"""

from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from llmops.changes.start_order import groups, in_start_order
from llmops.domain.changes import ChangeSet
from llmops.domain.effects import Effect, ServiceUnit
from llmops.domain.places import STORE, SWAP_FILE, SWAP_UNIT

UNITS = PurePosixPath("/etc/systemd/system")
START_MARGIN_SECONDS = 30
"""Policy: for systemctl itself, beyond what the unit may take to stop and start."""

STARTED = (".swap", ".service")
"""Kinds of units that a person starts, in the order in which they are taken out: what makes a swap file outlives its use."""

OTHERS = {"nginx.service": "/etc/nginx", "prometheus.service": "/etc/prometheus"}
"""Services that are not ours, and the directory each reads again on a reload."""

OWN_PLACES = (STORE / "state", PurePosixPath("/var/cache/llmops"))
"""Below these each service has a directory of its own (unit.service.j2)."""


NOT_LOADED = 5
"""How `systemctl stop` ends for a unit that systemd knows no more (systemctl(1), LSB's "program is not installed")."""

NO_SUCH_USER = 6
"""How `userdel` ends for an account that is not there (userdel(8))."""


def removed_units(changes: ChangeSet) -> tuple[str, ...]:
    """Swap files and services whose unit file goes, then slices: a slice ends when nothing is in it."""
    gone = [change.path for change in changes.changes if change.action.writes() and change.after is None]
    kinds = (*STARTED, ".slice")
    return tuple(path.name for kind in kinds for path in gone if path.parent == UNITS and path.suffix == kind)


def before(changes: ChangeSet, *, enabled: Collection[str]) -> tuple[Effect, ...]:
    """What needs the files that go: systemd takes a unit out of the boot by what its file says."""
    names = tuple(name for name in removed_units(changes) if name in enabled)
    if not names:
        return ()
    return (Effect(argv=("systemctl", "disable", "--quiet", *names), why="their files go", required=False),)


def after_all(changes: ChangeSet, *, enabled: Collection[str]) -> tuple[Effect, ...]:
    """What takes `before` back: in the boot again, by files that lie there again."""
    return tuple(
        Effect(argv=("systemctl", "enable", "--quiet", *one.argv[3:]), why="taken back", required=False)
        for one in before(changes, enabled=enabled)
    )


def leftovers(units: Sequence[ServiceUnit]) -> tuple[Effect, ...]:
    """What services that are gone for good leave behind: what they wrote, and accounts of ours."""
    made = [
        Effect(argv=("rm", "-r", "-f", "--one-file-system", "--", str(path)), why="it was theirs alone", required=False)
        for path in sorted({path for unit in units for path in unit.directories if _is_its_own(path)})
    ]
    users = sorted({unit.user for unit in units if unit.user.startswith("llmops-")})
    return (
        *made,
        *(
            Effect(argv=("userdel", user), why="made for it", required=False, also_fine=(NO_SUCH_USER,))
            for user in users
        ),
    )


def _is_its_own(path: PurePosixPath) -> bool:
    """Whether it is a place that a unit is rendered with: an edited one may name the store, or lead out of it."""
    return any(place in path.parents for place in OWN_PLACES) and ".." not in path.parts


def effects(
    changes: ChangeSet, units: Sequence[ServiceUnit], *, active: Collection[str], gone: Sequence[ServiceUnit] = ()
) -> tuple[Effect, ...]:
    """Everything that has to be done, in order.

    `units`: the services there are then; `active`: those that run; `gone`: those whose files go, by what these said.
    """
    written = {change.path for change in changes.changes if change.action.writes()}
    there = {change.path for change in changes.changes if change.action.writes() and change.after is not None}
    made = [
        Effect(
            argv=("systemctl", "stop", name),
            why="its file is gone",
            required=False,
            timeout_seconds=600,
            also_fine=(NOT_LOADED,),
        )
        for name in _stop_order(removed_units(changes), gone)
        if name in active
    ]
    if SWAP_UNIT in removed_units(changes):  # while it is in use the kernel keeps it
        made.append(Effect(argv=("rm", "-f", "--", str(SWAP_FILE)), why="nothing swaps to it now", required=False))
    made += _prepared(there)
    if any(path.parent == UNITS for path in written):
        made.append(Effect(argv=("systemctl", "daemon-reload"), why="units changed"))
    made += _others(written, active)
    running = [one for one in units if one.name in active and not one.is_once]
    for unit in sorted(
        (one for one in running if one.on_reload), key=lambda one: one.name
    ):  # the queue, before engines
        made += _restarted([unit]) if _reads_at_start(unit, written) else _reloaded(unit, written)
    for group in groups([one for one in running if not one.on_reload and _reads_at_start(one, written)]):
        made += _restarted(group)
    return tuple(made)


def _stop_order(names: Sequence[str], gone: Sequence[ServiceUnit]) -> tuple[str, ...]:
    """Who started last stops first: swap before what makes its file, a slice at the end, when nothing is in it."""
    known = [name for name in names if name.endswith(".swap")]
    known += [one.name for one in reversed(in_start_order([one for one in gone if one.name in names]))]
    return (*known, *(name for name in names if name not in known))


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


def _reads_at_start(unit: ServiceUnit, written: Collection[PurePosixPath]) -> bool:
    return bool((unit.at_start | {UNITS / unit.name}) & set(written))


def _reloaded(unit: ServiceUnit, written: Collection[PurePosixPath]) -> list[Effect]:
    if not unit.on_reload & set(written):
        return []
    return [Effect(argv=("systemctl", "reload", unit.name), why="its configuration changed")]


def _restarted(group: Sequence[ServiceUnit]) -> list[Effect]:
    """One alone is restarted; several stop first, in the reverse order, so that each finds the memory it is to have."""
    why = "what it reads at its start changed"
    if len(group) == 1:
        [one] = group
        seconds = one.start_seconds + one.stop_seconds + START_MARGIN_SECONDS
        return [Effect(argv=("systemctl", "restart", one.name), why=why, timeout_seconds=seconds)]
    stops = [
        Effect(
            argv=("systemctl", "stop", one.name),
            why="it makes room for those it shares a card or an order with",
            timeout_seconds=one.stop_seconds + START_MARGIN_SECONDS,
        )
        for one in reversed(group)
    ]
    starts = [
        Effect(argv=("systemctl", "start", one.name), why=why, timeout_seconds=one.start_seconds + START_MARGIN_SECONDS)
        for one in group
    ]
    return [*stops, *starts]
