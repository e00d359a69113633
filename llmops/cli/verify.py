"""`llmops verify`."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from llmops.cli.answer import Answer, JsonOption, QuietOption, StrictOption, Style, VerboseOption, give
from llmops.domain.finding import Finding, Status, Where
from llmops.domain.model import ModelRef
from llmops.domain.places import model_version
from llmops.domain.records import dataclass
from llmops.domain.transfer import FileCheck, FileStatus, Progress, silent
from llmops.formats.lock import parse_lock
from llmops.hub.audit import audit
from llmops.hub.fetch import JOBS
from llmops.hub.store import Store, store_root
from llmops.library import files
from llmops.views.progress import ProgressStyle, show_progress
from llmops.views.screen import Screen, show_findings
from llmops.views.verify import show_verify, verify_result

LOCK = "llmops.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`store` None: the user's."""

    lock: str = LOCK
    store: str | None = None
    jobs: int = JOBS


Watch = Callable[[Sequence[ModelRef]], AbstractContextManager[Progress]]


def unwatched(_refs: Sequence[ModelRef]) -> AbstractContextManager[Progress]:
    """Show no progress."""
    return nullcontext(silent)


def run(options: Options, *, watch: Watch = unwatched) -> Answer:
    """Every file the lock names, read again from the disk and hashed; an honest no when anything differs."""
    text = files.read_text(Path(options.lock), hint="`llmops plan MODEL --out llmops.lock` writes one")
    lock = parse_lock(text, file=options.lock)
    store = Store(store_root(options.store, environment=os.environ))
    refs = {name: one.model for name, one in lock.deployments.items()}
    with watch(tuple(refs.values())) as progress:
        checks = {
            name: audit(ref, store=store, name=name, progress=progress, jobs=options.jobs) for name, ref in refs.items()
        }
    findings = tuple(_findings(refs, checks, store))
    every = [one for each in checks.values() for one in each]

    def show(to: Screen) -> None:
        show_verify(to, checks)
        show_findings(to, findings)

    ok = all(one.status is FileStatus.OK for one in every)
    return Answer(result=verify_result(checks), show=show, findings=findings, ok=ok)


def _findings(refs: Mapping[str, ModelRef], checks: Mapping[str, Sequence[FileCheck]], store: Store) -> list[Finding]:
    """What to do about files that differ, and whether a unit would be led to them at all."""
    found = []
    for name, ref in refs.items():
        status = {one.status for one in checks[name]}
        where = Where(file=str(store.directory(name, model_version(ref))))
        if FileStatus.MISSING in status or FileStatus.CHANGED in status:
            message = f"`{name}`: files are missing or not what the lock says"
            fix = "`llmops pull` brings what is not right"
            found.append(Finding(code="VERIFY001", status=Status.FAIL, message=message, fix=fix, where=where))
        if FileStatus.EXTRA in status:
            message = f"`{name}`: files that the lock does not name; an engine may load them"
            found.append(
                Finding(code="VERIFY002", status=Status.FAIL, message=message, fix="move them away", where=where)
            )
        current = store.current_version(name)
        if current != model_version(ref):
            message = f"`{name}`: `current` points at {current or 'nothing'}, so a unit would not serve these files"
            fix = "`llmops pull` points it at the lock's version"
            found.append(Finding(code="VERIFY003", status=Status.WARN, message=message, fix=fix, where=where))
    return found


def command(
    *,
    lock: Annotated[str, typer.Option(help="The lock.", envvar="LLMOPS_LOCK")] = LOCK,
    store: Annotated[str | None, typer.Option(help="Where models are kept.", envvar="LLMOPS_STORE")] = None,
    jobs: Annotated[int, typer.Option(min=1, max=32, help="Files at once.", envvar="LLMOPS_JOBS")] = JOBS,
    progress: Annotated[
        ProgressStyle, typer.Option(help="On stderr: bar or lines, JSON lines, nothing.", envvar="LLMOPS_PROGRESS")
    ] = ProgressStyle.AUTO,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    strict: StrictOption = False,
) -> int:
    """Hash the files on disk again and compare them with the lock."""
    style = ProgressStyle.NONE if quiet and progress is ProgressStyle.AUTO else progress

    def watch(refs: Sequence[ModelRef]) -> AbstractContextManager[Progress]:
        total = sum(one.bytes for ref in refs for one in ref.files)
        return show_progress(style, sys.stderr, os.environ, total_bytes=total, verb="hash")

    answer = run(Options(lock=lock, store=store, jobs=jobs), watch=watch)
    return give("verify", answer, Style(json=as_json, quiet=quiet, verbose=verbose, strict=strict))
