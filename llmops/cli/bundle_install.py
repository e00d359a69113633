"""`llmops bundle verify` and `install`: everything is read and held against its digest before anything is visible."""

import os
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from llmops.bundle.unpacking import digest_of, unpacked
from llmops.cli.answer import Answer
from llmops.cli.bundle_open import Open, damaged, opened
from llmops.cli.bundle_options import Action, Options
from llmops.cli.noting import by_lock, note
from llmops.domain.bundle import LOCKS, BundleFile, ReadAt, Rto
from llmops.domain.errors import WrongInput, WrongUsage
from llmops.domain.finding import Finding, Status, Where
from llmops.domain.forms import Json, dump
from llmops.domain.transfer import Fetched, Moved, Progress, silent
from llmops.hub.crew import Halt, together
from llmops.hub.fetch import missing_files
from llmops.hub.receive import receive
from llmops.hub.store import Store, store_root
from llmops.hub.wanted import refuse_pickles
from llmops.views.bundle import Installed, show_installed, show_verified
from llmops.views.screen import Screen, show_findings

Watch = Callable[[int], AbstractContextManager[Progress]]
OUT = "llmops-bundle"


def unwatched(_total_bytes: int) -> AbstractContextManager[Progress]:
    """Show no progress."""
    return nullcontext(silent)


def verify(options: Options, *, watch: Watch = unwatched) -> Answer:
    """Every byte of the bundle is read; nothing is written."""
    began = time.monotonic()
    with opened(options) as found:
        large = found.bundle.large()
        with watch(sum(one.bytes for one in large)) as progress:
            wrong = _wrong(found, large, progress, jobs=options.jobs)
        if wrong:
            raise damaged(found.carrier.name, wrong)
    result = _result(Action.VERIFY, found, time.monotonic() - began)

    def show(to: Screen) -> None:
        show_verified(to, found.bundle, found.signature)
        show_findings(to, found.findings)

    return Answer(result=result, show=show, findings=found.findings)


def _wrong(found: Open, large: Sequence[BundleFile], progress: Progress, *, jobs: int) -> list[str]:
    names = {
        one.digest.value: f"{name}/{one.name}"
        for name, ref in found.models().items()
        for one in ref.files
        if one.digest is not None
    }

    def job(file: BundleFile) -> Callable[[Halt], bool]:
        def work(halt: Halt) -> bool:
            def moved(how: Moved) -> None:
                halt.check()
                progress(how)

            with found.carrier.opened(file) as read:
                return digest_of(read, file, name=names.get(file.sha256, file.path), progress=moved) == file.sha256

        return work

    answers = together([job(one) for one in large], workers=jobs)
    return [one.path for one, is_right in zip(large, answers, strict=True) if not is_right]


def install(options: Options, *, watch: Watch = unwatched) -> Answer:
    """Models into the store, the rest into a folder; nothing has its name before all of it is verified."""
    began = time.monotonic()
    out = _out(options)
    if not out.parent.is_dir():
        raise WrongInput(
            "the directory does not exist", hint=f"`mkdir -p {out.parent}`", where=Where(file=str(out.parent))
        )
    store = Store(store_root(options.store, environment=os.environ))
    with opened(options) as found:
        models = found.models()
        for ref in models.values():
            refuse_pickles(ref.files, allow_pickle=options.allow_pickle)
        absent = tuple(f"{name}/{one.name}" for name, ref in models.items() for one in missing_files(ref, store=store))
        fetched: tuple[Fetched, ...] = ()
        with unpacked(found.carrier, found.bundle, out, found.texts):
            if found.bundle.has_models or not absent:
                with watch(sum(file.bytes for ref in models.values() for file in ref.files)) as progress:
                    fetched = receive(
                        models, opened=_blobs(found), origin=found.carrier.name, store=store, progress=progress,
                        jobs=options.jobs,
                    )  # fmt: skip
        for row in found.bundle.locks:
            for name in row.deployments if fetched else ():
                note(store, name, models[name], lock=by_lock(out / row.path, found.texts[row.path].decode()))
    seconds = time.monotonic() - began
    missing = () if found.bundle.has_models else absent
    rto = _rto(options, found, seconds)
    installed = Installed(
        bundle=found.bundle, signature=found.signature, fetched=fetched, out=out, store=store.root, seconds=seconds, rto=rto,
        next_commands=_next(found, out, store),
    )  # fmt: skip
    findings = (*found.findings, *_missing(missing, found, out), *_rto_findings(rto))
    result = _result(Action.INSTALL, found, seconds) | {
        "out": str(out),
        "store": str(store.root),
        "models": [_model(one) for one in fetched],
        "missing": list[Json](missing),
        "rto": dump(rto) if rto is not None else None,
        "next": list[Json](installed.next_commands),
    }

    def show(to: Screen) -> None:
        show_installed(to, installed)
        show_findings(to, findings)

    return Answer(result=result, show=show, findings=findings)


