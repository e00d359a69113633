"""The JSON Schema (2020-12) of a domain type's JSON form, from the type's own fields, as forms.py reads and writes it."""

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import PurePosixPath
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

from llmops.domain.forms import Json, derived_of, flat_of, is_required, key_of
from llmops.domain.reading import Known, Unknown


def schema(kind: type[object], *, title: str) -> dict[str, Json]:
    """The JSON Schema (2020-12) of `kind`'s JSON form."""
    definitions: dict[str, Json] = {}
    top = _schema(kind, definitions)
    document: dict[str, Json] = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return document | top | ({"$defs": definitions} if definitions else {})


def schema_part(kind: type[object], definitions: dict[str, Json]) -> dict[str, Json]:
    """The schema of `kind` as a part of a larger one; what it refers to is added to `definitions` (`$defs`)."""
    return _schema(kind, definitions)


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
        if field.name in flat_of(kind):
            inner, inner_required = _properties(hints[field.name], definitions)
            properties |= inner
            required += inner_required
            continue
        properties[key_of(field)] = _schema(hints[field.name], definitions)
        required += [key_of(field)] if is_required(kind, field) else []
    for name in derived_of(kind):
        properties[name] = _schema(get_type_hints(getattr(kind, name))["return"], definitions)
    return properties, required
