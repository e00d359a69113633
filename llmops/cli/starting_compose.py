"""A process that a compose file or a manifest of Kubernetes starts, with the files it names."""

from collections.abc import Mapping
from pathlib import Path

from llmops.cli.starting_unit import file_beside, first_text
from llmops.domain.errors import WrongInput, WrongUsage
from llmops.domain.explained import EngineProcess, Started
from llmops.domain.finding import Where
from llmops.engines.process import engine_process
from llmops.formats.compose import services
from llmops.formats.env_file import dotenv_values
from llmops.formats.kubernetes import containers

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
"""What Compose takes without `-f`; then also the file that overrides it. Source: compose-go v2, cli/options.go."""

Found = tuple[EngineProcess, Started]


def of_compose(path: str, text: str, service: str | None, environment: Mapping[str, str]) -> Found:
    """One service's engine. Raises `WrongInput` and `WrongUsage`."""
    beside = first_text([Path(path).parent / ".env"])
    variables = {**(dotenv_values(beside, environment) if beside is not None else {}), **environment}
    texts = [(path, text), *_override(path)]
    table = services(texts, variables=variables, read=lambda name: file_beside(path, name))
    if service is None:
        asked = {*variables.get("COMPOSE_PROFILES", "").split(",")}
        started = {
            name: one for name, one in table.items() if not one.profiles or asked & {*one.profiles, "*"} or "*" in asked
        }
        table = started if any(engine_process(one) is not None for one in started.values()) else table
    return _one(path, table, service, "service")


def of_manifest(path: str, text: str, container: str | None) -> Found:
    """One container's engine. Raises `WrongInput` and `WrongUsage`."""
    return _one(path, containers(text, file=path), container, "container")


def _one(path: str, table: Mapping[str, Started], name: str | None, kind: str) -> Found:
    if name is not None:
        if name not in table:
            raise WrongUsage(f"no {kind} `{name[:60]}` in {path}", hint=f"one of: {', '.join(list(table)[:20])}")
        table = {name: table[name]}
    found = {
        one: (process, started) for one, started in table.items() if (process := engine_process(started)) is not None
    }
    if not found:
        message = f"no {kind} here starts an engine that is understood: {', '.join(list(table)[:20])}"
        hint = "understood are `llama-server …`, `vllm serve …`, `ollama serve` and wrappers in front of them"
        raise WrongInput(message, hint=hint, where=Where(file=path))
    if len(found) > 1:
        raise WrongUsage(f"{len(found)} {kind}s start an engine", hint=f"`--service` {' or '.join(list(found)[:20])}")
    return next(iter(found.values()))


def _override(path: str) -> list[tuple[str, str]]:
    """`compose.override.yaml` and its kin, which Compose reads beside a file of its usual names."""
    file = Path(path)
    if file.name not in NAMES:
        return []
    stem = file.name.partition(".")[0]
    for suffix in ("yml", "yaml"):
        beside = file.with_name(f"{stem}.override.{suffix}")
        text = first_text([beside])
        if text is not None:
            return [(str(beside), text)]
    return []
