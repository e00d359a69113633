"""llama.cpp b11669: compute buffers by placement: one card, several with or without pipelining, part of the layers, none."""

from llmops.domain.ledger import Confidence
from llmops.domain.records import dataclass
from llmops.domain.units import padded
from llmops.engines.llama_cpp_compute import (
    EXACT_ARCHITECTURES,
    Case,
    closed_form_confidence,
    cpu_only_bytes,
    device_inputs_bytes,
    has_window_output_ids,
    host_inputs_bytes,
    is_pipelined_form_exact,
    one_card_bytes,
    one_card_host_bytes,
    pipelined_branch_bytes,
)
from llmops.engines.llama_cpp_known import simulated
from llmops.engines.llama_cpp_placement import CUDA_ALIGNMENT, HOST, TIED_IN_RAM, Placement, cache_bytes
from llmops.engines.llama_cpp_simulation import GROWING, is_simulated, simulated_confidence
from llmops.engines.llama_cpp_unknown import card_bytes, crossing_bytes, host_bytes, only_host_bytes, runs_in_ram
from llmops.engines.llama_cpp_weights import Weights

UNLIKE_ITS_FAMILY = "compute buffers are an upper bound: the file lacks tensors that other files of `{}` have"

PIPELINE_COPIES = 4
"""`GGML_SCHED_MAX_COPIES`."""

GROWS_NOTE = "compute buffers are those of a full cache: a start takes less, they grow with what is kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """Compute bytes per card and in RAM, and how far to trust them."""

    cards: tuple[int, ...]
    host: int
    confidence: Confidence
    host_confidence: Confidence
    notes: tuple[str, ...] = ()


def compute(case: Case, placement: Placement, placed: Weights) -> Compute:
    """The compute buffers of a start: simulated where the graph is known, else by closed forms and bounds."""
    if is_simulated(case):
        copies = PIPELINE_COPIES if is_pipelined(placement) else 1
        try:
            cards, ram = simulated(case, placement, copies=copies)
        except (LookupError, ValueError, ArithmeticError):  # a file whose tensors are not those of its family
            return _bounded(case, placement, placed, (UNLIKE_ITS_FAMILY.format(case.shape.architecture),))
        certain = simulated_confidence(placement, case)
        grows = (GROWS_NOTE,) if case.shape.architecture in GROWING else ()
        return Compute(cards=cards, host=ram, confidence=certain, host_confidence=certain, notes=grows)
    sure = closed_form_confidence(case)
    if not placement.cards:
        host = cpu_only_bytes(case) if sure is not Confidence.LOW else only_host_bytes(case)
        return Compute(cards=(), host=host, confidence=sure, host_confidence=_host_only_confidence(case))
    notes = _notes(case)
    if sure is Confidence.LOW:
        return _bounded(case, placement, placed, notes)
    slack = _slack_bytes(case) if sure is Confidence.CALIBRATED else 0
    if placement.cards > 1 and is_pipelined(placement):
        return _pipelined(case, placement, sure)
    card = one_card_bytes(case) + slack
    if not placement.is_mixed() and placement.cards == 1:
        return Compute(cards=(card,), host=one_card_host_bytes(case), confidence=sure, host_confidence=Confidence.EXACT)
    fused = _fused_product_bytes(case) + (_slack_bytes(case) if case.shape.latent is not None else 0)
    card += _copies_bytes(case, placement, placed) + fused
    host = one_card_host_bytes(case) + fused
    weaker = Confidence.CALIBRATED
    return Compute(cards=(card,) * placement.cards, host=host, confidence=weaker, host_confidence=weaker, notes=notes)


def _slack_bytes(case: Case) -> int:
    """Cache types the closed form was not exact for: at most one `4TE` was missing; of a quantized MLA cache 5 %."""
    if not case.flash():
        return 0
    slack = 4 * case.rows() * case.shape.embedding_length
    return slack if case.shape.latent is None else max(slack, one_card_bytes(case) // 16)


def _fused_product_bytes(case: Case) -> int:
    """A fused QKV product `4T(Q + Kd + Vd)`, which lives longer where its layer is split or copied (phi3)."""
    if not any(".attn_qkv." in tensor.name for tensor in case.shape.tensors):
        return 0
    widest = max(
        layer.heads * layer.key_length + layer.key_width() + layer.value_width() for layer in case.shape.layers
    )
    return 4 * case.rows() * widest


def is_pipelined(placement: Placement) -> bool:
    """Several cards, all layers and the output on them, the cache too, and no tensor moved: four copies of the inputs."""
    return placement.cards > 1 and placement.is_whole() and placement.kv_offload and not placement.is_overridden


def _host_only_confidence(case: Case) -> Confidence:
    sure = closed_form_confidence(case)
    plain = case.settings.kv_cache_type_k == case.settings.kv_cache_type_v == "f16" and not case.is_windowed()
    return sure if plain else sure.weaker(Confidence.CALIBRATED)


def _copies_bytes(case: Case, placement: Placement, placed: Weights) -> int:
    """Part of the model in RAM: prompts run there by copying. At most two matrices of one block and one layer's cache."""
    matrices = placed.host if case.shape.graph.stack_layers else sum(placed.host_matrices[:2])  # a stack runs again
    partial = not placement.is_whole() or not placement.kv_offload
    return matrices + (max(_cache_sizes(case), default=0) if partial else 0)


