"""The generation that is active on a host, for a bundle: its files as they lie there, without the secrets."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from llmops.apply.holding import refused
from llmops.apply.reading import last_generation
from llmops.apply.root import Root
from llmops.domain.bundle import BACKUP, BackedUp, BackupFile
from llmops.domain.changes import Action, GenerationFile
from llmops.domain.deployment import RenderedFile
from llmops.domain.errors import WrongInput
from llmops.domain.finding import Finding, Status, Where
from llmops.domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """The manifest's part, the files by their path in the bundle, and what was found on the way."""

    backup: BackedUp
    texts: Mapping[str, bytes]
    findings: tuple[Finding, ...]


def saved_generation(place: str, rendered: Sequence[RenderedFile]) -> Saved:
    """The newest generation below a root, held against what its locks render there. Raises `WrongInput` where there is none."""
    root = Root(Path(place))
    try:
        recorded = last_generation(root)
    except OSError as error:
        raise refused(error, root) from None
    if recorded is None:
        text = "nothing was applied here: there is no generation to back up"
        raise WrongInput(text, hint="`llmops render --apply`; `--root DIR` names another root", where=Where(file=place))
    kept = [one for one in recorded.files if one.action is not Action.DELETE and one.is_ours()]
    texts: dict[str, bytes] = {}
    rows: list[BackupFile] = []
    gone: list[str] = []
    for file in kept:
        if file.secret:
            continue
        content = _content(root, file)
        if content is None:
            gone.append(str(file.path))
            continue
        texts[f"{BACKUP}{file.path}"] = content
        is_edited = hashlib.sha256(content).hexdigest() != file.last_rendered()
        rows.append(
            BackupFile(
                path=str(file.path), mode=f"{file.mode:04o}", owner=file.owner, target=file.target, edited=is_edited
            )
        )
    backup = BackedUp(
        generation=recorded.number,
        applied_at=recorded.applied_at,
        files=tuple(sorted(rows, key=lambda one: one.path)),
        left_out=tuple(sorted(str(one.path) for one in kept if one.secret)),
    )
    return Saved(backup=backup, texts=texts, findings=tuple(_findings(backup, gone, texts, rendered)))


def _content(root: Root, file: GenerationFile) -> bytes | None:
    try:
        found = root.read(file.path)
    except OSError as error:
        raise refused(error, root) from None
    return found.content if found is not None else None


def _findings(
    backup: BackedUp, gone: list[str], texts: Mapping[str, bytes], rendered: Sequence[RenderedFile]
) -> list[Finding]:
    found = []
    edited = [one.path for one in backup.files if one.edited]
    if gone:
        text = f"{len(gone)} files of generation {backup.generation} are gone, the first is {gone[0]}"
        found.append(_warn(text, "`llmops status` shows them, `llmops render --apply` brings them back"))
    if edited:
        text = f"{len(edited)} files were edited since generation {backup.generation}, the first is {edited[0]}"
        found.append(_warn(text, "they are saved as they lie there; `render --apply` on the target writes the lock's"))
    wanted = {str(one.path): one.text.encode() for one in rendered}
    there = {one.path: texts[f"{BACKUP}{one.path}"] for one in backup.files if not one.path.endswith(".crt")}
    others = sorted(path for path in {*wanted, *there} if wanted.get(path) != there.get(path))  # certificates are made
    if rendered and others and not (gone or edited):
        text = f"{len(others)} files are not applied as this lock renders them, the first is {others[0]}"
        fix = (
            "it was applied from another lock, or with other options: `llmops render --lock LOCK` shows how they differ"
        )
        found.append(_warn(text, fix))
    return found


def _warn(text: str, fix: str) -> Finding:
    return Finding(code="BND004", status=Status.WARN, message=text, fix=fix)
