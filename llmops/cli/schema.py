"""`llmops schema`."""

import json
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, cast

import typer

from llmops.cli.answer import Answer, JsonOption, QuietOption, Style, VerboseOption, give
from llmops.cli.app import COMMANDS
from llmops.domain.advisories import Advisories
from llmops.domain.bundle import Rto
from llmops.domain.catalogue import GpuRow, ModelRow
from llmops.domain.changes import Action
from llmops.domain.drift import Drift, UnitState
from llmops.domain.engine import EngineSettings
from llmops.domain.engine_matrix import EngineMatrix
from llmops.domain.errors import Exit, WrongUsage
from llmops.domain.explained import GivenFlag
from llmops.domain.finding import Finding, Where
from llmops.domain.form_schema import schema, schema_part
from llmops.domain.forms import Json
from llmops.domain.host import HostFacts
from llmops.domain.ledger import Ledger
from llmops.domain.lock import LOCK_SCHEMA, Lock
from llmops.domain.lock_difference import LockDifference
from llmops.domain.model import Digest
from llmops.domain.profile import Profile
from llmops.domain.records import dataclass
from llmops.domain.stored import ByLock, Measured
from llmops.domain.wide import GpuFor, ModelFor
from llmops.formats.profile import nearest

FILES: dict[str, type[object]] = {
    "profile": Profile,
    "lock": Lock,
    "facts": HostFacts,
    "advisories": Advisories,
    "engines": EngineMatrix,
}

TITLES = {"lock": LOCK_SCHEMA}
"""Of files whose newest form is not the first."""

Part = str | type[object] | UnionType | tuple[str, ...] | list["Part"] | dict[str, "Part"]
"""A schema in short: a JSON type's name, a domain type, the words allowed, a list of one part, or an open table."""

_TAKEN_BACK: Part = {
    "path": "string",
    "target": "string",
    "action": tuple(one.value for one in Action),
    "why": "string?",
}

RESULTS: Mapping[str, dict[str, Part]] = {
    "quickstart": {},
    "init": {"path": "string", "profile": "string", "models": {}},
    "doctor": {"verdict": ("ready", "ready_with_warnings", "not_ready"), "facts": HostFacts},
    "plan": {
        "plan": {"model": "string", "engine": "string", "argv": ["string"]},
        "ledger": Ledger,
        "deployments": {},
        "models_for": {
            "cards": ["string"],
            "models": [ModelFor],
            "not_fitting": ["string"],
            "not_sized": ["string"],
            "shorter": ["string"],
            "tried": "integer",
            "fitted": "integer",
        },
        "gpus_for": {"model": "string", "gpus": [GpuFor]},
    },
    "explain": {
        "engine": "string",
        "model": {"file": "string?", "repository": "string?", "name": "string?", "quantization": "string?"},
        "settings": EngineSettings,
        "request_tokens": "integer?",
        "flags": [GivenFlag],
        "ledger": Ledger | None,
        "means": ["string"],
        "full_load": ["string"],
        "not_counted": ["string"],
        "notes": ["string"],
    },
    "lock": {
        "lock": "string",
        "written": "string",
        "newest": "string",
        "profile": "string?",
        "planned_again": "boolean",
        "differences": [LockDifference],
    },
    "pull": {
        "commit": "string?",
        "files": [{"name": "string", "bytes": "integer", "digest": Digest, "path": "string"}],
        "bytes_transferred": "integer",
    },
    "verify": {
        "files": [{"name": "string", "path": "string", "status": ("ok", "missing", "changed", "extra")}],
        "quick": "boolean",
        "repaired": ["string"],
    },
    "models": {
        "models": [
            {
                "name": "string",
                "version": "string",
                "current": "boolean",
                "previous": "boolean",
                "repository": "string?",
                "licence": "string?",
                "gated": "string?",
                "pulled_at": "string?",
                "lock": ByLock | None,
                "measured": [Measured],
                "bytes": "integer",
                "directory": "string",
                "files": [{"name": "string", "bytes": "integer", "sha256": "string?"}],
            }
        ],
        "disk_bytes": "integer",
        "store": "string",
    },
    "bundle": {
        "action": ("create", "verify", "install"),
        "paths": ["string"],
        "bytes": "integer",
        "checksums_sha256": "string",
        "signature": {"kind": "string?", "by": "string?", "checked": "boolean"},
        "files": [{"path": "string", "bytes": "integer", "sha256": "string"}],
        "locks": [{"name": "string", "path": "string", "deployments": ["string"]}],
        "out": "string?",
        "models": [{"name": "string", "version": "string", "directory": "string", "files": ["string"]}],
        "missing": ["string"],
        "seconds": "number",
        "rto": Rto | None,
    },
    "render": {
        "files": [{"path": "string", "target": "string", "action": tuple(one.value for one in Action)}],
        "applied": "boolean",
        "generation": "integer?",
    },
    "status": {
        "generation": "integer",
        "files": [Drift],
        "units": [UnitState],
        "generations": [{"number": "integer", "applied_at": "string", "what": "string"}],
    },
    "rollback": {"files": [_TAKEN_BACK], "applied": "boolean", "generation": "integer?"},
    "uninstall": {"files": [_TAKEN_BACK], "applied": "boolean", "generation": "integer?"},
    "keys": {"keys": [{"tenant": "string", "digest": "string"}], "key_file": "string?", "reloaded": "boolean"},
    "smoke": {"url": "string", "model": "string?"},
    "catalog": {
        "models": [ModelRow],
        "gpus": [GpuRow],
        "profiles": [{}],
        "engines": [{}],
        "sizes": [{}],
        "check": [{}],
    },
    "schema": {},
}
"""What a command's result has where it has it; a table may hold more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """A file's or a command's name."""

    name: str


def run(options: Options) -> Answer:
    """The JSON Schema (2020-12) of a file, or of the document a command prints with `--json`."""
    if options.name in FILES:
        made: Json = schema(FILES[options.name], title=TITLES.get(options.name, f"llmops.{options.name}/1"))
    elif options.name in COMMANDS:
        made = _document(options.name)
    else:
        raise WrongUsage(f"no schema `{options.name}`", hint=nearest(options.name, [*FILES, *COMMANDS]))
    return Answer(result=made, show=lambda to: to.verbatim(json.dumps(made, indent=2, ensure_ascii=False)))


def command(
    name: Annotated[str, typer.Argument(help="profile, lock, facts, engines, advisories, or a command's name.")],
    *,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> int:
    """Print the JSON Schema of a command's document or of a file."""
    return give("schema", run(Options(name=name)), Style(json=as_json, quiet=quiet, verbose=verbose))


