"""Compute buffers of families whose graph is not built here: bounds from above, held to starts of the running server.

`_SHARE` over the closed-form bound: of 27 such families under ten settings each, the widest was 11 % under that bound (b11669, on
cards that only count bytes). What else counts was seen where the graphs of known families were hidden: all that may run in RAM
takes there what a card would, and states and their rows come on top.
"""

from llmops.domain.model import Layer, ModelShape
from llmops.domain.units import padded
from llmops.engines.llama_cpp_compute import Case, converted_cache_bytes, one_card_host_bytes, upper_bound_bytes
from llmops.engines.llama_cpp_cuda import has_flash_heads
from llmops.engines.llama_cpp_placement import Placement, state_bytes

_SHARE = 4
"""One part in so many more than the bound."""

NO_CACHE_GRANULE = 256
"""Without a cache keys and values are filled up to whole multiples of rows (`build_attn_inp_no_cache`)."""

QUADRATIC = frozenset({"minimax-01"})
"""Linear attention written with whole matrices, rows by rows of a batch for each head."""

EVERY_ROW = frozenset({"cogvlm"})
"""Families that make logits of every row of a batch."""

INDEXED = frozenset({"hy_v4", "dots3note", "glm5-next", "minimax-m3", "qwen4exp", "deepseek4"})
"""Sparse attention that scores every cell for every row, and sorts the scores."""

UNSEEN_STREAMS = {"deepseek4": 4, "glm5-next": 4}
"""Streams of published models (`hc_mult` of their config.json), where no tensors are at hand to tell."""

LOOKED_UP = "per_layer_token_embd.weight"
"""A second table, of rows for all layers or of n-grams, that is read in RAM and handed to the layers."""
_ALTERNATING = "altup_proj.weight"
"""AltUp's streams beside the first (Gemma 3n)."""

_SCORES = 24
"""Rows of scores over the context: of the indexer's heads, sorted, as masks, and of attention."""
_LEAST = 1 << 20
"""What is small beside everything else but for one row a batch."""
_GATHERED = 4
"""Keys of all cells with their gates: gathered, turned, weighed, and that times the keys."""
LEAST_POOL = 4
"""The fewest cells that are one pooled key, in published files."""
_POOL_TABLES = 4
_BANKS = 3
"""Kept streams: as they are, with one more, and normed."""
_MIXERS = ("blk.0.hc_attn_fn.weight", "blk.0.hc_attn_norm.weight")
_WIDE_ROWS = 10
"""Rows as wide as a recurrent layer's widest matrix that are alive at once; rwkv's six mixes and what they are made of."""


def card_bytes(case: Case) -> int:
    """Of one card, without what partial offload copies."""
    bound = upper_bound_bytes(case)
    share = 2 if case.shape.architecture in INDEXED else _SHARE
    more = _quadratic_bytes(case) + _recurrent_bytes(case) + _indexed_bytes(case) + _streams_bytes(case)
    more += _looked_up_bytes(case) + _logits_bytes(case)
    return bound + bound // share + converted_cache_bytes(case) + more + _LEAST


def host_bytes(case: Case, placement: Placement, *, copies: int) -> int:
    """Beside cards; `copies` of the inputs with pipelining."""
    host = one_card_host_bytes(case)
    host += _looked_up_bytes(case)
    host += host // _SHARE + copies * (_mask_bytes(case) + _pools_bytes(case)) + _LEAST
    if runs_in_ram(case):
        return max(host, card_bytes(case) * (2 if copies > 1 else 1))
    return host + card_bytes(case) if _may_run_in_ram(placement) else host


def runs_in_ram(case: Case) -> bool:
    """Whether attention may have no kernel on a card."""
    shape = case.shape
    return shape.architecture in QUADRATIC or shape.latent is not None or not has_flash_heads(shape)


def _may_run_in_ram(placement: Placement) -> bool:
    return placement.is_mixed() or placement.is_overridden


def only_host_bytes(case: Case) -> int:
    """Without a card."""
    more = _quadratic_bytes(case) + _mask_bytes(case) + _recurrent_bytes(case) + _indexed_bytes(case)
    return (
        2 * upper_bound_bytes(case)
        + more
        + _streams_bytes(case)
        + _pools_bytes(case)
        + _looked_up_bytes(case)
        + _logits_bytes(case)
    )


