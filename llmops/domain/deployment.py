"""All a template may read: every value decided, paths on the target host."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from llmops.domain.engine import EngineName
from llmops.domain.numbers import Numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One engine process. `argv` has the model's path resolved; `{credentials}` is left to the target (systemd, compose).

    `unit` is the unit's name without suffix, `user` its system user. `gpu_indices` empty: CPU only.
    """

    name: str
    unit: str
    user: str
    engine: EngineName
    engine_build: str
    program: str
    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    model_path: PurePosixPath
    model_directory: PurePosixPath
    served_name: str
    port: int
    gpu_indices: tuple[int, ...]
    gpu_uuids: tuple[str, ...]
    numbers: Numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """The TLS edge in front of the engines, on the target host."""

    address: str
    port: int
    hostname: str
    certificate: PurePosixPath
    certificate_key: PurePosixPath
    self_signed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Everything that is rendered together."""

    deployments: tuple[Deployment, ...]
    edge: Edge
    targets: tuple[str, ...]
    systemd_version: int
    made_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedFile:
    """One file of the target host. `target` is the template's directory; owner as `user:group`; mode as an int."""

    path: PurePosixPath
    target: str
    text: str
    mode: int
    owner: str
