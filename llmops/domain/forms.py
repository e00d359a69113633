"""The JSON form of every domain type: dump, load and the JSON Schema of it, from the type's own fields.

A frozen dataclass is an object with its fields in order; `Known(x)` is `{"value": x}` and `Unknown(r)` `{"unknown": r}`;
an enum its value; a tuple an array; a trailing underscore of a field name (`class_`) is dropped. A union is told apart
by the JSON kind (string, number, object …) of what is there.

A class may say `FLAT`, the fields whose own fields stand among its own, and `DERIVED`, methods without parameters whose
answers stand beside them: written, and compared when read, so that a hand-edited sum is noticed.
"""

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from difflib import get_close_matches
from enum import Enum
from pathlib import PurePosixPath
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from llmops.domain.reading import Known, Unknown

T = TypeVar("T")
Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class FormError(Exception):
    """Data that does not have the form of the type; `path` leads to it from the top (keys and list positions)."""

    def __init__(self, message: str, path: tuple[str | int, ...], *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.hint = hint

    def key(self) -> str:
        """The path for people: `deployments.chat.workload`, `targets[1]`."""
        text = ""
        for part in self.path:
            text += f"[{part}]" if isinstance(part, int) else f".{part}"
        return text.removeprefix(".")


def dump(value: object) -> Json:
    """The JSON form of a domain value."""
    match value:
        case Enum():
            return cast("Json", value.value)
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
        if field.name in _flat(value) and isinstance(one, dict):
            form |= one
        else:
            form[_key(field)] = one
    return form | {name: dump(getattr(value, name)()) for name in _derived(value)}


def _flat(kind: object) -> tuple[str, ...]:
    return cast("tuple[str, ...]", getattr(kind, "FLAT", ()))


def _derived(kind: object) -> tuple[str, ...]:
    return cast("tuple[str, ...]", getattr(kind, "DERIVED", ()))


def load(kind: type[T], data: object) -> T:
    """A value of `kind` from its JSON form. Raises `FormError` with the path to what is wrong."""
    return cast("T", _load(kind, data, ()))


def schema(kind: type[object], *, title: str) -> dict[str, Json]:
    """The JSON Schema (2020-12) of `kind`'s JSON form."""
    definitions: dict[str, Json] = {}
    top = _schema(kind, definitions)
    document: dict[str, Json] = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return document | top | ({"$defs": definitions} if definitions else {})


def _key(field: Field[Any]) -> str:
    return field.name.rstrip("_")


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


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


def _wrong(expected: str, data: object, path: tuple[str | int, ...]) -> FormError:
    shown = f" `{data}`" if isinstance(data, str | int | float) and not isinstance(data, bool) else ""
    return FormError(f"expected {expected}, found {_json_kind(data)}{shown[:60]}", path)


def _load(kind: Any, data: object, path: tuple[str | int, ...]) -> object:  # noqa: ANN401 - a type form
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
        return {str(key): _load(get_args(kind)[1], item, (*path, str(key))) for key, item in data.items()}
    if origin is Known:
        if isinstance(data, dict) and set(data) == {"value"}:
            return Known(_load(get_args(kind)[0], data["value"], (*path, "value")))
        raise _wrong('a table {"value": …} or {"unknown": "reason"}', data, path)
    if is_dataclass(kind):
        return _load_dataclass(cast("type[Any]", kind), data, path)
    return _load_plain(cast("type[Any]", kind), data, path)


def _load_plain(kind: type[Any], data: object, path: tuple[str | int, ...]) -> object:
    if kind is type(None):
        if data is None:
            return None
        raise _wrong("nothing", data, path)
    if issubclass(kind, Enum):
        choices = [str(member.value) for member in kind]
        if data in [member.value for member in kind]:
            return kind(data)
        near = get_close_matches(str(data), choices, n=1)
        hint = f"did you mean `{near[0]}`?" if near else None
        raise FormError(f"`{data}` is not one of {', '.join(choices)}", path, hint=hint)
    if kind is PurePosixPath and isinstance(data, str):
        return PurePosixPath(data)
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if isinstance(data, kind) and not (isinstance(data, bool) and kind is not bool):
        return data
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    raise _wrong(names.get(kind, kind.__name__), data, path)


def _load_tuple(arguments: tuple[Any, ...], data: object, path: tuple[str | int, ...]) -> tuple[object, ...]:
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
        return isinstance(data, int | kind) and not isinstance(data, bool)
    return isinstance(data, str)


def _load_union(members: tuple[Any, ...], data: object, path: tuple[str | int, ...]) -> object:
    possible = [member for member in members if _accepts(member, data)]
    error: FormError | None = None
    for member in possible:
        try:
            return _load(member, data, path)
        except FormError as failed:
            error = error or failed
    raise error or _wrong(" or ".join(_kind_text(member) for member in members), data, path)


def _kind_text(kind: Any) -> str:  # noqa: ANN401 - a type form
    if get_origin(kind) is tuple:
        return "a list"
    if is_dataclass(kind) or get_origin(kind) in (Mapping, dict, Known):
        return "a table"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " or ".join(f"`{member.value}`" for member in kind)
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "nothing"}
    return names.get(kind, str(kind))


