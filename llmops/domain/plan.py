"""What was decided and why: the document of `result.plan`."""

from llmops.domain.binding import Binding
from llmops.domain.engine import EngineSettings
from llmops.domain.ledger import Confidence, Ledger
from llmops.domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure that is not exact: its value, the range it lies in, how far to trust it and what it rests on."""

    value: float
    low: float
    high: float
    confidence: Confidence
    basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Estimates of one request alone on the device; None where nothing is known of the device's rates."""

    prefill_tokens_per_second: Estimate | None = None
    decode_tokens_per_second: Estimate | None = None
    load_seconds: Estimate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """Another choice: what it would give, and the bytes it has to spare (negative: it misses that much)."""

    quantization: str | None
    kv_cache_type: str
    context_tokens: int
    parallel: int
    fits: bool
    spare_bytes: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationFit:
    """One quantization of the model: its weights, whether it fits with the plan's settings, the longest request that would.

    `context_tokens` 0: none of any length does; None: not known (the host's memory is not).
    """

    quantization: str
    weights_bytes: int
    fits: bool | None
    context_tokens: int | None
    is_chosen: bool = False
    repository: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One choice of the search: the settings as the rendered command line means them, and their ledger."""

    quantization: str | None
    settings: EngineSettings
    argv: tuple[str, ...]
    ledger: Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The decision for one deployment.

    `cards` are the positions of the devices it uses, in the order they were given; the ledger's devices are these.
    `gpu_layers` counts the layers on them, the output as one; None where an engine has no such choice. `environment` names
    these cards where there are others: the command line alone would take the first ones. `quantizations`: every one of a
    model of the catalogue, sized by rules. `binding` None: on any processor and memory node of the host.
    """

    model: str
    quantization: str | None
    settings: EngineSettings
    argv: tuple[str, ...]
    ledger: Ledger
    speed: Speed
    why: tuple[str, ...]
    alternatives: tuple[Alternative, ...] = ()
    cards: tuple[int, ...] = ()
    gpu_layers: int | None = None
    environment: tuple[tuple[str, str], ...] = ()
    quantizations: tuple[QuantizationFit, ...] = ()
    binding: Binding | None = None
