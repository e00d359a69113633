"""What one model takes that Ollama 0.33 loads: the ledger of its llama-server, on the cards and with the layers it gets.

Figures are llama.cpp's (checked on b11669, Ollama brings b10488): `calibrated` at best. The cache's size was compared with the
logs of Ollama's llama-server, compute buffers were not. Where Ollama or `--fit` chooses layers by what is free, all is `low`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from llmops.domain.engine import Device, EngineName, EngineSettings, HostDevice
from llmops.domain.explained import GivenFlag
from llmops.domain.ledger import Confidence, DeviceLedger, HostLedger, Ledger
from llmops.domain.model import Attention, ModelShape
from llmops.domain.records import dataclass
from llmops.domain.units import MIB
from llmops.engines import llama_cpp_memory
from llmops.engines.llama_cpp_arguments import whole_number
from llmops.engines.llama_cpp_overrides import Override, from_flags
from llmops.engines.llama_cpp_placement import Loading
from llmops.engines.ollama_fit import Fitted, fitted
from llmops.engines.ollama_runner import LLAMA_CPP, fits_by_itself, runner_settings
from llmops.engines.ollama_scheduler import start
from llmops.engines.ollama_variables import Server

BUILD = "0.33"
FIT_TARGET_MIB = 1024
DRAFT_TOKENS = 4
"""`draft_num_predict` of a request that does not say: MTP blocks of a file are used, which llama-server alone leaves out."""

Row = TypeVar("Row", DeviceLedger, HostLedger)

NO_HOST = HostDevice(memory_bytes=None, physical_cores=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A model as Ollama loads it: effective settings, the cards, whether `--fit` moved anything off them."""

    settings: EngineSettings
    cards: tuple[Device, ...]
    predicted_bytes: int
    overrides: tuple[Override, ...] | None = None
    moved: bool = False


def loaded(server: Server, environment: Sequence[GivenFlag], *, shape: ModelShape, devices: Sequence[Device]) -> Loaded:
    """What Ollama and the llama-server it starts make of this model on these cards, nothing else being loaded."""
    started = start(shape, server, devices)
    settings, _ = runner_settings(server, environment, started)
    cards = started.cards[:1] if settings.split_mode == "none" else started.cards
    made = Fitted(settings=settings)
    overrides: tuple[Override, ...] | None = from_flags(environment) or None
    if cards and settings.use_gpu and fits_by_itself(environment):
        made = fitted(
            shape,
            settings,
            cards,
            _targets(environment, len(cards)),
            lambda tried, moved: _weighed(shape, tried, cards, NO_HOST, 0, overrides=moved),
        )
        overrides = made.overrides or None
    return Loaded(
        settings=made.settings,
        cards=cards,
        predicted_bytes=started.predicted_bytes,
        overrides=overrides,
        moved=made.moved,
    )


def _targets(environment: Sequence[GivenFlag], cards: int) -> tuple[int, ...]:
    """`LLAMA_ARG_FIT_TARGET`: MiB for every card, or one figure a card."""
    text = next((flag.value for flag in environment if flag.name == "--fit-target"), str(FIT_TARGET_MIB))
    read = [whole_number(part) for part in text.split(",")]
    sizes = [FIT_TARGET_MIB if one is None or one[0] < 0 else one[0] for one in read]
    return tuple((sizes[at] if at < len(sizes) and len(sizes) > 1 else sizes[0]) * MIB for at in range(cards))


def ledger(
    one: Loaded, *, shape: ModelShape, host: HostDevice, reserve_bytes: int, uncounted: Sequence[str] = ()
) -> Ledger:
    """The ledger of a loaded model."""
    made = _weighed(shape, one.settings, one.cards, host, reserve_bytes, overrides=one.overrides)
    notes = [f"figures of llama.cpp {llama_cpp_memory.BUILD}; Ollama {BUILD} brings {LLAMA_CPP}", *made.notes]
    if one.moved:
        notes.append("`--fit` leaves on the cards what has room at that moment: other programs there change it")
    if shape.mtp_layers:
        notes.append("MTP blocks are used to guess ahead (`draft_num_predict`): their share is an upper bound")
    notes += [f"not counted: {text}" for text in uncounted]
    return replace(
        made,
        engine=EngineName.OLLAMA.value,
        engine_build=BUILD,
        confidence=Confidence.LOW,
        devices=tuple(replace(card, confidence=_trust(card.confidence, moved=one.moved)) for card in made.devices),
        host=replace(made.host, confidence=_trust(made.host.confidence, moved=one.moved)),
        notes=tuple(notes),
    )


def _trust(confidence: Mapping[str, Confidence], *, moved: bool) -> dict[str, Confidence]:
    return {
        cause: Confidence.LOW
        if moved or cause in ("compute_bytes", "draft_bytes")
        else value.weaker(Confidence.CALIBRATED)
        for cause, value in confidence.items()
    }


def _weighed(
    shape: ModelShape,
    settings: EngineSettings,
    cards: Sequence[Device],
    host: HostDevice,
    reserve_bytes: int,
    *,
    overrides: tuple[Override, ...] | None,
) -> Ledger:
    made = llama_cpp_memory.ledger(
        shape=shape,
        settings=settings,
        devices=cards,
        host=host,
        reserve_bytes=reserve_bytes,
        loading=Loading(overrides=overrides),
    )
    if not shape.mtp_layers:
        return made
    draft = _draft_bytes(shape, settings)
    on_cards = [card for card in made.devices if card.causes.weights_bytes]
    if not on_cards:
        return replace(made, host=_with_draft(made.host, draft))
    last = on_cards[-1]
    return replace(made, devices=tuple(_with_draft(card, draft) if card is last else card for card in made.devices))


def _with_draft(row: Row, draft: int) -> Row:
    causes = replace(row.causes, draft_bytes=row.causes.draft_bytes + draft)
    return replace(row, causes=causes, confidence={**row.confidence, "draft_bytes": Confidence.LOW})


def _draft_bytes(shape: ModelShape, settings: EngineSettings) -> int:
    """At most what guessing with a file's own MTP blocks adds.

    Their weights, a 16-bit cache as wide as the widest layer's, one more compute buffer, and for recurrent layers a state
    for each guessed token.
    """
    first = len(shape.layers)
    weights = sum(
        tensor.data_bytes()
        for tensor in shape.tensors
        if tensor.name.startswith("blk.") and int(tensor.name.split(".")[1]) >= first
    )
    cached = [layer for layer in shape.layers if layer.attention is not Attention.NONE]
    width = max((layer.key_width() + layer.value_width() for layer in cached), default=0)
    cache = shape.mtp_layers * width * 2 * settings.context_size
    rows = (
        4
        * settings.ubatch_tokens
        * (8 * shape.embedding_length + 4 * max(layer.feed_forward for layer in shape.layers))
    )
    state = sum(
        4 * (layer.recurrent.conv_elements + layer.recurrent.state_elements)
        for layer in shape.layers
        if layer.recurrent is not None
    )
    return weights + cache + rows + state * settings.parallel * DRAFT_TOKENS
