"""Which types of KV cache a llama-server starts with, and which it starts with but is slow on. Build b11669.

Source: llama.cpp b11669 src/llama-context.cpp `llama_init_from_model`: heads are asked of while flash attention is not off,
of every layer that has some, also where nothing is cached; each refusal was seen to end a real server.
"""

from collections.abc import Iterator, Sequence

from llmops.domain.engine import Device, DeviceKind, EngineSettings, FlashAttention
from llmops.domain.explained import Meaning
from llmops.domain.finding import Finding
from llmops.domain.model import Attention, ModelShape
from llmops.domain.tensor_types import TENSOR_TYPES
from llmops.engines.llama_cpp_arguments import refused, unwise
from llmops.engines.llama_cpp_memory import FAST_CACHE_PAIRS

ONE_TYPE = frozenset({"deepseek4"})
"""Beside those with latents."""


def of_line(meaning: Meaning, devices: Sequence[Device]) -> Iterator[Finding]:
    """What the line alone says, on these cards."""
    settings = meaning.settings
    quantized_v = TENSOR_TYPES[settings.kv_cache_type_v.upper()].quantized
    if quantized_v and settings.flash_attention is FlashAttention.OFF:
        message = f"`-ctv {settings.kv_cache_type_v}` needs flash attention, which is off: the server would not start"
        yield refused("EXP043", "--cache-type-v", message, "`-fa on`, or `-ctv f16`")
    pair = (settings.kv_cache_type_k, settings.kv_cache_type_v)
    on_cuda = settings.use_gpu and any(one.kind is DeviceKind.CUDA for one in devices)
    if on_cuda and settings.flash_attention is not FlashAttention.OFF and pair not in FAST_CACHE_PAIRS:
        kernels = (
            "CUDA has no flash attention for iq4_nl at all" if "iq4_nl" in pair else "CUDA builds have no kernel for it"
        )
        message = f"KV cache {pair[0]}/{pair[1]}: {kernels} by default, and convert at every token"
        yield unwise("EXP045", "--cache-type-k", message, "the same type for both: f16, bf16, q8_0 or q4_0")


def with_model(settings: EngineSettings, shape: ModelShape) -> Iterator[Finding]:
    """What this model's attention does not take."""
    key, value = settings.kv_cache_type_k, settings.kv_cache_type_v
    if (shape.latent is not None or shape.architecture in ONE_TYPE) and key != value:
        message = f"`-ctk {key} -ctv {value}`: one latent cache stands for K and V of this model, of one type; it would not start"
        yield refused("EXP043", "--cache-type-v", message, f"`-ctv {key}`")
    if shape.never_has_flash():
        if TENSOR_TYPES[value.upper()].quantized and settings.flash_attention is not FlashAttention.OFF:
            message = (
                f"`-ctv {value}` needs flash attention, which `{shape.architecture}` never has: it would not start"
            )
            yield refused("EXP043", "--cache-type-v", message, "`-ctv f16`")
        yield from _rows(key, shape)
    elif settings.flash_attention is FlashAttention.OFF:
        yield from _rows(key, shape)
    else:
        yield from _heads("--cache-type-k", key, {one.key_length for one in shape.layers if one.kv_heads})
        yield from _heads("--cache-type-v", value, {one.value_length for one in shape.layers if one.kv_heads})


def _heads(flag: str, kind: str, lengths: set[int]) -> Iterator[Finding]:
    """A quantized cache needs heads of whole blocks."""
    block = TENSOR_TYPES[kind.upper()].block_elements
    wrong = [length for length in sorted(lengths) if length % block]
    if wrong:
        message = (
            f"`{flag} {kind}` needs heads of whole blocks of {block}, this model has {wrong[0]}: it would not start"
        )
        yield refused("EXP043", flag, message, f"`{flag} f16`")


def _rows(kind: str, shape: ModelShape) -> Iterator[Finding]:
    """Without flash attention nobody asks of heads, but one token's keys must be whole blocks (an assertion of ggml)."""
    block = TENSOR_TYPES[kind.upper()].block_elements
    cached = [one for one in shape.layers if one.attention is not Attention.NONE]
    wrong = [one.key_width() for one in cached if one.key_width() % block]
    if wrong:
        message = (
            f"`--cache-type-k {kind}` needs keys of whole blocks of {block}, this model has {wrong[0]} a token: "
            "it would not start"
        )
        yield refused("EXP043", "--cache-type-k", message, "`--cache-type-k f16`")