def _load_dataclass(kind: type[Any], data: object, path: tuple[str | int, ...]) -> object:
    if not isinstance(data, dict):
        raise _wrong("a table", data, path)
    if kind is Unknown:
        return Unknown(str(data.get("unknown", "")))
    hints = get_type_hints(kind)
    own = {_key(field): field for field in fields(kind) if field.name not in _flat(kind)}
    flat = {name: {_key(field) for field in fields(hints[name])} for name in _flat(kind)}
    _refuse_unknown_keys(data, {*own, *_derived(kind), *(key for keys in flat.values() for key in keys)}, path)
    values: dict[str, object] = {}
    for key, field in own.items():
        if key in data:
            values[field.name] = _load(hints[field.name], data[key], (*path, key))
        elif _is_required(field):
            raise FormError(f"the key `{key}` is missing", path)
    for name, keys in flat.items():
        values[name] = _load(hints[name], {key: item for key, item in data.items() if key in keys}, path)
    made = kind(**values)
    for name in _derived(kind):
        if name in data and data[name] != dump(getattr(made, name)()):
            raise FormError(f"`{name}` is {data[name]}, the rest says {dump(getattr(made, name)())}", (*path, name))
    return made


def _refuse_unknown_keys(data: Mapping[object, object], known: set[str], path: tuple[str | int, ...]) -> None:
    for key in data:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(sorted(known))}"
            raise FormError(f"unknown key `{key}`", (*path, str(key)), hint=hint)


def _schema(kind: Any, definitions: dict[str, Json]) -> dict[str, Json]:  # noqa: ANN401 - a type form
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(member, definitions) for member in get_args(kind)]}
    if origin is tuple:
        arguments = get_args(kind)
        if len(arguments) == 2 and arguments[1] is ...:
            return {"type": "array", "items": _schema(arguments[0], definitions)}
        items: list[Json] = [_schema(one, definitions) for one in arguments]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if origin is frozenset:
        return {"type": "array", "items": _schema(get_args(kind)[0], definitions)}
    if origin in (Mapping, dict):
        return {"type": "object", "additionalProperties": _schema(get_args(kind)[1], definitions)}
    if origin is Known:
        return _object({"value": _schema(get_args(kind)[0], definitions)}, ["value"])
    if kind is Unknown:
        return _object({"unknown": {"type": "string"}}, ["unknown"])
    if is_dataclass(kind):
        return _schema_of_dataclass(cast("type[Any]", kind), definitions)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"enum": [member.value for member in kind]}
    names = {
        bool: "boolean",
        int: "integer",
        float: "number",
        str: "string",
        type(None): "null",
        PurePosixPath: "string",
    }
    return {"type": names[kind]}


def _object(properties: dict[str, Json], required: list[str]) -> dict[str, Json]:
    return {
        "type": "object",
        "properties": properties,
        "required": list[Json](required),
        "additionalProperties": False,
    }


def _schema_of_dataclass(kind: type[Any], definitions: dict[str, Json]) -> dict[str, Json]:
    if kind.__name__ not in definitions:
        definitions[kind.__name__] = {}
        properties, required = _properties(kind, definitions)
        summary = (kind.__doc__ or "").strip().split("\n")[0]
        definitions[kind.__name__] = {"description": summary, **_object(properties, required)}
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _properties(kind: type[Any], definitions: dict[str, Json]) -> tuple[dict[str, Json], list[str]]:
    hints = get_type_hints(kind)
    properties: dict[str, Json] = {}
    required: list[str] = []
    for field in fields(kind):
        if field.name in _flat(kind):
            inner, inner_required = _properties(hints[field.name], definitions)
            properties |= inner
            required += inner_required
            continue
        properties[_key(field)] = _schema(hints[field.name], definitions)
        required += [_key(field)] if _is_required(field) else []
    for name in _derived(kind):
        properties[name] = _schema(get_type_hints(getattr(kind, name))["return"], definitions)
    return properties, required
