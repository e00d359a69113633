"""What of this host others can reach: engines that listen, and the certificates that are shown to clients."""

from llmops.domain.reading import NOT_ASKED, Known, Unknown
from llmops.domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ListeningEngine:
    """An inference server that listens here.

    `everywhere` is every interface (`0.0.0.0`, `::`); `loopback` is this host only. `keyless` is whether it told its models to
    a caller without a key. `models` are the names it told; `owned_by` is the engine's own word ("llamacpp", "vllm").
    """

    address: str
    port: int
    everywhere: bool
    loopback: bool
    program: Known[str] | Unknown
    keyless: Known[bool] | Unknown
    models: tuple[str, ...] = ()
    owned_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate a proxy shows: `not_after` as an ISO date, `days_left` when it was looked at (negative: expired)."""

    path: str
    used_by: str
    names: tuple[str, ...]
    not_after: str
    days_left: int
    self_signed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadCertificate:
    """A certificate that a configuration names and that cannot be read, and why."""

    path: str
    used_by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Both, each on its own."""

    engines: Known[tuple[ListeningEngine, ...]] | Unknown = NOT_ASKED
    certificates: Known[tuple[Certificate, ...]] | Unknown = NOT_ASKED
    unread_certificates: tuple[UnreadCertificate, ...] = ()
