"""Locks and what follows from them, for a bundle: their model files in the store, and the files that `render` would write."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import field, replace
from pathlib import Path

from llmops.cli import render
from llmops.domain.bundle import LOCKS, RENDERED, BundleFile, BundleLock, blob_path
from llmops.domain.deployment import RenderedFile
from llmops.domain.errors import OutsideWorld, Stop, WrongInput, WrongUsage
from llmops.domain.finding import Finding, Status, Where
from llmops.domain.lock import Lock
from llmops.domain.model import Digest, DigestAlgorithm, ModelFile, ModelRef
from llmops.domain.places import model_version
from llmops.domain.programs import Runner
from llmops.domain.records import dataclass
from llmops.formats.lock import dump_lock, parse_lock
from llmops.hub.hashing import file_digests
from llmops.hub.store import Store
from llmops.library import files


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """Locks by their name in the bundle, their texts and rendered files, and the blobs with where each lies."""

    locks: dict[str, Lock] = field(default_factory=dict)
    rows: tuple[BundleLock, ...] = ()
    texts: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, BundleFile] = field(default_factory=dict)
    sources: tuple[tuple[BundleFile, Path], ...] = ()
    names: dict[str, str] = field(default_factory=dict)
    hints: dict[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def pack_locks(paths: Sequence[str], *, store: Store, with_models: bool, runner: Runner) -> Packed:
    """Everything that the locks name. Raises `WrongInput` for a model file that the store does not have."""
    packed = Packed()
    seen: dict[str, ModelRef] = {}
    for path in paths:
        text = files.read_text(Path(path), hint="`llmops plan MODEL --out llmops.lock` writes one")
        lock = parse_lock(text, file=path)
        pinned = _pinned(lock, path, store, must=with_models)
        _refuse_clash(seen, pinned, path)
        name = _name(pinned, packed.locks)
        place = f"{LOCKS}/{name}/llmops.lock"
        row = BundleLock(name=name, path=place, deployments=tuple(pinned.deployments))
        packed.texts[place] = (text if pinned == lock else dump_lock(pinned)).encode()
        packed.locks[name] = pinned
        packed = replace(packed, rows=(*packed.rows, row))
        packed = _with_rendered(packed, path, name, runner)
        if with_models:
            packed = _with_blobs(packed, pinned, path, store)
    return packed


def _name(lock: Lock, taken: dict[str, Lock]) -> str:
    """After its first deployment."""
    first = next(iter(lock.deployments))
    names = [first, *(f"{first}-{number}" for number in range(2, len(taken) + 3))]
    return next(one for one in names if one not in taken)


def _refuse_clash(seen: dict[str, ModelRef], lock: Lock, path: str) -> None:
    for name, one in lock.deployments.items():
        if seen.setdefault(name, one.model) != one.model:
            text = f"another lock has a deployment `{name}`, too, with another model"
            raise WrongUsage(text, hint="one bundle for each, or another name in the profile", where=Where(file=path))


def _pinned(lock: Lock, path: str, store: Store, *, must: bool) -> Lock:
    """The lock as a pull leaves it: small files, of which the hub gives git's sha1 alone, with their sha256."""
    deployments = {
        name: replace(
            one,
            model=replace(
                one.model,
                files=tuple(_with_sha256(file, one.model, name, path, store, must=must) for file in one.model.files),
            ),
        )
        for name, one in lock.deployments.items()
    }
    return replace(lock, deployments=deployments)


def _with_sha256(file: ModelFile, model: ModelRef, name: str, path: str, store: Store, *, must: bool) -> ModelFile:
    if file.digest is None:
        text = f"`{name}`: no digest is known for `{file.name}`, so nothing could vouch for it"
        raise WrongInput(text, hint="plan it again", where=Where(file=path))
    if file.digest.algorithm is DigestAlgorithm.SHA256:
        return file
    place = store.directory(name, model_version(model)) / file.name
    try:
        sha1, sha256 = file_digests(place.resolve(strict=True), (file.digest.algorithm, DigestAlgorithm.SHA256))
    except OSError:
        if must:
            raise _not_there(file, name, path, store) from None
        return file
    if sha1 != file.digest.value:
        raise WrongInput(
            f"`{name}`: `{file.name}` in the store is not what the lock says",
            hint=f"`llmops verify --repair --lock {path}`",
            where=Where(file=str(place)),
        )
    return replace(file, digest=Digest(algorithm=DigestAlgorithm.SHA256, value=sha256))


def _not_there(file: ModelFile, name: str, path: str, store: Store) -> WrongInput:
    text = f"`{file.name}` of `{name}` is not in the store {store.root}"
    hint = f"`llmops pull --lock {path}` first; `--store DIR` names another store, `--no-models` leaves models out"
    return WrongInput(text, hint=hint, where=Where(file=path))


def _with_blobs(packed: Packed, lock: Lock, path: str, store: Store) -> Packed:
    sources = list(packed.sources)
    for name, one in lock.deployments.items():
        for file in one.model.files:
            if file.digest is None:
                raise AssertionError("pinned before")
            sha256 = file.digest.value
            row = BundleFile(path=blob_path(sha256), bytes=file.bytes, sha256=sha256)
            if row.path in packed.blobs:
                continue
            source = store.blob(sha256)
            try:
                is_there = source.lstat().st_size == file.bytes
            except FileNotFoundError:
                is_there = False
            except OSError as error:
                hint = "run it as a user who may read the store"
                raise OutsideWorld("the store cannot be read", hint=hint, where=Where(file=str(source))) from error
            if not is_there:
                raise _not_there(file, name, path, store)
            packed.blobs[row.path] = row
            packed.names[row.path] = f"{name}/{file.name}"
            packed.hints[row.path] = f"`llmops verify --repair --lock {path}`"
            sources.append((row, source))
    return replace(packed, sources=tuple(sources))


def _with_rendered(packed: Packed, path: str, name: str, runner: Runner) -> Packed:
    """As `render --out` writes them: without secrets. A lock that cannot be rendered is carried all the same."""
    try:
        rendered = render.rendered_files(render.Options(lock=path, out=os.curdir), runner=runner)
    except Stop as stop:
        text = f"`{name}`: no rendered files are in the bundle: {stop.message}"
        found = Finding(code="BND002", status=Status.WARN, message=text, fix=stop.hint, where=Where(file=path))
        return replace(packed, findings=(*packed.findings, found))
    for one in rendered:
        packed.texts[f"{RENDERED}/{name}{one.path}"] = one.text.encode()
    return packed


def rendered_at(root: str, paths: Sequence[str], runner: Runner) -> tuple[RenderedFile, ...]:
    """What `render --apply` would write below a root from these locks; nothing of one that cannot be rendered."""
    rendered: list[RenderedFile] = []
    for path in paths:
        with suppress(Stop):
            rendered += render.rendered_files(render.Options(lock=path, root=root), runner=runner)
    return tuple(rendered)
