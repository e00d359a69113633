"""The command line: the table of commands, and the one place where an error becomes an exit code."""

import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from llmops import __version__
from llmops.domain.errors import Exit, Stop, Terminated, WrongUsage
from llmops.domain.finding import Where

COMMANDS: dict[str, str] = {
    "quickstart": "Do the whole main job on this host, in a scratch directory.",
    "init": "Write `llmops.yaml`, the intent, from a shipped profile.",
    "doctor": "Examine this host: facts, findings, and whether it is fit to serve.",
    "plan": "Size a model for this host: what fits, with which settings, byte by byte.",
    "explain": "Say what an engine's command line means: its memory, its mistakes, full load.",
    "lock": "Say whether the lock still follows from the profile and the catalogue (for CI).",
    "pull": "Fetch a model's files, resumable and verified, into the store.",
    "verify": "Hash the files on disk again and compare them with the lock.",
    "bundle": "Carry models, lock and files to a machine without network: create, verify, install.",
    "models": "The models on this machine: list, show, activate, roll back, remove, free space.",
    "render": "Render units, env, gateway, compose and nginx files from the lock; show or apply the diff.",
    "status": "Compare what was applied with what is there and runs: edited, missing, foreign, outdated.",
    "rollback": "Make the applied files what an earlier generation left.",
    "uninstall": "Take back everything that was applied.",
    "keys": "Say who may ask the edge: add, list, revoke or rotate API keys.",
    "smoke": "Ask a running server: is it up, the right model, keyed, streaming?",
    "catalog": "List what is known: models, gpus, profiles, engines.",
    "schema": "Print the JSON Schema of a command's document or of a file.",
}


class OneDocument:
    """Stdout with `--json`: after a document has begun, whole or cut by what happened since, a second would spoil both."""

    begun = False

    def say(self, text: str) -> None:
        """Print the one document."""
        self.begun = True
        typer.echo(text)


DOCUMENT = OneDocument()


def load(name: str) -> TyperCommand:
    """The command `name`; only its module is imported."""
    module = import_module(f"llmops.cli.{name}")

    class Asked(TyperCommand):
        """The command, once what was typed can all be meant."""

        def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - Typer's own signature
            from llmops.cli.clashes import refuse

            refuse(_typed(ctx), getattr(module, "CLASHES", ()))
            return super().invoke(ctx)

    application = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    application.command(name, cls=Asked)(module.command)
    command = typer.main.get_command(application)
    if not isinstance(command, TyperCommand):
        raise TypeError(f"llmops.cli.{name} is not one command")
    return command


def _typed(context: Any) -> dict[str, str]:  # noqa: ANN401 - Typer's own class
    """The options that stand on the command line itself, as they are spelled, with their values."""
    found = {}
    for option in context.command.params:
        source = context.get_parameter_source(option.name)
        if source is not None and source.name == "COMMANDLINE":
            value = context.params.get(option.name)
            found[option.opts[0]] = str(getattr(value, "value", value))
    return found


class CommandTable(TyperGroup):
    """Help, completion and "did you mean" come from the table; the one command asked for is imported."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - Typer's own signature
        super().__init__(**settings)
        # As `help` alone a line would be cut where the terminal is narrow.
        self.commands = {name: TyperCommand(name, help=line, short_help=line) for name, line in COMMANDS.items()}

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002, D102 - Typer's own signature
        return list(COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401, D102 - Typer's own signature
        if args and args[0] in COMMANDS:
            self.commands[args[0]] = load(args[0])
        return super().resolve_command(ctx, args)


application = typer.Typer(
    name="llmops",
    cls=CommandTable,
    help="Is this box fit to serve, what fits on it, is the model on disk what was planned, is what runs hardened?",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:  # noqa: FBT001 - Typer's callback signature
    if value:
        typer.echo(f"llmops {__version__}")
        raise typer.Exit


@application.callback()
def top(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Is this box fit to serve, what fits on it, is the model on disk what was planned, is what runs hardened?"""


def interrupted(arguments: Sequence[str]) -> int:
    """The answer to Ctrl-C for the moments before `run` can give it."""
    return _fail(list(arguments), Stop("interrupted"), Exit.INTERRUPTED)