def _cache_sizes(case: Case) -> tuple[int, ...]:
    """Bytes of each layer's cache."""
    return tuple(
        cache_bytes(
            layer,
            cells=case.cells(layer),
            streams=case.context.streams,
            kind_k=case.settings.kv_cache_type_k.upper(),
            kind_v=case.settings.kv_cache_type_v.upper(),
            value_width=layer.value_width(),
            on_card=True,
        )
        for layer in case.caching_layers()
    )


def _output_in_ram_bytes(case: Case, placement: Placement) -> int:
    """The output's matrix where it stays in RAM: a card takes a copy of it for a prompt."""
    names = ("output.weight", "token_embd.weight")
    is_moved = any(placement.moves.get(name) == HOST for name in names)
    if placement.output != HOST and not is_moved and case.shape.architecture not in TIED_IN_RAM:
        return 0
    return max((one.data_bytes() for one in case.shape.tensors if one.name in names), default=0)


def _pipelined(case: Case, placement: Placement, sure: Confidence) -> Compute:
    """Four copies of the inputs; what a start takes (`--fit` measures `16TE` more on every card but the first).

    With `branch` of `pipelined_branch_bytes`: first `4·I − 4·pad(4·outputs) + branch + 4T·9E`, middle `4·I − 4·pad(8T) −
    4·pad(4·outputs) + branch`, last `4·I − 4·pad(8T) + branch`; a window's output ids are on the first only. Host
    `4·I_host + 40TE`.
    """
    rows, embedding = case.rows(), case.shape.embedding_length
    inputs = PIPELINE_COPIES * device_inputs_bytes(case)
    indices = PIPELINE_COPIES * padded(8 * rows, CUDA_ALIGNMENT)
    outputs = PIPELINE_COPIES * padded(4 * case.context.output_rows, CUDA_ALIGNMENT)
    window_ids = PIPELINE_COPIES * padded(4 * rows, CUDA_ALIGNMENT) if has_window_output_ids(case) else 0
    if sure is Confidence.EXACT and not is_pipelined_form_exact(case):
        sure = Confidence.CALIBRATED
    slack = _slack_bytes(case) + _fused_product_bytes(case) if sure is Confidence.CALIBRATED else 0
    branch = pipelined_branch_bytes(case)
    first = inputs - outputs + branch + 36 * rows * embedding
    middle = inputs - indices - outputs - window_ids + branch
    last = inputs - indices - window_ids + branch
    cards = [middle + slack] * placement.cards
    cards[0], cards[-1] = first + slack, last + slack
    host = PIPELINE_COPIES * host_inputs_bytes(case) + 40 * rows * embedding
    return Compute(cards=tuple(cards), host=host, confidence=sure, host_confidence=closed_form_confidence(case))


def _bounded(case: Case, placement: Placement, placed: Weights, notes: tuple[str, ...]) -> Compute:
    bound = card_bytes(case) + _copies_bytes(case, placement, placed)
    if placement.is_mixed():  # a second cache while the first is read, and the output's matrix
        bound += max(_cache_sizes(case), default=0) + _output_in_ram_bytes(case, placement)
    copies = PIPELINE_COPIES if is_pipelined(placement) else 1
    host = host_bytes(case, placement, copies=copies)
    if runs_in_ram(case):  # attention runs in RAM, on a copy of its cache; with pipelining every layer's stays
        sizes = _cache_sizes(case)
        host += copies * sum(sizes) if copies > 1 else 2 * max(sizes, default=0)
    if is_pipelined(placement):
        bound += 3 * device_inputs_bytes(case) + 64 * case.rows() * case.shape.embedding_length + crossing_bytes(case)
        host += PIPELINE_COPIES * host_inputs_bytes(case) + 40 * case.rows() * case.shape.embedding_length
    return Compute(
        cards=(bound,) * placement.cards,
        host=host,
        confidence=Confidence.LOW,
        host_confidence=Confidence.LOW,
        notes=notes,
    )


def _notes(case: Case) -> tuple[str, ...]:
    if case.shape.architecture in EXACT_ARCHITECTURES:
        return ()
    return (f"compute buffers of `{case.shape.architecture}` are an upper bound: no closed form was checked for it",)
