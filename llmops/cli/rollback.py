"""`llmops rollback`, and the way back that `uninstall` shares: records → earlier contents → change set, shown or applied."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from llmops import __version__
from llmops.apply.audit import who
from llmops.apply.history import earlier_state, present
from llmops.apply.owners import owners_of
from llmops.apply.reading import every_generation
from llmops.apply.root import Root
from llmops.apply.secrets import KEYS_MAP
from llmops.apply.transaction import apply, recover, refused
from llmops.changes.back import backups, way_back
from llmops.changes.diff import diff_text
from llmops.cli.answer import Answer, JsonOption, QuietOption, StrictOption, Style, VerboseOption, give
from llmops.domain.changes import By, Change, ChangeSet, Generation
from llmops.domain.errors import WrongInput, WrongUsage
from llmops.domain.finding import Finding, Status, Where
from llmops.domain.forms import Json
from llmops.views.history import TakenBack, show_taken_back

MAY_CHANGE = frozenset({KEYS_MAP})
"""`keys` changes it; the keys are gone with the edge they are for."""

RootOption = Annotated[str, typer.Option("--root", help="The target's root directory.", envvar="LLMOPS_ROOT")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show the diff, change nothing.")]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Take back files that were edited since, too; a copy is kept.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for. `number` None: the generation before the last."""

    number: int | None = None
    root: str = "/"
    dry_run: bool = False
    overwrite: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A root with something applied below it: every record, oldest first; `notes` say what an interrupted run left."""

    root: Root
    records: tuple[Generation, ...]
    notes: tuple[str, ...] = ()

    def newest(self) -> Generation:
        """The record that says what is ours now."""
        return self.records[-1]


def run(options: Options, *, now: datetime | None = None) -> Answer:
    """The files as generation `number` left them."""
    past = read_past(options.root, finish=not options.dry_run)
    newest = past.newest().number
    number = newest - 1 if options.number is None else options.number
    if number == 0:
        raise WrongUsage(
            "there is no generation before the first", hint="`llmops uninstall` takes back everything that was applied"
        )
    if number not in [one.number for one in past.records]:
        known = ", ".join(str(one.number) for one in past.records)
        raise WrongUsage(f"no generation {number}", hint=f"there are {known}; `llmops status` lists them")
    changes = changes_back_to(past, number, overwrite=options.overwrite)
    generation: int | None = None
    if not options.dry_run and (changes.has_work() or changes.conflicts()):
        by = By(what=f"rollback to {number}", who=who(os.environ))
        receipt = apply(changes, root=past.root.path, made_by=__version__, now=now or datetime.now(UTC), by=by)
        generation = receipt.generation
    taken = TakenBack(
        goal=f"generation {number}",
        changes=changes.changes,
        diff=diff_text(changes),
        applied=not options.dry_run,
        generation=generation,
        next_commands=next_commands(changes, past.root) if generation is not None else (),
        findings=_notes(past),
    )
    return answer_of(taken, ok=not (options.dry_run and changes.conflicts()))


def read_past(root: str, *, finish: bool) -> Past:
    """The records below `root`; `finish` takes an interrupted apply back first. Raises `WrongInput` where there are none."""
    if not Path(root).is_dir():
        raise WrongInput(f"--root {root} is not a directory", hint="name a directory", where=Where(file=root))
    place = Root(Path(root))
    try:
        left = recover(place.path) if finish else None
        records = every_generation(place)
    except PermissionError as error:
        raise refused(error, place) from None
    if not records:
        raise WrongInput("nothing was applied here", hint="`llmops render --apply` applies", where=Where(file=root))
    notes = () if left is None else ("an earlier run was interrupted: it was taken back first", *left)
    return Past(root=place, records=records, notes=notes)


def changes_back_to(past: Past, number: int, *, overwrite: bool) -> ChangeSet:
    """What makes every file what generation `number` left (0: what was there before the first)."""
    first = backups(past.records, after=number)
    try:
        earlier = {path: earlier_state(past.root, at, file) for path, (at, file) in first.items()}
        current = present(past.root, owners_of(past.root), earlier, past.newest())
    except PermissionError as error:
        raise refused(error, past.root) from None
    return way_back(current, earlier, recorded=past.newest(), overwrite=overwrite, may_change=MAY_CHANGE)


def next_commands(changes: ChangeSet, root: Root) -> tuple[str, ...]:
    """What makes the files live again."""
    if not root.is_host:
        return ()
    paths = [change.path for change in changes.changes if change.action.writes()]
    units = [path.stem for path in paths if path.suffix == ".service" and path.parent.name == "system"]
    commands: list[str] = []
    if any(path.parent == PurePosixPath("/etc/systemd/system") for path in paths):
        commands.append("systemctl daemon-reload")
    kept = sorted({change.path.stem for change in changes.changes if change.after is not None} & set(units))
    commands += [f"systemctl restart {' '.join(kept)}"] if kept else []
    if any(path.parts[:3] == ("/", "etc", "nginx") for path in paths):
        commands.append("nginx -t && systemctl reload nginx")
    return tuple(commands)


def _notes(past: Past) -> tuple[Finding, ...]:
    return tuple(Finding(code="RND007", status=Status.WARN, message=text) for text in past.notes)


def answer_of(taken: TakenBack, *, ok: bool) -> Answer:
    """The document and the text of a way back."""
    rows: list[Json] = [_row(change) for change in taken.changes]
    result: dict[str, Json] = {
        "files": rows,
        "applied": taken.applied,
        "generation": taken.generation,
        "next": list[Json](taken.next_commands),
    }
    return Answer(result=result, show=lambda to: show_taken_back(taken, to), findings=taken.findings, ok=ok)


def _row(change: Change) -> Json:
    return {
        "path": str(change.path),
        "target": change.target,
        "action": change.action.value,
        "why": change.why or None,
    }


def command(
    number: Annotated[
        int | None, typer.Argument(help="The generation to go back to. Default: the one before the last.", min=1)
    ] = None,
    *,
    root: RootOption = "/",
    dry_run: DryRunOption = False,
    overwrite: OverwriteOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    strict: StrictOption = False,
) -> int:
    """Make the applied files what an earlier generation left."""
    options = Options(number=number, root=root, dry_run=dry_run, overwrite=overwrite)
    return give("rollback", run(options), Style(json=json, quiet=quiet, verbose=verbose, strict=strict))
