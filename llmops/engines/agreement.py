"""Whether the parts of a locked deployment say the same.

Its command line is what runs, its settings are what the ledger counts, its numbers are what other files repeat: a lock
edited by hand in one place would start a server that nobody planned, or send the edge to a port where nothing listens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields

from llmops.domain.engine import EngineName, EngineSettings
from llmops.domain.errors import WrongInput
from llmops.domain.finding import Where
from llmops.domain.lock import Lock, LockedDeployment
from llmops.engines import ENGINES, ollama
from llmops.engines.launch import LAUNCHES
from llmops.engines.ollama_variables import read_server

LOOPBACK = "127.0.0.1"
KEY_FILE = "{credentials}/engine-key"
HINT = "it was edited by hand? change the profile instead, and `llmops plan … --out llmops.lock` writes the lock again"


def refuse_disagreement(lock: Lock, *, file: str) -> None:
    """Raises `WrongInput` with the key of the first figure that two parts of a deployment give differently."""
    for name, deployment in lock.deployments.items():
        path = f"deployments.{name}"
        for key, message in _disagreements(deployment, file, path):
            raise WrongInput(message, hint=HINT, where=Where(file=file, key=f"{path}.{key}"))


def _disagreements(locked: LockedDeployment, file: str, path: str) -> Iterator[tuple[str, str]]:
    started = _settings(locked, file, path)
    for field in fields(EngineSettings):
        said, meant = getattr(locked.settings, field.name), getattr(started, field.name)
        is_said = said is not None or locked.engine.name is EngineName.LLAMA_CPP  # to which `-ngl all` is none
        if said != meant and is_said:
            yield f"settings.{field.name}", f"the settings say {said}, the command line starts the engine with {meant}"
    slots = locked.numbers.slots.value
    if slots != started.parallel:
        yield "numbers.slots", f"{slots} slots, and the command line has {started.parallel}"
    if locked.engine.name is EngineName.OLLAMA:
        yield from _ollama_address(locked)
        return
    port, given = locked.numbers.engine_port.value, _value(locked.argv, "--port")
    if given != str(port):
        yield "numbers.engine_port", f"the port is {port}, and the command line says {given or 'nothing'}"
    host = _value(locked.argv, LAUNCHES[locked.engine.name].host_option)
    if host != LOOPBACK:
        yield "argv", f"the engine would listen on {host or 'an address of its own choice'}, not on {LOOPBACK} alone"
    if locked.engine.name is EngineName.LLAMA_CPP and _value(locked.argv, "--api-key-file") != KEY_FILE:
        yield "argv", f"the engine would ask for no key of ours: `--api-key-file {KEY_FILE}` is not in it"


def _ollama_address(locked: LockedDeployment) -> Iterator[tuple[str, str]]:
    """Where it listens is a variable; it has no key of its own."""
    server, _, _ = read_server(ollama.environment_of(locked.argv))
    port = locked.numbers.engine_port.value
    if server.port != port:
        yield "numbers.engine_port", f"the port is {port}, and the command line says {server.port}"
    if server.address != LOOPBACK:
        yield "argv", f"the engine would listen on {server.address[:60]}, not on {LOOPBACK} alone"


def _settings(locked: LockedDeployment, file: str, path: str) -> EngineSettings:
    try:
        return ENGINES[locked.engine.name].settings(locked.argv)
    except WrongInput as stop:
        stop.where = Where(file=file, key=f"{path}.argv")
        raise


def _value(argv: Sequence[str], option: str) -> str | None:
    """The value of an option's last place, `--x y` or `--x=y`."""
    found = None
    for at, word in enumerate(argv):
        if word == option and at + 1 < len(argv):
            found = argv[at + 1]
        elif word.startswith(f"{option}="):
            found = word.partition("=")[2]
    return found
