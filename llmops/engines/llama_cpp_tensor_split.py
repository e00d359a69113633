"""`-sm tensor`: every matrix and every cache is cut over all cards. llama.cpp b11669, experimental there.

Compute buffers: each card has one as large as a single card's, to the byte in 72 starts of as many families on 2 or 3 cards.
Weights and caches are cut in whole granules (a head of the cache with all its queries, rows of 128 or of a quantization's block),
and what is left over goes to another card at each layer: a share counts one granule more than its part, where it is not a whole
number of them. What is no matrix, and an embedding that is the output as well, lies on every card. None of the 72 was under.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from math import lcm

from llmops.domain.engine import EngineSettings
from llmops.domain.ledger import Buffer, Confidence, DeviceLedger, Ledger
from llmops.domain.model import Layer, ModelShape
from llmops.domain.tensor import Tensor
from llmops.domain.tensor_types import TENSOR_TYPES
from llmops.engines.llama_cpp_placement import cuda_tensor_bytes

GRANULE_ROWS = 128
SLACK = 0.005
"""Of the weights: one start was 0.4 % over what the rule gives."""

NOTE = "`-sm tensor`: a card's part of the weights and of the cache is an upper bound; compute buffers are those of one card"

_CUT_BY_HEADS = re.compile(r"attn_(?:q|k|v|qkv|output)$")
_CUT_BY_ROWS = re.compile(r"ffn_(?:up|gate|down|gate_up)(?:_exps|_shexp|_chexps)?$")
_BLOCK = re.compile(r"blk\.([0-9]{1,5})\.([a-z0-9_]+)\.weight", re.ASCII)


def parts(settings: EngineSettings, cards: int) -> tuple[float, ...]:
    """The part of each card: by `-ts`, else the same for all; cards that `-ts` does not name get nothing to cut."""
    given = (*settings.tensor_split, *(0.0,) * cards)[:cards] if settings.tensor_split else (1.0,) * cards
    return tuple(one / sum(given) for one in given) if sum(given) else (1.0 / cards,) * cards


def cut_ledger(shape: ModelShape, settings: EngineSettings, ledgers: Sequence[Ledger], names: Sequence[str]) -> Ledger:
    """The ledger of a model cut over cards, from the ledgers of the whole model on each of them alone; `names` of the buffers."""
    mine = parts(settings, len(ledgers))
    cards = tuple(
        _cut(shape, one.devices[0], part, at) for at, (one, part) in enumerate(zip(ledgers, mine, strict=True))
    )
    first = ledgers[0]
    buffers = {
        name: Buffer(
            model=card.causes.weights_bytes,
            context=card.causes.kv_cache_bytes + card.causes.recurrent_state_bytes,
            compute=card.causes.compute_bytes,
        )
        for name, card in zip(names, cards, strict=True)
    }
    kept = {name: one for name, one in (first.buffers or {}).items() if name not in names}
    return replace(first, devices=cards, buffers=buffers | kept, confidence=Confidence.LOW, notes=(*first.notes, NOTE))


def _cut(shape: ModelShape, card: DeviceLedger, part: float, at: int) -> DeviceLedger:
    causes = card.causes
    share = _weights_share(shape, part)
    cut = replace(
        causes,
        weights_bytes=min(int(causes.weights_bytes * share) + 1, causes.weights_bytes),
        kv_cache_bytes=int(causes.kv_cache_bytes * _largest_heads_share(shape, part)),
        projector_bytes=causes.projector_bytes if at == 0 else 0,
    )
    weaker = {"weights_bytes": Confidence.LOW, "kv_cache_bytes": Confidence.LOW}
    weaker["compute_bytes"] = card.confidence["compute_bytes"].weaker(Confidence.CALIBRATED)
    return replace(card, causes=cut, confidence={**card.confidence, **weaker})


def _weights_share(shape: ModelShape, part: float) -> float:
    """Of the bytes that one card alone would hold, at most."""
    kept = [one for one in shape.tensors if one.name != "token_embd.weight" or shape.has_tied_output()]
    whole = sum(cuda_tensor_bytes(one) for one in kept)
    if not whole:
        return 1.0
    mine = sum(_tensor_share(shape, one, part) * cuda_tensor_bytes(one) for one in kept)
    return min(1.0, mine / whole + SLACK)


def _tensor_share(shape: ModelShape, tensor: Tensor, part: float) -> float:
    if sum(dim > 1 for dim in tensor.dims) < 2:
        return 1.0
    rows = lcm(TENSOR_TYPES[tensor.type].block_elements, GRANULE_ROWS)
    if tensor.name == "output.weight":
        return _share(part, tensor.dims[1], rows) if tensor.dims[1] % rows == 0 else 1.0
    match = _BLOCK.fullmatch(tensor.name)
    if match is None or int(match[1]) >= len(shape.layers):
        return 1.0
    if _CUT_BY_HEADS.fullmatch(match[2]):
        return _heads_share(shape.layers[int(match[1])], part, rows)
    if _CUT_BY_ROWS.fullmatch(match[2]):
        return _share(part, tensor.dims[0] if "down" in match[2] else tensor.dims[1], rows)
    return 1.0


def _largest_heads_share(shape: ModelShape, part: float) -> float:
    """Of the caches: a layer's whole heads; without one that is cut, all of it."""
    return max((_heads_share(one, part, GRANULE_ROWS) for one in shape.layers if one.kv_heads), default=1.0)


def _heads_share(layer: Layer, part: float, rows: int) -> float:
    """Heads are cut with their queries, in whole multiples of the granule."""
    if not layer.kv_heads:
        return 1.0
    wide = max(layer.heads // layer.kv_heads, 1) * layer.key_length
    return _share(part, layer.kv_heads, lcm(wide, rows) // wide)


def _share(part: float, size: int, granule: int) -> float:
    """`part` of `size` in whole granules, one more where it does not come out even; what is too small to cut is whole."""
    if size < granule:
        return 1.0
    granules = size / granule
    if size % granule == 0 and abs(part * granules - round(part * granules)) < 1e-9:
        return part
    return min(1.0, (part * granules + 1) / granules)
