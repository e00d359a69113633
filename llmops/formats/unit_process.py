"""The process a systemd unit starts: its command line, and every variable that is set for it.

`Environment=`, then `EnvironmentFile=` (which wins), then both again from drop-ins, as systemd reads them. Source: systemd
252, systemd.exec(5) "Environment", systemd.service(5) "Command lines".
"""

import re
import string
from collections.abc import Callable, Sequence

from llmops.domain.errors import WrongInput
from llmops.domain.explained import Started
from llmops.domain.finding import Where
from llmops.formats.env_file import systemd_values
from llmops.formats.unit import Setting, command_line, settings, words

PREFIXES = "@-:+!|"
SPECIFIERS = {letter: f"%{letter}" for letter in string.ascii_letters}
"""What a specifier becomes is not in the unit: it stays as it is written."""

_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)", re.ASCII)

Read = Callable[[str], str | None]
"""The text of a file on the target host, None where it is not here."""


def started_by_unit(
    texts: Sequence[tuple[str, str]], *, read: Read, wanted: Callable[[Started], bool] = lambda _process: True
) -> Started:
    """The main process of a unit; `texts` are the unit and its drop-ins, each with its name, in the order systemd reads them.

    Of several commands (`Type=oneshot`) the last that is `wanted`, else the last.
    Raises `WrongInput` for what is no unit of a service, or names no command.
    """
    file = texts[0][0]
    rows: list[tuple[str, Setting]] = []
    for name, text in texts:
        rows += [(name, one) for one in settings(text, file=name) if one.section == "Service"]
    if not rows:
        hint = "a unit file has `[Service]`, a compose file `services:`"
        raise WrongInput("no `[Service]` section: not a unit of a service", hint=hint, where=Where(file=file))
    environment, unknown = _environment(rows, read)
    commands = _commands(rows)
    if not commands:
        raise WrongInput("the unit has no `ExecStart=`", where=Where(file=file))
    made = [_started(file, name, setting, environment, unknown) for name, setting in commands]
    return next((one for one in reversed(made) if wanted(one)), made[-1])


def _started(file: str, name: str, setting: Setting, environment: dict[str, str], unknown: Sequence[str]) -> Started:
    where = Where(file=name, line=setting.line, key="ExecStart")
    value = setting.value.lstrip(PREFIXES)
    # What a file that is not here may set stays as it is written, everything else that is unset is empty.
    names = [match[1] for match in _VARIABLE.finditer(value)] if unknown else []
    variables = {name: f"${{{name}}}" for name in names} | environment
    argv = command_line(value, specifiers=SPECIFIERS, where=where, variables=variables)
    if not argv:
        raise WrongInput("`ExecStart=` names no program", where=where)
    if setting.value[: len(setting.value) - len(value)].count("@"):
        argv = (argv[0], *argv[2:])
    return Started(name=file, argv=argv, environment=environment, where=where, unknown=tuple(unknown))


def _commands(rows: Sequence[tuple[str, Setting]]) -> list[tuple[str, Setting]]:
    """The commands that are left: an empty `ExecStart=` takes back what is above it."""
    found: list[tuple[str, Setting]] = []
    for name, setting in rows:
        if setting.key == "ExecStart":
            found = [*found, (name, setting)] if setting.value else []
    return found


def _environment(rows: Sequence[tuple[str, Setting]], read: Read) -> tuple[dict[str, str], list[str]]:
    plain: dict[str, str] = {}
    from_files: dict[str, str] = {}
    unknown: list[str] = []
    for name, setting in rows:
        where = Where(file=name, line=setting.line, key=setting.key)
        if setting.key == "Environment":
            if not setting.value:
                plain.clear()
            for word in words(setting.value, where=where):
                key, equals, value = word.partition("=")
                if equals:
                    plain[key] = value
        elif setting.key == "EnvironmentFile":
            if not setting.value:
                from_files.clear()
                continue
            path = setting.value.removeprefix("-")
            text = None if "%" in path else read(path)
            if text is None:
                unknown.append(f"`EnvironmentFile={setting.value[:120]}` is not here: what it sets is not known")
            else:
                from_files |= systemd_values(text)
        elif setting.key == "PassEnvironment" and setting.value:
            unknown.append(
                f"`PassEnvironment={setting.value[:120]}`: these come from the service manager, and are not known"
            )
    return plain | from_files, unknown
