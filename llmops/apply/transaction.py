"""Apply a change set as one step: everything is in place, or everything is as before, also after a power cut.

1. The record of the new generation is written to `generations/pending`, with a copy of every file that changes.
2. New contents are staged beside their targets. Until here nothing that anyone reads has changed.
3. Staged files are renamed into place, one by one.
4. `pending` is renamed to the generation's number: from here on it is done.
Where a run ended between 1 and 4, `recover` takes it back from the record: each file that is as the apply left it becomes
what it was. It can itself be interrupted and repeated.
"""

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path, PurePosixPath

from llmops.apply.audit import complete, is_behind
from llmops.apply.owners import Owners, owners_of
from llmops.apply.reading import (
    PENDING,
    RECEIPT,
    RENDERED,
    every_generation,
    last_generation,
    read_generation,
    rendered_texts,
    state_of,
)
from llmops.apply.root import Found, Root
from llmops.domain.changes import (
    APPLY,
    GENERATIONS,
    Action,
    Backup,
    By,
    Change,
    ChangeSet,
    Generation,
    GenerationFile,
    Local,
    Receipt,
)
from llmops.domain.errors import ApplyFailed, OutsideWorld
from llmops.domain.finding import Where
from llmops.domain.forms import dump


def apply(changes: ChangeSet, *, root: Path, made_by: str, now: datetime, by: By = APPLY) -> Receipt:
    """Make `changes` true below `root`. Raises `OutsideWorld` before and `ApplyFailed` after anything was in place."""
    conflicts = changes.conflicts()
    if conflicts:
        raise ApplyFailed(
            f"{_files(len(conflicts))} in the way, nothing was written: {conflicts[0].path} ({conflicts[0].why})",
            hint="`--keep` leaves them as they are, `--overwrite` replaces them and a copy stays in the generation",
            where=Where(file=str(conflicts[0].path)),
        )
    if not changes.has_work():
        return Receipt(generation=None, changes=changes.changes)
    place = Root(root)
    owners = owners_of(place)
    with locked(place) as made:
        if place.has_directory(PENDING):
            _undo_pending(place, owners)
            raise ApplyFailed(
                "an interrupted apply was found and taken back", hint="`llmops render` shows the new diff"
            )
        generation = _record(changes, place, owners, made_by=made_by, now=now, made=made, by=by)
        _prepare(changes, generation, place, owners)
        _switch(changes, generation, place, owners)
        with suppress(OSError):  # the apply is done; the next one adds the line
            complete(place, every_generation(place))
    return Receipt(generation=generation.number, changes=changes.changes, warnings=generation.warnings)


def recover(root: Path) -> tuple[str, ...] | None:
    """Take back an apply that was interrupted. None when there was none; else what could not be taken back, in words."""
    place = Root(root)
    if has_pending(root):
        with locked(place):
            return _undo_pending(place, owners_of(place))
    if is_behind(place):  # killed between its last step and its line
        with suppress(OSError), locked(place):
            complete(place, every_generation(place))
    return None


def has_pending(root: Path) -> bool:
    """Whether an apply was interrupted here (or is running)."""
    return Root(root).has_directory(PENDING)


@contextmanager
def locked(root: Root) -> Iterator[tuple[PurePosixPath, ...]]:
    """Hold the only apply below `root`; gives the directories made for it. They go again when nothing was applied."""
    made: tuple[PurePosixPath, ...] = ()
    try:
        made = root.missing_directories(GENERATIONS)
        for path in made:
            root.make_directory(path)
        with root.directory(GENERATIONS) as walked:
            descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=walked)
    except OSError as error:
        _remove_directories(root, made)
        raise refused(error, root) from None
    try:
        _lock(descriptor, root)
        yield made
    finally:
        os.close(descriptor)
        _remove_directories(root, made)


def _lock(descriptor: int, root: Root) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN):
            raise
        raise OutsideWorld(
            "another `llmops render --apply` is running",
            hint="wait for it to end",
            where=Where(file=root.shown(GENERATIONS)),
        ) from None


