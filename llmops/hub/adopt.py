"""Files that are on this disk already, into the store: cloned where the file system can, else copied; always verified."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from llmops.domain.errors import WrongInput
from llmops.domain.finding import Where
from llmops.domain.model import Digest, ModelFile, ModelRef
from llmops.domain.transfer import Fetched, Moved, Progress, silent
from llmops.hub.crew import Halt
from llmops.hub.disk import clone, disk_errors
from llmops.hub.fetch import JOBS, Arrived, bytes_to_bring, land, missing_files
from llmops.hub.hashing import BLOCK_BYTES
from llmops.hub.partial import Partial
from llmops.hub.reader import unreadable
from llmops.hub.repository import check_names
from llmops.hub.store import Store


def adopt(
    ref: ModelRef, *, folder: Path, store: Store, name: str, progress: Progress = silent, jobs: int = JOBS
) -> Fetched:
    """The files of `ref` from a folder of this machine; those the store has are not looked for there.

    No hard links: a file that its owner edits would change the verified bytes. Raises `WrongInput` when a file is not
    the one its digest says.
    """
    check_names(tuple(one.name for one in ref.files), where=Where(file=ref.source))
    missing = missing_files(ref, store=store)
    for file in missing:
        _check_there(folder / file.name, file)
    store.prepare()
    is_free = not missing or _can_clone(folder / missing[0].name, store.incoming)

    def bring(file: ModelFile, digest: Digest, halt: Halt) -> Arrived:
        return bring_from(folder / file.name, file, digest, store, progress, halt)

    needed = 0 if is_free else bytes_to_bring(ref, store=store, name=name)
    return land(ref, store=store, name=name, bring=bring, needed_bytes=needed, progress=progress, jobs=jobs)


def adopt_stored(
    ref: ModelRef, *, store: Store, name: str, progress: Progress = silent, jobs: int = JOBS
) -> Fetched | None:
    """The files of `ref` where the store has all of them already, whatever they are called there; None where it has not.

    Nothing is read from elsewhere, and no hub asked; `models gc` is held off from this look to the last name.
    """
    if missing_files(ref, store=store):
        return None
    store.prepare()
    with store.landing():
        if missing_files(ref, store=store):
            return None
        return adopt(ref, folder=store.root, store=store, name=name, progress=progress, jobs=jobs)


def has_all(ref: ModelRef, folder: Path) -> bool:
    """Whether a folder has files of all these names."""
    return all((folder / one.name).is_file() for one in ref.files)


def _check_there(path: Path, file: ModelFile) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise unreadable(path, error) from error
    if size != file.bytes:
        raise WrongInput(
            f"this is not the file of the lock: {size} bytes, not {file.bytes}", where=Where(file=str(path))
        )


def bring_from(path: Path, file: ModelFile, digest: Digest, store: Store, progress: Progress, halt: Halt) -> Arrived:
    """One file of this machine into the store, verified on the way. The caller holds its key."""
    with Partial(store.incoming, file, digest) as partial:
        partial.start_over()
        if not _clone(path, partial):
            _copy(path, partial, file, progress, halt)
        if partial.done_bytes != file.bytes or partial.digest_now() != digest.value:
            partial.discard()
            text = f"this is not the file of the lock: its {digest.algorithm.value} is {partial.digest_now()}"
            raise WrongInput(text, hint=f"{digest.value} was expected", where=Where(file=str(path)))
        store.admit(partial.path, partial.sha256_now())
        partial.leave()
        progress(Moved(name=file.name, done_bytes=file.bytes, total_bytes=file.bytes))
        return Arrived(sha256=partial.sha256_now(), transferred_bytes=0)


def _copy(path: Path, partial: Partial, file: ModelFile, progress: Progress, halt: Halt) -> None:
    buffer = memoryview(bytearray(BLOCK_BYTES))
    with _opened(path) as source:
        while True:
            halt.check()
            try:
                count = source.readinto(buffer)
            except OSError as error:
                raise unreadable(path, error) from error
            if not count:
                return
            partial.append(buffer[:count])
            progress(Moved(name=file.name, done_bytes=min(partial.done_bytes, file.bytes), total_bytes=file.bytes))


def _clone(path: Path, partial: Partial) -> bool:
    with _opened(path) as source:
        return partial.clone(source.fileno())


def _can_clone(path: Path, folder: Path) -> bool:
    """Whether a clone of this file can be made in the folder, by making one."""
    probe = folder / f".clone-{os.getpid()}"
    with disk_errors(probe), _opened(path) as source:
        try:
            with probe.open("wb") as target:
                return clone(source.fileno(), target.fileno())
        finally:
            probe.unlink(missing_ok=True)


@contextmanager
def _opened(path: Path) -> Iterator[FileIO]:
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise unreadable(path, error) from error
    with file:
        yield file
