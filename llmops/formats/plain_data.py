"""Plain data before it becomes domain values: what no document of ours may hold, and which version it is in."""

import re
from collections.abc import Callable, Mapping
from typing import Protocol

from llmops.domain.errors import WrongInput
from llmops.domain.forms import Json, KeyPath

Migrations = Mapping[int, Callable[[dict[str, Json]], dict[str, Json]]]
"""From the version that is the key to the next one."""

_VERSION = re.compile(r"(llmops\.[a-z-]+)/([0-9]{1,6})", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]")


class Wrong(Protocol):
    """Makes the error for the value at a key path."""

    def __call__(self, message: str, path: KeyPath, *, hint: str | None = None) -> WrongInput:
        """The error, with file and (where known) line."""
        ...


def refuse_unsound(data: Json, wrong: Wrong, path: KeyPath = (), *, allowed: str = "") -> None:
    """Refuse control characters and line ends in any text (but the `allowed` ones), and negative sizes.

    What profile and lock say is printed into units, env files and proxy configurations later: a line end would begin a
    new directive there.
    """
    match data:
        case str():
            _refuse_control(data, wrong, path, allowed)
        case list():
            for at, item in enumerate(data):
                refuse_unsound(item, wrong, (*path, at), allowed=allowed)
        case dict():
            for key, item in data.items():
                refuse_unsound(key, wrong, path)
                refuse_unsound(item, wrong, (*path, key), allowed=allowed)
        case int() | float():
            if data < 0 and path and str(path[-1]).endswith(("_bytes", "bytes", "_tokens", "_cores")):
                raise wrong(f"a negative size: {data}", path)
        case None:
            pass


def _refuse_control(text: str, wrong: Wrong, path: KeyPath, allowed: str) -> None:
    for found in _CONTROL.findall(text):
        if found not in allowed:
            raise wrong(f"text with a control character (U+{ord(found):04X})", path)


def current(data: Json, *, newest: str, migrations: Migrations, wrong: Wrong) -> dict[str, Json]:
    """The document in the newest version of its schema (`llmops.lock/1`), older ones migrated step by step."""
    word, newest_version = _split(newest)
    if data is None:
        raise wrong("the file is empty", (), hint=f"it begins with `schema: {newest}`")
    if not isinstance(data, dict):
        raise wrong("expected a table of keys", (), hint=f"it begins with `schema: {newest}`")
    if "schema" not in data:
        raise wrong("the key `schema` is missing", (), hint=f"begin with `schema: {newest}`")
    said = data["schema"]
    match = _VERSION.fullmatch(said) if isinstance(said, str) else None
    if match is None or match[1] != word:
        raise wrong(f"not a {word} document: schema is `{str(said)[:60]}`", ("schema",), hint=f"expected `{newest}`")
    version = int(match[2])
    if version > newest_version:
        hint = "upgrade llmops, or write the file again with this version"
        raise wrong(f"made for a newer llmops: `{said}`, this one reads up to `{newest}`", ("schema",), hint=hint)
    while version < newest_version:
        if version not in migrations:
            raise wrong(f"no reader for `{said}`", ("schema",), hint=f"expected `{newest}`")
        data = migrations[version](data)
        version += 1
    return data | {"schema": newest}


def _split(schema: str) -> tuple[str, int]:
    word, _, number = schema.partition("/")
    return word, int(number)
