"""The intent a person keeps in git: `llmops.yaml`. Everything but the model has a default that `plan` explains."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from llmops.domain.records import dataclass

PROFILE_SCHEMA = "llmops.profile/1"
DEFAULT_TARGETS = ("systemd", "env", "nginx", "haproxy", "prometheus")
"""Of the targets a deployment wants, those that exist; `compose` only when asked for."""
KNOWN_TARGETS = (
    "systemd", "env", "compose", "nginx", "haproxy", "prometheus", "grafana", "host-tuning", "kubernetes",
)  # fmt: skip
"""The words a profile may say; which of them have templates is for `render` to know."""


class Auto(StrEnum):
    """The planner chooses."""

    AUTO = "auto"


class AllGpus(StrEnum):
    """Every card of the host."""

    ALL = "all"


class EngineChoice(StrEnum):
    """The engine wished for."""

    AUTO = "auto"
    LLAMA_CPP = "llama.cpp"
    VLLM = "vllm"
    OLLAMA = "ollama"
    SGLANG = "sglang"
    TGI = "tgi"


class WorkloadClass(StrEnum):
    """Whether someone waits for each token."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


class Objective(StrEnum):
    """What the planner gives up last."""

    QUALITY = "quality"
    LATENCY = "latency"
    THROUGHPUT = "throughput"
    COST = "cost"


class Gateway(StrEnum):
    """What queues in front of the engine."""

    HAPROXY = "haproxy"
    NONE = "none"
    LITELLM = "litellm"


class SelfSigned(StrEnum):
    """An internal CA and certificate, made once at the first apply."""

    SELF_SIGNED = "self_signed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """A certificate that exists on the target host (paths there)."""

    certificate: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is asked of the server. `context_tokens` is one request's limit, prompt and answer together."""

    context_tokens: int | Auto = Auto.AUTO
    prompt_tokens_p95: int | None = None
    output_tokens_p95: int | None = None
    traces: str | None = None
    parallel: int | Auto = Auto.AUTO
    arrival_rps: float | None = None
    class_: WorkloadClass = WorkloadClass.INTERACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the planner may choose from, and what it leaves free on each card (a size such as `1GiB`)."""

    kv_cache_type: tuple[str, ...] = ("f16", "q8_0")
    gpu_memory_reserve: str = "1GiB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """What clients are promised, in seconds."""

    ttft_p95_seconds: float | None = None
    tpot_p95_seconds: float | None = None
    e2e_p95_seconds: float | None = None
    start_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What of the model is served."""

    structured_output: bool = True
    tools: bool | Auto = Auto.AUTO
    embeddings: bool = False
    mmproj: bool | Auto = Auto.AUTO
    lora: tuple[str, ...] = ()
    chat_template: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One deployment's wish; several models are in order of preference."""

    model: str | tuple[str, ...]
    engine: EngineChoice = EngineChoice.AUTO
    quantization: str = "auto"
    workload: Workload = field(default_factory=Workload)
    slo: Slo = field(default_factory=Slo)
    objective: Objective = Objective.QUALITY
    limits: Limits = field(default_factory=Limits)
    features: Features = field(default_factory=Features)
    fallback: tuple[str, ...] = ()
    engine_args: Mapping[str, str | int | float | bool] = field(default_factory=dict)


class SwapWish(StrEnum):
    """Where what runs beside the engines may be swapped to; the engines never are."""

    ZRAM = "zram"
    FILE = "file"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostWish:
    """Which host: a facts file, or this one; which of its cards, by index or UUID; `swap` is of the target `host-tuning`."""

    facts: str | None = None
    gpus: AllGpus | tuple[int | str, ...] = AllGpus.ALL
    swap: SwapWish = SwapWish.ZRAM


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """Per API key, at the edge."""

    requests_per_minute: int = 60
    burst: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """Requests that wait for a slot at the gateway."""

    max_waiting: int | Auto = Auto.AUTO
    timeout_seconds: int | Auto = Auto.AUTO


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackApi:
    """A hosted API that answers when nothing here does; the key is a credential's name, never the key.

    `ca`: a file of certificates on the target, for an API that the public does not trust.
    """

    url: str
    model: str
    key_credential: str
    ca: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Serve:
    """How clients reach it: `listen` is the edge's address and port.

    `client_ca`: a file of certificates on the target; who has none signed by them is not heard, whatever key it has.
    """

    listen: str = "127.0.0.1:8443"
    hostname: str = "localhost"
    tls: SelfSigned | TlsFiles = SelfSigned.SELF_SIGNED
    gateway: Gateway = Gateway.HAPROXY
    rate_limit: RateLimit = field(default_factory=RateLimit)
    queue: Queue = field(default_factory=Queue)
    fallback_api: FallbackApi | None = None
    client_ca: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observe:
    """What is watched and kept."""

    prometheus: bool = True
    grafana: bool = False
    audit_log: bool = True
    retention_days: int = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePolicy:
    """Windows in which nothing is applied, as `2026-12-20/2027-01-03`."""

    freeze: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The whole file."""

    schema: str = PROFILE_SCHEMA
    host: HostWish = field(default_factory=HostWish)
    deployments: Mapping[str, Intent]
    serve: Serve = field(default_factory=Serve)
    observe: Observe = field(default_factory=Observe)
    targets: tuple[str, ...] = DEFAULT_TARGETS
    change: ChangePolicy = field(default_factory=ChangePolicy)
    cost: Mapping[str, str | int | float] | None = None
