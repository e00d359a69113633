"""From a change set to a host on which it counts: the freeze, the files, what makes them take effect, and the way back."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field, replace
from datetime import datetime
from pathlib import Path, PurePosixPath

from llmops import __version__
from llmops.apply.audit import audit_line, who
from llmops.apply.holding import locked
from llmops.apply.reading import PENDING, last_generation
from llmops.apply.root import Root
from llmops.apply.transaction import write
from llmops.changes.effects import OTHERS, after_all, before, effects, removed_units
from llmops.cli.finishing import TRY_AGAIN, run_counted, take_back
from llmops.cli.freezes import respect_freeze
from llmops.cli.labelling import label_findings, labels_for
from llmops.cli.past import units_after, units_before
from llmops.domain.changes import By, ChangeSet, Clash, Generation
from llmops.domain.drift import UnitState
from llmops.domain.effects import Effect, Todo
from llmops.domain.errors import ApplyFailed, BrokenOff, Terminated
from llmops.domain.finding import Finding, Status, Where
from llmops.domain.lock import Lock
from llmops.domain.places import SWAP_UNIT
from llmops.domain.programs import Runner
from llmops.domain.records import dataclass
from llmops.probe.units import unit_states

RUNNING = ("active", "activating", "reloading")


@dataclass(frozen=True, slots=True, kw_only=True)
class Applying:
    """How: below which root, as of when, whether what runs is left alone, and why a freeze does not hold it.

    `freeze`: the windows that are recorded for the commands that read no lock; `labels`: those of files that come back, which
    go before the policy's.
    """

    root: Path
    now: datetime
    restarts: bool = True
    reason: str | None = None
    freeze: tuple[str, ...] = ()
    labels: Mapping[PurePosixPath, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The generation that was made (None: nothing to do), what was run for it, and which units run."""

    generation: int | None
    commands: tuple[str, ...]
    active: frozenset[str]
    findings: tuple[Finding, ...]


def apply_changes(changes: ChangeSet, how: Applying, *, lock: Lock, file: str, runner: Runner) -> Applied:
    """What a lock asks for, outside of its freezes. Raises `ApplyFailed`: then files and units are as before."""
    if changes.has_work():
        respect_freeze(lock.change.freeze, how.now, reason=how.reason, file=file)
    return carry_out(changes, replace(how, freeze=lock.change.freeze), what="apply", runner=runner)


def carry_out(
    changes: ChangeSet,
    how: Applying,
    *,
    what: str,
    runner: Runner,
    leftovers: Sequence[Effect] = (),
    ending: Callable[[Root], None] | None = None,
) -> Applied:
    """Write the files and have them count. Raises `ApplyFailed`, `BrokenOff`: then files and units are as before.

    `leftovers` follow where anything was done on the host; `ending` is the last step, while nobody else may apply.
    """
    _refuse_conflicts(changes, what)
    place = Root(how.root)
    last = last_generation(place)
    has_work = changes.has_work() or (last is not None and last.freeze != how.freeze)
    applied = Applied(generation=None, commands=(), active=frozenset(), findings=())
    if not has_work and ending is None:
        return applied
    with locked(place) as made:
        if has_work:
            todo = _todo(changes, how, place, last, leftovers, runner)
            applied = _carried(changes, how, what, todo, place, made, runner)
        if ending is not None:
            ending(place)
    return applied


def _todo(
    changes: ChangeSet,
    how: Applying,
    place: Root,
    last: Generation | None,
    leftovers: Sequence[Effect],
    runner: Runner,
) -> Todo:
    """What is to be done on the host: nothing where nothing of it runs, or it is to be left alone."""
    units = units_after(changes, place, last)
    states = _states((*(one.name for one in units), *removed_units(changes)), runner) if place.is_host else ()
    active = frozenset(one.name for one in states if one.active in RUNNING)
    if not how.restarts or not active:
        return Todo(active=tuple(sorted(active)))
    enabled = frozenset(one.name for one in states if one.enabled == "enabled")
    early = before(changes, enabled=enabled)
    late = effects(changes, units, active=active, gone=units_before(changes))
    return Todo(
        before=early,
        back=after_all(changes, enabled=enabled),
        after=(*late, *(leftovers if early or late else ())),
        active=tuple(sorted(active)),
    )


