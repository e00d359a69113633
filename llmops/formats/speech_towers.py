"""Conformers that speech models hear with, and what joins them to the text model.

Source: transformers 5.23, models/{granite_speech,phi4_multimodal}/modeling_*.py and, for Granite's joint, the Q-Former of
blip_2/modeling_blip_2.py; the sums are those of the classes (tests).
"""

from llmops.formats.config_values import ConfigValues
from llmops.formats.tower_defaults import tower_defaults
from llmops.formats.tower_parts import Seen, convolution, linear


def granite_speech(one: Seen) -> None:
    """Blocks with a convolution between two feed-forwards, a classifier in the middle, and a Q-Former that joins."""
    config, sink = one.config, one.sink
    width = config.integer("hidden_dim", least=1)
    wide = width * config.integer("feedforward_mult", least=1, most=64)
    inner = config.integer("num_heads", least=1) * config.integer("dim_head", least=1)
    between = width * config.integer("conv_expansion_factor", least=1, most=64)
    linear(sink, "a.input", config.integer("input_dim", least=1), width)
    for at in range(config.integer("num_layers", least=1, most=512)):
        name = f"a.blk.{at}"
        for part in ("ffn", "ffn_1"):
            sink.norm(f"{name}.{part}_norm", width, has_bias=True)
            linear(sink, f"{name}.{part}_up", width, wide)
            linear(sink, f"{name}.{part}_down", wide, width)
        sink.norm(f"{name}.attn_norm", width, has_bias=True)
        linear(sink, f"{name}.attn_q", width, inner, bias=False)
        linear(sink, f"{name}.attn_kv", width, 2 * inner, bias=False)
        linear(sink, f"{name}.attn_out", inner, width)
        sink.plain(f"{name}.attn_rel", config.integer("dim_head"), 2 * config.integer("max_pos_emb", least=1) + 1)
        _convolved(one, name, width, between)
        sink.norm(f"{name}.out_norm", width, has_bias=True)
    classes = config.integer("output_dim", least=1)
    linear(sink, "a.out", width, classes)
    linear(sink, "a.out_mid", classes, width)
    _question_former(one)


def _convolved(one: Seen, name: str, width: int, between: int) -> None:
    """A gated convolution; its batch norm keeps means and variances, and a count."""
    sink, kernel = one.sink, one.config.integer("conv_kernel_size", least=1, most=512)
    sink.norm(f"{name}.conv_norm", width, has_bias=True)
    convolution(sink, f"{name}.conv_up", width, 2 * between, 1)
    convolution(sink, f"{name}.conv_dw", 1, between, kernel, bias=False)
    for part in ("weight", "bias", "running_mean", "running_var"):
        sink.plain(f"{name}.conv_batch_norm.{part}", between)
    sink.plain(f"{name}.conv_batch_norm.count", 1)
    convolution(sink, f"{name}.conv_down", between, width, 1)


def _question_former(one: Seen) -> None:
    """Queries that attend to each other in every block, to what was heard in some."""
    config = ConfigValues(one.whole.table("projector_config"), tower_defaults("qformer"), file="projector_config")
    sink, width = one.sink, config.integer("hidden_size", least=1)
    wide, heard = config.integer("intermediate_size", least=1), config.integer("encoder_hidden_size", least=1)
    queries = one.whole.integer("window_size", default=15, least=1) // one.whole.integer(
        "downsample_rate", default=5, least=1
    )
    sink.plain("mm.a.query", width, queries)
    sink.norm("mm.a.norm", width, has_bias=True)
    every = config.integer("cross_attention_frequency", least=1, most=512)
    for at in range(config.integer("num_hidden_layers", least=1, most=512)):
        name = f"mm.a.blk.{at}"
        kinds = (("attn", width), ("cross_attn", heard)) if at % every == 0 else (("attn", width),)
        for kind, source in kinds:
            linear(sink, f"{name}.{kind}_q", width, width)
            linear(sink, f"{name}.{kind}_k", source, width)
            linear(sink, f"{name}.{kind}_v", source, width)
            linear(sink, f"{name}.{kind}_out", width, width)
            sink.norm(f"{name}.{kind}_norm", width, has_bias=True)
        linear(sink, f"{name}.ffn_up", width, wide)
        linear(sink, f"{name}.ffn_down", wide, width)
        sink.norm(f"{name}.ffn_norm", width, has_bias=True)
    linear(sink, "mm.a.projection", width, one.hidden)


def phi4_audio(one: Seen) -> None:
    """Convolutions that shorten the spectrum, blocks with a gated convolution, and a joint for speech with and without images."""
    config, sink = one.config, one.sink
    width, wide = one.width(), one.wide()
    bins = config.integer("input_size", least=1)
    for part in ("global_mean", "global_invstd"):
        sink.plain(f"a.{part}", bins)
    _shortened(one, bins, width)
    heads = config.integer("num_attention_heads", least=1)
    sides = 1 if config.flag("bias_symmetric") else 2
    sink.plain("a.attn_rel_bias", heads, sides * config.integer("bias_max_distance", least=1))
    for at in range(config.integer("num_blocks", least=1, most=512)):
        name = f"a.blk.{at}"
        for part in ("ffn", "ffn_1"):
            sink.norm(f"{name}.{part}_norm", width, has_bias=True)
            linear(sink, f"{name}.{part}_gate_up", width, 2 * wide)
            linear(sink, f"{name}.{part}_down", wide, width)
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            linear(sink, f"{name}.{part}", width, width)
        _separable(one, name, width)
        for part in ("attn_norm", "out_norm"):
            sink.norm(f"{name}.{part}", width, has_bias=True)
    frames = width * config.integer("downsample_rate", least=1, most=64)
    for kind in ("speech", "vision_speech"):
        linear(sink, f"mm.a.{kind}_up", frames, one.hidden)
        linear(sink, f"mm.a.{kind}_down", one.hidden, one.hidden)


def _shortened(one: Seen, bins: int, width: int) -> None:
    """A stride of two as often as the reduction asks for; all but the first depth by depth."""
    sink, channels = one.sink, one.config.integer("nemo_conv_channels", least=1)
    reduction = one.config.integer("time_reduction", least=2, most=1024)
    steps = reduction.bit_length() - 1
    for at in range(steps):
        convolution(sink, f"a.conv.{at}", 1, channels, 3, 3)
        if at:
            convolution(sink, f"a.conv.{at}.point", channels, channels, 1, 1)
    linear(sink, "a.conv_out", channels * -(-bins // 2**steps), width)


def _separable(one: Seen, name: str, width: int) -> None:
    sink, config = one.sink, one.config
    out = config.integer("ext_pw_out_channel", least=1)
    between = width * config.integer("depthwise_multiplier", least=1, most=64)
    point = config.integer("depthwise_separable_out_channel", least=1)
    sink.norm(f"{name}.conv_norm", width, has_bias=True)
    convolution(sink, f"{name}.conv_gate", width, 2 * out, 1)
    for part in ("b1", "b2"):
        sink.plain(f"{name}.conv_gate.{part}", out)
    convolution(sink, f"{name}.conv_dw", 1, between, config.integer("kernel_size", least=1, most=512))
    convolution(sink, f"{name}.conv_pw", between, point, 1)
    convolution(sink, f"{name}.conv_out", width, out, 1)
