"""The way back is a change set like any other: earlier contents are what is wanted, what is there now is what was."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from llmops.changes import digest
from llmops.domain.changes import Action, Change, ChangeSet, FileState, Generation, GenerationFile


def backups(generations: Sequence[Generation], *, after: int) -> dict[PurePosixPath, tuple[int, GenerationFile]]:
    """By path, the first generation newer than `after` that touched it, and what it did: its backup is the way back."""
    first: dict[PurePosixPath, tuple[int, GenerationFile]] = {}
    for generation in sorted(generations, key=lambda one: one.number):
        if generation.number <= after:
            continue
        for file in generation.files:
            if file.action.writes():
                first.setdefault(file.path, (generation.number, file))
    return first


def way_back(
    current: Mapping[PurePosixPath, FileState | None],
    earlier: Mapping[PurePosixPath, FileState | None],
    *,
    recorded: Generation,
    overwrite: bool = False,
    may_change: frozenset[PurePosixPath] = frozenset(),
) -> ChangeSet:
    """What makes every path of `earlier` what it says (None: not there); what was edited since is a conflict.

    `may_change`: content that other commands of ours change, and that is ours all the same.

    In the reverse order of the record: what came last goes first.
    """
    ours = {file.path: file for file in recorded.files}
    changes: list[Change] = []
    for path in sorted(earlier, key=lambda one: list(ours).index(one) if one in ours else -1, reverse=True):
        before, after = current.get(path), earlier[path]
        if before is None and after is None:
            continue
        file = ours.get(path)
        action, why = _action(
            before, after, file.sha256 if file is not None else None, overwrite=overwrite or path in may_change
        )
        target = file.target if file is not None else ""
        changes.append(Change(path=path, target=target, action=action, before=before, after=after, why=why))
    return ChangeSet(changes=tuple(changes))


def _action(
    before: FileState | None, after: FileState | None, recorded: str | None, *, overwrite: bool
) -> tuple[Action, str]:
    if before == after:
        return Action.KEEP, ""
    if before is None:
        return Action.CREATE, ""
    if digest(before.content) != recorded and not overwrite:
        return Action.CONFLICT, "not written by llmops" if recorded is None else "edited since it was written"
    return (Action.DELETE, "") if after is None else (Action.UPDATE, "")
