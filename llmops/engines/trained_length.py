"""The longest request that a model was made for, and what an engine does with a longer one.

Source: vLLM 0.33, config/model.py (`_get_and_verify_max_len`); SGLang 0.5.23, srt/configs/model_config.py
(`_derive_context_length`): both end the start, unless a variable allows it.
"""

from collections.abc import Mapping

from llmops.domain.engine import EngineName
from llmops.domain.finding import Status
from llmops.domain.model import ModelShape

ALLOWED_BY = {
    EngineName.VLLM: ("vLLM", "VLLM_ALLOW_LONG_MAX_MODEL_LEN"),
    EngineName.SGLANG: ("SGLang", "SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN"),
}
_ON = frozenset({"1", "true"})


def trained_tokens(shape: ModelShape) -> int:
    """With what its rope scaling makes of it; 0 where it is not known."""
    return max(shape.context_length, shape.rope.effective_length if shape.rope is not None else 0)


def beyond_trained(
    engine: EngineName, shape: ModelShape, tokens: int, environment: Mapping[str, str]
) -> tuple[Status, str] | None:
    """How bad a request of so many tokens is, and the rest of a sentence that begins with the option; None: it is no longer."""
    trained, ruled = trained_tokens(shape), ALLOWED_BY.get(engine)
    if ruled is None or not 0 < trained < tokens:
        return None
    name, variable = ruled
    more = f"is more than the {trained} of the model"
    if environment.get(variable, "").strip().casefold() in _ON:
        return Status.WARN, f"{more}: `{variable}` lets it start, and answers beyond them are noise"
    return Status.FAIL, f"{more}: {name} refuses to start"
