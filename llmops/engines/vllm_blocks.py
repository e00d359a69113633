"""vLLM 0.33's KV pool: pages, groups, blocks of one request. All figures are per rank.

Source: vLLM 0.33, v1/core/kv_cache_utils.py and v1/kv_cache_interface.py; blocks and concurrency equal its own planner for
full attention, windows (also of other head sizes) and MLA. State-space layers are not covered here.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from llmops.domain.model import Attention, Layer, ModelShape

BLOCK_TOKENS = 16
LATENT_BLOCK_TOKENS = 64
"""FlashMLA's block; other back ends take 32 or 128, which only rounds differently."""

ASYNC_BATCHES = 2
"""Batches in flight with asynchronous scheduling, the default: a window's cache holds their tokens too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One kind of layer: its page (bytes of one layer for one block), its block, its window."""

    page_bytes: int
    block_tokens: int
    window_tokens: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Layers dealt into groups that share the pool's blocks: how many groups of each spec, and bytes of one block."""

    specs: tuple[tuple[Spec, int], ...]
    bytes_per_block: int

    def request_blocks(self, tokens: int, *, batch_tokens: int) -> int:
        """Blocks one request of `tokens` takes, over all groups."""
        return sum(count * _blocks(spec, tokens, batch_tokens) for spec, count in self.specs)


def element_bytes(kv_cache_type: str) -> int:
    """Bytes of one cached element: 1 for the fp8 and int8 kinds, 2 for `auto` and 16-bit kinds."""
    return 1 if kv_cache_type.startswith(("fp8", "int8")) else 2


def _blocks(spec: Spec, tokens: int, batch_tokens: int) -> int:
    if spec.window_tokens is None:
        return math.ceil(tokens / spec.block_tokens)
    held = min(spec.window_tokens - 1 + ASYNC_BATCHES * batch_tokens, tokens)
    return math.ceil(held / spec.block_tokens) + 1


def groups(shape: ModelShape, *, tensor_parallel: int, kv_cache_type: str) -> Groups | None:
    """The groups of a model's layers; None where no layer has a cache."""
    width = element_bytes(kv_cache_type)
    specs = Counter(
        _spec(layer, shape, tensor_parallel, width)
        for layer in shape.layers
        if layer.attention is not Attention.NONE and layer.owns_kv_cache
    )
    if not specs:
        return None
    if all(spec.window_tokens is None for spec in specs):
        total = sum(spec.page_bytes * count for spec, count in specs.items())
        return Groups(specs=((next(iter(specs)), 1),), bytes_per_block=total)
    return _mixed(specs)


def _spec(layer: Layer, shape: ModelShape, tensor_parallel: int, width: int) -> Spec:
    if layer.attention is Attention.LATENT:
        page = LATENT_BLOCK_TOKENS * layer.key_width() * width
        return Spec(page_bytes=page, block_tokens=LATENT_BLOCK_TOKENS, window_tokens=None)
    heads = max(1, layer.kv_heads // tensor_parallel)
    page = BLOCK_TOKENS * heads * (layer.key_length + layer.value_length) * width
    slides = layer.attention in (Attention.SLIDING, Attention.CHUNKED)
    return Spec(page_bytes=page, block_tokens=BLOCK_TOKENS, window_tokens=shape.window_tokens if slides else None)


def _mixed(specs: Counter[Spec]) -> Groups:
    """Windows beside full attention: pages are made equal by longer blocks, buckets are cut into groups of equal size."""
    page = max(spec.page_bytes for spec in specs)
    sizes = list(specs.values())
    size = max(sizes) if max(sizes) < 1.5 * min(sizes) else min(sizes)
    cut: Sequence[tuple[Spec, int]] = [
        (_stretched(spec, page), math.ceil(count / size)) for spec, count in specs.items()
    ]
    return Groups(specs=tuple(cut), bytes_per_block=size * page)


def _stretched(spec: Spec, page_bytes: int) -> Spec:
    factor = max(page_bytes // spec.page_bytes, 1)
    return replace(spec, page_bytes=page_bytes, block_tokens=spec.block_tokens * factor)
