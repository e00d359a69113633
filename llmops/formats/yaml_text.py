"""YAML text to plain data, with the line of every key.

Values are read by the YAML 1.2 core schema: `yes`, `no`, `on`, `off`, `1:30` and dates are text, as a person expects.
Refused, each with its line: tags, duplicate keys, keys that are not text, merge keys (but where others write them), several
documents, aliases that
grow beyond a limit or hold themselves, deep nesting, and documents that are larger than a configuration is.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, NoReturn, TypeVar

from llmops.domain.errors import WrongInput
from llmops.domain.finding import Where
from llmops.domain.forms import FormError, Json, KeyPath, key_text, load
from llmops.domain.records import dataclass

if TYPE_CHECKING:
    from yaml.error import Mark

T = TypeVar("T")

LIMIT_BYTES = 1 << 20
"""A lock of twenty deployments has about 100 KB; PyYAML's scanner needs seconds for a MiB."""

MERGE = "<<"
LIMIT_DEPTH = 32
LIMIT_NODES = 50_000
"""Counted with every alias expanded."""

_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}
_INT = re.compile(r"[-+]?[0-9]+", re.ASCII)
_HEX = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlText:
    """What a YAML document says, and on which line each key path begins (1-based)."""

    file: str
    data: Json
    lines: Mapping[KeyPath, int]

    def line(self, path: KeyPath) -> int | None:
        """The line of `path`, or of the nearest key above it that has one."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return None

    def wrong(self, message: str, path: KeyPath, *, hint: str | None = None) -> WrongInput:
        """The error for the value at `path`."""
        where = Where(file=self.file, line=self.line(path), key=key_text(path) or None)
        return WrongInput(message, hint=hint, where=where)


def plain_scalar(text: str) -> bool | int | float | str | None:
    """What an unquoted scalar means (YAML 1.2 core schema). Raises `ValueError` for a number no program can hold."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INT.fullmatch(text):
        return _whole(text, 10)
    if _HEX.fullmatch(text):
        return _whole(text[2:], 16 if text[1] == "x" else 8)
    if _FLOAT.fullmatch(text):
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise ValueError(text)
        return value
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(text)
    return text


def _whole(digits: str, base: int) -> int:
    if len(digits) > 20:
        raise ValueError(digits)
    return int(digits, base)


