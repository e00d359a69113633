"""What a drafter of vLLM 0.33 takes besides its layers of the pool: its weights, on the ranks of the last stage.

Source: vLLM 0.33, config/speculative.py (`_verify_and_get_draft_tp`), v1/spec_decode/draft_model.py, v1/worker/gpu/spec_decode/
eagle/utils.py (`maybe_share_target_embed`: an embedding that equals the model's is dropped) and speculator.py (`draft_logits`).
"""

from llmops.domain.engine import EngineSettings, PoolSettings
from llmops.domain.model import Layer, ModelShape
from llmops.engines.computed_type import in_computed_type
from llmops.engines.rank_weights import Cut, embedding_bytes, is_drafted, rank_weights
from llmops.engines.vllm_mtp import block_bytes
from llmops.engines.vllm_pages import NO_DRAFT_LAYERS, draft_model

HEAD_VOCABULARY = 32_000
"""Entries of an EAGLE 3 head's own vocabulary (`draft_vocab_size` of the published ones)."""

HIDDEN_STATES = 3
"""Hidden states of the model that an EAGLE 3 head reads at once."""


def is_eagle(told: PoolSettings) -> bool:
    """A head that reads the model's hidden states, and shares its embedding."""
    return told.drafter.startswith("eagle")


def draft_bytes(shape: ModelShape, settings: EngineSettings, own: int, *, cut: Cut, is_safe: bool) -> int:
    """The drafter on one rank; `own` are the model's MTP blocks, 0 where no tensor tells. A safe figure drops no embedding.

    Where drafts are sampled (`draft_sample_method`), the logits of every drafted token stay for the next step.
    """
    told = settings.pool or PoolSettings()
    if not told.drafted_tokens:
        return 0
    kept = 2 * settings.parallel * told.drafted_tokens * shape.vocabulary if told.draft_probabilities else 0
    if "mtp" in told.drafter:
        return kept + (own or block_bytes(shape, cut, is_safe=is_safe))
    return kept + drafter_weights(shape, told, told.draft_parallel or settings.tensor_parallel, is_safe=is_safe)


def drafter_weights(shape: ModelShape, told: PoolSettings, ranks: int, *, is_safe: bool) -> int:
    """A model of its own that drafts, on one of so many ranks; an EAGLE head that was not read is estimated."""
    draft = draft_model(shape)
    if draft is None:
        return _estimated_head(shape, ranks) if is_eagle(told) else 0
    draft = in_computed_type(draft, told.computed_type)
    size = rank_weights(draft, Cut(tensor=ranks)).text
    shares = is_eagle(told) and (draft.vocabulary, draft.embedding_length) == (shape.vocabulary, shape.embedding_length)
    return size - (embedding_bytes(draft, ranks) if shares and not is_safe else 0)


def _estimated_head(shape: ModelShape, ranks: int) -> int:
    """An EAGLE 3 head in 16 bit: one layer like the model's, which reads twice the width, and an output of its own."""
    width = shape.embedding_length
    layer = max(shape.layers, key=_feed_forward, default=None)
    if layer is None:
        return 0
    heads = layer.heads * layer.key_length + layer.key_width() + layer.value_width()
    attention = 2 * width * heads + layer.heads * layer.key_length * width
    dense = 3 * width * (_feed_forward(layer) or 4 * width)
    return 2 * (attention + dense + HIDDEN_STATES * width * width + HEAD_VOCABULARY * width) // ranks


def _feed_forward(layer: Layer) -> int:
    return layer.feed_forward or layer.expert_feed_forward * max(layer.experts_used, 1)


def draft_notes(shape: ModelShape, told: PoolSettings) -> list[str]:
    """What of the drafter is an estimate, or missing."""
    if not told.drafted_tokens or told.drafter in NO_DRAFT_LAYERS:
        return []
    if "mtp" in told.drafter:
        is_told = any(is_drafted(one.name, shape) for one in shape.tensors)
        return [] if is_told else ["no tensor of the MTP block is known: it is estimated as the last layer"]
    if draft_model(shape) is not None:
        return []
    if is_eagle(told):
        return ["the drafter was not read: an EAGLE head of one layer is estimated"]
    return ["the drafter's weights are not counted, and its cache is taken for one more layer"]


def draft_refusals(settings: EngineSettings) -> list[str]:
    """Ranks a drafter cannot be cut into."""
    told, ranks = settings.pool or PoolSettings(), settings.tensor_parallel
    wanted = told.draft_parallel
    if not wanted or not told.drafted_tokens or wanted == ranks:
        return []
    if told.drafter == "draft_model" or wanted != 1:
        return [f"`draft_tensor_parallel_size` {wanted} with tensor parallel {ranks}"]
    return []
