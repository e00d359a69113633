"""From a change set to a host on which it counts: the freeze, the files, what makes them take effect, and the way back."""

import os
from datetime import datetime
from pathlib import Path

from llmops import __version__
from llmops.apply.audit import audit_line, who
from llmops.apply.effects import take_effect
from llmops.apply.reading import every_generation, last_generation
from llmops.apply.root import Root
from llmops.apply.transaction import apply
from llmops.changes.effects import effects
from llmops.cli.rollback import Past, changes_back_to
from llmops.domain.changes import By, ChangeSet
from llmops.domain.deployment import Site
from llmops.domain.errors import ApplyFailed
from llmops.domain.finding import Finding, Status, Where
from llmops.domain.lock import Lock
from llmops.domain.programs import Runner
from llmops.domain.records import dataclass
from llmops.formats.listen import freeze_window
from llmops.probe.units import unit_states


@dataclass(frozen=True, slots=True, kw_only=True)
class Applying:
    """How: below which root, as of when, whether what runs is left alone, and why a freeze does not hold it."""

    root: Path
    now: datetime
    restarts: bool = True
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The generation that was made (None: nothing to do), what was run for it, and which units run."""

    generation: int | None
    commands: tuple[str, ...]
    active: frozenset[str]
    findings: tuple[Finding, ...]


def apply_changes(changes: ChangeSet, how: Applying, *, lock: Lock, file: str, site: Site, runner: Runner) -> Applied:
    """Write the files and have them count. Raises `ApplyFailed`: then files and units are as before."""
    if changes.has_work():
        _respect_freeze(lock, how, file)
    place = Root(how.root)
    active = _active(site, runner) if place.is_host else frozenset[str]()
    by = By(what="apply", who=who(os.environ), reason=how.reason or "")
    receipt = apply(changes, root=how.root, made_by=__version__, now=how.now, by=by)
    found = [Finding(code="RND006", status=Status.WARN, message=text) for text in receipt.warnings]
    if receipt.generation is None:
        return Applied(generation=None, commands=(), active=active, findings=tuple(found))
    newest = last_generation(place)
    if place.is_host and newest is not None:
        runner.run(("logger", "-t", "llmops", audit_line(newest)))
    wanted = effects(changes, site, active=active) if how.restarts and active else ()
    done = take_effect(wanted, runner=runner)
    if done.failed:
        _take_back(receipt.generation, how, site, active, runner)
        raise ApplyFailed(
            f"{done.failed}; files and units are as they were",
            hint="put right what it says, and apply again; `--no-restart` writes the files and leaves what runs alone",
        )
    found += [Finding(code="RND014", status=Status.WARN, message=text) for text in done.warnings]
    return Applied(generation=receipt.generation, commands=done.commands, active=active, findings=tuple(found))


def _active(site: Site, runner: Runner) -> frozenset[str]:
    """The units of ours, and nginx, that run; none where systemd does not."""
    names = [f"{one.unit}.service" for one in site.deployments]
    names += [f"{site.gateway.unit}.service"] if site.gateway is not None else []
    states = unit_states([*names, "nginx.service", "basic.target"], {}, runner=runner)
    return frozenset(one.name for one in states if one.active in ("active", "activating", "reloading"))


def _take_back(generation: int, how: Applying, site: Site, active: frozenset[str], runner: Runner) -> None:
    place = Root(how.root)
    past = Past(root=place, records=every_generation(place))
    back = changes_back_to(past, generation - 1, overwrite=False)
    what = f"undo of {generation}"
    apply(back, root=how.root, made_by=__version__, now=how.now, by=By(what=what, who=who(os.environ)))
    take_effect(effects(back, site, active=active), runner=runner)


def _respect_freeze(lock: Lock, how: Applying, file: str) -> None:
    """Raises `ApplyFailed` within a window of `change.freeze`, unless there is a reason that is recorded."""
    today = how.now.date()
    for at, text in enumerate(lock.change.freeze):
        window = freeze_window(text)
        if window is not None and window[0] <= today <= window[1] and not how.reason:
            raise ApplyFailed(
                f"changes are frozen from {window[0]} to {window[1]}, nothing was written",
                hint="`--override-freeze REASON` applies all the same; who and why are recorded",
                where=Where(file=file, key=f"change.freeze[{at}]"),
            )
