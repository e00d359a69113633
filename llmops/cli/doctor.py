"""`llmops doctor`."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from llmops import __version__
from llmops.checks import judge_for, judgements, selected, verdict
from llmops.cli.answer import Answer, JsonOption, QuietOption, StrictOption, Style, VerboseOption, give
from llmops.cli.clashes import Clash
from llmops.cli.doctor_checks import EVERY, explanation, is_chosen, listing, refuse_unknown_prefixes
from llmops.cli.references import references
from llmops.domain.errors import WrongUsage
from llmops.domain.finding import Finding, Status
from llmops.domain.forms import Json, dump
from llmops.domain.host import HostFacts
from llmops.domain.needs import Needs
from llmops.domain.programs import Runner
from llmops.domain.records import dataclass
from llmops.domain.references import Edition, References
from llmops.library.reference_data import SHIPPED
from llmops.views.doctor import Detail, show_doctor
from llmops.views.finding_formats import github, junit, prometheus
from llmops.views.fix_script import Step, fix_script
from llmops.views.screen import Screen

SCOPE = (
    "Not looked at: cooling and power supplies, switches and links between hosts, what a hypervisor or a cloud keeps to itself, "
    "how fast an engine answers."
)
"""What this depth leaves out: a good verdict says nothing of it."""


HOST = ("--facts", "--for", "--disk", "--store", "--quick", "--offline", "--full", "--fix-script")
"""Options that are of a host and of what is judged there."""

CLASHES = (
    Clash(option="--json", others=("--format",), unless="json", why="is a format", hint="leave out one of them"),
    Clash(
        option="--fix-script",
        others=("--format",),
        unless="json",
        why="is a format of its own",
        hint="leave out `--format`",
    ),
    Clash(
        option="--list",
        others=("--explain", *HOST),
        why="examines nothing",
        hint="`llmops doctor --list`, then one code",
    ),
    Clash(option="--list", others=("--format",), unless="json", why="has no findings", hint="leave out `--format`"),
    Clash(
        option="--explain",
        others=("--select", "--ignore", *HOST),
        why="examines nothing",
        hint="`llmops doctor --explain CODE` alone",
    ),
    Clash(option="--explain", others=("--format",), unless="json", why="has no findings", hint="leave out `--format`"),
    Clash(
        option="--facts",
        others=("--disk", "--full"),
        why="judges what was read before",
        hint="leave out one of them: it asks this host",
    ),
)


class Format(StrEnum):
    """How the findings are printed: for people, as the document, for a pull request, a test report, a textfile collector."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    JUNIT = "junit"
    PROMETHEUS = "prometheus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """As given on the command line. `disks` empty: the store and the current directory. `quick`: no disk is measured.

    `offline`: the model hub is not asked. `full`: with serial numbers.
    """

    facts: str | None = None
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    disks: tuple[str, ...] = ()
    quick: bool = False
    offline: bool = False
    quiet: bool = False
    full: bool = False
    all_findings: bool = False
    lock: str | None = None
    store: str | None = None
    format: Format = Format.TEXT
    fix_script: bool = False
    strict: bool = False


def run(options: Options, *, runner: Runner, environment: Mapping[str, str] = os.environ) -> Answer:
    """Facts of this host or of a document, judged: in general, and for a lock."""
    refuse_unknown_prefixes((*options.select, *options.ignore))
    if not selected(select=options.select, ignore=options.ignore):
        raise WrongUsage(
            "`--select` and `--ignore` leave no check", hint="leave one of them out; `llmops doctor --list`"
        )
    rows = references(environment)
    needs = _needs(options, environment)
    facts = _facts(options, runner, environment, store=needs.store if needs is not None else None)
    steps = _steps(options, facts, rows, needs)
    findings = tuple(
        Finding(
            code=one.code, status=one.status, message=one.message, fix=one.fix if one.status is not Status.OK else None
        )
        for one in steps
    )
    ready = verdict(findings)
    result: dict[str, Json] = {
        "verdict": ready.value,
        "because": [f"{one.code}: {one.message}" for one in findings if one.status is Status.FAIL],
        "facts": dump(facts),
        "scope": SCOPE,
        "data": [
            {"name": one.name, "as_of": one.as_of, "age_days": one.age_days(rows.today), "place": one.place}
            for one in rows.editions
        ],
    }
    if options.fix_script:
        script = fix_script([one for one in steps if one.status in (Status.WARN, Status.FAIL)], host=_host_name(facts))
        return Answer(result={**result, "script": script}, show=lambda to: to.verbatim(script))

    def show(to: Screen) -> None:
        match options.format:
            case Format.GITHUB:
                to.verbatim(github(findings, ready))
            case Format.JUNIT:
                titles = {check.code: check.title for check in EVERY}
                to.verbatim(junit(findings, titles, strict=options.strict))
            case Format.PROMETHEUS:
                ages = {one.name: one.age_days(rows.today) for one in rows.editions}
                to.verbatim(prometheus(findings, ready, ages, version=__version__))
            case _:
                detail = Detail(
                    width=_width(),
                    all_findings=options.all_findings,
                    wanted=tuple(needs.lock.deployments) if needs is not None else (),
                    data=", ".join(_age(one, rows) for one in rows.editions),
                )
                show_doctor(facts, findings, ready, SCOPE, to=to, detail=detail)

    return Answer(result=result, show=show, findings=findings)


def _steps(options: Options, facts: HostFacts, rows: References, needs: Needs | None) -> list[Step]:
    """What every check that was asked for says."""
    left_out = options.ignore
    if needs is not None:
        from llmops.cli.doctor_for import SUPERSEDED

        left_out = (*left_out, *SUPERSEDED)
    steps = [
        Step(
            code=check.code,
            status=one.status,
            message=one.message,
            # the general fix is for what is wrong; where nothing is known, the reason in the message says what to do
            fix=one.fix or (check.fix if one.status in (Status.WARN, Status.FAIL) else None),
            commands=one.script,
        )
        for check, one in judgements(facts, rows, select=options.select, ignore=left_out)
    ]
    for answer in judge_for(needs, facts, rows) if needs is not None else ():
        if is_chosen(answer.check.code, options.select, options.ignore):
            of = f"`{answer.name}`: " if answer.name is not None else ""
            one = answer.judgement
            steps.append(
                Step(
                    code=answer.check.code,
                    status=one.status,
                    message=of + one.message,
                    fix=one.fix,
                    commands=one.script,
                )
            )
    return steps


def _needs(options: Options, environment: Mapping[str, str]) -> Needs | None:
    if options.lock is None:
        return None
    from llmops.cli.doctor_for import needs_of

    return needs_of(options.lock, store=options.store, environment=environment, is_here=options.facts is None)


def _age(edition: Edition, rows: References) -> str:
    days = edition.age_days(rows.today)
    age = "in the future" if days is None else "today" if days == 0 else f"{days} day{'s' if days != 1 else ''} old"
    return f"{edition.name} of {edition.as_of} ({age}{'' if edition.place == SHIPPED else ', ' + edition.place})"


def _host_name(facts: HostFacts) -> str:
    return facts.system.os_name or facts.system.os_id or "this host"


def command(
    *,
    facts: Annotated[
        str | None,
        typer.Option("--facts", metavar="FILE", help="Judge these facts (also a whole `doctor --json`), `-` is stdin."),
    ] = None,
    disk: Annotated[
        list[str] | None,
        typer.Option(
            "--disk", metavar="PATH", help="Look at this path's disk; repeatable. Default: store, current directory."
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Measure no disk: that takes 4 s for each.", envvar="LLMOPS_DOCTOR_QUICK")
    ] = False,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Do not ask whether the model hub answers.", envvar="LLMOPS_DOCTOR_OFFLINE"),
    ] = False,
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="Read serial numbers of the cards, too: for your own inventory.", envvar="LLMOPS_DOCTOR_FULL"
        ),
    ] = False,
    select: Annotated[
        list[str] | None,
        typer.Option("--select", metavar="PREFIX", help="Only checks whose code begins so, such as GPU; repeatable."),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            "--ignore",
            metavar="PREFIX",
            help="Leave out checks whose code begins so; repeatable.",
            envvar="LLMOPS_DOCTOR_IGNORE",
        ),
    ] = None,
    list_checks: Annotated[bool, typer.Option("--list", help="List every check, examine nothing.")] = False,
    for_lock: Annotated[
        str | None,
        typer.Option(
            "--for", metavar="LOCK", help="Judge this host against what the lock needs.", envvar="LLMOPS_DOCTOR_FOR"
        ),
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="Where models are kept, for `--for`.", envvar="LLMOPS_STORE")
    ] = None,
    output: Annotated[
        Format, typer.Option("--format", help="How to print the findings.", envvar="LLMOPS_DOCTOR_FORMAT")
    ] = Format.TEXT,
    as_script: Annotated[
        bool, typer.Option("--fix-script", help="Print the fixes as a shell script to read; runs nothing.")
    ] = False,
    explain: Annotated[
        str | None, typer.Option("--explain", metavar="CODE", help="Say why a check matters and what to do.")
    ] = None,
    as_json: JsonOption = False,
    strict: StrictOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> int:
    """Examine this host: facts, findings, and whether it is fit to serve."""
    from llmops.probe.programs import Programs

    style = Style(json=as_json or output is Format.JSON, quiet=quiet, verbose=verbose, strict=strict)
    options = Options(
        facts=facts,
        select=_prefixes(select),
        ignore=_prefixes(ignore),
        disks=tuple(disk or ()),
        quick=quick,
        offline=offline,
        quiet=quiet,
        full=full,
        all_findings=verbose,
        lock=for_lock,
        store=store,
        format=output,
        fix_script=as_script,
        strict=strict,
    )
    if explain is not None:
        return give("doctor", explanation(explain), style)
    if list_checks:
        refuse_unknown_prefixes((*options.select, *options.ignore))
        return give("doctor", listing(options.select, options.ignore), style)
    return give("doctor", run(options, runner=Programs(os.environ)), style)


def _facts(options: Options, runner: Runner, environment: Mapping[str, str], *, store: str | None) -> HostFacts:
    if options.facts is None:
        return _this_host(options, runner, environment, store=store)
    from llmops.cli.hardware import facts_of

    return facts_of(options.facts)


def _this_host(options: Options, runner: Runner, environment: Mapping[str, str], *, store: str | None) -> HostFacts:
    from llmops.probe import examine
    from llmops.probe.disk_speeds import QUICK
    from llmops.probe.network import OFFLINE
    from llmops.views.measuring import show_measuring
    from llmops.views.waiting import show_waiting

    with (
        show_measuring(sys.stderr, environment, quiet=options.quiet or options.quick) as told,
        show_waiting(sys.stderr, environment, quiet=options.quiet) as waiting,
    ):
        return examine(
            runner=runner,
            disk_paths=_disk_paths(options, environment, store=store),
            environment=environment,
            speed=QUICK if options.quick else told,
            waiting=waiting,
            full=options.full,
            hub=OFFLINE if options.offline else None,
        )


def _disk_paths(options: Options, environment: Mapping[str, str], *, store: str | None) -> tuple[Path, ...]:
    """Those asked for; else the store and the current directory, or for a lock the store alone."""
    asked = tuple(Path(path) for path in options.disks)
    if store is not None:
        return (Path(store), *asked)
    if asked:
        return asked
    from llmops.hub.store import store_root

    return (store_root(options.store, environment=environment), Path.cwd())


def _prefixes(given: Sequence[str] | None) -> tuple[str, ...]:
    """`--ignore GPU,NET001` and `--ignore GPU --ignore NET001` mean the same."""
    return tuple(word.strip().upper() for text in given or () for word in text.split(",") if word.strip())


def _width() -> int | None:
    """The terminal's width; None in a pipe, where nothing is wrapped."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
