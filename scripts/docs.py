#!/usr/bin/env python3
"""docs.py write|check: the pages of docs/reference/, from the command line, the exit codes and the tables of checks.

`write` writes them; `check` exits 1 and names what is out of date. Needs llmops in the environment (`scripts/test` makes one).
"""

import ast
import difflib
import re
import sys
from pathlib import Path
from typing import Any

from llmops.checks import CHECKS, LOCK_CHECKS
from llmops.cli.app import COMMANDS, load
from llmops.domain.errors import Exit, Stop
from llmops.serve.codes import SMOKE_CHECKS

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
REGENERATE = "python scripts/docs.py write"
NOTE = f"<!-- Written by `{REGENERATE}`; a test compares it with the code. -->"
VALUES = {"str": "TEXT", "int": "N", "int range": "N", "integer range": "N", "float": "NUMBER", "float range": "NUMBER"}
GIVEN_BY = {
    "PLN": "plan",
    "EXP": "explain",
    "PULL": "pull",
    "VERIFY": "verify",
    "LOCK": "lock",
    "RND": "render",
    "QST": "quickstart",
    "BND": "bundle",
}
CODE = re.compile(r"[A-Z]{3,8}[0-9]{3}")


def pages() -> dict[str, str]:
    """File name → text of every generated page."""
    return {"commands.md": _commands(), "exit-codes.md": _exit_codes(), "checks.md": _checks()}


def _page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", NOTE, *parts]) + "\n"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in lines
    )


def _commands() -> str:
    overview = _table(["Command", "Does"], [[f"[`{name}`](#{name})", line] for name, line in COMMANDS.items()])
    common = (
        "`--json` prints exactly one document on stdout, on errors too: "
        '`{"schema", "ok", "exit_code", "result", "findings", "error"}`. A value comes from the command line, else from the '
        "environment variable in the last column, else it is the default. Exit codes: [exit-codes.md](exit-codes.md)."
    )
    return _page("Commands", overview, common, *(_command(name) for name in COMMANDS))


def _command(name: str) -> str:
    command: Any = load(name)
    parameters = [one for one in command.params if one.name != "help"]
    arguments = [one for one in parameters if one.param_type_name == "argument"]
    options = [one for one in parameters if one.param_type_name == "option"]
    parts = [f"## {name}", _prose(command.help or "")]
    usage = " ".join(["llmops", name, "[OPTIONS]", *(_placeholder(one) for one in arguments)])
    parts.append(f"`{usage}`")
    if arguments:
        parts.append(_table(["Argument", "Meaning"], [[f"`{_placeholder(one)}`", one.help or ""] for one in arguments]))
    rows = [[_spelling(one), one.help or "", _default(one), _variable(one)] for one in options]
    parts.append(_table(["Option", "Meaning", "Default", "Environment"], rows))
    return "\n\n".join(parts)


def _prose(help_text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in help_text.strip().split("\n\n"))


def _placeholder(argument: Any) -> str:
    name = str(argument.name).upper() + ("…" if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _spelling(option: Any) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    if option.is_flag:
        return f"`{names}`"
    value = option.metavar or VALUES.get(option.type.name, option.type.name.upper())
    choices = getattr(option.type, "choices", None)
    if choices:
        value = "|".join(str(getattr(choice, "value", choice)) for choice in choices)
    return f"`{names} {value}`" + (" (repeatable)" if option.multiple else "")


def _default(option: Any) -> str:
    value = getattr(option.default, "value", option.default)
    if option.is_flag or value is None or value in ([], ()) or callable(value):
        return ""
    return f"`{value}`"


def _variable(option: Any) -> str:
    names = option.envvar if isinstance(option.envvar, list) else [option.envvar]
    return ", ".join(f"`{name}`" for name in names if name)


def _exit_codes() -> str:
    errors = {kind.exit_code: kind for kind in Stop.__subclasses__()}
    rows = []
    for code in Exit:
        raised = errors.get(code)
        rows.append([str(int(code)), code.meaning(), f"`{raised.__name__}`" if raised else ""])
    return _page("Exit codes", _table(["Code", "Means", "Raised as"], rows))


def _checks() -> str:
    doctor = [[f"`{one.code}`", one.title, one.why, one.fix] for one in CHECKS]
    for_lock = [[f"`{one.code}`", one.title, one.why] for one in LOCK_CHECKS]
    smoke = [[f"`{one.code}`", one.title, one.why] for one in SMOKE_CHECKS]
    known = {one.code for one in CHECKS} | {one.code for one in LOCK_CHECKS} | {one.code for one in SMOKE_CHECKS}
    others = sorted(_codes_in_source() - known)
    rows = [[f"`{code}`", f"`{GIVEN_BY[code.rstrip('0123456789')]}`"] for code in others]
    return _page(
        "Checks",
        "A code is public and is never used again for something else. Status: `ok`, `warn`, `fail` (the command exits 1), "
        "`skip` (could not be known; the message says why).",
        "## `doctor`\n\n`llmops doctor --explain CODE` prints one of them, `--select` and `--ignore` choose.",
        _table(["Code", "What should hold", "Why", "What to do"], doctor),
        "## `doctor --for LOCK`\n\nOf each deployment of the lock; each fails at worst, and says its own way out.",
        _table(["Code", "What should hold", "Why"], for_lock),
        "## `smoke`",
        _table(["Code", "What should hold", "Why"], smoke),
        "## Findings of other commands\n\nTheir message says what was found and their fix what to do.",
        _table(["Code", "Given by"], rows),
    )


def _codes_in_source() -> set[str]:
    """Every text in the package that has the form of a code."""
    nodes = (node for path in (ROOT / "llmops").rglob("*.py") for node in ast.walk(ast.parse(path.read_text())))
    texts = (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return {text for text in texts if CODE.fullmatch(text)}


def write() -> int:
    """Write every page; pages that are no longer generated go."""
    REFERENCE.mkdir(parents=True, exist_ok=True)
    wanted = pages()
    for old in REFERENCE.glob("*.md"):
        if old.name not in wanted:
            old.unlink()
    for name, text in wanted.items():
        (REFERENCE / name).write_text(text)
    return 0


def check() -> int:
    """Compare; 1 with the differences where a page is out of date."""
    wanted = pages()
    found = {path.name: path.read_text() for path in REFERENCE.glob("*.md")}
    for name in sorted({*wanted, *found}):
        old, new = found.get(name, ""), wanted.get(name, "")
        sys.stdout.writelines(
            difflib.unified_diff(
                old.splitlines(keepends=True),
                new.splitlines(keepends=True),
                f"docs/reference/{name}",
                "from the code",
                n=1,
            )
        )
    if wanted != found:
        print(f"\ndocs/reference is out of date: {REGENERATE}")
    return int(wanted != found)


if __name__ == "__main__":
    if sys.argv[1:] not in (["write"], ["check"]):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    sys.exit(write() if sys.argv[1] == "write" else check())
