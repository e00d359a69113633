"""What towers that see and hear are made of: patches, blocks with attention and a feed-forward, linear layers with a bias."""

from llmops.domain.records import dataclass
from llmops.formats.config_values import ConfigValues
from llmops.formats.tensor_sink import Sink

DEPTH = ("depth", "num_hidden_layers", "num_layers", "encoder_layers", "vt_num_hidden_layers")
WIDTH = ("hidden_size", "d_model", "vt_hidden_size")
WIDE = ("intermediate_size", "encoder_ffn_dim", "vt_intermediate_size")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A tower's own part of the file, the whole file, the text model's width, and where its tensors go."""

    config: ConfigValues
    whole: ConfigValues
    hidden: int
    sink: Sink

    def width(self) -> int:
        """The tower's own width."""
        return self.config.integer(*WIDTH, least=1)

    def wide(self) -> int:
        """Its feed-forward's width."""
        return self.config.integer(*WIDE, least=1)

    def layers(self) -> int:
        """Its blocks."""
        return self.config.integer(*DEPTH, least=1, most=512)

    def patch(self) -> int:
        """One side of a patch, in pixels."""
        return self.config.integer("patch_size", least=1, most=256)

    def patches(self) -> int:
        """Patches of one image."""
        image = self.config.integer("image_size", least=1, most=1 << 14)
        return int(image // self.patch()) ** 2

    def merged(self, *keys: str, default: int = 2) -> int:
        """How many neighbours become one token: a side squared."""
        own = self.config if any(self.config.value(key) is not None for key in keys) else self.whole
        return int(own.integer(*keys, default=default, least=1, most=64)) ** 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """How the blocks of an encoder are built; `key_width` 0: as wide as the queries; `fused`: queries, keys, values as one."""

    width: int
    wide: int
    query_width: int = 0
    key_width: int = 0
    fused: bool = False
    qkv_bias: bool = True
    key_bias: bool = True
    output_bias: bool = True
    mlp_bias: bool = True
    gated: bool = False
    norms: int = 2
    norm_bias: bool = True
    head_norm: int = 0
    vectors: int = 0


def linear(sink: Sink, name: str, columns: int, rows: int, *, bias: bool = True) -> None:
    """A matrix, and its bias."""
    sink.matrix(f"{name}.weight", name, columns, rows)
    if bias:
        sink.plain(f"{name}.bias", rows)


def convolution(sink: Sink, name: str, channels: int, rows: int, *kernel: int, bias: bool = True) -> None:
    """A convolution, which no method quantizes."""
    sink.plain(f"{name}.weight", *kernel, channels, rows)
    if bias:
        sink.plain(f"{name}.bias", rows)


def blocks(sink: Sink, prefix: str, count: int, one: Blocks) -> None:
    """Attention and feed-forward, `count` times."""
    query = one.query_width or one.width
    keys = one.key_width or query
    for at in range(count):
        name = f"{prefix}.{at}"
        if one.fused:
            linear(sink, f"{name}.attn_qkv", one.width, query + 2 * keys, bias=one.qkv_bias)
        else:
            linear(sink, f"{name}.attn_q", one.width, query, bias=one.qkv_bias)
            linear(sink, f"{name}.attn_k", one.width, keys, bias=one.qkv_bias and one.key_bias)
            linear(sink, f"{name}.attn_v", one.width, keys, bias=one.qkv_bias)
        linear(sink, f"{name}.attn_out", query, one.width, bias=one.output_bias)
        for part in ("ffn_gate", "ffn_up") if one.gated else ("ffn_up",):
            linear(sink, f"{name}.{part}", one.width, one.wide, bias=one.mlp_bias)
        linear(sink, f"{name}.ffn_down", one.wide, one.width, bias=one.mlp_bias)
        for norm in range(1, one.norms + 1):
            sink.norm(f"{name}.ln{norm}", one.width, has_bias=one.norm_bias)
        if one.head_norm:
            sink.plain(f"{name}.attn_q_norm.weight", one.head_norm)
            sink.plain(f"{name}.attn_k_norm.weight", one.head_norm)
        for scale in range(1, one.vectors + 1):
            sink.plain(f"{name}.ls{scale}.weight", one.width)


def soft_and_hard_tokens(one: Seen, name: str, width: int) -> None:
    """Gemma 3n's joint: an embedding of tokens that stand for images or audio, a norm for each kind, one projection."""
    one.sink.plain(f"{name}.hard_embd.weight", width, one.config.integer("vocab_size", least=1))
    for part in ("hard_norm", "soft_norm"):
        one.sink.norm(f"{name}.{part}", width)
    linear(one.sink, f"{name}.projection", width, one.hidden, bias=False)
