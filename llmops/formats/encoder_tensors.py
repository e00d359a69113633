"""Encoders and embedding models: BERT and its relatives, from their config.json.

Source: transformers 5.23, models/{bert,roberta,xlm_roberta,modernbert,nomic_bert}/modeling_*.py.
"""

from llmops.domain.model import Tensor
from llmops.formats.config_mixers import HEADS
from llmops.formats.config_values import ConfigValues
from llmops.formats.tensor_sink import Sink


def encoder_tensors(config: ConfigValues, architecture: str, *, dtype: str, has_pooler: bool) -> tuple[Tensor, ...]:
    """All tensors of the encoder, without a head for a task."""
    sink = Sink(dtype=dtype, how=None)
    hidden = config.integer("hidden_size", "n_embd", least=1)
    layers = config.integer("num_hidden_layers", "n_layer", least=1, most=512)
    config.integer(*HEADS, least=1)
    is_plain = architecture == "bert"
    sink.plain("token_embd.weight", hidden, config.integer("vocab_size", least=1))
    positions = config.integer("max_position_embeddings", default=512) if is_plain else 0
    types = config.integer("type_vocab_size", default=2) if architecture != "modern-bert" else 0
    for name, rows in (("position_embd", positions), ("token_types", types)):
        if rows:
            sink.plain(f"{name}.weight", hidden, rows)
    sink.norm("token_embd_norm", hidden, has_bias=architecture != "modern-bert")
    for at in range(layers):
        if architecture == "modern-bert":
            _modern(sink.at(at), config, hidden, at)
        else:
            _classic(sink.at(at), config, hidden, is_plain=is_plain)
    if architecture == "modern-bert":
        sink.norm("output_norm", hidden)
    if has_pooler and is_plain:
        sink.plain("cls.weight", hidden, hidden)
        sink.plain("cls.bias", hidden)
    return tuple(sink.tensors)


def _classic(sink: Sink, config: ConfigValues, hidden: int, *, is_plain: bool) -> None:
    """BERT; nomic's has no biases in its matrices and a gate."""
    width = config.integer("intermediate_size", "n_inner", default=4 * hidden)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        sink.plain(f"{name}.weight", hidden, hidden)
        if is_plain:
            sink.plain(f"{name}.bias", hidden)
    for name, columns, rows in (("ffn_up", hidden, width), ("ffn_down", width, hidden)):
        sink.plain(f"{name}.weight", columns, rows)
        if is_plain:
            sink.plain(f"{name}.bias", rows)
    if not is_plain:
        sink.plain("ffn_gate.weight", hidden, width)
    sink.norm("attn_output_norm", hidden, has_bias=True)
    sink.norm("layer_output_norm", hidden, has_bias=True)


def _modern(sink: Sink, config: ConfigValues, hidden: int, at: int) -> None:
    """ModernBERT: no biases, a gate, the first block without its first norm."""
    width = config.integer("intermediate_size", least=1)
    if at:
        sink.norm("attn_norm", hidden)
    sink.plain("attn_qkv.weight", hidden, 3 * hidden)
    sink.plain("attn_output.weight", hidden, hidden)
    sink.norm("ffn_norm", hidden)
    sink.plain("ffn_up.weight", hidden, 2 * width)
    sink.plain("ffn_down.weight", width, hidden)
