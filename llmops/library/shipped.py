"""Files that come with the program: templates, profiles, the catalogue."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from llmops.domain.errors import WrongInput
from llmops.domain.finding import Where

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

KINDS = ("templates", "profiles", "catalogue")


def shipped(kind: str) -> "Traversable":
    """The shipped directory `kind`: in the wheel, else at the top of the checkout (an editable install has no copy)."""
    here = Path(__file__)
    for folder in (here.parents[1] / kind, here.parents[2] / kind):
        if folder.is_dir():
            return folder
    from importlib.resources import files  # a program in an archive: the import takes longer than a plan's ledger

    return files("llmops").joinpath(kind)


def names(kind: str) -> tuple[str, ...]:
    """Every file of `kind`, sorted, as a path below it (`systemd/unit.j2`)."""
    return tuple(sorted(name for name, _ in _walk(shipped(kind), "")))


def text(kind: str, name: str) -> str:
    """One file's text."""
    for found, file in _walk(shipped(kind), ""):
        if found == name:
            return file.read_text(encoding="utf-8")
    hint = "the installation is not complete: install llmops again"
    raise WrongInput(f"no `{name}` among the shipped {kind}", hint=hint, where=Where(file=f"{kind}/{name}"))


def tree(kind: str) -> dict[str, str]:
    """Every file of `kind` with its text, sorted by name."""
    return {
        name: file.read_text(encoding="utf-8")
        for name, file in sorted(_walk(shipped(kind), ""), key=lambda one: one[0])
    }


def _walk(directory: "Traversable", above: str) -> "Iterator[tuple[str, Traversable]]":
    if not directory.is_dir():
        return
    for entry in directory.iterdir():
        if entry.name.startswith((".", "__")):
            continue
        if entry.is_dir():
            yield from _walk(entry, f"{above}{entry.name}/")
        else:
            yield f"{above}{entry.name}", entry
