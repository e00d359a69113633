"""Command lines of plain options (`--name value`, `--name=value`, switches), read as argparse and clap take them.

What would end the start is a problem by its word, and left out of what is read; nothing is raised.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import NamedTuple

UNKNOWN, WRONG_VALUE = "EXP001", "EXP003"
_NUMBER = re.compile(r"-?\d{1,15}", re.ASCII)
_HUMAN = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)([kmgKMG]?)", re.ASCII)
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Option(NamedTuple):
    """One option: `kind` is value, whole, human (`8k`), float, list or switch; `off` are spellings that switch it off.

    `least` and `most` bound its number; None: no bound.
    """

    name: str
    kind: str
    off: frozenset[str] = frozenset()
    choices: frozenset[str] = frozenset()
    least: int | None = None
    most: int | None = None


Options = Mapping[str, Option]
"""Every spelling of every option of one program."""


def table(rows: str, choices: str, limits: str = "") -> dict[str, Option]:
    """Options by kind (`kind: --name|--alias!--off …`), values by name, and the least (and most) numbers with their names."""
    values: dict[str, set[str]] = {}
    for line in choices.strip().splitlines():
        name, *some = line.split()
        values.setdefault(name, set()).update(some)
    bounds = _bounds(limits)
    found: dict[str, Option] = {}
    kind = ""
    for word in rows.split():
        if word.endswith(":"):
            kind = word[:-1]
            continue
        on, _, off = word.partition("!")
        name, *others = on.split("|")
        offs = frozenset(off.split("|")) if off else frozenset()
        least, most = bounds.get(name, (None, None))
        option = Option(name, kind, offs, frozenset(values.get(name, ())), least, most)
        found |= dict.fromkeys((name, *others, *offs), option)
    return found


def _bounds(limits: str) -> dict[str, tuple[int, int | None]]:
    found: dict[str, tuple[int, int | None]] = {}
    bound: tuple[int, int | None] = (0, None)
    for word in limits.split():
        if word.startswith("--"):
            found[word] = bound
            continue
        least, _, most = word.partition("-")
        bound = (int(least), int(most) if most else None)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why it would not start, by the word that does it."""

    code: str
    word: str
    message: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One option as written; a switch is `on` or `off`. `variable`: it was set in the environment."""

    name: str
    value: str
    written: str
    variable: bool = False


@dataclass(slots=True)
class Line:
    """A line that was read: its options in order, its other words, and what is wrong with it."""

    given: list[Given] = field(default_factory=list)
    plain: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def value(self, name: str, default: str = "") -> str:
        """The last value given; the command line before the environment."""
        said = [one for one in self.given if one.name == name]
        said.sort(key=lambda one: not one.variable)
        return said[-1].value if said else default

    def has(self, name: str) -> bool:
        """Whether the option is there in any form."""
        return any(one.name == name for one in self.given)

    def is_on(self, name: str) -> bool:
        """A switch's last state."""
        return self.value(name) in ("on", "true", "True", "1")

    def number(self, name: str) -> int | None:
        """A whole number that was given."""
        return whole(self.value(name))

    def share(self, name: str) -> float | None:
        """A number with a fraction that was given."""
        return number(self.value(name))


def read(
    words: Sequence[str],
    options: Options,
    *,
    program: str,
    prefixes: bool,
    environment: Mapping[str, str] | None = None,
) -> Line:
    """Every word. `prefixes`: a unique beginning of a name will do (argparse). `environment`: each option has a variable."""
    line, left = Line(), list(words)
    while left:
        word = left.pop(0)
        if not word.startswith("-") or word in ("-", "--") or _NUMBER.fullmatch(word):
            line.plain.append(word)
        else:
            _take(word, left, line, options, program=program, prefixes=prefixes)
    for option in {one.name: one for one in options.values()}.values() if environment else ():
        variable = option.name.lstrip("-").replace("-", "_").upper()
        if (said := (environment or {}).get(variable)) is not None:
            value = ("on" if said.lower() in ("true", "1", "") else "off") if option.kind == "switch" else said
            _keep(Given(name=option.name, value=value, written=variable, variable=True), option, line, program)
    return line