def _record(
    changes: ChangeSet,
    root: Root,
    owners: Owners,
    *,
    made_by: str,
    now: datetime,
    made: tuple[PurePosixPath, ...],
    by: By,
) -> Generation:
    """The record of what will be done. Raises `ApplyFailed` when a file is no longer as the change set saw it."""
    last = last_generation(root)
    files: list[GenerationFile] = []
    for at, change in enumerate(changes.changes):
        found = root.read(change.path)
        _refuse_changed(change, found, owners)
        files.append(_recorded(change, found, at))
    missing = dict.fromkeys(
        directory
        for change in changes.changes
        if change.action.writes() and change.after is not None
        for directory in root.missing_directories(change.path.parent)
    )
    return Generation(
        number=last.number + 1 if last is not None else 1,
        made_by=made_by,
        applied_at=now.isoformat(timespec="seconds"),
        files=(*files, *_still_ours(last, changes)),
        directories=(*made, *missing),
        warnings=_warnings(changes, owners),
        what=by.what,
        who=by.who,
        reason=by.reason,
        freeze=by.freeze,
    )


def _still_ours(last: Generation | None, changes: ChangeSet) -> tuple[GenerationFile, ...]:
    """Files of the last generation this apply did not look at (other targets) stay in the record."""
    seen = {change.path for change in changes.changes}
    return tuple(
        replace(file, action=Action.KEEP, before=None)
        for file in (last.files if last is not None else ())
        if file.path not in seen and file.is_ours()
    )


def _refuse_changed(change: Change, found: Found | None, owners: Owners) -> None:
    expected = change.before
    wanted = expected.owner if expected is not None else ""
    state = state_of(found, owners, wanted_owner=wanted, secret=expected.secret if expected is not None else False)
    if state != expected:
        raise ApplyFailed(
            f"{change.path} has changed since the diff was made; nothing was written",
            hint="`llmops render` shows the new diff",
            where=Where(file=str(change.path)),
        )


def _recorded(change: Change, found: Found | None, at: int) -> GenerationFile:
    state = change.after or change.before
    if state is None:
        raise AssertionError("a change without a file before and after")
    backup = None
    if found is not None and change.action.writes():
        backup = Backup(
            sha256=digest(found.content),
            mode=found.mode,
            owner=f"{found.user_id}:{found.group_id}",
            file=f"before-{at:04}",
        )
    return GenerationFile(
        path=change.path,
        target=change.target,
        action=change.action,
        sha256=digest(change.after.content) if change.after is not None else None,
        mode=state.mode,
        owner=state.owner,
        secret=state.secret,
        before=backup,
        local=change.local,
        rendered=digest(change.rendered) if change.rendered is not None else None,
    )


def _files(count: int) -> str:
    return "1 file is" if count == 1 else f"{count} files are"


def digest(content: bytes) -> str:
    """SHA-256 in hex."""
    import hashlib

    return hashlib.sha256(content).hexdigest()


def _warnings(changes: ChangeSet, owners: Owners) -> tuple[str, ...]:
    """One sentence per owner that cannot be set here."""
    counts: dict[str, int] = {}
    for change in changes.changes:
        if change.action.writes() and change.after is not None and owners.numbers(change.after.owner) is None:
            counts[change.after.owner] = counts.get(change.after.owner, 0) + 1
    reason = "not known on the target" if owners.can_set else "only root can set it"
    return tuple(
        f"owner {owner} of {count} {'file' if count == 1 else 'files'} is recorded, not set: {reason}"
        for owner, count in counts.items()
    )


def _prepare(changes: ChangeSet, generation: Generation, root: Root, owners: Owners) -> None:
    """Record, copies and staged files. Any failure leaves no trace and is `OutsideWorld`: nothing was in place yet."""
    try:
        root.make_directory(PENDING)
        for file, change in zip(generation.files, changes.changes, strict=False):
            if file.before is not None and change.before is not None:
                _write(root, PENDING / file.before.file, change.before.content)
        _write(root, PENDING / RENDERED, json.dumps(_rendered(changes, generation, root)).encode())
        text = json.dumps(dump(generation), indent=1, ensure_ascii=False) + "\n"
        _write(root, PENDING / RECEIPT, text.encode())
        for directory in generation.directories:
            root.make_directory(directory)
        for change in changes.changes:
            if change.action.writes() and change.after is not None:
                owner = owners.numbers(change.after.owner)
                root.stage(change.path, change.after.content, mode=change.after.mode, owner=owner)
    except BaseException as error:
        _undo_pending(root, owners)
        if isinstance(error, OSError):
            raise refused(error, root) from None
        raise


def _rendered(changes: ChangeSet, generation: Generation, root: Root) -> dict[str, str]:
    """By path, what we would have there: the third side when a person's edit is merged one day. No secret."""
    texts = rendered_texts(root, generation.number - 1)
    for change in changes.changes:
        ours = change.after.content if change.after is not None else None
        content = ours if change.local is Local.NONE else change.rendered
        texts[change.path] = content if content is not None else b""
    kept = [file for file in generation.files if file.is_ours() and not file.secret]
    return {
        str(file.path): texts[file.path].decode(errors="replace")
        for file in kept
        if file.path in texts and digest(texts[file.path]) == file.last_rendered()
    }


