"""llama.cpp b11669: what `-c`, `-np`, `-b`, `-ub` and the pool come to, in cells and rows.

Source: llama.cpp b11434 src/llama-context.cpp and src/llama-kv-cache-iswa.cpp; b11669 answers the same on every measured row.
"""

from llmops.domain.engine import EngineSettings
from llmops.domain.model import Attention, Layer
from llmops.domain.records import dataclass
from llmops.domain.units import padded

CELL_GRANULE = 256
"""A pool is a whole number of 256 cells."""

SEQUENCES_LIMIT = 256
"""`LLAMA_MAX_SEQ` of src/llama-cparams.h: more slots end the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Context lengths in tokens: the pool, one sequence's part; `streams` caches side by side; batch rows of the graph.

    `graph_rows` is the ubatch rounded up to a multiple of the slots, `output_rows` the rows that get logits: one a slot, also
    where the ubatch is smaller, with speculation the drafted ones as well.
    """

    pool_tokens: int
    sequence_tokens: int
    streams: int
    slots: int
    ubatch_tokens: int
    graph_rows: int
    output_rows: int
    unified: bool
    swa_full: bool

    def prompt_outputs(self) -> int:
        """Rows with logits in the graph of a prompt: never more than a ubatch before it is rounded up to whole slots.

        Source: src/llama-context.cpp `sched_reserve`, `min(n_tokens, n_outputs_max)`; one token a sequence has one each.
        """
        return min(self.ubatch_tokens, self.output_rows)

    def cells(self, layer: Layer, *, window_tokens: int | None) -> int:
        """Cells of one stream of a layer's cache: all of the sequence, or what its window needs."""
        if layer.attention not in (Attention.SLIDING, Attention.CHUNKED) or window_tokens is None or self.swa_full:
            return self.sequence_tokens
        return self.window_cells(window_tokens)

    def window_cells(self, window_tokens: int) -> int:
        """`pad256(min(n_ctx_seq, window · (slots if unified else 1) + ubatch))`; the ubatch, not the graph's rows."""
        if self.swa_full:
            return self.sequence_tokens
        needed = window_tokens * (self.slots if self.unified else 1) + self.ubatch_tokens
        return padded(min(self.sequence_tokens, needed), CELL_GRANULE)


def context(settings: EngineSettings, *, trained_tokens: int, is_causal: bool = True) -> Context:
    """The context llama-server makes of `settings`; a split pool may come out larger than asked (three slots of 16384).

    Where rows see later ones as well, a batch may be as long as the pool is after it was rounded up.
    """
    slots = settings.parallel
    asked = settings.context_size or trained_tokens
    pool = padded(asked, CELL_GRANULE)
    if settings.kv_unified:
        sequence, streams = pool, 1
    else:
        sequence, streams = padded(pool // slots, CELL_GRANULE), slots
        pool = sequence * slots
    most = asked if is_causal else pool  # of what was asked, before it is rounded up
    ubatch = min(settings.ubatch_tokens, settings.batch_tokens, most)
    return Context(
        pool_tokens=pool,
        sequence_tokens=sequence,
        streams=streams,
        slots=slots,
        ubatch_tokens=ubatch,
        graph_rows=padded(ubatch, slots),
        output_rows=max(slots, min(ubatch, _results(settings))),
        unified=settings.kv_unified,
        swa_full=settings.swa_full,
    )


def _results(settings: EngineSettings) -> int:
    """`n_outputs_max`: one row a slot, with speculation the drafted ones as well; of embeddings the whole batch.

    Also where a line names a kind of pooling and no embeddings: that server chats, and has logits for every row.
    """
    if settings.embeddings or settings.pooling not in (None, "none"):
        return settings.batch_tokens
    drafted = settings.speculation.tokens if settings.speculation is not None else 0
    return min(settings.parallel * (1 + drafted), settings.batch_tokens)
