"""Compute buffers of families whose graph is not built here: bounds from above, held to starts of the running server.

`_SHARE` over the closed-form bound: of 27 such families under ten settings each, the widest was 11 % under that bound (b11669, on
cards that only count bytes). Where attention has no kernel on a card it runs in RAM, and RAM then takes what a card would.
"""

from llmops.domain.units import padded
from llmops.engines.llama_cpp_compute import Case, one_card_host_bytes, upper_bound_bytes
from llmops.engines.llama_cpp_simulation import has_flash_heads

_SHARE = 4
"""One part in so many more than the bound."""

NO_CACHE_GRANULE = 256
"""Without a cache keys and values are filled up to whole multiples of rows (`build_attn_inp_no_cache`)."""

QUADRATIC = frozenset({"minimax-01"})
"""Linear attention written with whole matrices, rows by rows of a batch for each head."""

IN_RAM = frozenset({"cogvlm"})
"""Families that take rows of embeddings alone, and have parts of the graph run in RAM."""


def card_bytes(case: Case) -> int:
    """Of one card, without what partial offload copies."""
    bound = upper_bound_bytes(case)
    share = 1 if case.shape.architecture in IN_RAM else _SHARE
    return bound + bound // share + _quadratic_bytes(case)


def host_bytes(case: Case, *, copies: int) -> int:
    """Beside cards; `copies` of the inputs with pipelining."""
    host = one_card_host_bytes(case)
    host += host // _SHARE + copies * _mask_bytes(case)
    return max(host, card_bytes(case) * (2 if copies > 1 else 1)) if runs_in_ram(case) else host


def runs_in_ram(case: Case) -> bool:
    """Whether attention may have no kernel on a card."""
    shape = case.shape
    return shape.architecture in QUADRATIC | IN_RAM or shape.latent is not None or not has_flash_heads(shape)


def only_host_bytes(case: Case) -> int:
    """Without a card."""
    return 2 * upper_bound_bytes(case) + _quadratic_bytes(case) + _mask_bytes(case)


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
