"""`--out DIR`: the rendered files as a tree, for review or packaging; no secrets, generations or owners."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

from llmops.apply.holding import refused
from llmops.apply.root import Root
from llmops.domain.changes import Action, Change, FileState
from llmops.domain.deployment import RenderedFile
from llmops.domain.errors import OutsideWorld


def tree_changes(files: Sequence[RenderedFile], *, out: Path) -> tuple[Change, ...]:
    """What writing the tree to `out` would do; `out` need not be there."""
    root = Root(out)
    return tuple(_change(file, root if out.is_dir() else None) for file in files)


def _change(file: RenderedFile, root: Root | None) -> Change:
    found = root.read(file.path) if root is not None else None
    after = FileState(content=file.text.encode(), mode=file.mode, owner=file.owner)
    before = replace(after, content=found.content, mode=found.mode) if found is not None else None
    action = Action.CREATE if before is None else Action.KEEP if before == after else Action.UPDATE
    return Change(path=file.path, target=file.target, action=action, before=before, after=after)


def write_tree(changes: Sequence[Change], *, out: Path) -> None:
    """Write what differs: every file beside its place first, then each into it in one step. A failure leaves all as it was."""
    staged: list[Change] = []
    directories: list[PurePosixPath] = []
    is_new = not out.exists()
    root = Root(out)
    if out.exists() and not out.is_dir():
        raise OutsideWorld(f"{out} is not a directory", hint="`--out` names a directory")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for change in changes:
            if change.after is None or not change.action.writes():
                continue
            for directory in root.missing_directories(change.path.parent):
                root.make_directory(directory)
                directories.append(directory)
            staged.append(change)
            root.stage(change.path, change.after.content, mode=change.after.mode, owner=None)
        for change in staged:
            root.switch(change.path)
    except BaseException as error:
        with suppress(OSError):
            _take_back(staged, directories, root)
            if is_new:
                out.rmdir()
        if isinstance(error, OSError):
            raise refused(error, root) from None
        raise


def _take_back(staged: Sequence[Change], directories: Sequence[PurePosixPath], root: Root) -> None:
    for change in staged:
        root.unstage(change.path)
        if change.before is None:
            root.remove(change.path)
        elif (found := root.read(change.path)) is None or found.content != change.before.content:
            root.stage(change.path, change.before.content, mode=change.before.mode, owner=None)
            root.switch(change.path)
    for directory in reversed(directories):
        root.remove_directory(directory)
