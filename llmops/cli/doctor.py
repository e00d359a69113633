"""`llmops doctor`."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from llmops.checks import CHECKS, Check, judge, selected, verdict
from llmops.cli.answer import Answer, JsonOption, QuietOption, StrictOption, Style, VerboseOption, give
from llmops.cli.references import references
from llmops.domain.errors import WrongUsage
from llmops.domain.forms import Json, dump
from llmops.domain.host import HostFacts
from llmops.domain.programs import Runner
from llmops.domain.records import dataclass
from llmops.views.doctor import Detail, show_doctor
from llmops.views.screen import Screen, Tone

SCOPE = (
    "Not looked at: cooling and power supplies, switches and links between hosts, what a hypervisor or a cloud keeps to itself, "
    "how fast an engine answers."
)
"""What this depth leaves out: a good verdict says nothing of it."""


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


def run(options: Options, *, runner: Runner, environment: Mapping[str, str] = os.environ) -> Answer:
    """Facts of this host or of a document, judged."""
    _refuse_unknown_prefixes((*options.select, *options.ignore))
    facts = _facts(options, runner, environment)
    rows = references(environment)
    findings = judge(facts, rows, select=options.select, ignore=options.ignore)
    ready = verdict(findings)
    result: dict[str, Json] = {"verdict": ready.value, "facts": dump(facts), "scope": SCOPE}

    def show(to: Screen) -> None:
        detail = Detail(width=_width(), all_findings=options.all_findings)
        show_doctor(facts, findings, ready, SCOPE, to=to, detail=detail)

    return Answer(result=result, show=show, findings=findings)


def listing(options: Options) -> Answer:
    """Every check: code and the fact that should hold."""
    _refuse_unknown_prefixes((*options.select, *options.ignore))
    checks = selected(select=options.select, ignore=options.ignore)
    return Answer(
        result={"checks": [_row(check) for check in checks]},
        show=lambda to: to.table(("", ""), [(check.code, check.title) for check in checks]),
    )


def explanation(code: str) -> Answer:
    """One check: what should hold, why, and what to do."""
    check = next((one for one in CHECKS if one.code == code.strip().upper()), None)
    if check is None:
        raise WrongUsage(f"no check `{code}`", hint=_codes_like(code))

    def show(to: Screen) -> None:
        to.line(f"{check.code}  {check.title}", tone=Tone.TITLE)
        to.line(f"why: {check.why}")
        to.line(f"fix: {check.fix}")
        if check.decides:
            to.line(
                "Readiness hangs on it: where it cannot be known, the host is at best ready with warnings.",
                tone=Tone.DIM,
            )

    return Answer(result=_row(check), show=show)


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

    style = Style(json=as_json, quiet=quiet, verbose=verbose, strict=strict)
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
    )
    if list_checks and explain is not None:
        raise WrongUsage("`--list` and `--explain` are two questions", hint="`llmops doctor --list`, then one code")
    if explain is not None:
        return give("doctor", explanation(explain), style)
    if list_checks:
        return give("doctor", listing(options), style)
    return give("doctor", run(options, runner=Programs(os.environ)), style)


def _facts(options: Options, runner: Runner, environment: Mapping[str, str]) -> HostFacts:
    if options.facts is None:
        return _this_host(options, runner, environment)
    if options.disks:
        raise WrongUsage("`--disk` asks this host, `--facts` another", hint="leave out one of them")
    from llmops.cli.hardware import facts_of

    return facts_of(options.facts)


def _this_host(options: Options, runner: Runner, environment: Mapping[str, str]) -> HostFacts:
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
            disk_paths=_disk_paths(options, environment),
            environment=environment,
            speed=QUICK if options.quick else told,
            waiting=waiting,
            full=options.full,
            hub=OFFLINE if options.offline else None,
        )


def _disk_paths(options: Options, environment: Mapping[str, str]) -> tuple[Path, ...]:
    if options.disks:
        return tuple(Path(path) for path in options.disks)
    from llmops.hub.store import store_root

    return (store_root(None, environment=environment), Path.cwd())


def _prefixes(given: Sequence[str] | None) -> tuple[str, ...]:
    """`--ignore GPU,NET001` and `--ignore GPU --ignore NET001` mean the same."""
    return tuple(word.strip().upper() for text in given or () for word in text.split(",") if word.strip())


def _refuse_unknown_prefixes(prefixes: Sequence[str]) -> None:
    for prefix in prefixes:
        if not any(check.code.startswith(prefix) for check in CHECKS):
            raise WrongUsage(f"no check begins with `{prefix}`", hint=_codes_like(prefix))


def _codes_like(text: str) -> str:
    from difflib import get_close_matches

    codes = [check.code for check in CHECKS]
    near = get_close_matches(text.upper(), codes, n=3, cutoff=0.5)
    families = ", ".join(dict.fromkeys(code[:3] for code in codes))
    return f"did you mean {', '.join(near)}? `llmops doctor --list` has all" if near else f"families: {families}"


def _row(check: Check) -> Json:
    return {"code": check.code, "title": check.title, "why": check.why, "fix": check.fix}


def _width() -> int | None:
    """The terminal's width; None in a pipe, where nothing is wrapped."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
