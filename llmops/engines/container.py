"""The same process in a container: it listens on its own interface, and the port is published on the host's loopback only."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from llmops.domain.deployment import Container
from llmops.domain.engine import DeviceKind, EngineName
from llmops.domain.errors import WrongUsage
from llmops.domain.lock import LockedDeployment
from llmops.domain.places import CONFIGURATION
from llmops.domain.units import GIB, MIB
from llmops.engines.launch import LAUNCHES, health, own_words
from llmops.engines.ollama import environment_of

USER_ID = 10001
SECRETS = "/run/secrets"
CACHE = "/cache"
ANY = "0.0.0.0"  # noqa: S104 - inside the container's own network
AMD_DEVICES = ("/dev/kfd", "/dev/dri")
"""ROCm's compute node, and every render node: a container numbers cards as the host does (ROCm, "Running Docker containers")."""

LOADER = (
    'name=$1; shift; for file; do echo "FROM $file"; done > /tmp/Modelfile; '
    'ollama create "$name" -f /tmp/Modelfile; '
    'ollama run "$name" "" < /dev/null || exec ollama run "$name" hello < /dev/null > /dev/null'
)
"""`create` copies the files into the server's store, where they are not there yet; `run` without a prompt loads the model.

A model for embeddings alone refuses that, and makes a vector of a text instead (Ollama from 0.12.10 on, cmd/cmd.go, RunHandler).
"""

SHARED_BYTES = GIB
"""Of shared memory, for each card; its pages count towards `mem_limit`, so that it is a bound and takes nothing by itself.

Docker's own 64 MiB end NCCL and RCCL: TGI's documents ask for 1 GiB (`--shm-size 1g`), vLLM's ranks hand over in queues of ten
pieces of 16 MiB (vLLM 0.33, distributed/device_communicators/shm_broadcast.py).
"""

COMPILING_BYTES = 2 * GIB
"""Policy: sources and objects of kernels while they are compiled; what is kept of them lies in the cache."""

TEMPORARY_BYTES = 64 * MIB
"""Policy: nothing is written there but by accident; Docker's default is half the RAM."""

HELPER_BYTES = 64 * MIB
"""Policy: of `chown`, which takes a few; Docker's least is 6 MiB."""

LOADER_BYTES = GIB
"""Policy: of `ollama create`, which reads the model through the page cache: that counts, and is given back under the limit."""

LOG_BYTES, LOG_FILES = 20 * MIB, 5
"""Policy: 100 MiB of what an engine said; without, Docker keeps all of it (json-file, `max-size` -1)."""

_IMAGE = re.compile(r"[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}")


def container_of(
    name: str, locked: LockedDeployment, argv: Sequence[str], *, files: Sequence[PurePosixPath], image: str | None
) -> Container:
    """`argv` has the model's place resolved. Raises `WrongUsage` for an image without a digest."""
    if image is not None and not _IMAGE.fullmatch(image):
        raise WrongUsage(f"`{image[:120]}` is not an image by digest", hint="--image NAME@sha256:<64 hex digits>")
    launch, port = LAUNCHES[locked.engine.name], locked.numbers.engine_port.value
    words = list(own_words(launch, argv))
    if launch.host_option in words[:-1]:
        words[words.index(launch.host_option) + 1] = ANY
    is_amd = any(one.kind is DeviceKind.ROCM for one in locked.devices)
    return Container(
        image=image,
        entrypoint=launch.entrypoint,
        argv=tuple(word.replace("{credentials}", SECRETS) for word in words),
        environment=_environment(locked, argv, port),
        health=health(launch, port),
        key_file=CONFIGURATION / "compose" / name / "engine-key",
        user_id=USER_ID,
        devices=AMD_DEVICES if is_amd else (),
        shared_memory_bytes=SHARED_BYTES * max(1, len(locked.devices)) if locked.engine.name.takes_pool() else 0,
        temporary_bytes=COMPILING_BYTES if locked.engine.name.takes_pool() else TEMPORARY_BYTES,
        helper_bytes=HELPER_BYTES,
        loader_bytes=LOADER_BYTES,
        log_bytes=LOG_BYTES,
        log_files=LOG_FILES,
        loader=("/bin/sh", "-ec", LOADER, "--", name, *map(str, files))
        if locked.engine.name is EngineName.OLLAMA
        else (),
    )


def _environment(locked: LockedDeployment, argv: Sequence[str], port: int) -> tuple[tuple[str, str], ...]:
    """Places below the cache, and of Ollama all that its command line says by variables."""
    match locked.engine.name:
        case EngineName.LLAMA_CPP:
            return ()
        case EngineName.OLLAMA:
            said = {**environment_of(argv), "OLLAMA_HOST": f"{ANY}:{port}"}
            return (*said.items(), ("HOME", CACHE), ("OLLAMA_MODELS", f"{CACHE}/models"))
        case EngineName.VLLM:
            return (
                ("HOME", CACHE),
                ("VLLM_CACHE_ROOT", f"{CACHE}/vllm"),
                ("TRITON_CACHE_DIR", f"{CACHE}/triton"),
                ("TORCHINDUCTOR_CACHE_DIR", f"{CACHE}/inductor"),
            )
        case EngineName.SGLANG | EngineName.TGI:
            return (
                ("HOME", CACHE),
                ("XDG_CACHE_HOME", CACHE),
                ("TRITON_CACHE_DIR", f"{CACHE}/triton"),
                ("TORCHINDUCTOR_CACHE_DIR", f"{CACHE}/inductor"),
            )
