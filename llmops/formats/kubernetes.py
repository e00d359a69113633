"""Kubernetes manifests: the containers of a Pod, or of what makes Pods, with image, command and environment.

`command:` stands for the image's entrypoint, `args:` for its words; `$(NAME)` is a variable of the same container, `$$` a
dollar. Source: Kubernetes 1.34, "Define a Command and Arguments for a Container", third_party/forked/golang/expansion.
"""

import re
from collections.abc import Container, Iterator
from dataclasses import replace
from itertools import chain, count

from llmops.domain.errors import WrongInput
from llmops.domain.explained import Started
from llmops.domain.finding import Where
from llmops.domain.forms import Json
from llmops.formats.yaml_text import YamlText, read_yaml

_VARIABLE = re.compile(r"\$(\$|\(([^)]*)\))")
_DOCUMENT = re.compile(r"^---(?:[ \t].*)?$", re.MULTILINE)
CARDS = ("nvidia.com/gpu", "amd.com/gpu")


def is_manifest(text: str) -> bool:
    """Whether it is one: every object of Kubernetes says its version and its kind."""
    return bool(re.search(r"^apiVersion:", text, re.MULTILINE) and re.search(r"^kind:", text, re.MULTILINE))


def containers(text: str, *, file: str) -> dict[str, Started]:
    """Every container by name. Raises `WrongInput` for what holds none."""
    found: dict[str, Started] = {}
    for part, first_line in _documents(text):
        document = read_yaml(part, file=file)
        for path, container in _containers(document.data, ()):
            one = _started(document, path, container, first_line)
            name = _free_name(one.name, _object_name(document.data, path), found)
            found[name] = replace(one, name=name)
    if not found:
        hint = "understood are Pods, Deployments, StatefulSets, DaemonSets, Jobs and the like"
        raise WrongInput("no container here", hint=hint, where=Where(file=file))
    return found


def _documents(text: str) -> Iterator[tuple[str, int]]:
    """Every document that is not empty, and how many lines stand before it."""
    before = 0
    for part in _DOCUMENT.split(text):
        if any(line.strip() and not line.lstrip().startswith("#") for line in part.splitlines()):
            yield part, before
        before += part.count("\n")


def _containers(node: Json, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], dict[str, Json]]]:
    """Containers wherever a Pod's `spec` lies: a list, a template, a template in a template."""
    if not isinstance(node, dict):
        return
    for key in ("spec", "template", "jobTemplate"):
        yield from _containers(node.get(key), (*path, key))
    listed = node.get("containers")
    for at, one in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(one, dict):
            yield (*path, "containers", at), one
    items = node.get("items") if not path else None
    for at, one in enumerate(items if isinstance(items, list) else []):
        yield from _containers(one, (*path, "items", at))


def _object_name(document: Json, path: tuple[str | int, ...]) -> str:
    """What the object that holds a container is called."""
    items = document.get("items") if isinstance(document, dict) else None
    node = items[path[1]] if path[0] == "items" and isinstance(items, list) and isinstance(path[1], int) else document
    metadata = node.get("metadata") if isinstance(node, dict) else None
    return str(metadata.get("name") or "") if isinstance(metadata, dict) else ""


def _free_name(name: str, holder: str, taken: Container[str]) -> str:
    """Containers of two objects may share a name: the later one is told with its object's."""
    longer = f"{holder}/{name}"
    return next(one for one in chain((name, longer), (f"{longer}#{at}" for at in count(2))) if one not in taken)


def _started(document: YamlText, path: tuple[str | int, ...], container: dict[str, Json], before: int) -> Started:
    unknown: list[str] = []
    environment = _environment(document, path, container, unknown)
    command, words = (_words(document, (*path, key), container.get(key), environment) for key in ("command", "args"))
    image, name = container.get("image"), str(container.get("name") or "")
    line = document.line((*path, "args" if words else "command"))
    return Started(
        name=name,
        argv=(*command, *words),
        environment=environment,
        image=image if isinstance(image, str) and not command else None,
        where=Where(file=document.file, line=line + before if line else None, key=f"containers.{name}"),
        unknown=tuple(unknown),
        visible_cards=_cards(container),
    )


def _words(
    document: YamlText, path: tuple[str | int, ...], value: Json, environment: dict[str, str]
) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, str | int | float) for one in value):
        raise document.wrong("a list of words", path)
    return tuple(_VARIABLE.sub(lambda match: _value(match, environment), str(one)) for one in value)


def _value(match: re.Match[str], environment: dict[str, str]) -> str:
    return "$" if match[1] == "$" else environment.get(match[2], match[0])


def _environment(
    document: YamlText, path: tuple[str | int, ...], container: dict[str, Json], unknown: list[str]
) -> dict[str, str]:
    given = container.get("env")
    values: dict[str, str] = {}
    for one in given if isinstance(given, list) else []:
        name = one.get("name") if isinstance(one, dict) else None
        if not isinstance(one, dict) or not isinstance(name, str):
            raise document.wrong("variables with `name` and `value`", (*path, "env"))
        if "valueFrom" in one:
            unknown.append(f"the variable `{name[:60]}` comes from the cluster, and is not known")
            continue
        values[name] = _VARIABLE.sub(lambda match: _value(match, values), str(one.get("value") or ""))
    if container.get("envFrom"):
        unknown.append("`envFrom:` comes from the cluster: what it sets is not known")
    return values


def _cards(container: dict[str, Json]) -> tuple[str, ...] | None:
    """As many cards as the limits say: the device plugin shows the container no other; None without a limit."""
    resources = container.get("resources")
    limits = resources.get("limits") if isinstance(resources, dict) else None
    for name in CARDS:
        count = str(limits.get(name)) if isinstance(limits, dict) else ""
        if count.isdecimal() and len(count) < 4:
            return tuple(str(number) for number in range(int(count)))
    return None