def _carried(
    changes: ChangeSet,
    how: Applying,
    what: str,
    todo: Todo,
    place: Root,
    made: tuple[PurePosixPath, ...],
    runner: Runner,
) -> Applied:
    by = By(what=what, who=who(os.environ), reason=how.reason or "", freeze=how.freeze)
    labels = labels_for(changes, place, runner)
    number = (last.number if (last := last_generation(place)) is not None else 0) + 1
    try:
        receipt = write(
            changes,
            place,
            made=made,
            made_by=__version__,
            now=how.now,
            by=by,
            labels={**labels.by_path, **how.labels},
            todo=todo,
            runner=runner,
        )
        newest = last_generation(place)
        if place.is_host and newest is not None:
            runner.run(("logger", "-t", "llmops", audit_line(newest)))
        done = run_counted(todo, place, number, runner=runner)
    except (KeyboardInterrupt, Terminated) as ended:
        raise BrokenOff(_given_up(place, made, number, todo, how, runner), cause=ended) from None
    if done.failed:
        said = take_back(place, made, number, todo, runner=runner, now=how.now)
        raise ApplyFailed(f"{done.failed}; {said}", hint=TRY_AGAIN)
    found = [Finding(code="RND006", status=Status.WARN, message=text) for text in receipt.warnings]
    found += label_findings(labels, receipt.unlabelled, place)
    found += [Finding(code="RND014", status=Status.WARN, message=text) for text in (*receipt.failed, *done.warnings)]
    commands = (*(one.text() for one in todo.before), *done.commands)
    return Applied(
        generation=receipt.generation, commands=commands, active=frozenset(todo.active), findings=tuple(found)
    )


def _given_up(
    place: Root, made: tuple[PurePosixPath, ...], number: int, todo: Todo, how: Applying, runner: Runner
) -> str:
    """Broken off: what was begun is taken back, and what is true then, in words."""
    with suppress(KeyboardInterrupt, Terminated):
        last = last_generation(place)
        if last is not None and last.number >= number:
            return take_back(place, made, number, todo, runner=runner, now=how.now)
        if not place.has_directory(PENDING):  # it took itself back
            return "files and units are as they were"
    return "and once more while it was taken back, the next `llmops render --apply` brings that to an end"


def _refuse_conflicts(changes: ChangeSet, what: str) -> None:
    """Raises `ApplyFailed` where an edit is in the way and nobody said what becomes of it; both sides of a clash are shown."""
    conflicts = changes.conflicts()
    if not conflicts:
        return
    first = conflicts[0]
    ways = [
        "`--keep` leaves them as they are",
        *(["`--merge` joins both where lines do not clash"] if what == "apply" and not first.clashes else []),
        "`--overwrite` replaces them and a copy stays in the generation",
    ]
    count = "1 file is" if len(conflicts) == 1 else f"{len(conflicts)} files are"
    raise ApplyFailed(
        f"{count} in the way, nothing was written: {first.path} ({first.why}){''.join(map(_both, first.clashes[:3]))}",
        hint=", ".join(ways),
        where=Where(file=str(first.path), line=first.clashes[0].line if first.clashes else None),
    )


def _both(clash: Clash) -> str:
    here, now = ("".join(lines).strip()[:200] or "nothing" for lines in (clash.here, clash.now))
    return f"; line {clash.line} is {here!r} here, and rendered as {now!r}"


def _states(names: Iterable[str], runner: Runner) -> tuple[UnitState, ...]:
    """Of our units and those we reload; none where systemd does not run."""
    return unit_states([*names, *OTHERS, SWAP_UNIT, "basic.target"], {}, runner=runner)
