"""A shape from config.json as llama.cpp would see the same model: no towers, and only the windows that it honours."""

from dataclasses import replace

from llmops.domain.model import Attention, Layer, ModelShape, is_tower
from llmops.formats.architectures import EVERY_ATTENTION_SLIDES, WINDOWS

VOCABULARIES = {"gemma3": 262_144, "gemma3n": 262_144}
"""Rows of the embedding in the file, where the checkpoint's are padded."""


def llama_cpp_view(shape: ModelShape) -> ModelShape:
    """The same model; a vision tower goes into a file of its own (mmproj)."""
    honours = shape.architecture in WINDOWS or shape.architecture in EVERY_ATTENTION_SLIDES or _exaone(shape)
    layers = shape.layers if honours else tuple(_full(layer) for layer in shape.layers)
    tensors = tuple(tensor for tensor in shape.tensors if not is_tower(tensor.name))
    return replace(
        shape,
        layers=layers,
        window_tokens=shape.window_tokens if honours else None,
        vocabulary=min(shape.vocabulary, VOCABULARIES.get(shape.architecture, shape.vocabulary)),
        tensors=tensors,
        not_sized=tuple(one for one in shape.not_sized if "tower" not in one),
    )


def _exaone(shape: ModelShape) -> bool:
    return shape.architecture == "exaone4" and len(shape.layers) == 64


def _full(layer: Layer) -> Layer:
    return replace(layer, attention=Attention.FULL) if layer.attention is Attention.SLIDING else layer
