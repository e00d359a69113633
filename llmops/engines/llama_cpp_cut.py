"""`-sm tensor`: which part of a tensor each card gets, in elements along the dimension that is cut. llama.cpp b11669.

Source: src/llama-model.cpp, `llama_meta_device_get_split_state`: matrices are cut where the next one can use the halves, in
granules (a head of the cache with its queries, 128 rows), and which card gets what is left over moves on by one each layer.
"""

import re
import struct
from collections.abc import Mapping, Sequence
from math import lcm

from llmops.domain.model import Attention, Layer, ModelShape
from llmops.domain.records import dataclass
from llmops.domain.tensor import Tensor
from llmops.domain.tensor_types import TENSOR_TYPES

GRANULE = 128
DELTA = frozenset({"qwen3next", "qwen35", "qwen35moe"})
"""Families whose queries are twice as wide (a gate) and whose linear attention is cut, too."""

_BLOCK = re.compile(r"blk\.([0-9]{1,5})\.([a-z0-9_]+(?:\.weight|\.bias)?)", re.ASCII)
_HEADS = frozenset({"attn_q", "attn_k", "attn_v", "attn_qkv", "attn_gate"})
_LINEAR = frozenset({"ssm_alpha", "ssm_beta", "ssm_ba"})
_FEED_FORWARD = re.compile(r"ffn_(up|gate|gate_up|down)(?:_exps)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A tensor's cut: along dimension `axis`, `parts` elements of it for each card."""

    axis: int
    parts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segment:
    """`elements` that are cut alike, `times` side by side, in whole `granule`s."""

    elements: int
    times: int
    granule: int


class Cutter:
    """Every cut of one model over so many cards; `shares` as `-ts` has them, none: the same for all."""

    def __init__(self, shape: ModelShape, shares: Sequence[float], cards: int) -> None:
        self.shape, self.cards = shape, cards
        self.shares = (*shares, *(0.0,) * cards)[:cards] if shares else (0.0,) * cards
        self.tensors: Mapping[str, Tensor] = {one.name: one for one in shape.tensors}
        self.turns = [self._turn(at) for at in range(len(shape.layers))]

    def tensor(self, one: Tensor) -> Cut | None:
        """A weight's cut; None: every card has all of it."""
        if one.name in ("output.weight", "output.bias"):
            rows = 1 if one.name == "output.weight" else 0
            segments = (_Segment(elements=one.dims[rows], times=1, granule=1),)
            return self._cut(rows, segments, len(self.shape.layers) % self.cards)
        match = _BLOCK.fullmatch(one.name)
        if match is None or int(match[1]) >= len(self.shape.layers):
            return None
        at, (base, _, kind) = int(match[1]), match[2].partition(".")
        axis = self._axis(one, base, kind)
        return None if axis is None else self._cut(axis, self._segments(one.dims[axis], at, base, one), self.turns[at])

    def cache(self, at: int, width: int) -> tuple[int, ...]:
        """The elements of a token's keys or values on each card."""
        granule = self._queries(at) // self._group(at)
        return self._cut(0, (_Segment(elements=width, times=1, granule=granule),), self.turns[at]).parts

    def state(self, at: int) -> tuple[float, ...]:
        """The part of a layer's recurrent state that each card has: all of it where nothing is cut."""
        matrix = self.tensors.get(f"blk.{at}.ssm_out.weight")
        cut = self.tensor(matrix) if matrix is not None else None
        return (
            (1.0,) * self.cards if cut is None or matrix is None else tuple(one / matrix.dims[0] for one in cut.parts)
        )

    def _turn(self, at: int) -> int:
        """Layers of the same sort before it, so that none is always given what is left over."""
        sort = _sort(self.shape.layers[at])
        return sum(_sort(one) == sort for one in self.shape.layers[:at]) % self.cards

    def _axis(self, one: Tensor, base: str, kind: str) -> int | None:
        if base == "attn_sinks" or (base, kind) in (("ssm_a", ""), ("ssm_dt", "bias")):
            return 0 if base == "attn_sinks" or self._is_delta() else None
        if base in ("attn_q_norm", "attn_k_norm"):
            return 1 if len(one.dims) > 1 and one.dims[1] > 1 else None
        if base in _HEADS:
            return 1 if kind == "weight" else 0
        if base in _LINEAR | {"ssm_conv1d"}:
            return 1 if self._is_delta() else None
        if base in ("attn_output", "ssm_out") and kind == "weight":
            return 0 if base == "attn_output" or self._is_delta() else None
        match = _FEED_FORWARD.fullmatch(base)
        if match is None:
            return None
        if match[1] == "down":
            return 0 if kind == "weight" else None
        return 1 if kind == "weight" else 0

    def _is_delta(self) -> bool:
        return self.shape.architecture in DELTA

    def _segments(self, size: int, at: int, base: str, one: Tensor) -> tuple[_Segment, ...]:
        layer = self.shape.layers[at]
        if layer.recurrent is not None and self._is_delta() and not base.startswith("ffn_"):
            return self._linear(size, at, base)
        queries = self._queries(at)
        keys = queries // self._group(at)
        if base == "attn_qkv":
            each = layer.value_width()
            return (
                _Segment(elements=size - 2 * each, times=1, granule=queries),
                _Segment(elements=each, times=2, granule=keys),
            )
        if base.startswith("attn_"):
            granule = {"attn_k": keys, "attn_v": keys, "attn_output": queries, "attn_gate": queries}.get(base, 1)
            if base == "attn_gate" and size < layer.heads * layer.key_length:  # one number a head
                granule = queries // layer.key_length
            if base == "attn_q":
                wide = self._group(at) * layer.key_length
                granule = lcm(2 * wide, self._even(at, wide)) if self._is_delta() else queries
            if base == "attn_sinks":
                wide = self._group(at) * layer.key_length
                granule = queries // wide * self._group(at)
            return (_Segment(elements=size, times=1, granule=granule),)
        down = base.replace("gate_up", "down").replace("up", "down").replace("gate", "down")
        granule = lcm(self._block(at, down), GRANULE)
        matrix = self.tensors.get(f"blk.{at}.{down}.weight", one)
        times = 2 if "down" not in base and size == 2 * matrix.dims[0] else 1
        return (_Segment(elements=size // times, times=times, granule=granule),)

    def _linear(self, size: int, at: int, base: str) -> tuple[_Segment, ...]:
        state = self.shape.layers[at].recurrent
        heads = self.tensors[f"blk.{at}.ssm_a"].elements()
        values = self.tensors[f"blk.{at}.ssm_out.weight"].dims[0]
        wide = values // heads
        groups = state.groups if state is not None and state.groups else heads
        keys, ratio = wide * groups, heads // groups
        granule = lcm(lcm(self._block(at, "ssm_out"), GRANULE), wide)
        small = granule // wide
        if self.shape.architecture == "qwen3next":
            if base in ("attn_qkv", "ssm_conv1d"):
                return (
                    _Segment(elements=keys, times=2, granule=granule),
                    _Segment(elements=values, times=1, granule=granule),
                )
            each = {"ssm_ba": 2 * small, "attn_gate": granule, "ssm_out": granule}.get(base, small)
            return (_Segment(elements=size, times=1, granule=each),)
        if base in ("attn_qkv", "ssm_conv1d"):
            return (_Segment(elements=keys, times=2 + ratio, granule=granule),)
        if base in ("attn_gate", "ssm_out"):
            return (_Segment(elements=keys, times=ratio, granule=granule),)
        return (_Segment(elements=groups, times=ratio, granule=small),)

    def _group(self, at: int) -> int:
        layer = self.shape.layers[at]
        return max(layer.heads // layer.kv_heads, 1) if layer.kv_heads else 1

    def _block(self, at: int, base: str) -> int:
        found = self.tensors.get(f"blk.{at}.{base}.weight") or self.tensors.get(f"blk.{at}.{base}_exps.weight")
        return TENSOR_TYPES[found.type].block_elements if found is not None else 1

    def _even(self, at: int, wide: int) -> int:
        """Blocks of the output's matrix, made larger while every card still gets a head."""
        block = self._block(at, "attn_output")
        while block < GRANULE and block * self.cards < wide:
            block *= 2
        return block

    def _queries(self, at: int) -> int:
        wide = max(self._group(at) * self.shape.layers[at].key_length, 1)
        return lcm(wide, self._even(at, wide))

    def _cut(self, axis: int, segments: Sequence[_Segment], turn: int) -> Cut:
        parts = [0] * self.cards
        for one in segments:
            low = 0
            for j in range(self.cards):
                high = one.elements if j == self.cards - 1 else self._high(one, j, turn)
                parts[(j + turn) % self.cards] += (high - low) * one.times
                low = high
        return Cut(axis=axis, parts=tuple(parts))

    def _high(self, one: _Segment, j: int, turn: int) -> int:
        scan, total = [], 0.0
        for at in range(self.cards):
            total = _float32(total + _float32(self.shares[(at + turn) % self.cards]))
            scan.append(total)
        if scan[-1] == 0.0:
            high = one.elements * (j + 1) // self.cards
        else:
            high = int(_float32(_float32(_float32(one.elements) * scan[j]) / scan[-1]))
        return high - high % one.granule


def _sort(layer: Layer) -> tuple[bool, bool]:
    return layer.recurrent is not None, layer.attention in (Attention.SLIDING, Attention.CHUNKED)


def _float32(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])
