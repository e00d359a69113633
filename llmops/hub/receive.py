"""Models that were carried here: all of their files verified first, then all get their names. A pull's store, to the byte.

What a broken run left is gone on with, also what a pull over the network left: both are kept under the digest.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from llmops.domain.bundle import OpenBlob
from llmops.domain.errors import OutsideWorld, WrongInput
from llmops.domain.finding import Where
from llmops.domain.model import Digest, DigestAlgorithm, ModelFile, ModelRef
from llmops.domain.transfer import Fetched, Moved, Progress, silent
from llmops.domain.units import MIB
from llmops.hub.crew import Halt, together
from llmops.hub.disk import check_space, disk_errors
from llmops.hub.fetch import FILES_PER_NAME, JOBS, Arrived, publish
from llmops.hub.partial import HASH_BYTES, Lease, Partial, partial_key, resumable_bytes
from llmops.hub.preflight import check_lengths
from llmops.hub.repository import check_names
from llmops.hub.store import Store

PIECE_BYTES = 4 * MIB
SYNC_BYTES = 256 * MIB
"""So much is written before it is brought to the disk: what a power cut can take."""


def receive(
    models: Mapping[str, ModelRef],
    *,
    opened: OpenBlob,
    origin: str,
    store: Store,
    progress: Progress = silent,
    jobs: int = JOBS,
) -> tuple[Fetched, ...]:
    """Every model's files out of a bundle (`origin`, for messages), under the names of their deployments.

    Nothing is visible before the last file is verified. Raises `WrongInput` when one is not what the lock says.
    """
    for ref in models.values():
        check_names(tuple(one.name for one in ref.files), where=Where(file=origin))
    files = _by_digest(models, origin)
    store.prepare()
    check_lengths(store.root, tuple(files.values()))
    with ExitStack() as keys:
        keys.enter_context(store.landing())
        for sha256, file in sorted(files.items()):  # sorted: two runs never wait for each other
            keys.enter_context(store.hold(partial_key(_digest(sha256)), what=f"`{file.name}`"))
        halt = Halt()
        missing = {
            sha256: file
            for sha256, file in files.items()
            if not store.still_holds(sha256, size_bytes=file.bytes, halt=halt)
        }
        for sha256 in files.keys() - missing.keys():
            _clear(store, sha256)
        needed = sum(one.bytes - resumable_bytes(store.incoming, one) for one in missing.values())
        check_space(store.root, needed_bytes=needed, new_files=FILES_PER_NAME * len(missing))
        work = [partial(_bring, one, opened, origin, store, progress) for one in missing.values()]
        for came in together(work, workers=jobs):
            store.admit(came.path, came.sha256_now())
            came.leave()
        return tuple(
            publish(ref, store=store, name=name, arrived=[_arrived(one) for one in ref.files])
            for name, ref in models.items()
        )


def _clear(store: Store, sha256: str) -> None:
    """What a run left that ended between giving bytes their name and forgetting how they came."""
    key = partial_key(_digest(sha256))
    for left in (f"{key}.journal", f"{key}.journal.new", f"{key}.partial"):
        with disk_errors(store.incoming):
            (store.incoming / left).unlink(missing_ok=True)


def _arrived(file: ModelFile) -> Arrived:
    return Arrived(sha256=_sha256(file), transferred_bytes=0)


def _by_digest(models: Mapping[str, ModelRef], origin: str) -> dict[str, ModelFile]:
    """Every file once, however many deployments name it."""
    files: dict[str, ModelFile] = {}
    for name, ref in models.items():
        for one in ref.files:
            if one.digest is None or one.digest.algorithm is not DigestAlgorithm.SHA256:
                text = f"`{name}`: no sha256 is known for `{one.name}`"
                raise WrongInput(text, hint="make the bundle again", where=Where(file=origin))
            same = files.setdefault(one.digest.value, one)
            if same.bytes != one.bytes:
                text = f"`{same.name}` and `{one.name}` have one sha256 and two lengths"
                raise WrongInput(text, where=Where(file=origin))
    return files


def _sha256(file: ModelFile) -> str:
    if file.digest is None:
        raise AssertionError("checked before")
    return file.digest.value


def _digest(sha256: str) -> Digest:
    return Digest(algorithm=DigestAlgorithm.SHA256, value=sha256)


def _bring(file: ModelFile, opened: OpenBlob, origin: str, store: Store, progress: Progress, halt: Halt) -> Partial:
    """One file, whole and verified, not in the store yet."""
    digest = _digest(_sha256(file))
    with Partial(store.incoming, replace(file, digest=digest), digest) as came:
        kept = came.done_bytes
        _copy(file, came, opened, progress, halt)
        if kept and came.digest_now() != digest.value:
            came.start_over()  # the part an earlier run left may be what is wrong
            _copy(file, came, opened, progress, halt)
        if came.hashed_bytes != file.bytes or came.digest_now() != digest.value:
            came.discard()
            text = (
                f"`{file.name}` is damaged: its sha256 is {came.digest_now()[:16]}…, {digest.value[:16]}… was expected"
            )
            hint = "copy the bundle again; nothing of it is visible"
            raise WrongInput(text, hint=hint, where=Where(file=origin))
    progress(Moved(name=file.name, done_bytes=file.bytes, total_bytes=file.bytes))
    return came


def _copy(file: ModelFile, came: Partial, opened: OpenBlob, progress: Progress, halt: Halt) -> None:
    piece = memoryview(bytearray(min(PIECE_BYTES, max(file.bytes, 1))))
    hashing = memoryview(bytearray(min(HASH_BYTES, max(file.bytes, 1))))
    with opened(_sha256(file)) as read:
        while (lease := came.lease()) is not None:
            try:
                while lease.missing_bytes:
                    halt.check()
                    _step(file, lease, read(lease.at, piece[: lease.missing_bytes]), piece, came)
                    while came.hash_some(hashing):
                        pass
                    progress(Moved(name=file.name, done_bytes=came.done_bytes, total_bytes=file.bytes))
            finally:
                came.give_back(lease)
    while came.hash_some(hashing):
        halt.check()


def _step(file: ModelFile, lease: Lease, count: int, piece: memoryview, came: Partial) -> None:
    if not count:
        raise OutsideWorld(f"`{file.name}` became shorter while it was read", hint="copy the bundle again")
    came.write(lease, piece[:count])
    if came.unsynced_bytes >= SYNC_BYTES:
        came.sync()
