"""Text of a compose file with its variables filled in, as Compose does it: `$$`, `$NAME`, `${NAME}`, `${NAME:-other}` and kin.

What stands behind `-`, `+` or `?` is text of its own, in which variables are filled in, too.
Source: the Compose specification, "Interpolation"; compose-go v2, template/template.go.
"""

import re
from collections.abc import Callable, Mapping

from llmops.domain.errors import WrongInput

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_HOW = re.compile(r":?[-?+]")
DEPTH = 16
"""Compose sets no limit; nobody nests deeper, and a file may not exhaust the stack."""


def filled(text: str, variables: Mapping[str, str], *, missing: Callable[[str], None], depth: int = DEPTH) -> str:
    """The text Compose sees. `missing` is told every name that is not set and has no default; it is empty there.

    Raises `WrongInput` where Compose refuses the text.
    """
    made, at = "", 0
    while (dollar := text.find("$", at)) >= 0:
        made += text[at:dollar]
        at = dollar + 1
        name = _NAME.match(text, at)
        if text.startswith("$", at):
            made, at = made + "$", at + 1
        elif name is not None:
            made, at = made + _plain(name[0], variables, missing), name.end()
        elif text.startswith("{", at) and depth:
            end = _closing(text, at)
            made, at = made + _braced(text[at + 1 : end], variables, missing, depth), end + 1
        else:
            raise _refused(text[dollar:])
    return made + text[at:]


def _plain(name: str, variables: Mapping[str, str], missing: Callable[[str], None]) -> str:
    if name not in variables:
        missing(name)
    return variables.get(name, "")


def _closing(text: str, at: int) -> int:
    """Where the brace that opens at `at` is closed; braces of variables within it are skipped."""
    open_braces = 0
    for here in range(at, len(text)):
        if text[here] == "{" and text[here - 1] == "$":
            open_braces += 1
        elif text[here] == "}":
            open_braces -= 1
            if not open_braces:
                return here
    raise _refused(text[at - 1 :])


def _braced(inside: str, variables: Mapping[str, str], missing: Callable[[str], None], depth: int) -> str:
    name = _NAME.match(inside)
    how = _HOW.match(inside, name.end()) if name is not None else None
    if name is None or (how is None and name.end() < len(inside)):
        raise _refused("${" + inside + "}")
    if how is None:
        return _plain(name[0], variables, missing)
    other = inside[how.end() :]
    value = variables.get(name[0])
    is_set = bool(value) if how[0].startswith(":") else value is not None
    if how[0].endswith("+"):
        return filled(other, variables, missing=missing, depth=depth - 1) if is_set else ""
    if is_set and value is not None:
        return value
    if how[0].endswith("-"):
        return filled(other, variables, missing=missing, depth=depth - 1)
    missing(name[0])
    return ""


def _refused(text: str) -> WrongInput:
    return WrongInput(f"`{text[:60]}` is no variable", hint="`$$` is a dollar, `${NAME}` a variable")
