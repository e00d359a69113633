"""Models that are on this disk already: a GGUF file with all parts of its split, or a directory."""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from llmops.domain.errors import OutsideWorld, WrongInput
from llmops.domain.file_names import part_names
from llmops.domain.finding import Where
from llmops.domain.model import Digest, DigestAlgorithm, ModelFile, ModelRef, SourceKind
from llmops.domain.transfer import Moved, Progress, silent
from llmops.hub.crew import Halt, together
from llmops.hub.hashing import file_digests
from llmops.hub.reader import unreadable
from llmops.hub.repository import check_names
from llmops.hub.select import TEXT_FILES, selected

FILES_LIMIT = 10_000


def list_local(path: Path | str) -> ModelRef:
    """The files of a local model with sizes, nothing hashed: all parts of a split GGUF, or all files of a directory.

    Raises `WrongInput` when the path is not there, or a part of the split is missing.
    """
    path = Path(path)
    try:
        if path.is_dir():
            names = _names_below(path)
            sizes = {name: (path / name).stat().st_size for name in names}
        else:
            sizes = {name: _part_bytes(path.with_name(name)) for name in part_names(path.name)}
    except OSError as error:
        raise unreadable(path, error) from error
    check_names(tuple(sizes), where=Where(file=str(path)))
    files = tuple(ModelFile(name=name, bytes=size, digest=None) for name, size in sizes.items())
    source = path.name or path.resolve().name
    return ModelRef(source=source, kind=SourceKind.LOCAL, repository=None, commit=None, licence=None, files=files)


def local_folder(path: Path | str) -> Path:
    """The folder that a local model's file names are relative to."""
    path = Path(path)
    return path if path.is_dir() else path.parent


def describe(path: Path | str, *, selector: str | None = None, progress: Progress = silent, jobs: int = 4) -> ModelRef:
    """A local model with the sha256 of each file that is needed; in a directory `selector` chooses among GGUF models."""
    path = Path(path)
    ref = list_local(path)
    if path.is_dir():
        ref = _needed(ref, selector)
    folder = local_folder(path)
    work = [partial(_hashed, folder / one.name, one, progress) for one in ref.files]
    return replace(ref, files=together(work, workers=jobs))


def _needed(ref: ModelRef, selector: str | None) -> ModelRef:
    """The files of a directory that are served; of one without weights, which can still be sized, its configuration."""
    has_weights = any(one.name.lower().endswith((".gguf", ".safetensors")) for one in ref.files)
    if selector is None and not has_weights and any(one.name == "config.json" for one in ref.files):
        return replace(ref, files=tuple(one for one in ref.files if one.name in TEXT_FILES))
    return selected(ref, selector=selector)


def _names_below(folder: Path) -> tuple[str, ...]:
    """Regular files (links to files count) two levels deep, hidden ones left out, sorted."""
    found: list[str] = []
    for inside, folders, files in os.walk(folder):
        depth = len(Path(inside).relative_to(folder).parts)
        folders[:] = sorted(one for one in folders if not one.startswith(".")) if depth < 2 else []
        prefix = "".join(f"{part}/" for part in Path(inside).relative_to(folder).parts)
        found += [prefix + one for one in sorted(files) if not one.startswith(".") and Path(inside, one).is_file()]
        if len(found) > FILES_LIMIT:
            raise WrongInput(f"more than {FILES_LIMIT} files: not a model's directory", where=Where(file=str(folder)))
    return tuple(found)


def _part_bytes(path: Path) -> int:
    try:
        status = path.stat()
    except OSError as error:
        raise unreadable(path, error) from error
    if not path.is_file():
        raise WrongInput("this is not a regular file", where=Where(file=str(path)))
    return status.st_size


def _hashed(path: Path, file: ModelFile, progress: Progress, halt: Halt) -> ModelFile:
    between = _reporting(file, progress, halt)
    try:
        before = path.stat()
        (sha256,) = file_digests(path.resolve(), (DigestAlgorithm.SHA256,), between=between)
        after = path.stat()
    except OSError as error:
        raise unreadable(path, error) from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise OutsideWorld("the file changed while it was read", where=Where(file=str(path)))
    return ModelFile(name=file.name, bytes=after.st_size, digest=Digest(algorithm=DigestAlgorithm.SHA256, value=sha256))


def _reporting(file: ModelFile, progress: Progress, halt: Halt) -> Callable[[int], None]:
    def between(done_bytes: int) -> None:
        halt.check()
        progress(Moved(name=file.name, done_bytes=done_bytes, total_bytes=file.bytes))

    return between
