"""`llmops render`: lock → site → files → consumers → change set, shown or applied."""

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from llmops.apply.certificate import look
from llmops.apply.consumers import check as ask_consumers
from llmops.apply.owners import owners_of
from llmops.apply.reading import current_files, last_generation
from llmops.apply.root import Root
from llmops.apply.secrets import API_KEY_FILE, CA_CERTIFICATE, CA_KEY, secret_files
from llmops.apply.transaction import has_pending, recover, refused
from llmops.apply.tree import tree_changes, write_tree
from llmops.changes import change_set
from llmops.changes.diff import diff_text
from llmops.cli.answer import Answer, JsonOption, QuietOption, StrictOption, Style, VerboseOption, give
from llmops.cli.applying import Applied, Applying, apply_changes
from llmops.domain.changes import Action, Change, ChangeSet, Generation, WantedFile
from llmops.domain.consumers import Consumed
from llmops.domain.deployment import RenderedFile, Site, Target
from llmops.domain.engine import EngineName
from llmops.domain.errors import ApplyFailed, WrongInput, WrongUsage
from llmops.domain.finding import Finding, Status, Where
from llmops.domain.forms import Json
from llmops.domain.lock import Lock
from llmops.domain.places import STORE
from llmops.domain.programs import Runner
from llmops.domain.reading import Known
from llmops.domain.records import dataclass
from llmops.engines.agreement import refuse_disagreement
from llmops.engines.deployment import site as site_of
from llmops.formats.env_file import env_problems
from llmops.formats.lock import parse_lock
from llmops.formats.target import parse_target
from llmops.library import files, shipped
from llmops.probe.programs import Programs
from llmops.probe.system import read_systemd_version
from llmops.render import render
from llmops.render.findings import findings
from llmops.views.call import Call
from llmops.views.render import Rendering, show_render

LOCK = "llmops.lock"
OLDEST_CHECKED_SYSTEMD = 252
"""Debian 12's, and what is rendered for when the target's is not known: nothing newer is needed by it."""

EXPIRES_SOON = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for. `targets` empty: the lock's; `systemd_version` None: this host's where it is the target."""

    lock: str = LOCK
    out: str | None = None
    root: str = "/"
    apply: bool = False
    check: bool = False
    targets: tuple[str, ...] = ()
    engine_path: str | None = None
    systemd_version: int | None = None
    images: tuple[str, ...] = ()
    overwrite: bool = False
    renew_certificate: bool = False
    restarts: bool = True
    override_freeze: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The files of a lock, and what read them."""

    lock: Lock
    site: Site
    targets: tuple[str, ...]
    files: tuple[RenderedFile, ...]
    consumed: tuple[Consumed, ...]
    findings: tuple[Finding, ...]


def run(options: Options, *, runner: Runner, now: datetime | None = None) -> Answer:
    """Render, let the consumers read, then show the diff, apply it, or write a tree."""
    _refuse_contradictions(options)
    now = now or datetime.now(UTC)
    wanted = _wanted(options, runner, now)
    refusals = [one for one in wanted.consumed if one.status is Status.FAIL]
    if refusals and (options.apply or options.out is not None):
        raise ApplyFailed(
            f"{refusals[0].program} refuses the {refusals[0].target} files, nothing was written: {refusals[0].said}",
            hint="`llmops render` shows the files and every refusal",
        )
    return _to_tree(options, wanted) if options.out is not None else _to_root(options, wanted, now, runner)


def wanted_changes(options: Options, *, runner: Runner, now: datetime | None = None) -> ChangeSet:
    """What `--apply` would do, without asking the consumers."""
    now = now or datetime.now(UTC)
    lock, site, targets, rendered = _rendered(options, runner)
    names = tuple(target.name for target in targets)
    wanted = Wanted(lock=lock, site=site, targets=names, files=rendered, consumed=(), findings=())
    return _change_set(replace(options, apply=False), wanted, now)


def rendered_files(options: Options, *, runner: Runner) -> tuple[RenderedFile, ...]:
    """The files that `--out` would write, without asking the consumers."""
    return _rendered(options, runner)[3]


def _refuse_contradictions(options: Options) -> None:
    if options.renew_certificate and not options.apply:
        raise WrongUsage("--renew-certificate without --apply", hint="`llmops render --apply --renew-certificate`")
    if options.override_freeze is not None and not (options.apply and options.override_freeze.strip()):
        raise WrongUsage(
            "--override-freeze needs --apply and a reason", hint="`llmops render --apply --override-freeze REASON`"
        )
    if options.apply and options.check:
        raise WrongUsage(
            "--apply and --check together", hint="--check only tells whether --apply would change something"
        )
    if options.out is not None and (options.apply or options.check or options.root != "/"):
        raise WrongUsage(
            "--out with --apply, --check or --root", hint="--out writes a tree without secrets or generations"
        )
    if not Path(options.root).is_dir():
        raise WrongInput(
            f"--root {options.root} is not a directory",
            hint="name a directory" if Path(options.root).exists() else f"`mkdir -p {options.root}` makes it",
            where=Where(file=options.root),
        )


