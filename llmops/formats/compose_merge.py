"""Two services of compose files that become one: what is on top replaces, joins or comes behind what is below.

Source: the Compose specification, "Merge" and "extends"; compose-go v2, override/merge.go and override/extends.go.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath

from llmops.domain.forms import Json

REPLACED = frozenset({"command", "entrypoint"})
"""Lists that the upper file replaces as a whole; other lists are joined."""

NAMED = frozenset({"environment", "labels", "sysctls", "extra_hosts", "annotations"})
"""Tables that may be written as a list of NAME=value."""


def merged(below: Mapping[str, Json], above: Mapping[str, Json]) -> dict[str, Json]:
    """One service of two."""
    made = dict(below)
    for key, value in above.items():
        made[key] = _one(key, made[key], value) if key in made else value
    return made


def _one(key: str, below: Json, above: Json) -> Json:
    if above is None or key in REPLACED:
        return below if above is None else above
    if key in NAMED:
        return {**_table(below), **_table(above)}
    if key == "env_file":
        return [*as_list(below), *as_list(above)]
    if key == "volumes":
        return _by_target(as_list(below), as_list(above))
    if isinstance(below, dict) and isinstance(above, dict):
        return merged(below, above)
    if isinstance(below, list) and isinstance(above, list):
        return [*below, *(one for one in above if one not in below)]
    return above


def _table(value: Json) -> dict[str, Json]:
    if isinstance(value, dict):
        return value
    pairs = [str(one).partition("=") for one in value] if isinstance(value, list) else []
    return {name: text if equals else None for name, equals, text in pairs}


def as_list(value: Json) -> list[Json]:
    """What may be written as one or as a list of them."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _by_target(below: list[Json], above: list[Json]) -> list[Json]:
    targets = {target(one) for one in above}
    return [*(one for one in below if target(one) not in targets), *above]


def target(volume: Json) -> str | None:
    """Where in the container a volume lies."""
    if isinstance(volume, dict):
        place = volume.get("target")
        return place if isinstance(place, str) else None
    parts = str(volume).split(":")
    return parts[1] if len(parts) > 1 else parts[0]


def beside(service: Mapping[str, Json], folder: str) -> dict[str, Json]:
    """The service with the paths of its files as they are seen from the folder above `folder`."""
    made = dict(service)
    if "env_file" in made:
        made["env_file"] = [
            {**one, "path": _below(folder, str(one.get("path")))} if isinstance(one, dict) else _below(folder, str(one))
            for one in as_list(made["env_file"])
        ]
    if "volumes" in made:
        made["volumes"] = [_volume(folder, one) for one in as_list(made["volumes"])]
    return made


def _below(folder: str, path: str) -> str:
    return path if path.startswith(("/", "~", "$")) else str(PurePosixPath(folder) / path)


def _volume(folder: str, one: Json) -> Json:
    if isinstance(one, dict):
        source = one.get("source")
        is_relative = one.get("type") == "bind" and isinstance(source, str)
        return {**one, "source": _below(folder, str(source))} if is_relative else one
    source, colon, rest = str(one).partition(":")
    return f"./{_below(folder, source)}{colon}{rest}" if colon and source.startswith(".") else one
