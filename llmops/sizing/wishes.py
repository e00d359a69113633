"""What may be wished for at all: refused here with the option's name, before anything is weighed."""

from dataclasses import replace

from llmops.domain.engine import Engine, EngineName, EngineSettings, FlashAttention, Wishes
from llmops.domain.errors import WrongUsage
from llmops.domain.model import ModelShape
from llmops.domain.tensor_types import TENSOR_TYPES

LARGEST_TOKENS = 1 << 27
"""A context no model has; larger ones are a slip of the finger."""

POOL_CACHE_TYPES = {
    EngineName.VLLM: {"f16": "auto", "bf16": "auto", "q8_0": "fp8"},
    EngineName.SGLANG: {"f16": "auto", "bf16": "auto", "q8_0": "fp8_e4m3", "fp8": "fp8_e4m3"},
    EngineName.TGI: {"f16": "auto", "bf16": "auto", "q8_0": "fp8_e4m3fn", "fp8": "fp8_e4m3fn"},
}
"""What llama.cpp's words for a cache are called elsewhere."""


def refuse_impossible(wishes: Wishes) -> None:
    """Raises `WrongUsage` for a number out of its range, or two wishes that contradict each other."""
    ranges = {
        "--context": (wishes.context_tokens, 1, LARGEST_TOKENS),
        "--parallel": (wishes.parallel, 1, 1 << 16),
        "--batch": (wishes.batch_tokens, 1, LARGEST_TOKENS),
        "--ubatch": (wishes.ubatch_tokens, 1, LARGEST_TOKENS),
        "--gpu-layers": (wishes.gpu_layers, 0, 1 << 16),
        "--tensor-parallel": (wishes.tensor_parallel, 1, 1 << 10),
    }
    for option, (value, least, most) in ranges.items():
        if value is not None and not least <= value <= most:
            raise WrongUsage(f"`{option} {value}` is not within {least} to {most}")
    share = wishes.gpu_memory_utilization
    if share is not None and not 0 < share <= 1:
        raise WrongUsage(f"`--gpu-memory-utilization {share}` is not above 0 and at most 1")
    if not wishes.kv_cache_types:
        raise WrongUsage("no type of KV cache is allowed", hint="`limits.kv_cache_type: [f16, q8_0]`")


def possible(wishes: Wishes, *, engine: Engine, shape: ModelShape) -> Wishes:
    """The wishes as far as this engine can be told them: what it never does is refused, what it decides is filled in."""
    if engine.NAME is EngineName.LLAMA_CPP and (wishes.parallel or 1) > (wishes.batch_tokens or LARGEST_TOKENS):
        message = (
            f"`--batch {wishes.batch_tokens}` is less than `--parallel {wishes.parallel}`: the server would not start"
        )
        raise WrongUsage(message, hint=f"`--batch {wishes.parallel}` at least: each slot gets a row of a batch")
    wishes = _startable(wishes, engine=engine, shape=shape)
    if wishes.parallel is not None and not divides_batch(wishes.parallel, wishes, engine=engine, shape=shape):
        message = f"{wishes.parallel} slots do not divide a batch: `{shape.architecture}` would not start"
        pool = "" if wishes.embeddings else "`--kv-unified`, or "
        raise WrongUsage(message, hint=f"{pool}slots that do, such as 2, 4 or 8")
    if wishes.embeddings and engine.NAME is EngineName.TGI:
        hint = "`--engine llama.cpp`, vllm or sglang"
        raise WrongUsage("TGI makes no embeddings (`features: {embeddings: true}`)", hint=hint)
    if engine.NAME is not EngineName.OLLAMA:
        return wishes
    said = {"--batch": wishes.batch_tokens, "--ubatch": wishes.ubatch_tokens, "--kv-unified": wishes.kv_unified or None}
    for option, value in said.items():
        if value is not None:
            hint = (
                "a model's own `PARAMETER num_batch` is read when it is loaded; `--engine llama.cpp` takes all of them"
            )
            raise WrongUsage(f"`{option}` is not said to Ollama's server", hint=hint)
    if shape.companions is not None and shape.companions.projector is not None:
        hint = "`--engine llama.cpp` serves images, or plan text only (`features: {mmproj: false}`)"
        raise WrongUsage("a projector beside the model is not planned for Ollama, which brings its own", hint=hint)
    limit = engine.slots_limit(shape)
    if limit is None:
        return wishes
    if wishes.parallel is not None and wishes.parallel > limit:
        hint = f"`--parallel {limit}`, or `--engine llama.cpp`"
        raise WrongUsage(f"Ollama serves `{shape.architecture}` models one request at a time", hint=hint)
    return replace(wishes, parallel=limit)


