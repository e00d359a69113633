"""What is on disk, hashed again and held against what was planned."""

import os
import stat
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath

from llmops.domain.file_names import unsafe_file_name
from llmops.domain.model import Digest, ModelFile, ModelRef
from llmops.domain.places import model_version
from llmops.domain.transfer import FileCheck, FileStatus, Moved, Progress, silent
from llmops.domain.units import size_text
from llmops.hub.crew import Halt, together
from llmops.hub.disk import disk_errors
from llmops.hub.hashing import file_digests
from llmops.hub.linking import STAMP_NS
from llmops.hub.store import Store, files_below


def audit(
    ref: ModelRef, *, store: Store, name: str, progress: Progress = silent, jobs: int = 4, quick: bool = False
) -> tuple[FileCheck, ...]:
    """Every file of `ref` under `models/<name>/<version>`, read and hashed; then the files there that it does not name.

    `quick`: a file of the right length, time stamp and header is taken for right unread; any other one is hashed.
    """
    directory = store.directory(name, model_version(ref))
    work = [partial(_checked, one, directory, store, progress, quick) for one in ref.files]
    checks = together(work, workers=jobs)
    planned = {one.name for one in ref.files}
    with disk_errors(directory):
        extra = [one for one in files_below(directory) if one not in planned] if directory.is_dir() else []
    return (
        *checks,
        *(
            FileCheck(
                name=one, path=PurePosixPath(directory / one), status=FileStatus.EXTRA, why="the lock does not name it"
            )
            for one in extra
        ),
    )


def _checked(
    file: ModelFile,
    directory: Path,
    store: Store,
    progress: Progress,
    quick: bool,  # noqa: FBT001 - bound by position
    halt: Halt,
) -> FileCheck:
    path = directory / file.name

    def answer(status: FileStatus, why: str | None = None) -> FileCheck:
        return FileCheck(name=file.name, path=PurePosixPath(path), status=status, why=why)

    if unsafe_file_name(file.name) is not None:
        return answer(FileStatus.MISSING, "its name may not be a path")
    try:
        real = path.resolve(strict=True)
        status = real.stat()
    except (FileNotFoundError, NotADirectoryError):
        return answer(FileStatus.MISSING, "it is not there")
    except (OSError, RuntimeError) as error:
        return answer(
            FileStatus.CHANGED, f"it cannot be read: {getattr(error, 'strerror', None) or 'its links lead nowhere'}"
        )
    if not real.is_relative_to(store.root):
        return answer(FileStatus.CHANGED, "it is a link out of the store")
    if not stat.S_ISREG(status.st_mode):
        return answer(FileStatus.CHANGED, "it is not a regular file")
    if status.st_size != file.bytes:
        return answer(
            FileStatus.CHANGED, f"{status.st_size} bytes, {file.bytes} were planned ({size_text(file.bytes)})"
        )
    if file.digest is None:
        return answer(FileStatus.CHANGED, "the lock has no digest for it")
    if quick and status.st_mtime_ns == STAMP_NS and _has_header(real, file):
        progress(Moved(name=file.name, done_bytes=file.bytes, total_bytes=file.bytes))
        return answer(FileStatus.OK)
    why = _difference(real, file, file.digest, progress, halt)
    return answer(FileStatus.OK if why is None else FileStatus.CHANGED, why)


def _has_header(real: Path, file: ModelFile) -> bool:
    """Whether a .gguf or .safetensors begins as one; other files have no header to look at."""
    try:
        with real.open("rb") as opened:
            head = opened.read(9)
    except OSError:
        return False
    if file.name.endswith(".gguf"):
        return head[:4] == b"GGUF"
    if file.name.endswith(".safetensors"):
        return head[8:] == b"{" and int.from_bytes(head[:8], "little") <= file.bytes - 8
    return True


def _difference(real: Path, file: ModelFile, digest: Digest, progress: Progress, halt: Halt) -> str | None:
    """Read it all: why its bytes are not the planned ones, or None."""

    def between(done_bytes: int) -> None:
        halt.check()
        progress(Moved(name=file.name, done_bytes=done_bytes, total_bytes=file.bytes))

    try:
        (found,) = file_digests(real, (digest.algorithm,), between=between)
    except OSError as error:
        return f"it cannot be read: {(error.strerror or str(error)).lower()}"
    if found != digest.value:
        with suppress(OSError):
            os.utime(real)  # the stamp of verified bytes goes, so that the next pull does not trust them either
        return f"its {digest.algorithm.value} is {found}, {digest.value} was planned"
    return None
