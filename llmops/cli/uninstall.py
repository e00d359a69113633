"""`llmops uninstall`: the way back to before the first apply, and the records with it."""

import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from llmops import __version__
from llmops.apply.audit import who
from llmops.apply.history import forget
from llmops.apply.reading import every_generation
from llmops.apply.root import Root
from llmops.apply.transaction import apply, has_pending
from llmops.changes.diff import diff_text
from llmops.cli.answer import Answer, JsonOption, QuietOption, StrictOption, Style, VerboseOption, give
from llmops.cli.rollback import (
    DryRunOption,
    OverwriteOption,
    RootOption,
    answer_of,
    changes_back_to,
    next_commands,
    read_past,
)
from llmops.domain.changes import GENERATIONS, By, ChangeSet
from llmops.domain.errors import WrongUsage
from llmops.domain.finding import Finding, Status
from llmops.views.history import TakenBack


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for. `agreed`: asked nothing more, also on a terminal."""

    root: str = "/"
    dry_run: bool = False
    overwrite: bool = False
    agreed: bool = True


def run(options: Options, *, now: datetime | None = None) -> Answer:
    """Every file as it was before the first apply; then no record is left either."""
    if _finish(options):
        done = TakenBack(
            goal="before the first apply",
            changes=(),
            diff="",
            applied=True,
            generation=None,
            next_commands=(),
            findings=(),
        )
        return answer_of(done, ok=True)
    past = read_past(options.root, finish=not options.dry_run)
    changes = changes_back_to(past, 0, overwrite=options.overwrite)
    if not options.dry_run:
        _agree(options, changes)
        by = By(what="uninstall", who=who(os.environ))
        apply(changes, root=past.root.path, made_by=__version__, now=now or datetime.now(UTC), by=by)
        forget(past.root)
    units = [one.path.name for one in changes.changes if one.path.suffix == ".service" and one.after is None]
    stopping = (f"systemctl disable --now {' '.join(units)}",) if units and past.root.is_host else ()
    keys = sum(one.after is None and one.before is not None and one.before.secret for one in changes.changes)
    findings = (
        Finding(
            code="RND011",
            status=Status.WARN,
            message=f"{keys} keys and certificates {'would go' if options.dry_run else 'are gone'} too: clients need new ones",
        ),
    )
    taken = TakenBack(
        goal="before the first apply",
        changes=changes.changes,
        diff=diff_text(changes),
        applied=not options.dry_run,
        generation=None,
        next_commands=() if options.dry_run else (*stopping, *next_commands(changes, past.root)),
        findings=findings if keys else (),
    )
    return answer_of(taken, ok=not (options.dry_run and changes.conflicts()))


def _finish(options: Options) -> bool:
    """Whether an earlier uninstall ended when all but its last empty directories was gone: they go now."""
    root = Root(Path(options.root))
    if options.dry_run or not root.has_directory(GENERATIONS) or has_pending(root.path) or every_generation(root):
        return False
    forget(root)
    return True


def _agree(options: Options, changes: ChangeSet) -> None:
    if options.agreed:
        return
    count = sum(change.action.writes() for change in changes.changes)
    if not typer.confirm(f"take back {count} files, keys included?", err=True):
        raise WrongUsage("nothing was changed", hint="`--dry-run` shows what would go")


def command(
    *,
    root: RootOption = "/",
    dry_run: DryRunOption = False,
    overwrite: OverwriteOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, on a terminal either.")] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    strict: StrictOption = False,
) -> int:
    """Take back everything that was applied."""
    agreed = yes or json or not sys.stdin.isatty()
    options = Options(root=root, dry_run=dry_run, overwrite=overwrite, agreed=agreed)
    return give("uninstall", run(options), Style(json=json, quiet=quiet, verbose=verbose, strict=strict))
