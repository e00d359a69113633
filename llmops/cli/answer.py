"""How every command ends: one JSON document, or text for a person, and the exit code."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Annotated

import typer

from llmops.cli.app import DOCUMENT
from llmops.domain.errors import Exit
from llmops.domain.finding import Finding, Status
from llmops.domain.forms import Json
from llmops.domain.records import dataclass
from llmops.views.document import document
from llmops.views.screen import Screen, screen

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print only what went wrong.", envvar="LLMOPS_QUIET")]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Say also where each value came from.", envvar="LLMOPS_VERBOSE")
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Exit 1 on warnings too.", envvar="LLMOPS_STRICT")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command's `run` gives back: the document's result, its findings, the honest yes or no, and how to show it.

    `elsewhere`: by option, the value that came neither from the command line nor from the environment, and its place.
    """

    result: Json
    show: Callable[[Screen], None]
    findings: tuple[Finding, ...] = ()
    ok: bool = True
    elsewhere: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How the user wants to be answered."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    strict: bool = False


def give(command: str, answer: Answer, style: Style) -> int:
    """Print the answer and return the exit code: 1 for an honest no, a failed finding, or (strict) a warning."""
    bad = {Status.FAIL, Status.WARN} if style.strict else {Status.FAIL}
    ok = answer.ok and all(finding.status not in bad for finding in answer.findings)
    code = Exit.FINE if ok else Exit.HONEST_NO
    if style.json:
        DOCUMENT.say(document(command, answer.result, answer.findings, exit_code=code))
    elif not style.quiet or not ok:
        answer.show(screen(sys.stdout, os.environ))
    if style.verbose:
        _say_sources(answer.elsewhere)
    return code


def _say_sources(elsewhere: Mapping[str, str]) -> None:
    """On stderr, where each option's value came from: command line, environment, a file's word, or default."""
    from typer.core import TyperCommand

    context = _current_context()
    if context is None or not isinstance(context.command, TyperCommand):
        return
    for name, value in context.params.items():
        source = context.get_parameter_source(name)
        words = (
            source.name.lower().replace("_", " ").replace("commandline", "command line")
            if source is not None
            else "default"
        )
        said = elsewhere.get(name) if words == "default" else None
        typer.echo(f"{name.replace('_', '-')} = {said or f'{value} ({words})'}", err=True)


def typed() -> frozenset[str]:
    """The names of the options that stand on the command line itself."""
    context = _current_context()
    if context is None:
        return frozenset()
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return frozenset(name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE")


def _current_context() -> typer.Context | None:
    try:
        from typer._click.globals import get_current_context  # Typer 0.26 and newer carry click inside
    except ImportError:
        from click.globals import get_current_context  # type: ignore[assignment,no-redef,unused-ignore]
    return get_current_context(silent=True)  # type: ignore[return-value,unused-ignore]  # Typer's own Context class
