"""All a template may read: every value decided, paths on the target host."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import PurePosixPath
from typing import NamedTuple

from llmops.domain.binding import Binding
from llmops.domain.engine import DeviceKind, EngineName
from llmops.domain.host_memory import SWAP_LIMIT_BYTES, SWAP_ROOM, SWAP_SHARE
from llmops.domain.hosted_api import HostedApi
from llmops.domain.numbers import Numbers
from llmops.domain.places import SWAP_FILE
from llmops.domain.profile import SwapWish
from llmops.domain.records import dataclass
from llmops.domain.role import Role
from llmops.domain.units import MIB


class MetricRow(NamedTuple):
    """A metric of an engine, and what every engine's is called."""

    name: str
    neutral: str


METRICS: Mapping[EngineName, tuple[MetricRow, ...]] = {
    EngineName.LLAMA_CPP: (
        MetricRow("llamacpp:requests_processing", "requests_running"),
        MetricRow("llamacpp:requests_deferred", "requests_waiting"),
        MetricRow("llamacpp:prompt_tokens_total", "prompt_tokens_total"),
        MetricRow("llamacpp:tokens_predicted_total", "generation_tokens_total"),
    ),
    EngineName.VLLM: (
        MetricRow("vllm:num_requests_running", "requests_running"),
        MetricRow("vllm:num_requests_waiting", "requests_waiting"),
        MetricRow("vllm:kv_cache_usage_perc", "kv_cache_usage_ratio"),
        MetricRow("vllm:num_preemptions_total", "preemptions_total"),
        MetricRow("vllm:prompt_tokens_total", "prompt_tokens_total"),
        MetricRow("vllm:generation_tokens_total", "generation_tokens_total"),
    ),
    EngineName.SGLANG: (
        MetricRow("sglang:num_running_reqs", "requests_running"),
        MetricRow("sglang:num_queue_reqs", "requests_waiting"),
        MetricRow("sglang:token_usage", "kv_cache_usage_ratio"),
        MetricRow("sglang:num_retracted_requests_total", "preemptions_total"),
        MetricRow("sglang:prompt_tokens_total", "prompt_tokens_total"),
        MetricRow("sglang:generation_tokens_total", "generation_tokens_total"),
    ),
    EngineName.TGI: (
        MetricRow("tgi_batch_current_size", "requests_running"),
        MetricRow("tgi_queue_size", "requests_waiting"),
        MetricRow("tgi_request_input_length_sum", "prompt_tokens_total"),
        MetricRow("tgi_request_generated_tokens_sum", "generation_tokens_total"),
    ),
}
"""As printed by llama-server b11669, and as in the sources of vLLM 0.9 to 0.33, SGLang 0.5.23 and TGI 3.3; Ollama has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """How the same process runs in a container. `argv` is without the program, paths inside the container.

    `image` None: not known here, the compose file asks for it. `entrypoint` empty: the image's own. `environment` is true in
    this container only. `devices` are nodes of the host it is given, beside NVIDIA's, which its runtime hands over. `loader`
    is what another container of the same image runs to give it the model, where it does not take it from its command line.
    `shared_memory_bytes` (0: Docker's own) and `temporary_bytes` bound what it writes to memory, `helper_bytes` and
    `loader_bytes` the containers beside it; `log_files` of `log_bytes` each are kept of what it says.
    """

    image: str | None
    entrypoint: tuple[str, ...]
    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    health: tuple[str, ...]
    key_file: PurePosixPath
    user_id: int
    devices: tuple[str, ...]
    shared_memory_bytes: int
    temporary_bytes: int
    helper_bytes: int
    loader_bytes: int
    log_bytes: int
    log_files: int
    loader: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One engine process. `argv` has the model's path resolved; `{credentials}` is left to the target (systemd, compose).

    `unit` is the unit's name without suffix, `user` its system user. `device_kind` None: CPU only; a kind with empty
    `gpu_indices`: cards that are not known by number. `device_nodes` and `device_groups` are what opens the cards, as
    DeviceAllow= and SupplementaryGroups= take them. `has_key`: the engine itself asks for its key. `environment` holds no
    secret and is true in a unit and in a container; `host_environment` only on the host itself (a container has its own
    numbering of cards). `model_files` are what is opened first: the model, and a projector.
    `gateway_port` is where its queue listens, None without a gateway; `fallbacks` are the deployments that answer for it when
    it is full or down, in order. `health_path` answers 200 without a key when the engine can serve.
    `starts_after` are units that have to be up first. `role`: what it is asked for, and nothing else.
    `route` is what stands before `/v1` at the edge, empty for the first deployment. `key_file` is the engine's key;
    `edge_key_file` the nginx line that sends it; `metrics_key_file` is Prometheus' copy.
    """

    name: str
    unit: str
    user: str
    engine: EngineName
    engine_build: str
    program: str
    argv: tuple[str, ...]
    has_key: bool
    environment: tuple[tuple[str, str], ...]
    host_environment: tuple[tuple[str, str], ...]
    model_path: PurePosixPath
    model_directory: PurePosixPath
    model_files: tuple[PurePosixPath, ...]
    served_name: str
    port: int
    gateway_port: int | None
    fallbacks: tuple[str, ...]
    starts_after: tuple[str, ...]
    role: Role
    health_path: str
    device_kind: DeviceKind | None
    device_nodes: tuple[str, ...]
    device_groups: tuple[str, ...]
    binding: Binding | None
    gpu_count: int
    gpu_indices: tuple[int, ...]
    gpu_uuids: tuple[str, ...]
    numbers: Numbers
    start_limit_seconds: int
    start_limit_burst: int
    restart_seconds: int
    restart_max_seconds: int
    route: str
    environment_file: PurePosixPath
    key_file: PurePosixPath
    edge_key_file: PurePosixPath
    metrics_key_file: PurePosixPath
    container: Container

    def asked(self) -> tuple[str, ...]:
        """What stands behind `/v1/` at the edge."""
        return self.role.asked()

    def upstream_port(self) -> int:
        """Where the edge sends requests: the gateway's queue, or the engine itself."""
        return self.port if self.gateway_port is None else self.gateway_port

    def answers_health(self) -> bool:
        """Whether `/health` behind the edge is a path of the gateway, or of the engine itself."""
        return self.gateway_port is not None or self.health_path == "/health"

    def metrics(self) -> tuple["MetricRow", ...]:
        """What of the engine's own metrics has a name that every engine shares."""
        return METRICS.get(self.engine, ())

    def has_metrics(self) -> bool:
        """Whether the engine has metrics at all."""
        return self.engine in METRICS

    def key_variable(self) -> str:
        """The variable in the gateway's environment that holds the engine's key."""
        return f"LLMOPS_KEY_{self.name.replace('-', '_').upper()}"

    def key_reference(self) -> str:
        """That variable, as HAProxy reads it between double quotes."""
        return f"${{{self.key_variable()}}}"

    def metric(self, neutral: str) -> str | None:
        """The engine's own name of a figure that others have too."""
        return next((row.name for row in self.metrics() if row.neutral == neutral), None)

    def uses_nvidia(self) -> bool:
        """Whether it runs on cards of NVIDIA's."""
        return self.device_kind is DeviceKind.CUDA

    def uses_amd(self) -> bool:
        """Whether it runs on cards of AMD's."""
        return self.device_kind is DeviceKind.ROCM

    def compiles(self) -> bool:
        """Whether it is Python with PyTorch: it compiles kernels while it runs, and its ranks share memory."""
        return self.engine.takes_pool()

    def is_llama_cpp(self) -> bool:
        """Whether it is a llama-server."""
        return self.engine is EngineName.LLAMA_CPP

    def is_vllm(self) -> bool:
        """Whether it is a vLLM."""
        return self.engine is EngineName.VLLM

    def is_ollama(self) -> bool:
        """Whether it is an Ollama: it keeps a copy of the model in a store of its own."""
        return self.engine is EngineName.OLLAMA


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """The TLS edge in front of the engines, on the target host. `hostname_is_address`: clients send no server name.

    `client_ca`: whose certificates clients must have, beside a key; None: a key is enough.
    """

    address: str
    port: int
    hostname: str
    hostname_is_address: bool
    certificate: PurePosixPath
    certificate_key: PurePosixPath
    self_signed: bool
    audit_log: bool
    retention_days: int
    body_limit_bytes: int
    retry_after_seconds: int
    client_ca: PurePosixPath | None = None

    def listen(self) -> str:
        """`127.0.0.1:8443`, `[::1]:8443`."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def url(self) -> str:
        """Where clients go."""
        name = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        return f"https://{name}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySite:
    """The queue between edge and engines: one process for all deployments, ports on 127.0.0.1.

    `connections` is the most that are open at a time, far above what the queues hold, so that who is too much is told so;
    `buffer_bytes` of a request are kept to be asked elsewhere; `memory_max_bytes` and `open_files` are what all of them need.
    `drain_seconds`: how long a stop waits for answers that are on their way; after `stop_timeout_seconds` it is killed.
    """

    unit: str
    user: str
    metrics_port: int
    connections: int
    buffer_bytes: int
    memory_max_bytes: int
    open_files: int
    drain_seconds: int
    stop_timeout_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Everything that is rendered together. `memory_max_bytes` is what all engines and the gateway may take of the host."""

    deployments: tuple[Deployment, ...]
    edge: Edge
    gateway: GatewaySite | None
    targets: tuple[str, ...]
    systemd_version: int
    made_by: str
    memory_max_bytes: int
    hosted_api: HostedApi | None = None
    swap: SwapWish = SwapWish.ZRAM

    def swap_file(self) -> PurePosixPath:
        """Where a swap file lies."""
        return SWAP_FILE

    def swap_share(self) -> int:
        """Swap is the RAM divided by this."""
        return SWAP_SHARE

    def swap_limit_bytes(self) -> int:
        """And at most this."""
        return SWAP_LIMIT_BYTES

    def swap_limit_mebibytes(self) -> int:
        """The same in zram-generator's unit."""
        return SWAP_LIMIT_BYTES // MIB

    def swap_room(self) -> int:
        """A swap file is made where so many times its size is free."""
        return SWAP_ROOM

    def deployment(self, name: str) -> Deployment:
        """The deployment of that name."""
        return next(one for one in self.deployments if one.name == name)

    def uses_amd(self) -> bool:
        """Whether any engine runs on cards of AMD's."""
        return any(one.uses_amd() for one in self.deployments)

    def device_groups(self) -> tuple[str, ...]:
        """The groups that open the cards of any engine."""
        return tuple(dict.fromkeys(group for one in self.deployments for group in one.device_groups))


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedFile:
    """One file of the target host. `target` is the template's directory; owner as `user:group`; mode as an int."""

    path: PurePosixPath
    target: str
    text: str
    mode: int
    owner: str


class Per(StrEnum):
    """How often a template is rendered."""

    SITE = "site"
    DEPLOYMENT = "deployment"


class When(StrEnum):
    """Which sites or deployments have a file."""

    ALWAYS = "always"
    GPU = "gpu"
    NVIDIA = "nvidia"
    KEY = "key"
    GATEWAY = "gateway"
    HOSTED_API = "hosted_api"
    AUDIT_LOG = "audit_log"
    ZRAM = "zram"
    SWAP_FILE = "swap_file"
    LLAMA_CPP = "llama.cpp"
    VLLM = "vllm"
    OLLAMA = "ollama"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFile:
    """One row of a `target.yaml`: `path` is a template too, `mode` octal digits."""

    template: str
    path: str
    mode: str = "0644"
    owner: str = "root:root"
    per: Per = Per.SITE
    when: When = When.ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A directory under `templates/`: what it is for, and the files it gives."""

    name: str
    description: str
    files: tuple[TargetFile, ...]