def _startable(wishes: Wishes, *, engine: Engine, shape: ModelShape) -> Wishes:
    """What a family of llama.cpp needs to start at all is said on its command line."""
    if engine.NAME is not EngineName.LLAMA_CPP:
        return wishes
    if shape.needs_one_pool():
        wishes = replace(wishes, kv_unified=True)
    if shape.ends_with_flash():
        if wishes.flash_attention not in (None, FlashAttention.OFF):
            message = f"`{shape.architecture}` ends in an assertion with flash attention"
            raise WrongUsage(f"{message}: the server would not start", hint="`--flash-attention off`")
        wishes = replace(wishes, flash_attention=FlashAttention.OFF)
    return wishes


def divides_batch(slots: int, wishes: Wishes, *, engine: Engine, shape: ModelShape) -> bool:
    """Whether a model that needs it has whole rows for each slot in a batch of a prompt (any other is as good as even).

    The mean of a text's rows needs that of every model, in one pool as well (llama.cpp src/llama-graph.cpp, `build_pooling`).
    """
    is_mean = wishes.embeddings and (wishes.pooling or shape.pooling) == "mean"
    needs_it = is_mean or (shape.needs_even_batches() and not wishes.kv_unified)
    if engine.NAME is not EngineName.LLAMA_CPP or not needs_it:
        return True
    defaults = EngineSettings(engine=engine.NAME, parallel=slots, context_size=0)
    batch, ubatch = wishes.batch_tokens or defaults.batch_tokens, wishes.ubatch_tokens or defaults.ubatch_tokens
    return min(batch, ubatch) % slots == 0


def cache_types(wishes: Wishes, shape: ModelShape, *, engine: EngineName) -> tuple[str, ...]:
    """The wished cache types that this model and these settings can have, in the engine's words and the wish's order.

    llama.cpp: a quantized cache needs flash attention, and heads that are whole blocks (src/llama-context.cpp).
    """
    if engine in POOL_CACHE_TYPES:
        names = POOL_CACHE_TYPES[engine]
        return tuple(dict.fromkeys(names.get(kind, kind) for kind in wishes.kv_cache_types))
    possible = tuple(kind for kind in wishes.kv_cache_types if obstacle(kind, wishes, shape) is None)
    if not possible:
        reasons = dict.fromkeys(str(obstacle(kind, wishes, shape)) for kind in wishes.kv_cache_types)
        raise WrongUsage("; ".join(reasons), hint="`--kv-cache-type f16` always works")
    return possible


def obstacle(kind: str, wishes: Wishes, shape: ModelShape) -> str | None:
    """Why llama.cpp would not start with this cache type; None where it would."""
    row = TENSOR_TYPES.get(kind.upper())
    if row is None:
        return f"llama.cpp has no KV cache type `{kind}`"
    if not row.quantized:
        return None
    if wishes.flash_attention is FlashAttention.OFF:
        return f"a `{kind}` KV cache needs flash attention: the server would not start"
    if shape.never_has_flash():
        return f"a `{kind}` KV cache needs flash attention, which llama.cpp never uses for `{shape.architecture}`"
    for layer in shape.layers:
        lengths = (layer.key_length, layer.value_length) if layer.kv_heads else ()
        odd = next((length for length in lengths if length % row.block_elements), None)
        if odd is not None:
            return f"a `{kind}` KV cache needs heads of whole blocks of {row.block_elements}, this model's have {odd}"
    return None
