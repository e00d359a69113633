"""What is there now: the files of a change set and the record of the last apply, below a root."""

import json
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from llmops.apply.owners import Owners
from llmops.apply.root import Found, Root
from llmops.domain.changes import GENERATION_SCHEMA, GENERATIONS, FileState, Generation, WantedFile
from llmops.domain.errors import WrongInput
from llmops.domain.finding import Where
from llmops.domain.forms import FormError, load

PENDING = GENERATIONS / "pending"
RECEIPT = "receipt.json"
RENDERED = "rendered.json"
"""Beside the record: the text that was rendered for each file of it, no secret among them."""


def current_files(
    root: Root, owners: Owners, *, wanted: Sequence[WantedFile], recorded: Generation | None
) -> dict[PurePosixPath, FileState | None]:
    """Every wanted path, and every path of the record, as it is."""
    known = {one.path: (one.owner, one.secret) for one in wanted}
    for file in recorded.files if recorded is not None else ():
        known.setdefault(file.path, (file.owner, file.secret))
    return {
        path: state_of(root.read(path), owners, wanted_owner=owner, secret=secret)
        for path, (owner, secret) in known.items()
    }


def state_of(found: Found | None, owners: Owners, *, wanted_owner: str, secret: bool) -> FileState | None:
    """A file found, in the words of a change."""
    if found is None:
        return None
    owner = owners.judged(found, wanted_owner)
    return FileState(content=found.content, mode=found.mode, owner=owner, secret=secret)


def last_generation(root: Root) -> Generation | None:
    """The newest record; None where nothing was applied."""
    return next(_records(root, newest_first=True), None)


def every_generation(root: Root) -> tuple[Generation, ...]:
    """Every record, oldest first."""
    return tuple(_records(root, newest_first=False))


def _records(root: Root, *, newest_first: bool) -> Iterator[Generation]:
    """Raises `WrongInput` for a generation that has lost its record; a directory with nothing in it is none."""
    numbers = (int(name) for name in root.names(GENERATIONS) if name.isdecimal())
    for number in sorted(numbers, reverse=newest_first):
        directory = GENERATIONS / str(number)
        found = read_generation(root, directory)
        if found is not None:
            yield found
        elif root.names(directory):
            shown = root.shown(directory)
            hint = f"put it back from a backup; what lies there are copies of what was before: `ls -l {shown}`"
            raise WrongInput(
                f"the record of generation {number} is gone", hint=hint, where=Where(file=f"{shown}/{RECEIPT}")
            )


def read_generation(root: Root, directory: PurePosixPath) -> Generation | None:
    """The record in one generation's directory; None when there is no record in it."""
    path = directory / RECEIPT
    found = root.read(path)
    if found is None:
        return None
    where = Where(file=root.shown(path))
    try:
        data = json.loads(found.content)
    except (ValueError, RecursionError):
        raise WrongInput("the record of an apply is not JSON", where=where) from None
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != GENERATION_SCHEMA:
        hint = "it was written by another version of llmops: use that one or a newer one"
        raise WrongInput(
            f"the record of an apply has the schema `{schema}`, not {GENERATION_SCHEMA}", hint=hint, where=where
        )
    try:
        generation = load(Generation, data)
    except FormError as error:
        raise WrongInput(f"the record of an apply: {error.message}", where=where) from None
    copies = [PurePosixPath("/") / file.before.file for file in generation.files if file.before is not None]
    for path in (*(file.path for file in generation.files), *generation.directories, *copies):
        if not path.is_absolute() or ".." in path.parts or "\0" in str(path):
            raise WrongInput(f"the record of an apply: `{str(path)[:120]!a}` is no path of a target", where=where)
    return generation


def rendered_texts(root: Root, number: int) -> dict[PurePosixPath, bytes]:
    """What was rendered for each file of a generation: none where that was not kept, or is damaged."""
    found = root.read(GENERATIONS / str(number) / RENDERED)
    try:
        data = json.loads(found.content) if found is not None else {}
    except (ValueError, RecursionError):
        return {}
    rows = data.items() if isinstance(data, dict) else ()
    return {PurePosixPath(path): text.encode(errors="replace") for path, text in rows if isinstance(text, str)}