def _rendered(options: Options, runner: Runner) -> tuple[Lock, Site, tuple[Target, ...], tuple[RenderedFile, ...]]:
    lock = parse_lock(
        files.read_text(Path(options.lock), hint="`llmops plan MODEL --out llmops.lock` writes it"), file=options.lock
    )
    refuse_disagreement(lock, file=options.lock)
    templates = shipped.tree("templates")
    targets = _targets(options, lock, templates)
    names = tuple(target.name for target in targets)
    site = site_of(
        replace(lock, targets=tuple(dict.fromkeys((*lock.targets, *names)))),
        systemd_version=options.systemd_version or _systemd_version(options, runner),
        engine_path=options.engine_path,
        images=_images(options),
    )
    return lock, site, targets, render(site, targets=targets, templates=templates)


def _wanted(options: Options, runner: Runner, now: datetime) -> Wanted:
    lock, site, targets, rendered = _rendered(options, runner)
    names = tuple(target.name for target in targets)
    consumed = ask_consumers(
        rendered,
        site=site,
        runner=runner,
        env_problems=lambda text: [f"line {problem.line}: {problem.why}" for problem in env_problems(text)],
        is_there=lambda path: _is_there(options, path),
        now=now,
    )
    said = [finding for one in consumed for finding in one.findings()]
    return Wanted(
        lock=lock,
        site=site,
        targets=names,
        files=rendered,
        consumed=consumed,
        findings=(*said, *_site_findings(options, lock, site, names)),
    )


def _targets(options: Options, lock: Lock, templates: Mapping[str, str]) -> tuple[Target, ...]:
    known = [name.partition("/")[0] for name in templates if name.endswith("/target.yaml")]
    for name in options.targets:
        if name not in known:
            raise WrongUsage(f"no target `{name}`", hint=f"known: {', '.join(known)}")
    for name in lock.targets:
        if name not in known and not options.targets:
            hint = f"this version renders {', '.join(known)}: change `targets` in the profile and plan again, or use --target"
            raise WrongInput(f"no target `{name}`", hint=hint, where=Where(file=options.lock, key="targets"))
    chosen = dict.fromkeys(options.targets or lock.targets)
    return tuple(
        parse_target(templates[f"{name}/target.yaml"], file=f"templates/{name}/target.yaml") for name in chosen
    )


def _systemd_version(options: Options, runner: Runner) -> int:
    if options.root != "/" or options.out is not None:
        return OLDEST_CHECKED_SYSTEMD
    version = read_systemd_version(runner.run(("systemctl", "--version"), timeout_seconds=5))
    return version.value if isinstance(version, Known) else OLDEST_CHECKED_SYSTEMD


def _images(options: Options) -> dict[EngineName, str]:
    """`--image ENGINE=NAME@sha256:…`."""
    images: dict[EngineName, str] = {}
    for text in options.images:
        name, equals, image = text.partition("=")
        if not equals or name not in list(EngineName):
            raise WrongUsage(
                f"--image {text[:80]} is not ENGINE=NAME@sha256:DIGEST", hint=f"engines: {', '.join(EngineName)}"
            )
        images[EngineName(name)] = image
    return images


def _is_there(options: Options, path: str) -> bool:
    """Whether `path` is on the target; of a tree that is only written out (`--out`), nothing is known to be."""
    if options.out is not None:
        return False
    return os.path.lexists(Path(options.root) / path.lstrip("/"))


def _site_findings(options: Options, lock: Lock, site: Site, targets: tuple[str, ...]) -> tuple[Finding, ...]:
    missing = tuple(
        one.name for one in site.deployments if options.out is None and not _is_there(options, str(one.model_directory))
    )
    store = Path(options.root) / str(STORE).lstrip("/")
    return findings(lock, site, targets=targets, file=options.lock, missing_models=missing, store=str(store))


def _to_tree(options: Options, wanted: Wanted) -> Answer:
    out = Path(options.out or ".")
    changes = tree_changes(wanted.files, out=out)
    write_tree(changes, out=out)
    rendering = Rendering(
        place=str(out),
        changes=changes,
        diff="",
        applied=True,
        generation=None,
        only_checked=False,
        consumed=wanted.consumed,
        findings=wanted.findings,
        commands=(),
        next_commands=(),
        call=None,
    )
    return _answer(rendering, applied=False)


