"""Compose files: services with command, entrypoint and environment, as Compose reads them.

Lists stay as they are, text is split as a shell splits it; `${NAME}`, `${NAME:-default}` and their kin are filled in from the
variables that are handed in, `$$` is a dollar. Source: the Compose specification, "Interpolation", "command", "env_file".
"""

import re
import shlex
from collections.abc import Callable, Mapping

from llmops.domain.errors import WrongInput
from llmops.domain.explained import Started
from llmops.domain.finding import Where
from llmops.domain.forms import Json, KeyPath
from llmops.formats.env_file import compose_value
from llmops.formats.yaml_text import YamlText, read_yaml

_VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<plain>[A-Za-z_][A-Za-z0-9_]*)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"(?:(?P<how>:?[-?+])(?P<text>[^}]*))?\})",
    re.ASCII,
)

Read = Callable[[str], str | None]
"""The text of a file beside the compose file, None where it is not here."""


def services(text: str, *, file: str, variables: Mapping[str, str], read: Read) -> dict[str, Started]:
    """Every service by name. Raises `WrongInput` with line and key for what is no compose file."""
    document = read_yaml(text, file=file, merges=True)
    table = document.data.get("services") if isinstance(document.data, dict) else None
    if not isinstance(table, dict) or not table:
        hint = "a compose file has `services:`, a unit file `[Service]`"
        raise WrongInput("no `services:` with a service: not a compose file", hint=hint, where=Where(file=file))
    return {name: _Service(document, name, service, variables, read).started() for name, service in table.items()}


class _Service:
    """One service while it is read; what cannot be known is collected."""

    def __init__(self, document: YamlText, name: str, service: Json, variables: Mapping[str, str], read: Read) -> None:
        self.document = document
        self.name = name
        self.path: KeyPath = ("services", name)
        self.variables = variables
        self.read = read
        self.unknown: list[str] = []
        if not isinstance(service, dict):
            raise document.wrong("a service is a table", self.path)
        self.service = service

    def started(self) -> Started:
        """The process of the service."""
        entrypoint, command = self._words("entrypoint"), self._words("command")
        image = self.service.get("image")
        for key in ("extends", "build"):
            if key in self.service and not (key == "build" and (entrypoint or command)):
                self.unknown.append(f"`{key}:` is not followed: what it brings is not known")
        line = self.document.line((*self.path, "command" if command else "entrypoint"))
        return Started(
            name=self.name,
            argv=(*entrypoint, *command),
            environment=self._environment(),
            image=self._text(image, "image") if isinstance(image, str) and not entrypoint else None,
            where=Where(file=self.document.file, line=line, key=f"services.{self.name}"),
            unknown=tuple(self.unknown),
            visible_cards=self._cards(),
        )

    def _words(self, key: str) -> tuple[str, ...]:
        value = self.service.get(key)
        if value is None:
            return ()
        if isinstance(value, str):
            try:
                return tuple(shlex.split(self._text(value, key)))
            except ValueError as error:
                raise self.document.wrong(f"not words as a shell splits them: {error}", (*self.path, key)) from None
        if isinstance(value, list):
            return tuple(self._text(self._scalar(one, key), key) for one in value)
        raise self.document.wrong("text, or a list of words", (*self.path, key))

    def _scalar(self, value: Json, key: str) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str | int | float):
            return str(value)
        raise self.document.wrong("a word is text or a number", (*self.path, key))

    def _text(self, text: str, key: str) -> str:
        """Variables filled in; one that is not known and has no default is empty, and said."""
        return _VARIABLE.sub(lambda match: self._value(match, key), text)

    def _value(self, match: re.Match[str], key: str) -> str:
        if match["escaped"]:
            return "$"
        name, how, other = match["plain"] or match["name"], match["how"] or "", match["text"] or ""
        value = self.variables.get(name)
        is_set = bool(value) if how.startswith(":") else value is not None
        if how.endswith("+"):
            return other if is_set else ""
        if is_set and value is not None:
            return value
        if how.endswith("-"):
            return other
        self.unknown.append(f"the variable `{name}` of `{key}:` is not set here")
        return ""

    def _environment(self) -> dict[str, str]:
        values = self._files()
        given = self.service.get("environment")
        if isinstance(given, list):
            pairs = [self._scalar(one, "environment").partition("=") for one in given]
            given = {name: (value if equals else None) for name, equals, value in pairs}
        if given is not None and not isinstance(given, dict):
            raise self.document.wrong("a table, or a list of NAME=value", (*self.path, "environment"))
        for name, value in (given or {}).items():
            if value is None:
                if name in self.variables:
                    values[name] = self.variables[name]
                else:
                    self.unknown.append(f"the variable `{name}` comes from where Compose runs, and is not known")
            else:
                values[name] = self._text(self._scalar(value, "environment"), "environment")
        return values

    def _files(self) -> dict[str, str]:
        given = self.service.get("env_file")
        values: dict[str, str] = {}
        for one in given if isinstance(given, list) else [given]:
            path = one.get("path") if isinstance(one, dict) else one
            if not isinstance(path, str):
                continue
            text = self.read(self._text(path, "env_file"))
            if text is None:
                self.unknown.append(f"`env_file: {path[:120]}` is not here: what it sets is not known")
            else:
                values |= env_values(text)
        return values

    def _cards(self) -> tuple[str, ...] | None:
        """`device_ids` of the first reservation of NVIDIA cards; None: all, or none asked for."""
        node: Json = self.service
        for key in ("deploy", "resources", "reservations", "devices"):
            node = node.get(key) if isinstance(node, dict) else None
        for row in node if isinstance(node, list) else []:
            ids = row.get("device_ids") if isinstance(row, dict) else None
            if isinstance(ids, list):
                return tuple(self._text(self._scalar(one, "device_ids"), "device_ids") for one in ids)
        return None


def env_values(text: str) -> dict[str, str]:
    """The assignments of a `.env` or `env_file:`; a value that Compose would expand is taken as it is written."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        bare = line.strip().removeprefix("export ").lstrip()
        name, equals, written = bare.partition("=")
        if equals and not bare.startswith("#"):
            value = compose_value(written)
            values[name.strip()] = _unquoted(written.strip()) if value is None else value
    return values


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text.split(" #", 1)[0].rstrip()
