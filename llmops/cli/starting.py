"""A process to look at: words on the command line, or a file that holds them: a unit, a compose file, a manifest, a script."""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from llmops.cli.starting_compose import of_compose, of_manifest
from llmops.cli.starting_unit import installed, of_unit
from llmops.domain.errors import WrongInput, WrongUsage
from llmops.domain.explained import EngineProcess, Started
from llmops.domain.finding import Where
from llmops.engines.process import in_script
from llmops.formats.kubernetes import is_manifest
from llmops.library import files

UNITS, YAML, SCRIPTS = (".service", ".container", ".conf", ".unit"), (".yaml", ".yml"), (".sh", ".bash")
STDIN = "-"
SHELL_NAMES = ("LLAMA_", "GGML_", "AIP_", "OLLAMA_")
"""What a server started from this shell would read of its environment."""

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.ASCII | re.DOTALL)
_UNIT = re.compile(r"^\[(?:Unit|Service|Container|Install)\]", re.MULTILINE)
HINT = "a unit (FILE.service, FILE.container), a compose file, a manifest, a script, or a command line behind `--`"


def is_file_name(words: Sequence[str]) -> bool:
    """Whether the words are one file to read, and not a command line."""
    return len(words) == 1 and (words[0] == STDIN or Path(words[0]).suffix in (*UNITS, *YAML, *SCRIPTS))


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
    """The engine a file starts, by what stands in it. Raises `WrongInput` for a broken file, or one without an engine."""
    name, text = _opened(path)
    is_yaml = name.endswith(YAML) or (
        not name.endswith(UNITS) and bool(re.search(r"^(?:services|include):", text, re.M))
    )
    if is_yaml or is_manifest(text):
        return of_manifest(name, text, service) if is_manifest(text) else of_compose(name, text, service, environment)
    if service is not None:
        raise WrongUsage("`--service` is for a file of several", hint="a unit or a script has one process")
    is_script = name.endswith(SCRIPTS) or text.startswith("#!") or not (name.endswith(UNITS) or _UNIT.search(text))
    process, started = _of_script(name, text) if is_script else of_unit(name, text)
    if process is None:
        program = started.argv[0] if started.argv and not is_script else ""
        message = f"`{program[:80]}` is no engine that is understood" if program else "no engine is started here"
        hint = "understood are `llama-server …`, `vllm serve …`, `ollama serve` and wrappers in front of them"
        raise WrongInput(message, hint=hint, where=started.where or Where(file=name))
    return process, started


def _opened(path: str) -> tuple[str, str]:
    """The file's name and text; `-` is what is piped in, a unit's name one of this host."""
    if path == STDIN:
        data = sys.stdin.buffer.read(files.LIMIT_BYTES + 1)
        if len(data) > files.LIMIT_BYTES:
            raise WrongInput(f"larger than {files.LIMIT_BYTES >> 20} MiB", where=Where(file="stdin"))
        try:
            return "stdin", data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise WrongInput("not text (UTF-8)", hint=HINT, where=Where(file="stdin")) from None
    here = Path(path)
    unit = installed(path) if not here.exists() else None
    return str(unit or path), files.read_text(unit or here, hint=HINT)


def _of_script(name: str, text: str) -> tuple[EngineProcess | None, Started]:
    """A script's first engine; its arguments and its caller's environment are not known."""
    started = Started(name=name, argv=(name,), where=Where(file=name))
    return in_script(started, text), started