def _write(root: Root, path: PurePosixPath, content: bytes) -> None:
    root.stage(path, content, mode=0o600, owner=None)
    root.switch(path)


def _switch(changes: ChangeSet, generation: Generation, root: Root, owners: Owners) -> None:
    """Put everything in place and commit. Any failure restores what was."""
    try:
        for change in changes.changes:
            if not change.action.writes():
                continue
            _refuse_changed(change, root.read(change.path), owners)
            if change.after is None:
                root.remove(change.path)
            else:
                root.switch(change.path)
        root.rename(PENDING, GENERATIONS / str(generation.number))
    except BaseException as error:
        left = _restore(generation, root, owners, error)
        if isinstance(error, OSError):
            raise ApplyFailed(
                f"{_words(error)}; the host is as it was before", hint=left or _hint(error), where=_where(error)
            ) from None
        raise


def _restore(generation: Generation, root: Root, owners: Owners, cause: BaseException) -> str:
    """Take everything back after a failure; when even that fails, say how it is finished."""
    committed = GENERATIONS / str(generation.number)
    try:
        if root.has_directory(committed):  # renamed, but not known to last
            root.rename(committed, PENDING)
        return "; ".join(_undo_pending(root, owners))
    except OSError as error:
        raise ApplyFailed(
            f"{_cause(cause)}, and taking it back stopped: {_words(error)}",
            hint="set that right; the next `llmops render --apply` takes the rest back from the record first",
            where=_where(error),
        ) from cause


def _undo_pending(root: Root, owners: Owners) -> tuple[str, ...]:
    """Make every file of the pending record what it was; gives what was left alone since someone else changed it."""
    if not root.has_directory(PENDING):
        return ()
    generation = read_generation(root, PENDING)
    left: list[str] = []
    if generation is not None:
        for file in reversed(generation.files):
            root.unstage(file.path)
            if file.action.writes() and not _undo(file, root, owners):
                left.append(f"{file.path} was changed by someone else and is left as it is")
        _remove_directories(root, generation.directories)
    names = [name for name in root.names(PENDING) if name != RECEIPT]
    for name in (*names, RECEIPT):  # the record last: without it there is nothing to take back
        root.remove(PENDING / name)
    root.remove_directory(PENDING)
    if generation is not None:
        _remove_directories(root, generation.directories)
    return tuple(left)


def _undo(file: GenerationFile, root: Root, owners: Owners) -> bool:
    found = root.read(file.path)
    now = digest(found.content) if found is not None else None
    before = file.before
    if before is None:
        if now is not None and now != file.sha256:
            return False
        root.remove(file.path)
        return True
    if found is not None and _is(found, before):
        return True
    if now not in (None, file.sha256, before.sha256):
        return False
    copy = root.read(PENDING / before.file)
    if copy is None or digest(copy.content) != before.sha256:
        return False
    user, _, group = before.owner.partition(":")
    root.stage(file.path, copy.content, mode=before.mode, owner=(int(user), int(group)) if owners.can_set else None)
    root.switch(file.path)
    return True


def _is(found: Found, before: Backup) -> bool:
    same_owner = before.owner == f"{found.user_id}:{found.group_id}"
    return digest(found.content) == before.sha256 and found.mode == before.mode and same_owner


def _remove_directories(root: Root, directories: tuple[PurePosixPath, ...]) -> None:
    for path in reversed(directories):
        with suppress(OSError):
            root.remove_directory(path)


def refused(error: OSError, root: Root) -> OutsideWorld:
    """What the system refused before anything was in place, with a way out."""
    where = _where(error) or Where(file=str(root.path))
    return OutsideWorld(f"{_words(error)}; nothing was written", hint=_hint(error), where=where)


def _cause(cause: BaseException) -> str:
    return _words(cause) if isinstance(cause, OSError) else type(cause).__name__


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _where(error: OSError) -> Where | None:
    return Where(file=str(error.filename)) if error.filename else None


def _hint(error: OSError) -> str | None:
    match error.errno:
        case errno.EACCES | errno.EPERM:
            return "run it as root, or write elsewhere: `--root DIR --apply` or `--out DIR`"
        case errno.ENOSPC | errno.EDQUOT:
            return "free some space and run it again"
        case errno.EROFS:
            return "the file system is read-only: remount it, or write elsewhere with `--root DIR --apply`"
        case _:
            return None
