"""From a change set to a host on which it counts: the freeze, the files, what makes them take effect, and the way back."""

import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path, PurePosixPath

from llmops import __version__
from llmops.apply.audit import audit_line, who
from llmops.apply.effects import take_effect
from llmops.apply.labels import Labels, labels_of
from llmops.apply.reading import every_generation, last_generation
from llmops.apply.root import Root
from llmops.apply.transaction import apply
from llmops.changes.effects import OTHERS, before, effects, removed_units
from llmops.cli.freezes import respect_freeze
from llmops.cli.past import Past, changes_back_to, units_after, units_before
from llmops.domain.changes import By, ChangeSet, Clash
from llmops.domain.drift import UnitState
from llmops.domain.effects import Effect
from llmops.domain.errors import ApplyFailed
from llmops.domain.finding import Finding, Status, Where
from llmops.domain.lock import Lock
from llmops.domain.places import SWAP_UNIT
from llmops.domain.programs import Runner
from llmops.domain.records import dataclass
from llmops.probe.units import unit_states

AUTORELABEL = PurePosixPath("/.autorelabel")
"""Its being there has the next boot set every label (selinux-autorelabel.service)."""

RUNNING = ("active", "activating", "reloading")


@dataclass(frozen=True, slots=True, kw_only=True)
class Applying:
    """How: below which root, as of when, whether what runs is left alone, and why a freeze does not hold it.

    `freeze`: the windows that are recorded for the commands that read no lock.
    """

    root: Path
    now: datetime
    restarts: bool = True
    reason: str | None = None
    freeze: tuple[str, ...] = ()


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


def carry_out(changes: ChangeSet, how: Applying, *, what: str, runner: Runner) -> Applied:
    """Write the files and have them count. Raises `ApplyFailed`: then files and units are as before."""
    _refuse_conflicts(changes, what)
    place = Root(how.root)
    units = units_after(changes, place, last_generation(place))
    states = _states((*(one.name for one in units), *removed_units(changes)), runner) if place.is_host else ()
    active = frozenset(one.name for one in states if one.active in RUNNING)
    enabled = frozenset(one.name for one in states if one.enabled == "enabled")
    counts = how.restarts and bool(active)
    early = take_effect(before(changes, enabled=enabled) if counts else (), runner=runner)
    by = By(what=what, who=who(os.environ), reason=how.reason or "", freeze=how.freeze)
    labels = _labels(changes, place, runner)
    try:
        receipt = apply(changes, root=how.root, made_by=__version__, now=how.now, by=by, labels=labels.by_path)
    except BaseException:  # Ctrl-C, too
        _enable(early.commands, removed_units(changes), enabled, runner)
        raise
    found = [Finding(code="RND006", status=Status.WARN, message=text) for text in receipt.warnings]
    found += _label_findings(labels, receipt.unlabelled, place)
    if receipt.generation is None:
        return Applied(generation=None, commands=(), active=active, findings=tuple(found))
    newest = last_generation(place)
    if place.is_host and newest is not None:
        runner.run(("logger", "-t", "llmops", audit_line(newest)))
    gone = units_before(changes)
    done = take_effect(effects(changes, units, active=active, gone=gone) if counts else (), runner=runner)
    if done.failed:
        _take_back(receipt.generation, how, active, runner)
        _enable(early.commands, removed_units(changes), enabled, runner)
        raise ApplyFailed(
            f"{done.failed}; files and units are as they were",
            hint="put right what it says, and try again; `--no-restart` writes the files and leaves what runs alone",
        )
    found += [Finding(code="RND014", status=Status.WARN, message=text) for text in (*early.warnings, *done.warnings)]
    commands = (*early.commands, *done.commands)
    return Applied(generation=receipt.generation, commands=commands, active=active, findings=tuple(found))


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


def _labels(changes: ChangeSet, place: Root, runner: Runner) -> Labels:
    written = [one.path for one in changes.changes if one.action.writes() and one.after is not None]
    return labels_of(written, root=place, runner=runner)


def _label_findings(labels: Labels, unlabelled: Sequence[PurePosixPath], place: Root) -> list[Finding]:
    """That SELinux' labels are not what its policy says, and what sets them."""
    if not labels.problem and not unlabelled:
        return []
    count = f"{len(unlabelled)} {'file' if len(unlabelled) == 1 else 'files'}"
    why = labels.problem or f"the file system or the kernel refused those of {count}"
    directories = " ".join(sorted({shlex.quote(str(path.parent)) for path in unlabelled})) or "/etc /usr/lib/llmops"
    fix = f"restorecon -R -v {directories}" if place.is_host else f"touch {shlex.quote(place.shown(AUTORELABEL))}"
    text = f"SELinux is on, but its labels were not set: {why}"
    return [Finding(code="RND017", status=Status.WARN, message=text, fix=fix)]


def _states(names: Iterable[str], runner: Runner) -> tuple[UnitState, ...]:
    """Of our units and those we reload; none where systemd does not run."""
    return unit_states([*names, *OTHERS, SWAP_UNIT, "basic.target"], {}, runner=runner)


def _take_back(generation: int, how: Applying, active: frozenset[str], runner: Runner) -> None:
    place = Root(how.root)
    past = Past(root=place, records=every_generation(place))
    back = changes_back_to(past, generation - 1)
    units = units_after(back, place, past.newest())
    by = By(what=f"undo of {generation}", who=who(os.environ), freeze=past.freeze_before(generation))
    labels = _labels(back, place, runner).by_path
    apply(back, root=how.root, made_by=__version__, now=how.now, by=by, labels=labels)
    take_effect(effects(back, units, active=active, gone=units_before(back)), runner=runner)


def _enable(commands: tuple[str, ...], names: Iterable[str], enabled: frozenset[str], runner: Runner) -> None:
    """Have them in the boot again, where they were taken out of it."""
    again = tuple(name for name in names if name in enabled)
    if commands and again:
        take_effect((Effect(argv=("systemctl", "enable", "--quiet", *again), why="taken back"),), runner=runner)
