"""What Ollama decides before it starts a model's llama-server: context, slots, batch, cards.

Source: Ollama 0.33 (main of 2026-08-21) server/routes.go (context by memory), server/sched.go (`load`,
`selectLlamaServerPlacement`, `automaticGenerationBatch`), llm/llama_server.go (`PredictServerVRAM`, `startLlamaServer`).
"""

from collections.abc import Sequence

from llmops.domain.engine import Device, FlashAttention
from llmops.domain.model import Attention, ModelShape
from llmops.domain.records import dataclass
from llmops.domain.units import GIB, MIB
from llmops.engines.ollama_variables import Server

CONTEXT_BY_MEMORY = ((47 * GIB, 262144), (23 * GIB, 32768), (0, 4096))
"""Total memory of all cards from which on a request that says nothing gets this many tokens."""

ONE_AT_A_TIME = frozenset(
    {
        "mllama", "qwen3vl", "qwen3vlmoe", "qwen35", "qwen35moe", "qwen3next", "lfm2", "lfm2moe",
        "nemotron_h", "nemotron_h_moe", "nemotron_h_omni",
    }
)  # fmt: skip
"""Families that get one slot whatever `OLLAMA_NUM_PARALLEL` says."""

NO_CACHE = frozenset({"bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "gemma-embedding", "modern-bert"})
"""Embedding models: one slot, and a batch of their own (2048, at most the context)."""
EMBEDDING_BATCH = 2048

LEAST_KV_HEADS_UNKNOWN = frozenset(
    {"jamba", "granitehybrid", "lfm2", "lfm2moe", "nemotron_h", "nemotron_h_moe", "plamo2"}
)
"""Families whose metadata list KV heads by layer with zeros among them; the least of the list, zero, then counts as one."""

ROOM_PERCENT = 80
BATCH_HEADROOM = ((2048, 60, 2 * GIB), (1024, 75, 768 * MIB))
"""A larger batch: the share of the free memory the prediction may take, and what is set aside for it."""
DEFAULT_BATCH, CONSTRAINED_BATCH = 512, 256
SMALL_CARD_BYTES = 8 * GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One model's start: tokens of a slot, slots, the cards that are handed to it, batch, and the prediction it rests on.

    `one_card`: Ollama picked one of several, and says `--split-mode none`.
    """

    context_tokens: int
    parallel: int
    cards: tuple[Device, ...]
    one_card: bool
    batch_tokens: int
    predicted_bytes: int


def default_context(devices: Sequence[Device], overhead_bytes: int) -> int:
    """Tokens of a request by the memory of all cards; without a card the least."""
    total = sum(one.capacity_bytes - overhead_bytes for one in devices)
    return next((tokens for least, tokens in CONTEXT_BY_MEMORY if total >= least), CONTEXT_BY_MEMORY[-1][1])


def slots(shape: ModelShape, parallel: int) -> int:
    """How many requests at a time this family gets."""
    return 1 if shape.architecture in ONE_AT_A_TIME or shape.architecture in NO_CACHE else parallel


def largest_batch(total_tokens: int) -> int:
    """The batch Ollama aims for, by the context of all slots together; it takes less where memory is tight."""
    if total_tokens > 32768:
        return 2048
    return 1024 if total_tokens > 4096 else DEFAULT_BATCH


def predicted_bytes(shape: ModelShape, total_tokens: int) -> int:
    """`PredictServerVRAM`: the weights and `2 · layers · least KV heads · (embedding / heads) · tokens · 2 bytes`.

    No compute buffer, no window, no latent attention, always 16 bit: right for plain models only, but it is what decides.
    The file's size is taken as its tensors; a vocabulary adds some MB.
    """
    attention = [layer for layer in shape.layers if layer.attention is not Attention.NONE]
    heads = max((layer.heads for layer in attention), default=0)
    least = min((layer.kv_heads for layer in attention), default=1) or 1
    if shape.architecture in LEAST_KV_HEADS_UNKNOWN:
        least = 1
    length = shape.embedding_length // heads if heads else 0
    layers = len(shape.layers) + shape.mtp_layers
    return shape.weights_bytes() + 2 * layers * least * length * total_tokens * 2


def start(shape: ModelShape, server: Server, devices: Sequence[Device]) -> Start:
    """What is decided for this model on these cards, none of them busy."""
    context_tokens = server.context_tokens or default_context(devices, server.overhead_bytes)
    if shape.context_length:
        context_tokens = min(context_tokens, shape.context_length)
    context_tokens = max(context_tokens, 4)
    parallel = slots(shape, server.parallel)
    predicted = predicted_bytes(shape, context_tokens * parallel)
    single = None if server.spread or len(devices) < 2 else _best_single(devices, predicted)
    cards = tuple(devices) if single is None else (single,)
    return Start(
        context_tokens=context_tokens,
        parallel=parallel,
        cards=cards,
        one_card=single is not None,
        batch_tokens=server.batch_tokens
        or batch(shape, context_tokens * parallel, predicted, cards, server.flash_attention),
        predicted_bytes=predicted,
    )


def _best_single(devices: Sequence[Device], predicted: int) -> Device | None:
    """The card with most free memory of those whose free memory the prediction fills to 80 % at most."""
    able = [one for one in devices if predicted <= one.free_bytes * ROOM_PERCENT // 100]
    return max(able, key=lambda one: one.free_bytes) if able else None


def batch(
    shape: ModelShape, total_tokens: int, predicted: int, cards: Sequence[Device], flash_attention: FlashAttention
) -> int:
    """`num_batch` where neither the model nor the request says it: also the ubatch."""
    if shape.architecture in NO_CACHE:
        return min(EMBEDDING_BATCH, total_tokens)
    free = sum(one.free_bytes for one in cards)
    if flash_attention is FlashAttention.OFF and cards:
        small = any(min(one.free_bytes, one.capacity_bytes) <= SMALL_CARD_BYTES for one in cards)
        return CONSTRAINED_BATCH if small and total_tokens > 4096 else DEFAULT_BATCH
    wanted = largest_batch(total_tokens)
    room = free * ROOM_PERCENT // 100
    for size, percent, surcharge in BATCH_HEADROOM:
        if size > wanted:
            continue
        if not free or (predicted <= free * percent // 100 and predicted + surcharge <= room):
            return size
    return DEFAULT_BATCH
