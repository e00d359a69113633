"""`llmops pull`."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from llmops.cli.answer import Answer, JsonOption, QuietOption, StrictOption, Style, VerboseOption, give
from llmops.domain.errors import OutsideWorld, WrongInput, WrongUsage
from llmops.domain.finding import Finding, Status, Where
from llmops.domain.lock import Lock
from llmops.domain.model import Digest, DigestAlgorithm, ModelRef, ModelSource, SourceKind
from llmops.domain.places import deployment_name
from llmops.domain.records import dataclass
from llmops.domain.transfer import Fetched, Progress, silent
from llmops.formats import catalogue
from llmops.formats.lock import dump_lock, parse_lock
from llmops.formats.model_source import parse_model
from llmops.hub.account import hub_endpoint, hub_token
from llmops.hub.adopt import adopt, has_all
from llmops.hub.fetch import JOBS, fetch, missing_files
from llmops.hub.local import describe, local_folder
from llmops.hub.repository import list_files
from llmops.hub.select import selected
from llmops.hub.store import Store, store_root
from llmops.library import files, shipped
from llmops.views.progress import ProgressStyle, show_progress
from llmops.views.pull import pull_result, show_pull
from llmops.views.screen import Screen, show_findings

LOCK = "llmops.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`model` or `lock`; neither: `./llmops.lock`. `store` None: the user's. `origin` is where local files are looked for."""

    model: str | None = None
    lock: str | None = None
    store: str | None = None
    origin: str | None = None
    jobs: int = JOBS


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """Which hub, and who asks it; asked for when a file has to come from there."""

    endpoint: Callable[[], str]
    token: Callable[[], str | None]


Watch = Callable[[Sequence[ModelRef]], AbstractContextManager[Progress]]


def unwatched(_refs: Sequence[ModelRef]) -> AbstractContextManager[Progress]:
    """Show no progress."""
    return nullcontext(silent)


def run(options: Options, *, endpoint: str | None = None, token: str | None = None, watch: Watch = unwatched) -> Answer:
    """Lock or MODEL → pinned files → the store. `endpoint` None: the hub and the token of the environment."""
    if options.model is not None and options.lock is not None:
        raise WrongUsage(
            "MODEL and `--lock` together", hint="`llmops pull` fetches what the lock says, `llmops pull MODEL` a model"
        )
    hub = Hub(endpoint=hub_endpoint, token=hub_token)
    if endpoint is not None:
        hub = Hub(endpoint=lambda: endpoint, token=lambda: token)
    store = Store(store_root(options.store, environment=os.environ))
    if options.model is not None:
        return _pull_model(options.model, options, store, hub, watch)
    return _pull_lock(options.lock or LOCK, options, store, hub, watch)


def _pull_lock(path: str, options: Options, store: Store, hub: Hub, watch: Watch) -> Answer:
    text = files.read_text(
        Path(path), hint="`llmops plan MODEL --out llmops.lock` writes one; `llmops pull MODEL` needs none"
    )
    lock = parse_lock(text, file=path)
    refs = {name: one.model for name, one in lock.deployments.items()}
    with watch(tuple(refs.values())) as progress:
        pulled = [
            _pull(
                ref,
                name,
                _folders(ref, Path(path).parent, options),
                options,
                store,
                hub,
                _told_apart(progress, name, refs),
            )
            for name, ref in refs.items()
        ]
    gained, findings = _add_digests(Path(path), text, lock, pulled)
    return _answer(pulled, lock=path, gained=gained, findings=findings)


def _told_apart(progress: Progress, name: str, refs: Mapping[str, ModelRef]) -> Progress:
    """Two deployments may have files of the same name."""
    if len(refs) == 1:
        return progress
    return lambda moved: progress(replace(moved, name=f"{name}/{moved.name}"))


def _pull_model(text: str, options: Options, store: Store, hub: Hub, watch: Watch) -> Answer:
    source = _source(text)
    if source.kind is SourceKind.LOCAL:
        path = Path(source.path or text)
        ref = describe(path, selector=source.selector, jobs=options.jobs)
        folders: tuple[Path, ...] = (local_folder(path),)
    else:
        ref = selected(list_files(source, endpoint=hub.endpoint(), token=hub.token()), selector=source.selector)
        folders = _folders(ref, None, options)
    with watch((ref,)) as progress:
        pulled = _pull(ref, deployment_name(_named_after(source)), folders, options, store, hub, progress)
    return _answer([pulled], lock=None, gained=(), findings=())


def _named_after(source: ModelSource) -> str:
    """What the deployment is called after: the repository, the catalogue's id or the file, never the quantization."""
    return source.repository or Path(source.path or source.typed).resolve().name


def _pull(
    ref: ModelRef, name: str, folders: Sequence[Path], options: Options, store: Store, hub: Hub, progress: Progress
) -> Fetched:
    """From a folder of this machine that has all files, else from the hub."""
    folder = next((one for one in folders if has_all(ref, one)), None)
    if folder is None and not missing_files(ref, store=store):
        folder = store.root  # nothing will be read from it, and no hub asked
    if folder is not None:
        return adopt(ref, folder=folder, store=store, name=name, progress=progress, jobs=options.jobs)
    if ref.repository is None:
        looked = ", ".join(f"`{one}`" for one in folders)
        raise WrongInput(
            f"`{ref.files[0].name if ref.files else ref.source}` is a local file, and not in {looked}",
            hint="`llmops pull --from PATH`: the file, or the folder it lies in",
        )
    return fetch(
        ref, store=store, name=name, endpoint=hub.endpoint(), token=hub.token(), progress=progress, jobs=options.jobs
    )


