"""llama.cpp b11669: what a card takes beside the weights, quickly: caches to the byte, compute buffers by their upper bound.

For looking at many models at once; a single plan builds the graph instead (`llama_cpp_simulation.py`).
"""

from collections import Counter
from dataclasses import replace

from llmops.domain.engine import EngineName, EngineSettings
from llmops.domain.model import Attention, ModelShape
from llmops.domain.records import dataclass
from llmops.engines.llama_cpp_compute import Case, upper_bound_bytes
from llmops.engines.llama_cpp_context import context
from llmops.engines.llama_cpp_memory import CUDA_CONTEXT_BYTES
from llmops.engines.llama_cpp_placement import cache_bytes, state_bytes

WIDER = frozenset({"falcon-h1", "gemma3n", "gemma4", "mamba"})
"""Architectures whose graphs keep more rows of the stream alive than the upper bound has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Bytes beside the weights: caches are shared out over the cards, compute and context are on each."""

    cache_bytes: int
    each_card_bytes: int


class Bound:
    """One model's, for any context and number of slots."""

    __slots__ = ("_counts", "_shape")

    def __init__(self, shape: ModelShape) -> None:
        self._counts = Counter(shape.layers)
        # Every term of the bound is a layer's largest: one layer of each kind says the same.
        self._shape = replace(shape, layers=tuple(self._counts))

    def beside(self, *, context_tokens: int, parallel: int, kv_cache_type: str) -> Beside:
        """With everything on the cards, flash attention and llama-server's other defaults."""
        settings = EngineSettings(
            engine=EngineName.LLAMA_CPP,
            context_size=context_tokens * parallel,
            parallel=parallel,
            kv_cache_type_k=kv_cache_type,
            kv_cache_type_v=kv_cache_type,
        )
        case = Case(
            shape=self._shape,
            settings=settings,
            context=context(settings, trained_tokens=self._shape.context_length),
        )
        total = 0
        kind = kv_cache_type.upper()
        for layer, count in self._counts.items():
            one = state_bytes(layer, slots=parallel)
            if layer.attention is not Attention.NONE:
                one += cache_bytes(
                    layer,
                    cells=case.cells(layer),
                    streams=case.context.streams,
                    kind_k=kind,
                    kind_v=kind,
                    value_width=layer.value_width(),
                    on_card=True,
                )
            total += count * one
        compute = upper_bound_bytes(case) + _beyond(case)
        return Beside(cache_bytes=total, each_card_bytes=compute + CUDA_CONTEXT_BYTES)


def _beyond(case: Case) -> int:
    """What the bound does not know: scores of an indexer over the whole context, the streams of AltUp and Gemma 4, Mamba 1."""
    rows = 4 * case.rows()
    extra = 8 * rows * case.context.sequence_tokens if any(one.indexer for one in case.shape.layers) else 0
    return extra + (8 * rows * case.shape.embedding_length if case.shape.architecture in WIDER else 0)