def _to_root(options: Options, wanted: Wanted, now: datetime, runner: Runner) -> Answer:
    place = Path(options.root)
    recovered = recover(place) if options.apply else None
    try:
        current = _change_set(options, wanted, now)
    except PermissionError as error:
        raise refused(error, Root(place)) from None
    findings = [*wanted.findings, *_recovery_findings(options, recovered)]
    generation: int | None = None
    applied: Applied | None = None
    if options.apply:
        how = Applying(root=place, now=now, restarts=options.restarts, reason=options.override_freeze)
        applied = apply_changes(current, how, lock=wanted.lock, file=options.lock, runner=runner)
        generation = applied.generation
        findings += applied.findings
    findings += _certificate_findings(options, wanted.site, now) if "nginx" in wanted.targets else []
    has_changed = options.apply and generation is not None
    rendering = Rendering(
        place=options.root,
        changes=current.changes,
        diff=diff_text(current),
        applied=options.apply,
        generation=generation,
        only_checked=options.check,
        consumed=wanted.consumed,
        findings=tuple(findings),
        commands=applied.commands if applied is not None else (),
        next_commands=_next_commands(wanted, current, applied) if has_changed and options.root == "/" else (),
        call=_call(options, wanted.site) if "nginx" in wanted.targets else None,
    )
    differs = current.has_work() or bool(current.conflicts())
    return _answer(rendering, applied=options.apply, ok=not (options.check and differs))


def _change_set(options: Options, wanted: Wanted, now: datetime) -> ChangeSet:
    root = Root(Path(options.root))
    owners = owners_of(root)
    recorded: Generation | None = last_generation(root)
    every = [
        *(
            WantedFile(path=one.path, target=one.target, content=one.text.encode(), mode=one.mode, owner=one.owner)
            for one in wanted.files
        ),
        *secret_files(
            wanted.site, root=root, targets=wanted.targets, make=options.apply, now=now, renew=options.renew_certificate
        ),
    ]
    current = current_files(root, owners, wanted=every, recorded=recorded)
    return change_set(current, every, recorded=recorded, targets=wanted.targets, overwrite=options.overwrite)


def _recovery_findings(options: Options, recovered: tuple[str, ...] | None) -> list[Finding]:
    if recovered is not None:
        text = "an earlier apply was interrupted: it was taken back first"
        return [
            Finding(code="RND007", status=Status.WARN, message=text),
            *(Finding(code="RND007", status=Status.WARN, message=left) for left in recovered),
        ]
    if has_pending(Path(options.root)):
        text = "an earlier apply was interrupted, or one is running: what is shown is not settled"
        fix = "`llmops render --apply` takes it back first"
        return [Finding(code="RND007", status=Status.WARN, message=text, fix=fix)]
    return []


def _certificate_findings(options: Options, site: Site, now: datetime) -> list[Finding]:
    """Whether the certificate is for the name, and for how long; and the CA's key, which has no work left here."""
    root = Root(Path(options.root))
    edge = site.edge
    if not site.edge.self_signed:
        return []
    found = root.read(edge.certificate)
    if found is None:
        return []
    fix = "`llmops render --apply --renew-certificate`: the internal CA signs a new one"
    where = Where(file=root.shown(edge.certificate))
    seen = look(found.content)
    if seen is None:
        return [
            Finding(
                code="RND008", status=Status.FAIL, message="the edge's certificate cannot be read", fix=fix, where=where
            )
        ]
    status, words = Status.OK, f"the edge's certificate is valid until {seen.expires:%Y-%m-%d}"
    if edge.hostname not in seen.names:
        status, words = Status.WARN, f"the edge's certificate is for {', '.join(seen.names)}, not for {edge.hostname}"
    elif seen.expires <= now:
        status, words = Status.FAIL, f"the edge's certificate expired on {seen.expires:%Y-%m-%d}"
    elif seen.expires - now < EXPIRES_SOON:
        status, words = Status.WARN, f"the edge's certificate expires on {seen.expires:%Y-%m-%d}"
    findings = [Finding(code="RND008", status=status, message=words, fix=fix, where=where)]
    if root.read(CA_KEY) is not None:
        text = f"the internal CA's key lies on this host; it can sign {edge.hostname} only, and is needed for renewal alone"
        key_fix = "keep it elsewhere, and put it back when the certificate is renewed"
        findings.append(
            Finding(code="RND009", status=Status.OK, message=text, fix=key_fix, where=Where(file=root.shown(CA_KEY)))
        )
    return findings


