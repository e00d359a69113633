"""Weights in the type that an engine computes in, whatever the checkpoint stores.

Source: vLLM 0.33, config/model.py (`_resolve_auto_dtype`: float32 becomes 16 bit unless `--dtype float32`); SGLang 0.5.23,
srt/configs/model_config.py (`_get_and_verify_dtype`, the same); TGI 3.3.6, server/text_generation_server/models/__init__.py (16
bit). Quantized matrices and their scales stay as they are, and so do routers, which classes keep in float32 on purpose.
"""

import re
from dataclasses import replace
from functools import lru_cache

from llmops.domain.model import ModelShape, Tensor
from llmops.engines.rank_weights import Same

WIDE_NAMES = frozenset({"float32", "float"})
"""As `--dtype` spells 32 bit."""

_KEPT = re.compile(r"scale|zero|router|gate_inp|\.gate\.|A_log|ssm_a\b")
_NARROW = frozenset({"BF16", "F16"})


def in_computed_type(shape: ModelShape, name: str = "auto") -> ModelShape:
    """The same model as it lies on the card; `name` as `--dtype` spells it."""
    return _computed(Same(shape), "F32" if name in WIDE_NAMES else "BF16")


@lru_cache(maxsize=64)
def _computed(same: Same, kind: str) -> ModelShape:
    changes = {one.name for one in same.shape.tensors if _changes(one, is_wide=kind == "F32")}
    if not changes:
        return same.shape
    tensors = (Tensor(one.name, one.dims, kind) if one.name in changes else one for one in same.shape.tensors)
    return replace(same.shape, tensors=tuple(tensors))


def _changes(tensor: Tensor, *, is_wide: bool) -> bool:
    if is_wide:
        return tensor.type in _NARROW and "scale" not in tensor.name
    return tensor.type == "F32" and len(tensor.dims) > 1 and not _KEPT.search(tensor.name)
