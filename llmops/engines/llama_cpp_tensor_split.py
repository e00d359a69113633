"""`-sm tensor`: every matrix and every cache is cut over all cards. llama.cpp b11669, experimental there.

A card has its parts of what is cut (`llama_cpp_cut.py`), all of what is not, and compute buffers as large as a single card's: all
to the byte in 72 starts of as many families on 2 or 3 cards. Shares are those of `-ts`, else the same, whatever is free.
"""

from collections.abc import Sequence
from dataclasses import replace

from llmops.domain.engine import EngineSettings
from llmops.domain.ledger import Buffer, Causes, Confidence, DeviceLedger, Ledger
from llmops.domain.model import ModelShape
from llmops.domain.tensor import Tensor
from llmops.domain.tensor_types import TENSOR_TYPES
from llmops.domain.units import padded
from llmops.engines.llama_cpp_context import context
from llmops.engines.llama_cpp_cut import Cut, Cutter
from llmops.engines.llama_cpp_placement import (
    CUDA_ALIGNMENT,
    HOST,
    Placement,
    cuda_tensor_bytes,
    row_tail_bytes,
    state_bytes,
    weight_place,
)

NOTE = "`-sm tensor` with adapters or a draft beside the model: those are counted whole on every card"


def cut_ledger(
    shape: ModelShape, settings: EngineSettings, ledgers: Sequence[Ledger], names: Sequence[str], placement: Placement
) -> Ledger:
    """The ledger of a model cut over cards, from those of the whole model on each alone (`placement`); `names` of the buffers."""
    cutter = Cutter(shape, settings.tensor_split if sum(settings.tensor_split) else (), len(ledgers))
    is_whole = shape.companions is not None and (shape.companions.adapters or shape.companions.draft is not None)
    cards = tuple(
        _cut(cutter, settings, one.devices[0], at, placement, is_sure=not is_whole) for at, one in enumerate(ledgers)
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
    has_projector = shape.companions is not None and shape.companions.projector is not None
    is_unsure = is_whole or has_projector or not settings.kv_offload  # of those some starts end (llama_cpp_refused.py)
    sure = first.confidence.weaker(Confidence.LOW if is_unsure else Confidence.CALIBRATED)
    notes = (*first.notes, NOTE) if is_whole else first.notes
    return replace(first, devices=cards, buffers=buffers | kept, confidence=sure, notes=notes)


def leaves_a_card_empty(shape: ModelShape, settings: EngineSettings, cards: int) -> bool:
    """Whether a layer's one head of keys is rotated for a quantized cache, and lies on one of the cards alone.

    Heads of whole 64s are rotated (src/llama-kv-cache.cpp); of 17 such models none started, of those with other heads all.
    """
    cutter = Cutter(shape, settings.tensor_split if sum(settings.tensor_split) else (), cards)
    return any(
        layer.kv_heads == 1 and layer.key_length % 64 == 0 and 0 in cutter.cache(at, layer.key_width())
        for at, layer in enumerate(shape.layers)
        if at >= first_on_cards(shape, settings)
    )


def first_on_cards(shape: ModelShape, settings: EngineSettings) -> int:
    """The first block that `-ngl` puts on the cards."""
    wanted = settings.gpu_layers
    return 0 if wanted is None else max(len(shape.layers) + shape.mtp_layers + 1 - wanted, 0)


def _cut(
    cutter: Cutter, settings: EngineSettings, card: DeviceLedger, at: int, placement: Placement, *, is_sure: bool
) -> DeviceLedger:
    causes = card.causes
    cut = replace(
        causes,
        weights_bytes=causes.weights_bytes - _elsewhere(cutter, at, placement),
        kv_cache_bytes=_cache_bytes(cutter, settings, at, placement),
        recurrent_state_bytes=_state_bytes(cutter, settings, causes, at, placement),
        projector_bytes=causes.projector_bytes if at == 0 else 0,
    )
    least = Confidence.EXACT if is_sure else Confidence.LOW
    sure = {name: one.weaker(least) for name, one in card.confidence.items()}
    return replace(
        card, causes=cut, confidence=sure | {"compute_bytes": sure["compute_bytes"].weaker(Confidence.CALIBRATED)}
    )


def _elsewhere(cutter: Cutter, at: int, placement: Placement) -> int:
    """Bytes of weights that one card alone would hold, and that are the others' part."""
    total = 0
    for one in cutter.shape.tensors:
        cut = cutter.tensor(one)
        if cut is not None and weight_place(one.name, placement, at=None) != HOST:
            total += cuda_tensor_bytes(one) - cuda_tensor_bytes(_part(one, cut, at))
    return total


def _part(one: Tensor, cut: Cut, at: int) -> Tensor:
    dims = list(one.dims)
    dims[cut.axis] = cut.parts[at]
    return replace(one, dims=tuple(dims))


def _cache_bytes(cutter: Cutter, settings: EngineSettings, at: int, placement: Placement) -> int:
    """Keys and values of the layers on cards, each in a tensor of its own."""
    shape, total = cutter.shape, 0
    made = context(settings, trained_tokens=shape.context_length)
    for number, layer in enumerate(shape.layers):
        if not layer.owns_kv_cache or not layer.kv_heads or placement.cache(number) == HOST:
            continue
        cells = made.cells(layer, window_tokens=shape.window_tokens) * made.streams
        for kind, width in (
            (settings.kv_cache_type_k.upper(), layer.key_width()),
            (settings.kv_cache_type_v.upper(), layer.value_width()),
        ):
            part = cutter.cache(number, width)[at]
            total += padded(TENSOR_TYPES[kind].row_bytes(part) * cells + row_tail_bytes(kind, part), CUDA_ALIGNMENT)
    return total


def _state_bytes(cutter: Cutter, settings: EngineSettings, causes: Causes, at: int, placement: Placement) -> int:
    """Recurrent states, as often as one card alone would keep them."""
    on_cards = [
        (number, one.recurrent)
        for number, one in enumerate(cutter.shape.layers)
        if one.recurrent is not None and placement.cache(number) != HOST
    ]
    whole = sum(state_bytes(cutter.shape.layers[number], slots=settings.parallel) for number, _ in on_cards)
    if not whole:
        return causes.recurrent_state_bytes
    each, total = settings.parallel * max(round(causes.recurrent_state_bytes / whole), 1), 0
    for number, state in on_cards:
        part = cutter.state(number)[at]
        for elements in (state.conv_elements, state.state_elements, state.history_elements):
            total += padded(4 * each * round(elements * part), CUDA_ALIGNMENT)
    return total
