"""The YAML file of `vllm serve --config FILE`: its options stand behind the model, before those of the line, which win.

Source: vLLM 0.33, utils/argparse_utils.py (`load_config_file`, `_pull_args_from_config`).
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from llmops.domain.engine import EngineName
from llmops.domain.errors import WrongInput
from llmops.domain.explained import EngineProcess
from llmops.domain.finding import Where
from llmops.domain.forms import Json
from llmops.formats.yaml_text import read_yaml
from llmops.library import files

OPTION = "--config"


def with_config_file(process: EngineProcess) -> EngineProcess:
    """The process with the file's options in its words, where it is vLLM's and the file is here."""
    argv = list(process.argv)
    at = next((at for at, word in enumerate(argv) if word == OPTION or word.startswith(f"{OPTION}=")), None)
    if process.engine is not EngineName.VLLM or at is None:
        return process
    _, equals, name = argv[at].partition("=")
    end = at + 1 if equals else at + 2
    name = name or (argv[at + 1] if at + 1 < len(argv) else "")
    if not name or not Path(name).is_file():
        return process
    words = tuple(_words(name))
    rest = (*argv[:at], *argv[end:])
    first = int(bool(rest) and not rest[0].startswith("-"))
    return replace(
        process,
        argv=(*rest[:first], *words, *rest[first:]),
        notes=(*process.notes, f"the options of `{name}` are counted"),
    )


def _words(name: str) -> Iterator[str]:
    data = read_yaml(files.read_text(Path(name)), file=name).data
    if not isinstance(data, dict):
        raise WrongInput("vLLM wants a table of options in its configuration file", where=Where(file=name))
    for key, value in data.items():
        yield from _option(f"--{key}", value)


def _option(name: str, value: Json) -> tuple[str, ...]:
    """A switch that is off is left out, as vLLM does."""
    match value:
        case bool():
            return (name,) if value else ()
        case dict():
            return (name, json.dumps(value))
        case list():
            return (name, *(str(one) for one in value))
        case _:
            return (name, str(value))
