"""The JSON form of every domain type: dump and load, from the type's own fields; form_schema.py has its JSON Schema.

A frozen dataclass is an object with its fields in order; `Known(x)` is `{"value": x}` and `Unknown(r)` `{"unknown": r}`;
an enum its value; a tuple an array; a trailing underscore of a field name (`class_`) is dropped. A union is told apart
by the JSON kind (string, number, object …) of what is there.

A class may say `FLAT`, the fields whose own fields stand among its own, and `DERIVED`, methods without parameters whose
answers stand beside them: written, and compared when read, so that a hand-edited sum is noticed. `WRITTEN` are fields with a
default that a document has to hold all the same: a key that was lost must not mean the best.
"""

import math
import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from difflib import get_close_matches
from enum import Enum
from functools import cache
from pathlib import PurePosixPath
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from llmops.domain.reading import Known, Unknown

T = TypeVar("T")
Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
KeyPath = tuple[str | int, ...]

_SHOWN = 60
"""Characters of a wrong value that are worth repeating."""

_WHOLE_LIMIT = 1 << 63


def key_text(path: KeyPath) -> str:
    """The path for people: `deployments.chat.workload`, `targets[1]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{_short(part)}"
    return text.removeprefix(".")


class FormError(Exception):
    """Data that does not have the form of the type; `path` leads to it from the top (keys and list positions)."""

    def __init__(self, message: str, path: KeyPath, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.hint = hint

    def key(self) -> str:
        """The path for people."""
        return key_text(self.path)


def dump(value: object) -> Json:
    """The JSON form of a domain value. Raises `TypeError` for what has none (bytes, a number that is not finite)."""
    match value:
        case Enum():
            return cast("Json", value.value)
        case float() if not math.isfinite(value):
            raise TypeError(f"no JSON form for the number {value}")
        case None | bool() | int() | float() | str():
            return value
        case Known(inner):
            return {"value": dump(inner)}
        case Unknown(reason):
            return {"unknown": reason}
        case PurePosixPath():
            return str(value)
        case tuple() | list() | frozenset():
            items = sorted(value) if isinstance(value, frozenset) else value
            return [dump(item) for item in items]
        case Mapping():
            return {str(key): dump(item) for key, item in value.items()}
        case _:
            return _dump_fields(value)


def _dump_fields(value: object) -> Json:
    if not is_dataclass(value):
        raise TypeError(f"no JSON form for {type(value).__name__}")
    form: dict[str, Json] = {}
    for field in fields(value):
        one = dump(getattr(value, field.name))
        if field.name in flat_of(value) and isinstance(one, dict):
            form |= one
        else:
            form[key_of(field)] = one
    return form | {name: dump(getattr(value, name)()) for name in derived_of(value)}


def flat_of(kind: object) -> tuple[str, ...]:
    """The fields whose own fields stand among the others."""
    return cast("tuple[str, ...]", getattr(kind, "FLAT", ()))


def derived_of(kind: object) -> tuple[str, ...]:
    """The methods whose answers are written beside the fields."""
    return cast("tuple[str, ...]", getattr(kind, "DERIVED", ()))


def load(kind: type[T], data: object) -> T:
    """A value of `kind` from its JSON form. Raises `FormError` with the path to what is wrong."""
    return cast("T", _load(kind, data, ()))


def key_of(field: Field[Any]) -> str:
    """The field's key in JSON."""
    return field.name.rstrip("_")


def is_required(kind: object, field: Field[Any]) -> bool:
    """Whether a table without it is refused."""
    is_written = field.name in cast("tuple[str, ...]", getattr(kind, "WRITTEN", ()))
    return is_written or (field.default is MISSING and field.default_factory is MISSING)


def _json_kind(data: object) -> str:
    names = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "a table",
    }
    return "nothing" if data is None else names.get(type(data), type(data).__name__)


def _wrong(expected: str, data: object, path: KeyPath) -> FormError:
    shown = f" `{_short(data)}`" if isinstance(data, str | int | float) and not isinstance(data, bool) else ""
    switch = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(str(data).lower())
    hint = f"write `{switch}`" if switch and "true or false" in expected else None
    return FormError(f"expected {expected}, found {_json_kind(data)}{shown}", path, hint=hint)


def _short(data: object) -> str:
    """A wrong value as an error repeats it: printable, and not longer than a line."""
    text = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in str(data)[: _SHOWN + 1])
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _near(word: object, known: Iterable[str]) -> str | None:
    """The nearest of the known words, as a question; None where nothing is near."""
    near = get_close_matches(str(word)[:_SHOWN], list(known), n=1)
    return f"did you mean `{near[0]}`?" if near else None


def _load(kind: Any, data: object, path: KeyPath) -> object:  # noqa: ANN401 - a type form
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _load_union(get_args(kind), data, path)
    if origin is tuple:
        return _load_tuple(get_args(kind), data, path)
    if origin is frozenset:
        return frozenset(_load_tuple((get_args(kind)[0], ...), data, path))
    if origin in (Mapping, dict):
        if not isinstance(data, dict):
            raise _wrong("a table", data, path)
        value = get_args(kind)[1]
        return {_load_text(str(key), path): _load(value, item, (*path, str(key))) for key, item in data.items()}
    if origin is Known:
        if isinstance(data, dict) and set(data) == {"value"}:
            return Known(_load(get_args(kind)[0], data["value"], (*path, "value")))
        raise _wrong('a table {"value": …} or {"unknown": "reason"}', data, path)
    if is_dataclass(kind):
        return _load_dataclass(cast("type[Any]", kind), data, path)
    return _load_plain(cast("type[Any]", kind), data, path)


