"""Whether the files beside a config.json hold all the layers it names: a part of a model is none that an engine starts."""

import re
from collections.abc import Sequence

from llmops.domain.model import Tensor, is_tower
from llmops.formats.refusal import refusal

_LAYER = re.compile(r"(?:^|\.)(?:layers?|blk|blocks|h)\.(\d{1,6})\.")


def check_layers(tensors: Sequence[Tensor], layers: int, *, name: str) -> None:
    """Raises `WrongInput` where the last layers have no tensor. Names that number nothing say nothing."""
    numbers = [int(found[1]) for one in tensors if not is_tower(one.name) and (found := _LAYER.search(one.name))]
    held = max(numbers, default=-1) + 1
    if not 0 < held < layers:
        return
    message = f"it names {layers} layers, the files beside it hold the first {held}"
    hint = "fetch the model again, whole; `num_hidden_layers` of a config.json is that of its own weights"
    raise refusal(name, message, key="num_hidden_layers", hint=hint)
