"""Which of the files that were applied each unit reads, and when they were last changed."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import PurePosixPath

from llmops.changes.effects import OTHERS, UNITS
from llmops.cli.past import Past, units_after
from llmops.domain.changes import ChangeSet, Generation
from llmops.domain.drift import Changed


def changed_by_unit(past: Past) -> dict[str, Changed]:
    """Our units, and services of others that read our files: the newest change of what they read."""
    newest = past.newest()
    ours = [file.path for file in newest.files if file.is_ours()]
    services = {unit.name: unit for unit in units_after(ChangeSet(changes=()), past.root, newest)}
    changed: dict[str, Changed] = {}
    for name in (path.name for path in ours if path.parent == UNITS):
        unit = services.get(name)
        if unit is not None and unit.is_once:  # it did its work at boot; nothing of it runs
            changed[name] = Changed()
            continue
        at_start = (unit.at_start if unit is not None else frozenset()) | {UNITS / name}
        on_reload = unit.on_reload if unit is not None else frozenset()
        changed[name] = Changed(
            at_start=_latest(past, [path for path in ours if path in at_start and path not in on_reload]),
            on_reload=_latest(past, [path for path in ours if path in on_reload]),
        )
    for name, directory in OTHERS.items():
        read = [path for path in ours if path.is_relative_to(directory)]
        if read:
            changed[name] = Changed(on_reload=_latest(past, read))
    return changed


def _latest(past: Past, paths: Iterable[PurePosixPath]) -> datetime | None:
    """By the files themselves, and by the record where a file is gone."""
    times = [past.root.changed_at(path) or _recorded(past.records, path) for path in paths]
    return max((time for time in times if time is not None), default=None)


def _recorded(records: Iterable[Generation], path: PurePosixPath) -> datetime | None:
    times = [one.applied_at for one in records for file in one.files if file.path == path and file.action.writes()]
    return datetime.fromisoformat(times[-1]) if times else None