def _on_sigterm(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code. Every error becomes a message with a hint, and a document with `--json`."""
    arguments = list(arguments)
    DOCUMENT.begun = False
    signal.signal(signal.SIGTERM, _on_sigterm)
    _open_what_is_closed()
    _make_writable(arguments)
    try:
        code = application(arguments, prog_name="llmops", standalone_mode=False)
        sys.stdout.flush()
    except Stop as stop:
        return _fail(arguments, stop, stop.exit_code)
    except KeyboardInterrupt:
        return _fail(arguments, Stop("interrupted"), Exit.INTERRUPTED)
    except Terminated:
        return _fail(arguments, Stop("terminated"), Exit.TERMINATED)
    except BrokenPipeError:
        return _give_up_stdout()
    except SystemExit as ended:
        if "_LLMOPS_COMPLETE" in os.environ:  # the shell asks for completions
            raise
        return _give_up_stdout() if ended.code == 1 else int(ended.code or 0)  # Typer's answer to a broken pipe
    except Exception as error:  # noqa: BLE001 - the one place where everything ends
        return _unexpected(arguments, error)
    if code == Exit.INTERRUPTED:  # Typer's answer to Ctrl-C since 0.26
        return _fail(arguments, Stop("interrupted"), Exit.INTERRUPTED)
    return int(code or 0)


def _open_what_is_closed() -> None:
    """Started with a standard stream closed (`>&-`): nothing is read or shown there, and no file of ours gets its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number is this one
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _wants_json(arguments: list[str]) -> bool:
    return "--json" in (arguments[: arguments.index("--")] if "--" in arguments else arguments)


def _make_writable(arguments: list[str]) -> None:
    """A terminal that cannot show `→` gets a question mark, not a traceback; a document is UTF-8 whatever the locale."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if _wants_json(arguments) and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")


def _give_up_stdout() -> Exit:
    """Nobody reads: not an error of ours, and nothing more to write when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return Exit.FINE


def _unexpected(arguments: list[str], error: Exception) -> int:
    """Typer's usage errors (its classes are private copies of click's, told by their methods), a door's OS error, or a bug."""
    if type(error).__name__ == "Abort":
        return _fail(arguments, Stop("interrupted"), Exit.INTERRUPTED)
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(str(error))
        return Exit.USAGE
    describe = getattr(error, "format_message", None)
    if callable(describe):
        said = " ".join(str(describe()).split()).rstrip(".")  # a list of choices comes in lines with tabs
        return _fail(arguments, WrongUsage(said, hint=_help_hint(arguments)), Exit.USAGE)
    if isinstance(error, OSError) and error.errno is not None:
        return _fail(arguments, _outside(error), Exit.OUTSIDE_WORLD)
    traceback.print_exception(error, file=sys.stderr)
    hint = f"this is a bug in llmops {__version__} (Python {sys.version.split()[0]}): please report the lines above"
    return _fail(arguments, Stop(f"{type(error).__name__}: {error}", hint=hint), Exit.BUG)


def _outside(error: OSError) -> Stop:
    """An OS error that no door turned into words of its own."""
    from llmops.library.files import WAYS_OUT

    if isinstance(error, FileNotFoundError) and not error.filename:
        return Stop("the current directory is gone", hint="`cd` to one that exists, and run it again")
    where = Where(file=str(error.filename)) if error.filename else None
    return Stop((error.strerror or str(error)).lower(), hint=WAYS_OUT.get(error.errno or 0), where=where)


def _help_hint(arguments: list[str]) -> str:
    name = next((word for word in arguments if word in COMMANDS), "")
    if name == "explain" and "--" not in arguments and len(arguments) > 2:
        return "the engine's command line goes behind `--`: `llmops explain -- llama-server -m FILE …`"
    return f"`{' '.join(part for part in ('llmops', name, '--help') if part)}` lists the options"


def _resumable(arguments: list[str]) -> bool:
    """Whether what was broken off goes on where it was when it is typed again."""
    name = next((word for word in arguments if word in COMMANDS), "")
    return (
        name == "pull"
        or (name == "bundle" and "install" in arguments)
        or (name == "verify" and "--repair" in arguments)
    )


def _fail(arguments: list[str], stop: Stop, code: Exit) -> int:
    from llmops.views.document import error_document
    from llmops.views.errors import error_text

    if stop.hint is None and code is Exit.USAGE:
        stop.hint = _help_hint(arguments)
    if stop.hint is None and code in (Exit.INTERRUPTED, Exit.TERMINATED) and _resumable(arguments):
        stop.hint = "run the same command again: it goes on where it stopped"
    try:
        if _wants_json(arguments) and not DOCUMENT.begun:
            name = next((word for word in arguments if word in COMMANDS), "llmops")
            DOCUMENT.say(error_document(name, stop, exit_code=code))
            sys.stdout.flush()
            return code
        sys.stdout.flush()  # what is left there would fail again when the interpreter ends, with a code of its own
    except OSError:  # stdout is full or gone: say it where someone may see it
        _give_up_stdout()
    typer.echo(error_text(stop), err=True)
    return code
