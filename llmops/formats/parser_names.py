"""What a model's name says of its parsers where no chat template is at hand: one model type holds models that think and others.

A reasoning parser on a model that does not think takes its whole answer for a thought, and `content` comes back empty. Source:
vLLM 0.33.0, parser/qwen3.py, kimi_k2.py and nemotron_v3.py (they begin inside a thought), reasoning/basic_parsers.py (of
`deepseek_r1`: without an end of the thought all of it is one); tool_parsers/ (a format each for DeepSeek-V3 and V3.1, for Qwen3
and Qwen3-Coder, for Granite 3 and 4); the makers' model cards for which of their models think.
"""

import re
from dataclasses import replace

from llmops.domain.model import ParserHints

_THINKS = re.compile(r"think|reason|(?<![a-z0-9])(?:r1|qwq)(?![a-z0-9])")
_ANSWERS_AT_ONCE = re.compile(r"instruct|coder|base|embed|rerank")
_THOUGHTS_IF_NAMED = frozenset(
    {"cohere2", "deepseek_v3", "ernie4_5_moe", "kimi_k2", "olmo3", "qwen3_next", "qwen3_vl", "qwen3_vl_moe"}
)
_THOUGHTS_UNLESS_NAMED = frozenset({"qwen3", "qwen3_moe", "nemotron_h"})
_WITH_THINK_TOKENS = re.compile(r"(?<![a-z0-9])(?:r1-distill|qwq)(?![a-z0-9])")
"""Of other types these have `<think>` in their tokenizer, without which `deepseek_r1` ends the start."""

_TOOLS_NAMED = {
    "deepseek_v3": re.compile(r"deepseek"),
    "llama": re.compile(r"llama-?3\.[1-9]"),
    "qwen2": re.compile(r"^(?:qwen|qwq)"),
}
"""Types that others' models have as well, which call tools in another way or not at all."""

SWITCHED = ParserHints(
    vllm_tools="deepseek_v31", vllm_reasoning="deepseek_v3", sglang_tools="deepseekv31", sglang_reasoning="deepseek-v3"
)
"""DeepSeek-V3.1: thinks where a request asks for it, and writes calls in another format than V3."""


def by_name(known: ParserHints, model_type: str, name: str) -> ParserHints:
    """The parsers of a type, less those that a model of this name has no use for."""
    low = name.casefold()
    if model_type == "deepseek_v3" and "deepseek-v3.1" in low:
        return SWITCHED
    found = known if _thinks(known, model_type, low) else replace(known, vllm_reasoning=None, sglang_reasoning=None)
    if found.vllm_reasoning is None and _WITH_THINK_TOKENS.search(low):
        found = replace(found, vllm_reasoning="deepseek_r1", sglang_reasoning="deepseek-r1")
    named = _TOOLS_NAMED.get(model_type)
    if named is not None and not named.search(low):
        return replace(found, vllm_tools=None, sglang_tools=None)
    if model_type in ("qwen3_moe", "qwen3_next") and "coder" in low:
        return replace(found, vllm_tools="qwen3_coder", sglang_tools="qwen3_coder")
    if model_type == "granite" and "granite-4" in low:
        return replace(found, vllm_tools="granite4", vllm_reasoning=None)
    return found


def _thinks(known: ParserHints, model_type: str, name: str) -> bool:
    if known.vllm_reasoning is None or _THINKS.search(name):
        return True
    if model_type in _THOUGHTS_IF_NAMED:
        return False
    return model_type not in _THOUGHTS_UNLESS_NAMED or not _ANSWERS_AT_ONCE.search(name)