def _out(options: Options) -> Path:
    """Where all but the models goes. Typed inside a bundle's folder, that folder is the place: nothing is put into it."""
    out, bundle = Path(options.out or OUT).absolute(), Path(options.paths[0]).resolve()
    if not bundle.is_dir() or not out.parent.resolve().is_relative_to(bundle):
        return out
    if options.out is not None and out.resolve() != bundle:
        raise WrongUsage("`--out` is inside the bundle, which it would change", hint="name a place outside of it")
    return bundle


def _blobs(found: Open) -> Callable[[str], AbstractContextManager[ReadAt]]:
    blobs = found.blobs()

    @contextmanager
    def open_blob(sha256: str) -> Iterator[ReadAt]:
        if sha256 not in blobs:
            raise WrongInput(f"no file of the sha256 {sha256[:16]}… is in it", where=Where(file=found.carrier.name))
        with found.carrier.opened(blobs[sha256]) as read:
            yield read

    return open_blob


def _result(action: Action, found: Open, seconds: float) -> dict[str, Json]:
    bundle = found.bundle
    signature = found.signature
    return {
        "action": action.value,
        "paths": [found.carrier.name],
        "bytes": sum(one.bytes for one in bundle.files),
        "checksums_sha256": found.checksums_sha256,
        "signature": dump(signature) if signature is not None else {"kind": None, "by": None, "checked": False},
        "files": [dump(one) for one in bundle.files],
        "locks": [dump(one) for one in bundle.locks],
        "images": list[Json](bundle.images),
        "backup": dump(bundle.backup),
        "seconds": round(seconds, 3),
    }


def _model(fetched: Fetched) -> Json:
    return {
        "name": fetched.name,
        "version": fetched.version,
        "directory": str(fetched.directory),
        "files": [one.name for one in fetched.files],
    }


def _rto(options: Options, found: Open, seconds: float) -> Rto | None:
    """The deployments start side by side, so the slowest counts."""
    if options.rto is None:
        return None
    speeds = [one.speed.load_seconds for lock in found.locks.values() for one in lock.deployments.values()]
    starts = [one.value for one in speeds if one is not None]
    start = round(max(starts), 1) if starts else None
    return Rto(
        objective_seconds=options.rto,
        restore_seconds=round(seconds, 3),
        start_seconds=start,
        met=seconds + (start or 0) <= options.rto,
    )


def _rto_findings(rto: Rto | None) -> tuple[Finding, ...]:
    if rto is None:
        return ()
    if rto.met and rto.start_seconds is None:
        text = "how long the engines take to start is not known: the objective is held to the restore alone"
        return (Finding(code="BND005", status=Status.SKIP, message=text, fix=None),)
    if rto.met:
        return ()
    start = f" and the engine takes about {rto.start_seconds:g} s to start" if rto.start_seconds is not None else ""
    text = (
        f"the restore took {rto.restore_seconds:.1f} s{start}: more than the objective of {rto.objective_seconds:g} s"
    )
    fix = "faster disks or medium, a smaller model, or models kept on the standby (`bundle create --no-models`)"
    return (Finding(code="BND005", status=Status.FAIL, message=text, fix=fix),)


def _missing(missing: tuple[str, ...], found: Open, out: Path) -> tuple[Finding, ...]:
    if not missing:
        return ()
    text = f"{len(missing)} model files are neither in this bundle nor in the store, the first is `{missing[0]}`"
    name = found.bundle.locks[0].name
    fix = f"`llmops pull --lock {_shown(out / LOCKS / name / 'llmops.lock')}`, or a bundle made without `--no-models`"
    return (Finding(code="BND003", status=Status.WARN, message=text, fix=fix),)


def _next(found: Open, out: Path, store: Store) -> tuple[str, ...]:
    commands = []
    if any(not one.is_blob() for one in found.bundle.large()):
        commands.append(f"pip install --no-index --find-links {_shown(out / 'wheels')} PACKAGE")
    for row in found.bundle.locks:
        lock = _shown(out / row.path)
        commands.append(f"llmops verify --lock {lock} --store {shlex.quote(str(store.root))}")
        commands.append(f"llmops render --apply --lock {lock}")
    return tuple(commands)


def _shown(path: Path) -> str:
    """As a person would type it here."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