def _folders(ref: ModelRef, beside: Path | None, options: Options) -> tuple[Path, ...]:
    """Where the files of `ref` may lie on this machine: `--from`, and for a local model beside the lock."""
    found: list[Path] = []
    if options.origin is not None:
        given = Path(options.origin)
        if not given.exists():
            raise WrongInput("there is no such file or directory", where=Where(file=options.origin))
        found += [local_folder(given), local_folder(given) / ref.source]
    if ref.repository is None and beside is not None:
        found += [beside, beside / ref.source]
    return tuple(found)


def _source(text: str) -> ModelSource:
    rows = catalogue.models(shipped.text("catalogue", "models.json"))
    source = parse_model(
        text,
        exists=lambda path: Path(path).exists(),
        is_catalogue=lambda name: catalogue.find_model(rows, name) is not None,
    )
    match source.kind:
        case SourceKind.HUB | SourceKind.LOCAL:
            return source
        case SourceKind.CATALOGUE:
            row = catalogue.find_model(rows, source.path or text)
            if row is None or not row.gguf_repositories:
                raise WrongUsage(
                    f"no GGUF repository of `{text}` is known", hint="give one: `llmops pull hf:org/repo:QUANT`"
                )
            return replace(source, kind=SourceKind.HUB, repository=row.gguf_repositories[0])
        case SourceKind.URL:
            hint = "download it and `llmops pull FILE`, or give `hf:org/repo:QUANT`"
            raise WrongUsage("an address alone has no digest to verify against", hint=hint)
        case SourceKind.OLLAMA:
            hint = "give the GGUF file itself: `hf:org/repo:QUANT` or a local path"
            raise WrongUsage(f"`{text}` is a name of the Ollama library, which this version does not read", hint=hint)


def _add_digests(
    path: Path, text: str, lock: Lock, pulled: Sequence[Fetched]
) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """Put the sha256 of small files, which the hub does not give, into the lock now that they were read.

    The commit pins them meanwhile. A lock that was changed during the pull, or cannot be written, is left as it is.
    """
    sha256 = {(one.name, file.name): file.sha256 for one in pulled for file in one.files}
    gained = tuple(
        file.name
        for name, one in lock.deployments.items()
        for file in one.model.files
        if file.digest is not None and file.digest.algorithm is not DigestAlgorithm.SHA256
    )
    if not gained:
        return (), ()
    deployments = {
        name: replace(one, model=_with_sha256(one.model, name, sha256)) for name, one in lock.deployments.items()
    }
    try:
        if files.read_text(path) != text:
            raise OutsideWorld("it was changed during the pull", where=Where(file=str(path)))
        files.write_atomically(
            path, dump_lock(replace(lock, deployments=deployments)), mode=path.stat().st_mode & 0o777
        )
    except (OutsideWorld, WrongInput) as stop:
        message = f"the sha256 of {len(gained)} small files could not be added to the lock: {stop.message}"
        fix = "they are verified by git's sha1 and the commit; `llmops pull` again adds them"
        return (), (Finding(code="PULL001", status=Status.WARN, message=message, fix=fix, where=stop.where),)
    return gained, ()


def _with_sha256(ref: ModelRef, name: str, sha256: Mapping[tuple[str, str], str]) -> ModelRef:
    return replace(
        ref,
        files=tuple(
            replace(one, digest=Digest(algorithm=DigestAlgorithm.SHA256, value=sha256[name, one.name]))
            for one in ref.files
        ),
    )


def _answer(
    pulled: Sequence[Fetched], *, lock: str | None, gained: Sequence[str], findings: tuple[Finding, ...]
) -> Answer:
    def show(to: Screen) -> None:
        show_pull(to, pulled, lock=lock, lock_gained=gained)
        show_findings(to, findings)

    return Answer(result=pull_result(pulled, lock_gained=gained), show=show, findings=findings)


def command(
    model: Annotated[
        str | None,
        typer.Argument(help="`hf:org/repo[@rev][:QUANT or file]`, a local .gguf; default: what the lock says."),
    ] = None,
    *,
    lock: Annotated[str | None, typer.Option(help="The lock (default ./llmops.lock).", envvar="LLMOPS_LOCK")] = None,
    store: Annotated[str | None, typer.Option(help="Where models are kept.", envvar="LLMOPS_STORE")] = None,
    origin: Annotated[
        str | None,
        typer.Option("--from", help="A file or folder on this machine to take files from.", envvar="LLMOPS_FROM"),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=32, help="Files at once.", envvar="LLMOPS_JOBS")] = JOBS,
    progress: Annotated[
        ProgressStyle, typer.Option(help="On stderr: bar or lines, JSON lines, nothing.", envvar="LLMOPS_PROGRESS")
    ] = ProgressStyle.AUTO,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    strict: StrictOption = False,
) -> int:
    """Fetch a model's files, resumable and verified, into the store."""
    if model is not None and lock == os.environ.get("LLMOPS_LOCK"):
        lock = None  # the environment's lock gives way to what is typed
    style = ProgressStyle.NONE if quiet and progress is ProgressStyle.AUTO else progress

    def watch(refs: Sequence[ModelRef]) -> AbstractContextManager[Progress]:
        total = sum(one.bytes for ref in refs for one in ref.files)
        return show_progress(style, sys.stderr, os.environ, total_bytes=total, verb="pull")

    options = Options(model=model, lock=lock, store=store, origin=origin, jobs=jobs)
    return give("pull", run(options, watch=watch), Style(json=as_json, quiet=quiet, verbose=verbose, strict=strict))
