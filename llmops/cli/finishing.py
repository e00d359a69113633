"""The commands of an apply, run under its lock with a record of how far they are; what a run that was killed left of them.

Files half written are taken back. Commands half run are finished, and where they cannot be, files and units are taken back.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path, PurePosixPath

from llmops import __version__
from llmops.apply.audit import add, audit_line, who
from llmops.apply.effects import Done, take_effect
from llmops.apply.holding import locked, refused
from llmops.apply.reading import every_generation
from llmops.apply.root import Root
from llmops.apply.todo import mark, settle, unfinished
from llmops.apply.transaction import write
from llmops.apply.undoing import recover
from llmops.changes.effects import effects
from llmops.cli.labelling import labels_for
from llmops.cli.past import Past, changes_back_to, labels_back_to, units_after, units_before
from llmops.domain.changes import By, Generation, Ways
from llmops.domain.effects import Todo
from llmops.domain.errors import ApplyFailed, OutsideWorld
from llmops.domain.programs import Runner

UNDO = "undo of"
"""How the generation begins its word of what it is, that takes back one whose commands failed."""

TRY_AGAIN = "put right what it says, and try again; `--no-restart` writes the files and leaves what runs alone"


def nothing(_: Path) -> tuple[str, ...]:
    """A dry run brings nothing to an end."""
    return ()


def finish_earlier(
    root: Path,
    *,
    runner: Runner,
    now: datetime,
    allowed: Callable[[Generation], None] = lambda _: None,
    reason: str = "",
) -> tuple[str, ...]:
    """Bring to an end what an earlier run left half done; in words, empty where there is nothing of the kind.

    `allowed` is asked before what was left of a generation's commands is run, and raises where that may not be. Raises
    `ApplyFailed` where they fail: then files and units are as before that generation.
    """
    place = Root(root)
    try:
        left = recover(root, runner=runner)
        found = unfinished(place)
        if found is None:
            return () if left is None else ("an earlier apply was interrupted: it was taken back first", *left)
        allowed(found[0])
        with locked(place) as made:
            found = unfinished(place)
            return _finished(*found, place, made, runner=runner, now=now, reason=reason) if found is not None else ()
    except PermissionError as error:
        raise refused(error, place) from None


def _finished(
    generation: Generation,
    todo: Todo,
    place: Root,
    made: tuple[PurePosixPath, ...],
    *,
    runner: Runner,
    now: datetime,
    reason: str,
) -> tuple[str, ...]:
    number = generation.number
    if not place.is_host:
        left = tuple(f"not run, {place.path} is not the system that runs: `{one.text()}`" for one in todo.left())
        settle(place, number)
        return (f"generation {number} was interrupted among its commands", *left)
    done = run_counted(todo, place, number, runner=runner)
    if done.failed:
        words = take_back(place, made, number, todo, runner=runner, now=now)
        raise ApplyFailed(
            f"an earlier apply was interrupted, and cannot be finished: {done.failed}; {words}", hint=TRY_AGAIN
        )
    at, what = now.isoformat(timespec="seconds"), f"finish of {generation.what}"
    line = audit_line(replace(generation, applied_at=at, who=who(os.environ), what=what, reason=reason))
    add(place, line)
    runner.run(("logger", "-t", "llmops", line))
    said = f"generation {number} ({generation.what}) was interrupted among its commands: these were run first"
    return (said, *(f"`{one}`" for one in done.commands), *done.warnings)


def run_counted(todo: Todo, place: Root, number: int, *, runner: Runner) -> Done:
    """Run what is left of `todo`; after each command its record knows that it has ended, and goes after the last."""
    count = len(todo.after) - len(todo.left())

    def ended(more: int) -> None:
        with suppress(OSError):  # a full disk: should this run be killed, a command is run once more
            mark(place, number, todo, done=count + more)

    done = take_effect(todo.left(), runner=runner, ended=ended)
    if todo.has_any() and not done.failed:
        with suppress(OSError):
            settle(place, number)
    return done


def take_back(
    place: Root,
    made: tuple[PurePosixPath, ...],
    number: int,
    todo: Todo,
    *,
    runner: Runner,
    now: datetime,
) -> str:
    """Files as they were before generation `number`, and what ran runs with them; what is true then, in words.

    An edit that someone made in between stays.
    """
    past = Past(root=place, records=every_generation(place))
    back = changes_back_to(past, number - 1, ways=Ways.KEEP)
    units = units_after(back, place, past.newest())
    again = (*effects(back, units, active=todo.active, gone=units_before(back)), *todo.back)
    undoing = Todo(after=tuple(replace(one, required=False) for one in again), active=todo.active)
    by = By(what=f"{UNDO} {number}", who=who(os.environ), freeze=past.freeze_before(number))
    labels = labels_for(back, place, runner).by_path | labels_back_to(past, number - 1)
    try:
        receipt = write(
            back, place, made=made, made_by=__version__, now=now, by=by, labels=labels, todo=undoing, runner=runner
        )
    except (ApplyFailed, OutsideWorld) as error:  # the record of what is left to do lies there still
        return f"it could not be taken back ({error.message}): the next `llmops render --apply` brings it to an end"
    done = run_counted(undoing, place, receipt.generation or number, runner=runner)
    failed = "; ".join(done.warnings)
    return f"files are as they were, but not every unit: {failed}" if failed else "files and units are as they were"
