"""Bundles for tests: a store with a small model, its lock, and `llmops bundle` on them."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import locks
from hub_models import CONFIG, GGUF, content, sha256

from llmops.cli import bundle, pull
from llmops.cli.bundle_options import Action, Options
from llmops.domain.forms import Json
from llmops.domain.model import ModelFile, ModelRef, SourceKind
from llmops.formats.lock import dump_lock
from llmops.probe.programs import Programs

COMMIT = "c" * 40
Result = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where a bundle is made: a folder with `llmops.lock`, `src` with the files, and `store`, into which they were pulled."""

    folder: Path
    ref: ModelRef

    @property
    def lock(self) -> str:
        return str(self.folder / "llmops.lock")

    @property
    def store(self) -> str:
        return str(self.folder / "store")

    def create(self, name: str = "bundle", **more: object) -> Path:
        """Make a bundle; its path, of the first volume where there are several."""
        return Path(self.created(name, **more)["paths"][0])

    def created(self, name: str = "bundle", **more: object) -> Result:
        """As `create`; the whole result."""
        more = {"paths": (self.lock,), "store": self.store} | more
        return run(Options(action=Action.CREATE, output=str(self.folder / name), **cast("Any", more)))

    def install(self, path: Path, to: str = "target", **more: object) -> Result:
        """Install it below `to`; the result."""
        target = self.folder / to
        target.mkdir(exist_ok=True)
        more = {"store": str(target / "store"), "out": str(target / "out")} | more
        return run(Options(action=Action.INSTALL, paths=(str(path),), **cast("Any", more)))


def run(options: Options) -> Result:
    """The result of a `bundle` command in this process."""
    result: Json = bundle.run(options, runner=Programs(os.environ)).result
    assert isinstance(result, dict)
    return result


def verify(path: Path, **more: object) -> Result:
    return run(Options(action=Action.VERIFY, paths=(str(path),), **cast("Any", more)))


def site(
    folder: Path, *, size: int = 300_000, files: Mapping[str, bytes] | None = None, allow_pickle: bool = False
) -> Site:
    """A model of one GGUF and one small file, pulled from a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    files = files or {GGUF: content(size), CONFIG: b'{"model_type": "llama"}'}
    for name, data in files.items():
        path = folder / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    rows = tuple(ModelFile(name=name, bytes=len(data), digest=sha256(data)) for name, data in files.items())
    ref = ModelRef(
        source="hf:org/model-GGUF", kind=SourceKind.HUB, repository="org/model-GGUF", commit=COMMIT, licence="apache-2.0",
        files=rows,
    )  # fmt: skip
    write_lock(folder / "llmops.lock", ref)
    pull_into(folder, folder / "store", allow_pickle=allow_pickle)
    return Site(folder=folder, ref=ref)


def write_lock(path: Path, ref: ModelRef) -> None:
    """A lock of the deployment `chat`; with few files to render, since each one costs a sync."""
    deployment = replace(locks.llama_cpu(), model=ref)
    path.write_text(dump_lock(locks.lock({"chat": deployment}, targets=("env",))))


def pull_into(folder: Path, store: Path, *, allow_pickle: bool = False) -> None:
    """What `llmops pull` makes of the lock."""
    pull.run(
        pull.Options(
            lock=str(folder / "llmops.lock"), store=str(store), origin=str(folder / "src"), allow_pickle=allow_pickle
        )
    )


def another_lock(made: Site, name: str, **more: object) -> str:
    """A second lock beside the first, for the same model with some of its fields changed."""
    write_lock(made.folder / name, replace(made.ref, **cast("Any", more)))
    return str(made.folder / name)


def tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Mode, time stamp and content (links: where to) of everything below; not a record's times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        data = b""
        if path.is_symlink():
            data = os.fsencode(path.readlink())
        elif path.is_file():
            data = path.read_bytes()
            if "records" in path.parts:
                record = json.loads(data)
                del record["pulled_at"], record["lock"], record["measured"]
                data = json.dumps(record).encode()
        is_stamped = path.is_file() and "records" not in path.parts and path.name != "landing"
        stamp = status.st_mtime_ns if is_stamped else 0
        found[str(path.relative_to(folder))] = (status.st_mode, stamp, data)
    return found


def copied(path: Path, to: Path) -> Path:
    """A bundle's copy to do something to."""
    if path.is_dir():
        return Path(shutil.copytree(path, to))
    return Path(shutil.copy(path, to))


def visible(store: Path) -> list[str]:
    """What of a store anything could be served from."""
    return sorted(
        str(one.relative_to(store))
        for kind in ("models", "blobs")
        for one in store.glob(f"{kind}/**/*")
        if not one.is_dir()
    )
