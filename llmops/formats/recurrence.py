"""Which layers keep a state instead of a cache, and how large it is per sequence.

Source: llama.cpp b11434, src/llama-hparams.cpp (`n_embd_r`, `n_embd_s`) and the loaders in src/models/*.cpp.
"""

from collections.abc import Sequence

from llmops.domain.model import RecurrentState
from llmops.formats.architectures import RECURRENT
from llmops.formats.model_keys import ModelKeys

FULL_ATTENTION_INTERVAL = {"minimax-01": 8}
"""Of the families that do not have attention in every fourth layer."""
TOKEN_SHIFTS = 2


def recurrent_state_layers(
    architecture: str, keys: ModelKeys, *, kv_heads: Sequence[int], has_feed_forward: Sequence[bool]
) -> tuple[bool, ...]:
    """Layer by layer, whether it has a state. An array in the file goes before the architecture's rule."""
    count = len(kv_heads)
    said = keys.flags("attention.recurrent_layers", count)
    if said is not None:
        return said
    match RECURRENT[architecture].layers:
        case "interval":
            interval = keys.integer("full_attention_interval", FULL_ATTENTION_INTERVAL.get(architecture, 4), least=1)
            return tuple((at + 1) % interval != 0 for at in range(count))
        case "no kv heads":
            return tuple(not one for one in kv_heads)
        case "no kv heads, no feed-forward":
            return tuple(not one and not wide for one, wide in zip(kv_heads, has_feed_forward, strict=True))
        case _:
            return (True,) * count


def recurrent_state(architecture: str, keys: ModelKeys, *, heads: int) -> RecurrentState:
    """Elements (each 4 bytes, always F32) of the convolution window and of the state of one layer and sequence."""
    match RECURRENT[architecture].state:
        case "rwkv":
            embedding = keys.integer("embedding_length", least=1)
            shifts = keys.integer("token_shift_count", TOKEN_SHIFTS)
            return RecurrentState(
                conv_elements=shifts * embedding, state_elements=embedding * keys.integer("wkv.head_size")
            )
        case "shortconv":
            embedding = keys.integer("embedding_length", least=1)
            kept = max(keys.integer("shortconv.l_cache") - 1, 0)
            return RecurrentState(conv_elements=embedding * kept, state_elements=0, kept_tokens=kept)
        case "linear":
            length = keys.integer("attention.key_length", keys.integer("embedding_length", least=1) // max(heads, 1))
            return RecurrentState(conv_elements=0, state_elements=length * length * heads)
        case "kda":
            length = keys.integer("kda.head_dim")
            kept = max(keys.integer("ssm.conv_kernel") - 1, 0)
            conv, state = 3 * kept * heads * length, length * length * heads
            return RecurrentState(conv_elements=conv, state_elements=state, kept_tokens=kept)
        case _:
            return _ssm_state(keys)


def ngram_history(keys: ModelKeys) -> dict[int, int]:
    """Elements that the convolution over a table of n-grams keeps, by layer: all streams, its kernel spread over n-grams."""
    if not keys.has("ple.layers"):
        return {}
    kept = max(keys.integer("ple.conv_kernel") - 1, 0) * keys.integer("ple.ngram_size")
    wide = keys.integer("embedding_length", least=1) * keys.integer("hyper_connection.count", 1)
    return dict.fromkeys(keys.listed("ple.layers"), kept * wide)


def _ssm_state(keys: ModelKeys) -> RecurrentState:
    """Mamba 1 and 2 and gated delta nets, which use the same keys."""
    inner, state = keys.integer("ssm.inner_size"), keys.integer("ssm.state_size")
    groups = keys.integer("ssm.group_count", 0)
    kept = max(keys.integer("ssm.conv_kernel") - 1, 0)
    return RecurrentState(
        conv_elements=kept * (inner + 2 * groups * state),
        state_elements=state * inner,
        kept_tokens=kept,
        groups=groups,
        group_width=state,
    )
