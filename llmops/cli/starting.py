"""A process to look at: words on the command line, a systemd unit with its drop-ins, or a service of a compose file."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from llmops.domain.errors import Stop, WrongInput, WrongUsage
from llmops.domain.explained import EngineProcess, Started
from llmops.domain.finding import Where
from llmops.engines.process import engine_process
from llmops.formats.compose import env_values, services
from llmops.formats.unit_process import started_by_unit
from llmops.library import files

UNITS, COMPOSE = (".service",), (".yaml", ".yml")
SHELL_NAMES = ("LLAMA_", "GGML_", "AIP_", "OLLAMA_")
"""What a server started from this shell would read of its environment."""

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.ASCII | re.DOTALL)


def is_file_name(words: Sequence[str]) -> bool:
    """Whether the words are one file to read, and not a command line."""
    return len(words) == 1 and (words[0].endswith((*UNITS, *COMPOSE)) or Path(words[0]).suffix in (".conf", ".unit"))


def typed(words: Sequence[str], environment: Mapping[str, str], *, here: bool) -> Started:
    """A command line as typed. Its environment is this shell's, `here` also the cards it may see."""
    kept = {name: value for name, value in environment.items() if name.startswith(SHELL_NAMES)}
    if here and "CUDA_VISIBLE_DEVICES" in environment:
        kept["CUDA_VISIBLE_DEVICES"] = environment["CUDA_VISIBLE_DEVICES"]
    rest = list(words)
    while (
        rest and (assignment := _ASSIGNMENT.fullmatch(rest[0])) is not None
    ):  # `NAME=VALUE … PROGRAM`, as a shell takes it
        kept[assignment[1]] = assignment[2]
        rest.pop(0)
    return Started(name=rest[0] if rest else "", argv=tuple(rest), environment=kept)


def from_file(path: str, *, service: str | None, environment: Mapping[str, str]) -> tuple[EngineProcess, Started]:
    """The engine a file starts. Raises `WrongInput` for a broken file, or one without an engine."""
    hint = "a unit (FILE.service), a compose file, or a command line behind `--`: `llmops explain -- llama-server …`"
    text = files.read_text(Path(path), hint=hint)
    if path.endswith(COMPOSE) or (not path.endswith(UNITS) and "\nservices:" in f"\n{text}"):
        return _of_compose(path, text, service, environment)
    if service is not None:
        raise WrongUsage("`--service` is for a compose file", hint="a unit has one process")
    started = started_by_unit(
        [(path, text), *_drop_ins(path)],
        read=lambda name: _target_file(path, name),
        wanted=lambda one: engine_process(one) is not None,
    )
    process = engine_process(started)
    if process is None:
        program = started.argv[0] if started.argv else ""
        raise _no_engine(f"`{program[:80]}` is no engine that is understood", started.where)
    return process, started


def _drop_ins(path: str) -> list[tuple[str, str]]:
    folder = Path(path).with_name(Path(path).name + ".d")
    return [(str(one), files.read_text(one)) for one in sorted(folder.glob("*.conf"))] if folder.is_dir() else []


def _target_file(unit: str, name: str) -> str | None:
    """A file the unit names: below the tree the unit lies in (`OUT/etc/systemd/system/x.service`), else on this host."""
    above = str(Path(unit).absolute()).partition("/etc/systemd/")
    candidates = [Path(above[0] + name)] if above[1] and name.startswith("/") else []
    return _first_text([*candidates, Path(name)]) if name.startswith("/") else None


def _first_text(candidates: Sequence[Path]) -> str | None:
    for path in candidates:
        try:
            return files.read_text(path)
        except Stop:  # not here, or not for this user: what it sets is not known
            continue
    return None


def _of_compose(
    path: str, text: str, service: str | None, environment: Mapping[str, str]
) -> tuple[EngineProcess, Started]:
    folder = Path(path).parent
    beside = _first_text([folder / ".env"])
    variables = {**(env_values(beside) if beside is not None else {}), **environment}
    table = services(text, file=path, variables=variables, read=lambda name: _compose_file(path, name))
    if service is not None:
        if service not in table:
            raise WrongUsage(f"no service `{service[:60]}` in {path}", hint=f"one of: {', '.join(list(table)[:20])}")
        table = {service: table[service]}
    found = {
        name: (process, started) for name, started in table.items() if (process := engine_process(started)) is not None
    }
    if not found:
        names = ", ".join(list(table)[:20])
        raise _no_engine(f"no service here starts an engine that is understood: {names}", Where(file=path))
    if len(found) > 1:
        raise WrongUsage(f"{len(found)} services start an engine", hint=f"`--service` {' or '.join(list(found)[:20])}")
    process, started = next(iter(found.values()))
    if started.visible_cards is not None and "CUDA_VISIBLE_DEVICES" not in process.environment:
        cards = {"CUDA_VISIBLE_DEVICES": ",".join(started.visible_cards)}
        process = replace(process, environment={**process.environment, **cards})
    return process, started


def _compose_file(compose: str, name: str) -> str | None:
    """An `env_file:` of a compose file: beside it, below the tree it lies in, else on this host."""
    folder = Path(compose).absolute().parent
    if not name.startswith("/"):
        return _first_text([folder / name])
    above = str(folder).partition("/etc/")
    return _first_text([*([Path(above[0] + name)] if above[1] else []), Path(name)])


def _no_engine(message: str, where: Where | None) -> WrongInput:
    hint = "understood are `llama-server …`, `vllm serve …`, `ollama serve` and wrappers in front of them"
    return WrongInput(message, hint=hint, where=where)