def _document(name: str) -> dict[str, Json]:
    """The envelope: a result and no error at 0 and 1, an error and no result at every other code."""
    definitions: dict[str, Json] = {}
    error = _open({"message": "string", "hint": "string?"}, definitions)
    error["properties"] = _table(error["properties"]) | {"where": _nullable(schema_part(Where, definitions))}
    error |= {"required": ["message", "hint", "where"], "additionalProperties": False}
    properties: dict[str, Json] = {
        "schema": {"const": f"llmops.{name}/1"},
        "ok": {"type": "boolean"},
        "exit_code": {"enum": [code.value for code in Exit]},
        "result": _nullable(_open(RESULTS.get(name, {}), definitions)),
        "findings": {"type": "array", "items": schema_part(Finding, definitions)},
        "error": _nullable(error),
    }
    answered: Json = {
        "properties": {"exit_code": {"enum": [0, 1]}, "result": {"type": "object"}, "error": {"type": "null"}}
    }
    failed: Json = {
        "properties": {
            "exit_code": {"enum": [code.value for code in Exit if code > 1]},
            "ok": {"const": False},
            "result": {"type": "null"},
            "error": {"type": "object"},
        }
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"llmops.{name}/1",
        "description": COMMANDS[name],
        "type": "object",
        "properties": properties,
        "required": list[Json](properties),
        "additionalProperties": False,
        "oneOf": [answered, failed],
        "$defs": definitions,
    }


def _open(parts: dict[str, Part], definitions: dict[str, Json]) -> dict[str, Json]:
    """A table whose keys, where they are there, have these forms."""
    return {"type": "object", "properties": {key: _part(part, definitions) for key, part in parts.items()}}


def _part(part: Part, definitions: dict[str, Json]) -> dict[str, Json]:
    match part:
        case str():
            return _nullable({"type": part[:-1]}) if part.endswith("?") else {"type": part}
        case tuple():
            return {"enum": list[Json](part)}
        case list():
            return {"type": "array", "items": _part(part[0], definitions)}
        case dict():
            return _open(part, definitions)
        case _:
            return schema_part(cast("type[object]", part), definitions)


def _nullable(part: Json) -> dict[str, Json]:
    return {"anyOf": [part, {"type": "null"}]}


def _table(part: Json) -> dict[str, Json]:
    return part if isinstance(part, dict) else {}
