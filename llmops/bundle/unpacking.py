"""What of a bundle goes beside the store: lock, rendered files, wheels. Written aside, verified, then it gets its name."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from llmops.bundle.carrier import Carrier
from llmops.bundle.refusal import disk_errors, refusal
from llmops.bundle.staging import name_folder, staged, write_file
from llmops.domain.bundle import Bundle, BundleFile, ReadAt
from llmops.domain.errors import OutsideWorld
from llmops.domain.finding import Where
from llmops.domain.transfer import Moved, Progress
from llmops.domain.units import MIB

PIECE_BYTES = 4 * MIB


def digest_of(read: ReadAt, file: BundleFile, *, name: str, progress: Progress) -> str:
    """The sha256 of a large file; empty where it is shorter than it should be."""
    digest, at = hashlib.sha256(), 0
    for piece in _pieces(read, file):
        digest.update(piece)
        at += len(piece)
        progress(Moved(name=name, done_bytes=at, total_bytes=file.bytes))
    return digest.hexdigest() if at == file.bytes else ""


@contextmanager
def unpacked(carrier: Carrier, bundle: Bundle, out: Path, texts: Mapping[str, bytes]) -> Iterator[None]:
    """`out` with all but the models: staged and verified on entering, named when the context ends well.

    `texts` are verified already. An `out` that holds all of this is left alone, with what else it may hold; any other is refused.
    """
    wheels = [one for one in bundle.large() if not one.is_blob()]
    if os.path.lexists(out):
        _refuse_another(out, texts, wheels)
        yield
        return
    with staged(out, sum(len(one) for one in texts.values()) + sum(one.bytes for one in wheels)) as stage:
        folder = stage / out.name
        with disk_errors(out):
            for path, content in texts.items():
                write_file(folder / path, iter((memoryview(content),)))
            for one in wheels:
                with carrier.opened(one) as read:
                    write_file(folder / one.path, _verified(read, one, carrier.name))
        yield
        with disk_errors(out):
            name_folder(folder, out)


def _pieces(read: ReadAt, file: BundleFile) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(min(PIECE_BYTES, file.bytes + 1)))
    at = 0
    while count := read(at, buffer):
        yield buffer[:count]
        at += count


def _verified(read: ReadAt, file: BundleFile, name: str) -> Iterator[memoryview]:
    """A large file's bytes. Raises `WrongInput` at the end when they are not what its digest says."""
    digest = hashlib.sha256()
    for piece in _pieces(read, file):
        digest.update(piece)
        yield piece
    if digest.hexdigest() != file.sha256:
        raise refusal(name, f"`{file.path}` is damaged: it has another sha256")


def _refuse_another(out: Path, texts: Mapping[str, bytes], wheels: list[BundleFile]) -> None:
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
