"""What was decided, exactly: `llmops.lock`, the only hand-over between commands."""

from collections.abc import Mapping
from dataclasses import field

from llmops.domain.binding import Binding
from llmops.domain.engine import DeviceKind, EngineName, EngineSettings
from llmops.domain.ledger import Ledger
from llmops.domain.model import ModelRef
from llmops.domain.numbers import Numbers
from llmops.domain.plan import Speed
from llmops.domain.profile import ChangePolicy, Features, HostWish, Observe, Serve, Slo
from llmops.domain.records import dataclass
from llmops.domain.role import Role

LOCK_SCHEMA = "llmops.lock/2"

RANK = "rank"
"""The pooling of llama-server's `--reranking`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedEngine:
    """Which engine, the build the ledger was checked on, and the versions a host may run."""

    name: EngineName
    build: str
    versions: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedDevice:
    """A card the plan is for. `index` is its number on the host (order of the PCI bus)."""

    name: str
    kind: DeviceKind
    capacity_bytes: int
    uuid: str | None = None
    index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedDeployment:
    """One deployment: `argv` holds `{model}` and `{credentials}`, which `render` resolves to the target's places.

    `starts_after` are deployments on the same cards that have to be up first: it measures what is free when it starts.
    """

    model: ModelRef
    quantization: str | None
    engine: LockedEngine
    settings: EngineSettings
    argv: tuple[str, ...]
    devices: tuple[LockedDevice, ...]
    ledger: Ledger
    speed: Speed
    numbers: Numbers
    features: Features
    fallback: tuple[str, ...]
    slo: Slo = field(default_factory=Slo)
    binding: Binding | None = None
    starts_after: tuple[str, ...] = ()

    def role(self) -> Role:
        """What it is asked for: the command line says it, or the profile."""
        if self.settings.pooling == RANK:
            return Role.RERANK
        return Role.EMBEDDINGS if self.settings.embeddings or self.features.embeddings else Role.CHAT

    def served_name(self) -> str | None:
        """The model's name for clients, as the command line says it; None: the engine's own choice."""
        for flag in ("--alias", "-a", "--served-model-name"):
            if flag in self.argv[:-1]:
                return self.argv[self.argv.index(flag) + 1]
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """The whole file. No time stamps, no secrets, no absolute path of the machine it was made on."""

    schema: str = LOCK_SCHEMA
    made_by: str
    profile_digest: str | None
    facts_digest: str | None
    host: HostWish
    serve: Serve
    observe: Observe
    targets: tuple[str, ...]
    change: ChangePolicy
    deployments: Mapping[str, LockedDeployment]
