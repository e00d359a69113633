"""What would change, in which order, and how it is shown: current files, wanted files and the last record → `ChangeSet`."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from llmops.domain.changes import Action, Change, ChangeSet, FileState, Generation, WantedFile


def digest(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


def change_set(
    current: Mapping[PurePosixPath, FileState | None],
    wanted: Sequence[WantedFile],
    *,
    recorded: Generation | None,
    targets: Sequence[str],
    overwrite: bool = False,
) -> ChangeSet:
    """Every wanted path with what happens to it, then what we once wrote for `targets` and no longer want.

    A file that is there, differs, and is not as we left it (or never was ours) is a conflict unless `overwrite`: a local
    edit is never lost silently. No secret is ever deleted. `current` holds every path of `wanted` and of the record.
    """
    ours = {file.path: file.sha256 for file in recorded.files} if recorded is not None else {}
    changes = [_change(one, current.get(one.path), ours.get(one.path), overwrite=overwrite) for one in wanted]
    names = {one.path for one in wanted}
    for file in recorded.files if recorded is not None else ():
        before = current.get(file.path)
        if file.path in names or file.target not in targets or file.secret or file.sha256 is None or before is None:
            continue
        is_edited = digest(before.content) != file.sha256 and not overwrite
        action = Action.CONFLICT if is_edited else Action.DELETE
        why = "no longer wanted, but edited since it was written" if is_edited else ""
        changes.append(Change(path=file.path, target=file.target, action=action, before=before, after=None, why=why))
    return ChangeSet(changes=tuple(changes))


def _change(wanted: WantedFile, before: FileState | None, recorded: str | None, *, overwrite: bool) -> Change:
    after = _after(wanted, before)
    action, why = _action(before, after, recorded, overwrite=overwrite)
    return Change(path=wanted.path, target=wanted.target, action=action, before=before, after=after, why=why)


def _after(wanted: WantedFile, before: FileState | None) -> FileState:
    """What a path becomes; content None: what is there, else it is made when applied (shown as empty until then)."""
    content = wanted.content
    if content is None:
        content = before.content if before is not None else b""
    return FileState(content=content, mode=wanted.mode, owner=wanted.owner, secret=wanted.secret)


def _action(before: FileState | None, after: FileState, recorded: str | None, *, overwrite: bool) -> tuple[Action, str]:
    if before is None:
        return Action.CREATE, ""
    if before.content == after.content:
        same = (before.mode, before.owner) == (after.mode, after.owner)
        return (Action.KEEP, "") if same else (Action.UPDATE, "")
    if overwrite or recorded == digest(before.content):
        return Action.UPDATE, ""
    return Action.CONFLICT, "not written by llmops" if recorded is None else "edited since it was written"
