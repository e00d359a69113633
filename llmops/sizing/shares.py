"""What is chosen for an engine that takes a share of every card: ranks, requests, tokens a step, cache types, the share.

vLLM's own defaults for the last three are for throughput: 256 to 1024 requests cost gibibytes of activation peak.
"""

from collections.abc import Sequence

from llmops.domain.engine import Device
from llmops.domain.ledger import Ledger
from llmops.domain.model import Attention, ModelShape
from llmops.domain.units import GIB

SEQUENCES = (128, 64, 32, 16, 8)
BATCH_TOKENS, LARGE_BATCH_TOKENS = 2048, 8192
LARGE_CARD_BYTES = 70 * GIB
UTILIZATION_PERCENT = 92
FP8_CAPABILITY = (8, 9)
TRIES = 4


def ranks_possible(shape: ModelShape, ranks: int) -> bool:
    """Whether a model can be cut into so many parts: a power of two that divides the heads of every attention layer."""
    if ranks < 1 or ranks & (ranks - 1):
        return False
    heads = (layer.heads for layer in shape.layers if layer.attention is not Attention.NONE and layer.heads)
    return all(count % ranks == 0 for count in heads)


def batch_tokens(devices: Sequence[Device]) -> int:
    """Tokens of one step: what vLLM takes on such cards."""
    smallest = min((one.capacity_bytes for one in devices), default=0)
    return LARGE_BATCH_TOKENS if smallest >= LARGE_CARD_BYTES else BATCH_TOKENS


def types_possible(kinds: Sequence[str], devices: Sequence[Device]) -> tuple[str, ...]:
    """Cache types with fast kernels on these cards: 8-bit floats from compute capability 8.9 on. A lone wish stays."""
    capabilities = [found for one in devices if (found := capability(one)) is not None]
    if len(kinds) < 2 or all(one >= FP8_CAPABILITY for one in capabilities):
        return tuple(kinds)
    return tuple(kind for kind in kinds if not kind.startswith("fp8")) or tuple(kinds[:1])


def capability(device: Device) -> tuple[int, int] | None:
    """A CUDA version as numbers; None where it is not known, or none."""
    major, _, minor = (device.compute_capability or "").partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None


def first_percent(devices: Sequence[Device], reserve_bytes: int) -> int:
    """The share to begin with: vLLM's default, or what is free beside the reserve."""
    shares = [(one.free_bytes - reserve_bytes) * 100 // max(one.capacity_bytes, 1) for one in devices]
    return max(min([UTILIZATION_PERCENT, *shares]), 1)


def lower_percent(percent: int, ledger: Ledger) -> int | None:
    """A smaller share where a card lacks memory only because the pool was made too large for it; None: no such."""
    lacking = [one for one in ledger.devices if one.spare_bytes() < 0]
    if not lacking or any(one.causes.kv_cache_bytes + one.spare_bytes() < 0 for one in lacking):
        return None
    steps = max(-(one.spare_bytes() * 100 // max(one.capacity_bytes, 1)) for one in lacking)
    return percent - steps if percent > steps else None
