"""How each engine is started on the target: its program, where it answers, who holds its key, and its form in a container.

Images: ghcr.io/ggml-org/llama.cpp starts llama-server itself, vllm/vllm-openai `vllm serve`, ollama/ollama `ollama`,
text-generation-inference its launcher; lmsysorg/sglang starts nothing by itself.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from llmops.domain.engine import EngineName


class Launch(NamedTuple):
    """One engine.

    `program` None: it has no installation on a host, only its image. `words` is how many words of the locked command line
    its own are behind (`vllm serve` has two). `has_key`: it asks for the engine's key itself; without one, whoever is on the
    host may ask it. `takes_directory`: its model is the whole directory. `health` is asked inside a container, by `curl` of
    the image or by its Python.
    """

    program: str | None
    words: int
    health_path: str
    has_key: bool
    takes_directory: bool
    host_option: str
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    health: str = "python"


_VLLM_KEY = "/run/secrets/engine-key"

LAUNCHES: Mapping[EngineName, Launch] = {
    EngineName.LLAMA_CPP: Launch(
        program="/usr/bin/llama-server",
        words=1,
        health_path="/health",
        has_key=True,
        takes_directory=False,
        host_option="--host",
        health="curl",
    ),
    EngineName.VLLM: Launch(
        program="/opt/llmops/vllm/bin/vllm",
        words=2,
        health_path="/health",
        has_key=True,
        takes_directory=True,
        host_option="--host",
        entrypoint=(
            *("/bin/sh", "-c"),
            f'test -s {_VLLM_KEY} || exit 78; VLLM_API_KEY="$(cat {_VLLM_KEY})" exec vllm serve "$@"',
            "--",
        ),
    ),
    EngineName.OLLAMA: Launch(
        program="/usr/local/bin/ollama",
        words=1,
        health_path="/api/version",
        has_key=False,
        takes_directory=False,
        host_option="OLLAMA_HOST",
        entrypoint=("ollama",),
        command=("serve",),
        health="ollama",
    ),
    EngineName.SGLANG: Launch(
        program="/opt/llmops/sglang/bin/sglang",
        words=2,
        health_path="/health",
        has_key=False,
        takes_directory=True,
        host_option="--host",
        entrypoint=("sglang", "serve"),
    ),
    EngineName.TGI: Launch(
        program=None,
        words=1,
        health_path="/health",
        has_key=False,
        takes_directory=True,
        host_option="--hostname",
        health="curl",
    ),
}
"""Debian's package, virtual environments of llmops, and Ollama's own place.

SGLang and TGI take a key as an argument only, where every local user reads it (TGI's launcher hands its variable on to the
router's arguments); Ollama knows none. All three listen on loopback, without one. vLLM's comes from the secret through the
environment of the process itself.
"""


def health(launch: Launch, port: int) -> tuple[str, ...]:
    """The container's health check: 200 without a key when the engine can be asked."""
    url = f"http://127.0.0.1:{port}{launch.health_path}"
    match launch.health:
        case "curl":
            return ("CMD", "curl", "-fsS", "-m", "3", url)
        case "ollama":  # its image has neither curl nor Python; the client asks the address it is given
            return ("CMD", "ollama", "ps")
        case _:
            return ("CMD", "python3", "-c", f"import urllib.request as u; u.urlopen({url!r}, timeout=3)")


def own_words(launch: Launch, argv: Sequence[str]) -> tuple[str, ...]:
    """What stands behind the program in a locked command line; of Ollama's nothing, it is all variables."""
    return launch.command or tuple(argv[launch.words :])
