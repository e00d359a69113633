"""The tensors of a model that only has a config.json, worked out from its shape, under their GGUF names.

Which tensors a family has: transformers' model classes; the sums agree with the published parameter counts (tests). Experts
are one stacked tensor. Quantized matrices have the tensors of their method instead of `.weight`.
"""

from dataclasses import dataclass

from llmops.domain.model import LatentAttention, Layer, Tensor
from llmops.formats.config_families import Family
from llmops.formats.config_quantization import Quantization, stored_tensors


@dataclass(frozen=True, slots=True, kw_only=True)
class Width:
    """What the tensors depend on besides the layers. `dtype` is how plain tensors are stored."""

    family: Family
    hidden: int
    vocabulary: int
    tied: bool
    dtype: str
    how: Quantization | None
    attention_bias: bool = False
    mlp_bias: bool = False
    head_norms: bool = True
    shared_width: int = 0
    query_rank: int = 0
    latent: LatentAttention | None = None


def worked_out_tensors(width: Width, layers: tuple[Layer, ...]) -> tuple[Tensor, ...]:
    """Embedding, output, norms, and every layer's attention and feed-forward."""
    tensors = [
        Tensor("token_embd.weight", (width.hidden, width.vocabulary), width.dtype),
        Tensor("output_norm.weight", (width.hidden,), width.dtype),
    ]
    if not width.tied:
        tensors.append(Tensor("output.weight", (width.hidden, width.vocabulary), width.dtype))
    for at, layer in enumerate(layers):
        block = _Block(width, f"blk.{at}.")
        block.norms()
        if width.latent is not None:
            block.latent_attention(layer, width.latent)
        else:
            block.attention(layer)
        if layer.experts:
            block.experts(layer)
        else:
            block.feed_forward("", layer.feed_forward)
        tensors += block.tensors
    return tuple(tensors)


class _Block:
    """Collects one layer's tensors."""

    __slots__ = ("_prefix", "_width", "tensors")

    def __init__(self, width: Width, prefix: str) -> None:
        self._width = width
        self._prefix = prefix
        self.tensors: list[Tensor] = []

    def _plain(self, name: str, *dims: int) -> None:
        self.tensors.append(Tensor(self._prefix + name, dims, self._width.dtype))

    def _matrix(self, name: str, columns: int, rows: int, *stack: int) -> None:
        how = self._width.how
        if how is None or how.stored is None or (how.experts_only and not stack):
            self._plain(name, columns, rows, *stack)
        else:
            self.tensors += stored_tensors(how, self._prefix + name, columns, rows, stack=stack)

    def norms(self) -> None:
        names = ("attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm")
        for name in names[: self._width.family.norms]:
            self._plain(f"{name}.weight", self._width.hidden)

    def attention(self, layer: Layer) -> None:
        family, hidden = self._width.family, self._width.hidden
        query, output = layer.heads * layer.key_length, layer.heads * layer.value_length
        rows = {"attn_q": query, "attn_k": layer.key_width(), "attn_v": layer.value_width()}
        if family.fused:
            rows = {"attn_qkv": sum(rows.values())}
        for name, count in rows.items():
            self._matrix(f"{name}.weight", hidden, count)
            if family.qkv_bias or self._width.attention_bias:
                self._plain(f"{name}.bias", count)
        self._matrix("attn_output.weight", output, hidden)
        if family.output_bias or (self._width.attention_bias and not family.qkv_bias):
            self._plain("attn_output.bias", hidden)
        if family.head_norms and self._width.head_norms:
            self._plain("attn_q_norm.weight", layer.key_length)
            self._plain("attn_k_norm.weight", layer.key_length)
        if family.full_norms:
            self._plain("attn_q_norm.weight", query)
            self._plain("attn_k_norm.weight", layer.key_width())
        if family.sinks:
            self._plain("attn_sinks.weight", layer.heads)

    def latent_attention(self, layer: Layer, latent: LatentAttention) -> None:
        hidden, rank = self._width.hidden, self._width.query_rank
        query = layer.heads * latent.key_length
        if rank:
            self._matrix("attn_q_a.weight", hidden, rank)
            self._plain("attn_q_a_norm.weight", rank)
            self._matrix("attn_q_b.weight", rank, query)
        else:
            self._matrix("attn_q.weight", hidden, query)
        self._matrix("attn_kv_a_mqa.weight", hidden, latent.rank + latent.rope_length)
        self._plain("attn_kv_a_norm.weight", latent.rank)
        both = latent.key_length - latent.rope_length + latent.value_length
        self._matrix("attn_kv_b.weight", latent.rank, layer.heads * both)
        self._matrix("attn_output.weight", layer.heads * latent.value_length, hidden)

    def feed_forward(self, suffix: str, width: int) -> None:
        hidden, has_bias = self._width.hidden, self._width.mlp_bias
        rows = {"ffn_up": 2 * width} if self._width.family.fused else {"ffn_gate": width, "ffn_up": width}
        for name, count in rows.items():
            self._matrix(f"{name}{suffix}.weight", hidden, count)
            if has_bias:
                self._plain(f"{name}{suffix}.bias", count)
        self._matrix(f"ffn_down{suffix}.weight", width, hidden)
        if has_bias:
            self._plain(f"ffn_down{suffix}.bias", hidden)

    def experts(self, layer: Layer) -> None:
        family, hidden = self._width.family, self._width.hidden
        count, width = layer.experts, layer.expert_feed_forward
        self._plain("ffn_gate_inp.weight", hidden, count)
        for name, columns, rows in (("gate", hidden, width), ("up", hidden, width), ("down", width, hidden)):
            self._matrix(f"ffn_{name}_exps.weight", columns, rows, count)
            if family.expert_bias:
                self._plain(f"ffn_{name}_exps.bias", rows, count)
        if family.router_bias:
            self._plain("ffn_gate_inp.bias", count)
        if family.correction_bias:
            self._plain("exp_probs_b.bias", count)
        if self._width.shared_width:
            self.feed_forward("_shexp", self._width.shared_width)
            if family.shared_gate:
                self._plain("ffn_gate_inp_shexp.weight", hidden)
