"""What of a bundle goes beside the store: lock, rendered files, wheels. Written aside, verified, then it gets its name."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from llmops.bundle.carrier import Carrier
from llmops.bundle.refusal import COPY_AGAIN, disk_errors, refusal
from llmops.domain.bundle import Bundle, BundleFile, ReadAt
from llmops.domain.errors import OutsideWorld
from llmops.domain.finding import Where
from llmops.domain.transfer import Moved, Progress
from llmops.domain.units import MIB, size_text

PIECE_BYTES = 4 * MIB
RESERVE_BYTES = 16 * MIB


def digest_of(read: ReadAt, file: BundleFile, *, progress: Progress, into: int | None = None) -> str:
    """The sha256 of a large file; its bytes also go to the descriptor `into`."""
    digest, at = hashlib.sha256(), 0
    buffer = memoryview(bytearray(min(PIECE_BYTES, file.bytes + 1)))
    while count := read(at, buffer):
        digest.update(buffer[:count])
        at += count
        if into is not None:
            _write(into, buffer[:count])
        progress(Moved(name=file.path, done_bytes=at, total_bytes=file.bytes))
    return digest.hexdigest() if at == file.bytes else ""


@contextmanager
def unpacked(carrier: Carrier, bundle: Bundle, out: Path, texts: dict[str, bytes]) -> Iterator[None]:
    """`out` with all but the models: staged and verified on entering, named when the context ends well.

    `texts` are verified already. An `out` that holds just this is left alone; anything else there is refused.
    """
    wheels = [one for one in bundle.large() if not one.is_blob()]
    if os.path.lexists(out):
        _refuse_another(out, texts, wheels)
        yield
        return
    stage = out.with_name(f".{out.name}.llmops-part")
    with disk_errors(out):
        _clear(stage)
        _check_space(out, sum(len(one) for one in texts.values()) + sum(one.bytes for one in wheels))
        stage.mkdir(mode=0o755, parents=False)
    try:
        for path, content in texts.items():
            _write_text(stage / path, content)
        for one in wheels:
            _write_large(stage / one.path, carrier, one)
        yield
        with disk_errors(out):
            for inside, _, _ in os.walk(stage, topdown=False):
                _sync(Path(inside))
            stage.rename(out)
            _sync(out.parent)
    except BaseException:
        with suppress(OSError):
            _clear(stage)
        raise


def _refuse_another(out: Path, texts: dict[str, bytes], wheels: list[BundleFile]) -> None:
    with disk_errors(out):
        same = out.is_dir() and all(_holds(out / path, content) for path, content in texts.items())
        same = same and all((out / one.path).is_file() and _sha256(out / one.path) == one.sha256 for one in wheels)
    if not same:
        text = "there is something else of this name already, and it stays as it is"
        raise OutsideWorld(text, hint="`--out DIR` names another place", where=Where(file=str(out)))


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _clear(stage: Path) -> None:
    """What a broken run left."""
    if os.path.lexists(stage):
        shutil.rmtree(stage)


def _check_space(out: Path, size: int) -> None:
    free = shutil.disk_usage(out.parent).free
    if size + RESERVE_BYTES > free:
        text = f"not enough space: {size_text(size)} to write, {size_text(free)} are free"
        raise OutsideWorld(text, hint="`--out DIR` on another disk", where=Where(file=str(out.parent)))


def _write_text(path: Path, content: bytes) -> None:
    with disk_errors(path):
        descriptor = _new(path)
        try:
            _write(descriptor, memoryview(content))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_large(path: Path, carrier: Carrier, file: BundleFile) -> None:
    with disk_errors(path):
        descriptor = _new(path)
        try:
            with carrier.opened(file) as read:
                found = digest_of(read, file, progress=lambda _moved: None, into=descriptor)
            if found != file.sha256:
                raise refusal(carrier.name, f"`{file.path}` is damaged: it has another sha256", hint=COPY_AGAIN)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _new(path: Path) -> int:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)


def _write(descriptor: int, content: memoryview) -> None:
    at = 0
    while at < len(content):
        at += os.write(descriptor, content[at:])


def _sync(folder: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