def read_yaml(text: str, *, file: str, merges: bool = False) -> YamlText:
    """Read one document; `merges`: `<<` takes over other tables' keys, as in YAML 1.1. Raises `WrongInput` with line and key."""
    import yaml

    if len(text.encode(errors="replace")) > LIMIT_BYTES:
        raise WrongInput(f"the file is larger than {LIMIT_BYTES >> 20} MiB", where=Where(file=file))
    reader = _Reader(file=file, merges=merges)
    try:
        data = reader.document(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        found = f"U+{error.character:04X}" if isinstance(error.character, int) else str(error.character)
        message = f"a character that YAML does not allow: {found}"
        raise WrongInput(message, where=Where(file=file, line=line)) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise WrongInput(
            f"not YAML: {error.problem or error.context}",
            hint=_syntax_hint(error.problem or ""),
            where=Where(file=file, line=mark.line + 1 if mark else None),
        ) from None
    return YamlText(file=file, data=data, lines=reader.lines)


def read_form(kind: type[T], yaml_text: YamlText, data: Json) -> T:
    """A domain value from `data` (what the document says, perhaps migrated); errors point at the line."""
    try:
        return load(kind, data)
    except FormError as error:
        raise yaml_text.wrong(error.message, error.path, hint=error.hint) from None


def _syntax_hint(problem: str) -> str | None:
    if "\\t" in problem:
        return "indent with blanks, not tabs"
    if "mapping values are not allowed" in problem:
        return "put text that holds `: ` in quotes"
    return None


def _line(event: object) -> int:
    mark: Mark = event.start_mark  # type: ignore[attr-defined]  # every event of the parser has one
    return mark.line + 1


@dataclass(slots=True)
class _Reader:
    """Builds plain data from parser events, iteratively refusing what is not plain."""

    file: str
    merges: bool = False
    lines: dict[KeyPath, int] = field(default_factory=dict)
    _events: "Iterator[object]" = field(default_factory=lambda: iter(()))
    _anchors: dict[str, tuple[Json, int] | None] = field(default_factory=dict)
    _nodes: int = 0

    def document(self, events: "Iterator[object]") -> Json:
        """The data of the only document; None where there is none."""
        import yaml

        self._events = events
        next(events)  # the start of the stream
        first = next(events)
        if isinstance(first, yaml.StreamEndEvent):
            return None
        data = self._node(next(events), ())
        next(events)  # the end of the document
        after = next(events)
        if not isinstance(after, yaml.StreamEndEvent):
            self._refuse("a second document: one file holds one", after, ())
        return data

    def _refuse(self, message: str, event: object, path: KeyPath, *, hint: str | None = None) -> NoReturn:
        where = Where(file=self.file, line=_line(event), key=key_text(path) or None)
        raise WrongInput(message, hint=hint, where=where)

    def _count(self, nodes: int, event: object, path: KeyPath) -> None:
        self._nodes += nodes
        if self._nodes > LIMIT_NODES:
            self._refuse(f"more than {LIMIT_NODES} values, aliases expanded", event, path)

    def _node(self, event: object, path: KeyPath) -> Json:
        import yaml

        if not isinstance(event, yaml.NodeEvent):
            self._refuse("a value is missing", event, path)
        self.lines.setdefault(path, _line(event))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        if len(path) > LIMIT_DEPTH:
            self._refuse(f"nested more than {LIMIT_DEPTH} deep", event, path[:3])
        if getattr(event, "tag", None) is not None:
            self._refuse(f"the tag `{event.tag}`: only plain values are read"[:120], event, path)  # type: ignore[attr-defined]
        before = self._nodes
        self._count(1, event, path)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        data = self._content(event, path)
        if event.anchor is not None:
            self._anchors[event.anchor] = (data, self._nodes - before)
        return data

    def _content(self, event: object, path: KeyPath) -> Json:
        import yaml

        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Json] = []
            while not isinstance(one := next(self._events), yaml.SequenceEndEvent):
                items.append(self._node(one, (*path, len(items))))
            return items
        return self._mapping(path)

    def _scalar(self, event: object, path: KeyPath) -> Json:
        import yaml

        if not isinstance(event, yaml.ScalarEvent):
            self._refuse("expected text", event, path)
        if not event.implicit[0]:
            return str(event.value)
        try:
            return plain_scalar(event.value)
        except ValueError:
            self._refuse(f"a number out of range: `{event.value[:40]}`", event, path)

    def _mapping(self, path: KeyPath) -> Json:
        import yaml

        table: dict[str, Json] = {}
        merged: list[dict[str, Json]] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, path)
            if key in table:
                first = self.lines.get((*path, key))
                self._refuse(f"the key `{key[:60]}` is here a second time, first on line {first}", event, (*path, key))
            self._count(1, event, path)
            self.lines[(*path, key)] = _line(event)
            value = self._node(next(self._events), (*path, key))
            if key == MERGE and event.implicit[0]:  # type: ignore[attr-defined]  # `_key` takes scalars alone
                merged += self._merged(value, event, (*path, key))
            else:
                table[key] = value
        for one in merged:  # own keys win, then the first table that has one
            table = {**one, **table}
        return table

    def _merged(self, value: Json, event: object, path: KeyPath) -> list[dict[str, Json]]:
        """The tables a merge key takes over, in its order: one of them, or a list."""
        tables = value if isinstance(value, list) else [value]
        found = [one for one in tables if isinstance(one, dict)]
        if len(found) != len(tables):
            self._refuse("a merge key (`<<`) takes tables", event, path)
        return found

    def _key(self, event: object, path: KeyPath) -> str:
        import yaml

        if not isinstance(event, yaml.ScalarEvent) or event.tag is not None or event.anchor is not None:
            self._refuse("a key must be plain text", event, path)
        key = self._scalar(event, path)
        if not isinstance(key, str):
            hint = f'write "{event.value[:40]}" in quotes' if event.value else None
            self._refuse(f"a key must be text, found `{event.value[:40]}`", event, path, hint=hint)
        if key == MERGE and event.implicit[0] and not self.merges:
            self._refuse("merge keys (`<<`) are not read", event, path, hint="write the keys out")
        return key

    def _alias(self, event: object, path: KeyPath) -> Json:
        name = str(getattr(event, "anchor", ""))
        if name not in self._anchors:
            self._refuse(f"the alias `*{name[:40]}` names nothing above it", event, path)
        anchored = self._anchors[name]
        if anchored is None:
            self._refuse(f"the alias `*{name[:40]}` is inside of what it names", event, path)
        data, nodes = anchored
        self._count(nodes, event, path)
        return data