def _take(word: str, left: list[str], line: Line, options: Options, *, program: str, prefixes: bool) -> None:
    name, equals, value = word.partition("=")
    option = options.get(name) or (_begun(name, options) if prefixes else None)
    if option is None:
        near = get_close_matches(name, list(options), n=1)
        fix = f"did you mean `{near[0]}`?" if near else f"`{program} --help` lists the options"
        message = f"{program} does not know `{name[:60]}` and would not start"
        line.problems.append(Problem(code=UNKNOWN, word=name, message=message, fix=fix))
        if not equals and left and not left[0].startswith("-"):
            left.pop(0)
        return
    if option.kind == "switch":
        is_off = name in option.off or value.lower() in ("false", "0")
        line.given.append(Given(name=option.name, value="off" if is_off else "on", written=name[:60]))
        return
    if not equals:
        if not left or (left[0].startswith("--") and left[0] in options):
            fix = f"`{name} VALUE`"
            line.problems.append(Problem(code=WRONG_VALUE, word=name, message=f"`{name}` needs a value", fix=fix))
            return
        value = left.pop(0)
        while option.kind == "list" and left and not left[0].startswith("-"):
            value += " " + left.pop(0)
    _keep(Given(name=option.name, value=value, written=name[:60]), option, line, program)


def _begun(name: str, options: Options) -> Option | None:
    begun = {one.name: one for text, one in options.items() if text.startswith(name)}
    return next(iter(begun.values())) if len(begun) == 1 and name.startswith("--") and len(name) > 2 else None


def _keep(one: Given, option: Option, line: Line, program: str) -> None:
    problem = _value_problem(one, option, program)
    if problem is None:
        line.given.append(one)
    else:
        line.problems.append(problem)


def _value_problem(one: Given, option: Option, program: str) -> Problem | None:
    value, name = one.value, one.written
    if option.choices and value not in option.choices:
        near = get_close_matches(value, sorted(option.choices), n=1)
        fix = f"did you mean `{near[0]}`?" if near else f"one of {', '.join(sorted(option.choices)[:8])}"
        return Problem(code=WRONG_VALUE, word=name, message=f"`{name}` does not take `{value[:40]}`", fix=fix)
    is_number = {
        "whole": _NUMBER.fullmatch(value) is not None,
        "human": whole(value) is not None,
        "float": number(value) is not None,
    }.get(option.kind, True)
    if is_number:
        return _bound_problem(one, option, program)
    what = "a number" if option.kind == "float" else "a whole number"
    message = f"`{name}` takes {what}, not `{value[:40]}`: {program} would not start"
    return Problem(code=WRONG_VALUE, word=name, message=message, fix=f"`{name} NUMBER`")


def _bound_problem(one: Given, option: Option, program: str) -> Problem | None:
    """A number that the program, or a socket, does not take."""
    found = whole(one.value)
    if found is None or option.least is None or (option.least <= found and found <= (option.most or found)):
        return None
    bounds = f"from {option.least} to {option.most}" if option.most is not None else f"at least {option.least}"
    message = f"`{one.written}` is {bounds}, not {one.value[:20]}: {program} would not start"
    fix = f"`{one.written} {max(option.least, 1)}`" if option.most is None else f"`{one.written} 8000`"
    return Problem(code=WRONG_VALUE, word=one.written, message=message, fix=fix)


def whole(text: str) -> int | None:
    """`8192`, `-1`; `8k` = 8000, `8K` = 8192; None for anything else."""
    if _NUMBER.fullmatch(text):
        return int(text)
    match = _HUMAN.fullmatch(text)
    return int(float(match[1]) * _FACTORS[match[2]]) if match else None


def number(text: str) -> float | None:
    """A finite number; None for anything else."""
    match = re.fullmatch(r"[+-]?(?:\d{1,12}(?:\.\d{0,12})?|\.\d{1,12})", text, re.ASCII)
    return float(text) if match else None
