"""Whisper: the one encoder-decoder that vLLM 0.33 serves. Its decoder as the layers, its encoder as a tower.

Source: transformers 5.23, models/whisper/modeling_whisper.py; vLLM 0.33.0, model_executor/models/registry.py and
v1/kv_cache_interface.py (`CrossAttentionSpec`).
"""

from collections.abc import Sequence

from llmops.domain.ledger import Confidence
from llmops.domain.model import Attention, Layer, ModelShape, Tensor
from llmops.formats.audio_towers import whisper_encoder
from llmops.formats.config_values import ConfigValues
from llmops.formats.layers import LAYERS_LIMIT
from llmops.formats.tensor_sink import Sink
from llmops.formats.tower_parts import Blocks, Seen, blocks, linear


def speech_shape(
    config: ConfigValues, *, name: str, tensors: Sequence[Tensor] | None, dtype: str | None, is_tied: bool
) -> ModelShape:
    """The shape; what the decoder keeps of the audio does not grow with the text."""
    hidden, layers = config.integer("d_model", least=1), config.integer("decoder_layers", least=1, most=LAYERS_LIMIT)
    heads, wide = config.integer("decoder_attention_heads", least=1), config.integer("decoder_ffn_dim", least=1)
    heard = config.integer("max_source_positions", least=1)
    confidence = Confidence.EXACT if tensors is not None else Confidence.CALIBRATED if dtype else Confidence.LOW
    layer = Layer(
        attention=Attention.FULL,
        heads=heads,
        kv_heads=heads,
        key_length=hidden // heads,
        value_length=hidden // heads,
        feed_forward=wide,
        cross_tokens=heard,
    )
    return ModelShape(
        architecture="whisper",
        name=name,
        layers=(layer,) * layers,
        embedding_length=hidden,
        vocabulary=config.integer("vocab_size", least=1),
        context_length=config.integer("max_target_positions", least=1),
        tensors=tuple(tensors) if tensors is not None else _tensors(config, dtype or "F32", is_tied=is_tied),
        tensors_confidence=confidence,
        quantization=dtype or "F32",
        model_type="whisper",
    )


def _tensors(config: ConfigValues, dtype: str, *, is_tied: bool) -> tuple[Tensor, ...]:
    sink = Sink(dtype=dtype, how=None)
    hidden, vocabulary = config.integer("d_model"), config.integer("vocab_size", least=1)
    one = Seen(config=config, whole=config, hidden=hidden, sink=sink)
    whisper_encoder(one)
    sink.plain("token_embd.weight", hidden, vocabulary)
    sink.plain("position_embd.weight", hidden, config.integer("max_target_positions", least=1))
    layers = config.integer("decoder_layers")
    built = Blocks(width=hidden, wide=config.integer("decoder_ffn_dim"), key_bias=False, norms=3)
    blocks(sink, "blk", layers, built)
    for at in range(layers):
        for part in ("q", "k", "v", "out"):
            linear(sink, f"blk.{at}.cross_attn_{part}", hidden, hidden, bias=part != "k")
    sink.norm("output_norm", hidden, has_bias=True)
    if not is_tied:
        sink.plain("output.weight", hidden, vocabulary)
    return tuple(sink.tensors)