def _next_commands(wanted: Wanted, current: ChangeSet, applied: Applied | None) -> tuple[str, ...]:
    """What is left to type: nothing that was done, and nothing for what runs already."""
    active = applied.active if applied is not None and applied.commands else frozenset[str]()
    touched = {change.target for change in current.changes if change.action.writes()}
    gateway = wanted.site.gateway
    units = [f"{one.unit}.service" for one in wanted.site.deployments] if touched & {"systemd", "env"} else []
    units += [f"{gateway.unit}.service"] if gateway is not None and "haproxy" in touched else []
    commands: list[str] = []
    if units and not active:
        commands.append("systemd-sysusers && systemd-tmpfiles --create /etc/tmpfiles.d/llmops.conf")
        commands.append("systemctl daemon-reload")
    idle = " ".join(unit for unit in units if unit not in active)
    commands += [f"systemctl enable {idle} && systemctl restart {idle}"] if idle else []
    if "nginx" in touched and "nginx.service" not in active:
        commands.append("nginx -t && systemctl reload-or-restart nginx")
    return tuple(commands)


def _call(options: Options, site: Site) -> Call:
    root = Root(Path(options.root))
    first = site.deployments[0]
    return Call(
        endpoint=f"{site.edge.url()}/v1",
        model=first.served_name,
        key_file=root.shown(API_KEY_FILE),
        ca_file=root.shown(CA_CERTIFICATE) if site.edge.self_signed else None,
        timeout_seconds=first.numbers.client_timeout_seconds.value,
        retries=first.numbers.client_retries.value,
    )


def _answer(rendering: Rendering, *, applied: bool, ok: bool = True) -> Answer:
    rows: list[Json] = [_row(change) for change in rendering.changes]
    asked = sum(one.was_asked() for one in rendering.consumed)
    consumers: list[Json] = [
        {"target": one.target, "program": one.program, "package": one.package, "status": one.status.value}
        for one in rendering.consumed
    ]
    result: dict[str, Json] = {
        "place": rendering.place,
        "files": rows,
        "applied": applied,
        "generation": rendering.generation,
        "checked": {"asked": asked, "of": len(rendering.consumed), "consumers": consumers},
        "done": list[Json](rendering.commands),
        "next": list[Json](rendering.next_commands),
        "call": rendering.call.form() if rendering.call is not None else None,
    }
    return Answer(result=result, show=lambda to: show_render(rendering, to), findings=rendering.findings, ok=ok)


def _row(change: Change) -> Json:
    state = change.after or change.before
    return {
        "path": str(PurePosixPath(change.path)),
        "target": change.target,
        "action": change.action.value,
        "mode": f"{state.mode:04o}" if state is not None else None,
        "owner": state.owner if state is not None else None,
        "why": change.why if change.action is Action.CONFLICT else None,
    }


def command(
    *,
    lock: Annotated[str, typer.Option("--lock", help="The lock to render.", envvar="LLMOPS_LOCK")] = LOCK,
    apply_changes: Annotated[
        bool, typer.Option("--apply", help="Write what the diff shows, all of it or nothing.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 when --apply would change something.")] = False,
    out: Annotated[
        str | None,
        typer.Option("--out", help="Write the target's tree into DIR, without secrets, generations or owners."),
    ] = None,
    root: Annotated[str, typer.Option("--root", help="The target's root directory.", envvar="LLMOPS_ROOT")] = "/",
    target: Annotated[
        list[str] | None, typer.Option("--target", help="Only this target; repeatable. Default: the lock's.")
    ] = None,
    engine_path: Annotated[
        str | None,
        typer.Option("--engine-path", help="The engine's program on the target.", envvar="LLMOPS_ENGINE_PATH"),
    ] = None,
    systemd_version: Annotated[
        int | None,
        typer.Option(
            "--systemd-version",
            min=1,
            help="The target's systemd. Default: this host's when it is the target, else 252.",
            envvar="LLMOPS_SYSTEMD_VERSION",
        ),
    ] = None,
    image: Annotated[
        list[str] | None, typer.Option("--image", help="ENGINE=NAME@sha256:DIGEST for compose; repeatable.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that were edited or are not ours; a copy is kept.")
    ] = False,
    renew_certificate: Annotated[
        bool, typer.Option("--renew-certificate", help="With --apply: have the internal CA sign a new certificate.")
    ] = False,
    restart: Annotated[
        bool,
        typer.Option("--restart/--no-restart", help="With --apply: reload and restart what runs and changed."),
    ] = True,
    override_freeze: Annotated[
        str | None, typer.Option("--override-freeze", metavar="REASON", help="Apply within a change freeze; recorded.")
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    strict: StrictOption = False,
) -> int:
    """Render units, env, gateway, compose and nginx files from the lock; show or apply the diff."""
    options = Options(
        lock=lock,
        out=out,
        root=root,
        apply=apply_changes,
        check=check,
        targets=tuple(target or ()),
        engine_path=engine_path,
        systemd_version=systemd_version,
        images=tuple(image or ()),
        overwrite=overwrite,
        renew_certificate=renew_certificate,
        restarts=restart,
        override_freeze=override_freeze,
    )
    answer = run(options, runner=Programs(os.environ))
    return give("render", answer, Style(json=json, quiet=quiet, verbose=verbose, strict=strict))