def _mask_bytes(case: Case) -> int:
    """Who sees whom within a batch, where nothing is cached; in f32 beside its copy."""
    rows = case.rows()
    return 2 * 4 * rows * padded(rows, NO_CACHE_GRANULE) if not case.caching_layers() or _is_uncached(case) else 0


def _is_uncached(case: Case) -> bool:
    return not any(layer.owns_kv_cache for layer in case.shape.layers)


def _quadratic_bytes(case: Case) -> int:
    if case.shape.architecture not in QUADRATIC:
        return 0
    heads = max(layer.heads for layer in case.shape.layers)
    return 4 * 4 * heads * case.rows() ** 2


def _recurrent_bytes(case: Case) -> int:
    """States of all slots are gathered, and the new ones stand beside them; rows as wide as the widest projection."""
    states = max((state_bytes(one, slots=case.settings.parallel) for one in case.shape.layers), default=0)
    if not states:
        return 0
    return 3 * states + 4 * case.rows() * _WIDE_ROWS * _widest_projection(case)


def _widest_projection(case: Case) -> int:
    widths = (
        one.dims[1]
        for one in case.shape.tensors
        if len(one.dims) > 1 and one.name.startswith("blk.") and ".ffn_" not in one.name
    )
    return max(widths, default=4 * case.shape.embedding_length)


def _indexed_bytes(case: Case) -> int:
    """Scores; where keys are pooled, all of all slots are gathered for it, with their gates."""
    is_indexed = case.shape.architecture in INDEXED or any(one.indexer for one in case.shape.layers)
    if not is_indexed:
        return 0
    cells = max(case.context.sequence_tokens, _pools(case))
    gathered = max((_pooled_width(one) for one in case.shape.layers), default=0)
    return 4 * cells * _SCORES * case.rows() + 4 * _GATHERED * gathered * _all_cells(case)


def _pooled_width(layer: Layer) -> int:
    """Elements an indexer keeps of a cell that it pools with others; 0 where it does not."""
    one = layer.indexer
    return one.cell_width() if one is not None and one.cell_width() > one.key_length else 0


def _all_cells(case: Case) -> int:
    return case.context.sequence_tokens * case.context.slots


def _pools(case: Case) -> int:
    """Pooled keys of all slots; none where no layer pools any."""
    return _all_cells(case) // LEAST_POOL if any(_pooled_width(one) for one in case.shape.layers) else 0


def _pools_bytes(case: Case) -> int:
    """What is filled in RAM: who sees which pool, and which cells are in it."""
    return _pools(case) * (6 * case.rows() + 4 * _POOL_TABLES * LEAST_POOL)


def streams(shape: ModelShape) -> int:
    """Residual streams side by side (hyper-connections), from the matrices that mix them; 1: one.

    Without tensors by the architecture: a shape of the catalogue that is looked at quickly.
    """
    if not shape.tensors:
        return UNSEEN_STREAMS.get(shape.architecture, 1)
    wide = (one.dims[0] for one in shape.tensors if one.name in _MIXERS)
    beside = (one.dims[2] for one in shape.tensors if one.name == _ALTERNATING and len(one.dims) > 2)
    return max(1, max(wide, default=0) // shape.embedding_length, 1 + max(beside, default=0))


def _logits_bytes(case: Case) -> int:
    return 4 * case.shape.vocabulary * case.rows() if case.shape.architecture in EVERY_ROW else 0


def _looked_up_bytes(case: Case) -> int:
    """Rows of the second table: as they are found, scaled, and turned for the layers."""
    rows = (one.dims[0] for one in case.shape.tensors if one.name == LOOKED_UP)
    wide = max(rows, default=0)
    return 4 * case.rows() * 3 * max(wide, case.shape.embedding_length) if wide else 0


def banked(shape: ModelShape) -> int:
    """Earlier layers' streams that a layer reads as well."""
    every = shape.graph.residual_bank
    return -(-len(shape.layers) // every) if every else 0


def _streams_bytes(case: Case) -> int:
    """Streams are seen one by one, and where another device reads them each view is copied with all it spans."""
    count, kept = streams(case.shape), banked(case.shape)
    if count == 1 and not kept:
        return 0
    return 4 * case.rows() * case.shape.embedding_length * (count * (count + 1) + _BANKS * kept)


def crossing_bytes(case: Case) -> int:
    """The same between cards of a pipelined start, beyond one stream: four copies of each."""
    return 4 * _streams_bytes(case)