def _load_plain(kind: type[Any], data: object, path: KeyPath) -> object:
    if kind is type(None):
        if data is None:
            return None
        raise _wrong("nothing", data, path)
    if issubclass(kind, Enum):
        return _load_enum(kind, data, path)
    if kind is PurePosixPath and isinstance(data, str):
        return PurePosixPath(_load_text(data, path))
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(_load_whole(data, path))
    if not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
        raise _wrong(_kind_text(kind), data, path)
    if kind is int:
        return _load_whole(data, path)
    if kind is float and not math.isfinite(data):
        raise FormError(f"a number that is not finite: {data}", path)
    return _load_text(data, path) if kind is str else data


def _load_enum(kind: type[Enum], data: object, path: KeyPath) -> object:
    choices = [str(member.value) for member in kind]
    if isinstance(data, str) and data in choices:
        return kind(data)
    raise FormError(f"`{_short(data)}` is not one of {', '.join(choices)}", path, hint=_near(data, choices))


def _load_whole(data: int, path: KeyPath) -> int:
    if abs(data) >= _WHOLE_LIMIT:
        raise FormError("a whole number of more than 64 bits", path)
    return data


def _load_text(data: str, path: KeyPath) -> str:
    """Half a surrogate pair (which JSON's escapes can spell) is no text: nothing could print or store it."""
    if not data.isascii() and any("\ud800" <= one <= "\udfff" for one in data):
        raise FormError("text with half a character (a lone surrogate)", path)
    return data


def _load_tuple(arguments: tuple[Any, ...], data: object, path: KeyPath) -> tuple[object, ...]:
    if not isinstance(data, list | tuple):
        raise _wrong("a list", data, path)
    if len(arguments) == 2 and arguments[1] is ...:
        return tuple(_load(arguments[0], item, (*path, at)) for at, item in enumerate(data))
    if len(data) != len(arguments):
        raise FormError(f"expected {len(arguments)} items, found {len(data)}", path)
    return tuple(_load(one, item, (*path, at)) for at, (one, item) in enumerate(zip(arguments, data, strict=True)))


def _accepts(kind: Any, data: object) -> bool:  # noqa: ANN401 - a type form
    """Whether the JSON kind of `data` could be of `kind` (not whether it is valid)."""
    origin = get_origin(kind)
    if kind is Unknown:
        return isinstance(data, dict) and set(data) == {"unknown"}
    if origin is Known:
        return isinstance(data, dict) and set(data) != {"unknown"}
    if origin in (tuple, frozenset):
        return isinstance(data, list | tuple)
    if origin in (Mapping, dict) or is_dataclass(kind):
        return isinstance(data, dict)
    if kind is type(None):
        return data is None
    if kind is bool:
        return isinstance(data, bool)
    if kind in (int, float):
        return isinstance(data, int | float if kind is float else int) and not isinstance(data, bool)
    return isinstance(data, str)


def _load_union(members: tuple[Any, ...], data: object, path: KeyPath) -> object:
    possible = [member for member in members if _accepts(member, data)]
    error: FormError | None = None
    for member in possible:
        try:
            return _load(member, data, path)
        except FormError as failed:
            error = error or failed
    expected = " or ".join(_kind_text(member) for member in members)
    if error is None or len(error.path) > len(path) or not _is_enum(possible[0]):
        raise error or _wrong(expected, data, path)
    raise FormError(_wrong(expected, data, path).message, path, hint=error.hint)


def _is_enum(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


def _kind_text(kind: Any) -> str:  # noqa: ANN401 - a type form
    if get_origin(kind) is tuple:
        return "a list"
    if is_dataclass(kind) or get_origin(kind) in (Mapping, dict, Known):
        return "a table"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " or ".join(f"`{member.value}`" for member in kind)
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "nothing"}
    return names.get(kind, getattr(kind, "__name__", str(kind)))


def _load_dataclass(kind: type[Any], data: object, path: KeyPath) -> object:
    if not isinstance(data, dict):
        raise _wrong("a table", data, path)
    if kind is Unknown:
        if set(data) != {"unknown"}:
            raise _wrong('a table {"unknown": "reason"}', data, path)
        return Unknown(cast("str", _load_plain(str, data["unknown"], (*path, "unknown"))))
    hints = _hints(cast("Any", kind))
    own = {key_of(field): field for field in fields(kind) if field.name not in flat_of(kind)}
    flat = {name: {key_of(field) for field in fields(cast("Any", hints[name]))} for name in flat_of(kind)}
    _refuse_unknown_keys(data, {*own, *derived_of(kind), *(key for keys in flat.values() for key in keys)}, path)
    values: dict[str, object] = {}
    for key, field in own.items():
        if key in data:
            values[field.name] = _load(hints[field.name], data[key], (*path, key))
        elif is_required(kind, field):
            raise FormError(f"the key `{key}` is missing", path)
    for name, keys in flat.items():
        values[name] = _load(hints[name], {key: item for key, item in data.items() if key in keys}, path)
    made = kind(**values)
    for name in derived_of(kind):
        said, worked_out = data.get(name), dump(getattr(made, name)())
        if name in data and (type(said) is not type(worked_out) or said != worked_out):
            raise FormError(f"`{name}` is {_short(said)}, the rest says {worked_out}", (*path, name))
    return made


@cache
def _hints(kind: type[Any]) -> Mapping[str, object]:
    """The resolved annotations: asked for once per type, a catalogue has hundreds of rows of one."""
    return get_type_hints(kind)


def _refuse_unknown_keys(data: Mapping[object, object], known: set[str], path: KeyPath) -> None:
    for key in data:
        if key not in known:
            hint = _near(key, sorted(known)) or f"known here: {', '.join(sorted(known))}"
            raise FormError(f"unknown key `{_short(key)}`", (*path, str(key)), hint=hint)
