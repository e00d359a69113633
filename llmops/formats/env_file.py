"""Files of `NAME=value` lines as their three readers understand them: systemd's EnvironmentFile=, Compose, a POSIX shell.

systemd: src/basic/env-file.c (`parse_env_file_internal`), the same in 252, 257 and 262. Compose and the shell are read
in the subset where nothing is expanded; a line outside of it has no value here (None), and is a problem.
"""

import re
import shlex
from collections.abc import Mapping
from types import MappingProxyType

from llmops.domain.records import dataclass
from llmops.formats.compose_text import filled

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_BLANK = " \t\r\n"
_ESCAPED_IN_QUOTES = '"\\`$'


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvProblem:
    """A 1-based line that does not mean one thing, and why."""

    line: int
    why: str


def env_problems(text: str) -> tuple[EnvProblem, ...]:
    """Every line that the three readers do not understand alike."""
    problems: list[EnvProblem] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line or line.startswith("#"):
            if line.endswith("\\"):
                problems.append(
                    EnvProblem(line=number, why="a comment that ends in a backslash takes the next line with it")
                )
            continue
        name, equals, written = line.partition("=")
        if not equals or not _NAME.fullmatch(name):
            problems.append(EnvProblem(line=number, why="not NAME=value with a name of letters, digits and _"))
            continue
        values = {systemd_values(line).get(name), compose_value(written), shell_value(written)}
        if len(values) != 1 or None in values:
            problems.append(
                EnvProblem(line=number, why=f"{name} does not mean the same to systemd, Compose and a shell")
            )
    return tuple(problems)


def systemd_values(text: str) -> dict[str, str]:
    """The assignments of a whole file as EnvironmentFile= reads them; lines that are none are skipped, as there."""
    values: dict[str, str] = {}
    at = 0
    while at < len(text):
        while at < len(text) and text[at] in _BLANK:
            at += 1
        if at < len(text) and text[at] in "#;":
            at = _after_comment(text, at)
            continue
        start = at
        while at < len(text) and text[at] not in "=\n\r":
            at += 1
        if at >= len(text) or text[at] != "=":
            continue
        name = text[start:at].strip(_BLANK)
        value, at = _systemd_value(text, at + 1)
        if _NAME.fullmatch(name):
            values[name] = value
    return values


def _after_comment(text: str, at: int) -> int:
    while at < len(text) and text[at] not in "\n\r":
        at += 2 if text[at] == "\\" else 1
    return at


def _systemd_value(text: str, at: int) -> tuple[str, int]:
    """The value that begins at `at`, and where it ends. Quotes count only where no bare character came before."""
    value, kept, is_bare = "", 0, False
    while at < len(text) and text[at] not in "\n\r":
        char = text[at]
        if char == "\\":
            value, is_bare = value + ("" if text[at + 1 : at + 2] in "\n\r" else text[at + 1]), True
            kept, at = len(value), at + 2
        elif char in "'\"" and not is_bare:
            quoted, at = _quoted(text, at)
            value += quoted
            kept = len(value)
        elif char in _BLANK and not is_bare:
            at += 1
        else:
            value, is_bare, at = value + char, True, at + 1
            kept = len(value) if char not in _BLANK else kept
    return value[:kept], at


def _quoted(text: str, at: int) -> tuple[str, int]:
    quote, value = text[at], ""
    at += 1
    while at < len(text) and text[at] != quote:
        if quote == '"' and text[at] == "\\":
            escaped = text[at + 1 : at + 2]
            value += escaped if escaped in _ESCAPED_IN_QUOTES else "" if escaped == "\n" else f"\\{escaped}"
            at += 2
        else:
            value, at = value + text[at], at + 1
    return value, at + 1


def compose_value(written: str) -> str | None:
    """A value of a .env file as Compose reads it, where it expands nothing; else None."""
    single = re.fullmatch(r"'([^']*)'", written)
    if single is not None:
        return None if single[1].endswith("\\") else single[1]
    double = re.fullmatch(r'"([^"\\$]*)"', written)
    if double is not None:
        return double[1]
    return written if re.fullmatch(r"[^\s'\"\\$#`]*", written) else None


def dotenv_values(
    text: str, variables: Mapping[str, str], before: Mapping[str, str] = MappingProxyType({})
) -> dict[str, str]:
    """A whole `.env` or `env_file:` as Compose reads it: variables are filled in but in single quotes.

    `variables` win over the file's own, those over what files `before` it set; one that is not set is empty. Source:
    compose-go v2, dotenv/parser.go; held to what Compose makes of drawn files.
    """
    values: dict[str, str] = {}
    for line in text.splitlines():
        bare = line.strip().removeprefix("export ").lstrip()
        name, equals, written = bare.partition("=")
        if not equals or bare.startswith("#"):
            continue
        inside = _dotenv_text(written.strip())
        is_plain = "$" not in inside
        single = written.strip().startswith("'")
        values[name.strip()] = (
            inside
            if is_plain or single
            else filled(inside, {**before, **values, **variables}, missing=lambda _name: None)
        )
    return values


def _dotenv_text(written: str) -> str:
    quote = written[:1]
    if quote in ("'", '"') and (end := written.find(quote, 1)) > 0:
        return written[1:end]
    return written.split(" #", 1)[0].rstrip()


def podman_values(text: str) -> dict[str, str]:
    """A whole file as `podman run --env-file` reads it: what stands behind `=` is the value, quotes included.

    Source: podman 5, pkg/env/env.go (`ParseFile`).
    """
    lines = (line.lstrip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, equals, value in pairs if equals}


def shell_value(written: str) -> str | None:
    """A value as `set -a; . FILE` reads it, where it expands nothing and is one word; else None."""
    outside_single = re.sub(r"'[^']*'", "", written)
    if re.search(r"[$`\n\r]", outside_single):
        return None
    if re.search(r"[;&|<>()*?\[\]~!{}\s#]", re.sub(r'"[^"]*"', "", outside_single)):
        return None
    try:
        words = shlex.split(f"x={written}", posix=True)
    except ValueError:
        return None
    return words[0].removeprefix("x=") if len(words) == 1 else None
