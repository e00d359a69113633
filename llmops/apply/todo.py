"""What an apply has yet to do on its host, kept with its record: a run that was killed among it is brought to an end by the next.

It lies beside the record from before the first command on, is renamed into place with it, counts what has ended, and goes
when all of it has. So the newest record tells whether anything is left.
"""

import json
from dataclasses import replace
from pathlib import Path

from llmops.apply.reading import PENDING, last_generation
from llmops.apply.root import Root
from llmops.domain.changes import GENERATIONS, Generation
from llmops.domain.effects import TODO_SCHEMA, Todo
from llmops.domain.errors import WrongInput
from llmops.domain.finding import Where
from llmops.domain.forms import FormError, dump, load

EFFECTS = "effects.json"


def encoded(todo: Todo) -> bytes:
    """As it lies on disk."""
    return (json.dumps(dump(todo), indent=1, ensure_ascii=False) + "\n").encode()


def pending_todo(root: Root) -> Todo | None:
    """Of an apply that did not get as far as its number."""
    return _read(root, PENDING.name)


def unfinished(root: Root) -> tuple[Generation, Todo] | None:
    """The newest generation, where commands of it are left to run; None where none are."""
    newest = last_generation(root)
    todo = _read(root, str(newest.number)) if newest is not None else None
    return (newest, todo) if newest is not None and todo is not None else None


def is_unsettled(place: Path) -> bool:
    """Whether an apply below `place` was interrupted, among its files or its commands (or is running)."""
    root = Root(place)
    return root.has_directory(PENDING) or unfinished(root) is not None


def _read(root: Root, name: str) -> Todo | None:
    path = GENERATIONS / name / EFFECTS
    found = root.read(path)
    if found is None:
        return None
    where = Where(file=root.shown(path))
    hint = f"`rm {root.shown(path)}` forgets them; then look whether what runs is what `llmops status` says"
    try:
        data = json.loads(found.content)
        schema = data.get("schema") if isinstance(data, dict) else None
        if schema != TODO_SCHEMA:
            message = f"the commands of an apply have the schema `{str(schema)[:60]}`, not {TODO_SCHEMA}"
            raise WrongInput(message, hint=hint, where=where)
        todo = load(Todo, data)
        if not all(one.argv and one.argv[0] for one in (*todo.before, *todo.back, *todo.after)):
            raise WrongInput("the commands of an apply: one of them is empty", hint=hint, where=where)
        return todo
    except FormError as error:
        raise WrongInput(f"the commands of an apply: {error.message}", hint=hint, where=where) from None
    except (ValueError, RecursionError):
        raise WrongInput("the commands of an apply are not JSON", hint=hint, where=where) from None


def mark(root: Root, number: int, todo: Todo, *, done: int) -> None:
    """So many of its commands have ended."""
    path = GENERATIONS / str(number) / EFFECTS
    root.stage(path, encoded(replace(todo, done=done)), mode=0o600, owner=None)
    root.switch(path)


def settle(root: Root, number: int) -> None:
    """Nothing of generation `number` is left to do, nor of those before it, which it stands for."""
    for name in sorted((one for one in root.names(GENERATIONS) if one.isdecimal()), key=int):
        if int(name) <= number:
            root.unstage(GENERATIONS / name / EFFECTS)
            root.remove(GENERATIONS / name / EFFECTS)
