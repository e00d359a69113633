"""What a plan over the whole catalogue answers: the rows of `plan --models-for` and `plan --gpus-for`."""

from llmops.domain.plan import Estimate
from llmops.domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedQuantization:
    """One quantization: its tensors' bytes, and the longest of the contexts tried that fits; 0: none does."""

    quantization: str
    weights_bytes: int
    context_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The best quantization, the longest context of one request, and slots at a useful context; memory at the former.

    `used_bytes` holds reserves, and compute buffers as an upper bound: what is said to fit does.
    """

    quantization: str
    weights_bytes: int
    context_tokens: int
    parallel: int
    parallel_context_tokens: int
    used_bytes: int
    spare_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFor:
    """One model on the cards that were named."""

    model: str
    repository: str
    parameters: int
    parameters_active: int
    choice: Choice
    decode_tokens_per_second: Estimate | None
    quantizations: tuple[FittedQuantization, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuFor:
    """Cards of one kind, as few as hold the model; power is their board power together, None where not known."""

    gpu: str
    count: int
    memory_bytes: int
    power_watts: int | None
    choice: Choice
    decode_tokens_per_second: Estimate | None
