"""A GGUF header as a command line changes it (`--override-kv`). llama.cpp b11669, src/llama-model-loader.cpp (`GKV`).

A change counts where the engine asks for one value of its type; of another type it is passed over with a warning, and a list in
the file comes before it. What the tensors are made for cannot be changed: the engine compares and refuses.
"""

from collections.abc import Sequence
from dataclasses import replace

from llmops.domain.key_change import KeyChange
from llmops.formats.gguf import GgufHeader
from llmops.formats.refusal import refusal

MADE_FOR = frozenset(
    {
        "block_count", "embedding_length", "feed_forward_length", "expert_feed_forward_length", "vocab_size",
        "expert_shared_feed_forward_length", "expert_count", "attention.head_count", "attention.head_count_kv",
        "attention.key_length", "attention.value_length", "attention.key_length_mla", "attention.value_length_mla",
        "attention.q_lora_rank", "attention.kv_lora_rank", "rope.dimension_count", "leading_dense_block_count",
        "ssm.conv_kernel", "ssm.inner_size", "ssm.state_size", "ssm.time_step_rank", "ssm.group_count",
    }
)  # fmt: skip
"""Keys that fix the dimensions of tensors, or must agree with them."""


def changed(header: GgufHeader, changes: Sequence[KeyChange], *, name: str) -> tuple[GgufHeader, tuple[str, ...]]:
    """The header as the engine reads it, and what came of each change. Raises `WrongInput` where the engine would not load it."""
    table, notes = dict(header.metadata), []
    for one in changes:
        old = table.get(one.key)
        said = f"`--override-kv {one.key}={one.type_name()}:{_text(one.value)}`"
        if old == one.value and type(old) is type(one.value):
            continue
        if old is not None and type(old) is not type(one.value):
            kind = "a list" if not isinstance(old, bool | int | float | str) else f"of type {type(old).__name__}"
            notes.append(f"{said} has no effect: the file's value is {kind}")
            continue
        if old is not None and one.key.partition(".")[2] in MADE_FOR:
            hint = f"leave it out, or say {_text(old)} as the file does"
            raise refusal(
                name, f"{said}: the tensors are made for {_text(old)}, it would not load", hint=hint, key=one.key
            )
        if one.key == "general.architecture":
            hint = "leave it out: a file's keys are named after its architecture"
            raise refusal(name, f"{said}: the file holds no keys of it, it would not load", hint=hint, key=one.key)
        table[one.key] = one.value
        notes.append(f"{said}: {'new' if old is None else f'the file says {_text(old)}'}; sized with it")
    return replace(header, metadata=table), tuple(notes)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)[:60]
