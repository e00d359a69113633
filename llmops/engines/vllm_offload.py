"""`--cpu-offload-gb` of vLLM 0.33: parameters of each rank's layers in pinned RAM, one after the other up to so many bytes.

Source: vLLM 0.33, config/offload.py, model_executor/offloader/base.py (`create_offloader`: UVA unless groups are prefetched) and
uva.py (`_maybe_offload_to_cpu`: whole parameters, the last one over the limit; modules that `make_layers` makes, so neither
embedding nor output).
"""

import math

from llmops.domain.model import ModelShape
from llmops.domain.units import GIB
from llmops.engines.rank_weights import embedding_bytes
from llmops.engines.vllm_arguments import Line

MOST_GIB = 1 << 16
UNFOLLOWED = ("--cpu-offload-params", "--offload-params", "--offload-group-size")
"""Which parameters, or whole layers in turns: what stays on the card is not worked out."""


def offloaded_bytes(line: Line) -> int:
    """What the line asks for on each rank; 0 where it chooses parameters, or is nonsense."""
    if any(line.has(name) for name in UNFOLLOWED) or line.value("--offload-backend") == "prefetch":
        return 0
    try:
        wanted = float(line.value("--cpu-offload-gb", "0"))
    except ValueError:
        return 0
    return int(wanted * GIB) if math.isfinite(wanted) and 0 < wanted <= MOST_GIB else 0


def in_ram(shape: ModelShape, weights: int, wanted: int, ranks: int) -> int:
    """Bytes of one rank's `weights` that go to RAM: at most its layers."""
    ends = embedding_bytes(shape, ranks) * (1 if shape.has_tied_output() else 2)
    return min(wanted, max(weights - ends, 0))
