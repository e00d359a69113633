"""Vision and audio towers, from the outer part of a multimodal config.json.

Source: transformers 5.23, models/{qwen2_vl,qwen2_5_vl,qwen3_vl,qwen3_5,siglip,pixtral,gemma3}/modeling_*.py;
the sums are the published ones (tests). What is not covered is said.
"""

from collections.abc import Mapping

from llmops.domain.model import Tensor
from llmops.domain.records import dataclass
from llmops.formats.config_quantization import Quantization
from llmops.formats.config_values import ConfigValues
from llmops.formats.json_text import Value
from llmops.formats.tensor_sink import Sink

_VISION = ("vision_config", "vision_tower_config", "vit_config")
_AUDIO = ("audio_config", "audio_encoder_config", "speech_config", "audio_tower_config")
_DEPTH = ("depth", "num_hidden_layers", "num_layers")
_DEFAULTS: dict[str, dict[str, Value]] = {
    "qwen3_vl": {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "patch_size": 16, "temporal_patch_size": 2,
                 "spatial_merge_size": 2, "num_position_embeddings": 2304, "out_hidden_size": 3584},
    "qwen2_5_vl": {"depth": 32, "hidden_size": 3584, "intermediate_size": 3420, "patch_size": 14, "temporal_patch_size": 2,
                   "spatial_merge_size": 2, "out_hidden_size": 3584},
    "qwen2_vl": {"depth": 32, "embed_dim": 1280, "hidden_size": 3584, "mlp_ratio": 4, "patch_size": 14, "temporal_patch_size": 2,
                 "spatial_merge_size": 2},
    "siglip": {"num_hidden_layers": 12, "hidden_size": 768, "intermediate_size": 3072, "patch_size": 16, "image_size": 224},
    "pixtral": {"num_hidden_layers": 24, "hidden_size": 1024, "intermediate_size": 4096, "patch_size": 16},
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Tower:
    """Tensors of what sees and hears; `missing` says what is not counted."""

    tensors: tuple[Tensor, ...] = ()
    missing: str = ""


def tower(outer: Mapping[str, Value], *, hidden: int, dtype: str, how: Quantization | None) -> Tower:
    """The towers of a multimodal config; nothing for a text model."""
    for key in ("thinker_config",):
        nested = outer.get(key)
        if isinstance(nested, Mapping):
            outer = nested
    vision = next((outer[key] for key in _VISION if isinstance(outer.get(key), Mapping)), None)
    audio = next((outer[key] for key in _AUDIO if isinstance(outer.get(key), Mapping)), None)
    missing = "the weights of its audio tower" if audio is not None else ""
    if not isinstance(vision, Mapping):
        return Tower(missing=missing)
    sink = Sink(dtype=dtype, how=how if how is not None and how.towers and not how.ignored.has(_ROOTS) else None)
    config = ConfigValues(vision, _DEFAULTS.get(_kind(vision, outer), {}), file="vision_config")
    match _kind(vision, outer):
        case "qwen3_vl":
            _qwen3(sink, config)
        case "qwen2_5_vl":
            _qwen25(sink, config)
        case "qwen2_vl":
            _qwen2(sink, config)
        case "siglip":
            _siglip(sink, config, hidden)
        case "pixtral":
            _pixtral(sink, config, outer, hidden)
        case _:
            towers = "its vision and audio towers" if missing else "its vision tower"
            return Tower(missing=f"the weights of {towers}")
    return Tower(tensors=tuple(sink.tensors), missing=missing)


_ROOTS = ("visual", "model.visual", "vision_tower", "model.vision_tower", "vision_model")


def _kind(vision: Mapping[str, Value], outer: Mapping[str, Value]) -> str:
    """Which of the towers it is, by its own model type or by the whole model's."""
    own, whole = vision.get("model_type"), outer.get("model_type")
    for word in (own, whole):
        if not isinstance(word, str):
            continue
        if word.startswith(("qwen3_vl", "qwen3_5", "qwen4_exp")):
            return "qwen3_vl"
        if word.startswith("qwen2_5_vl"):
            return "qwen2_5_vl"
        if word.startswith("qwen2_vl"):
            return "qwen2_vl"
        if word == "siglip_vision_model" and isinstance(whole, str) and whole == "gemma3":
            return "siglip"
        if word == "gemma3":
            return "siglip"
        if word == "pixtral":
            return "pixtral"
    return ""


def _biased(sink: Sink, name: str, columns: int, rows: int) -> None:
    sink.matrix(f"{name}.weight", name, columns, rows)
    sink.plain(f"{name}.bias", rows)


def _qwen3(sink: Sink, config: ConfigValues) -> None:
    """A patch embedding, learned positions, blocks with fused attention, and a merger; deepstack has more of them."""
    width, wide = config.integer("hidden_size", least=1), config.integer("intermediate_size", least=1)
    patch, time = (
        config.integer("patch_size", least=1, most=256),
        config.integer("temporal_patch_size", least=1, most=64),
    )
    merge, out = config.integer("spatial_merge_size", least=1, most=64) ** 2, config.integer("out_hidden_size", least=1)
    sink.plain("v.patch_embd.weight", patch * patch, time, 3, width)
    sink.plain("v.patch_embd.bias", width)
    sink.plain("v.position_embd.weight", width, config.integer("num_position_embeddings"))
    for at in range(config.integer(*_DEPTH, least=1, most=512)):
        for name, columns, rows in (
            ("attn_qkv", width, 3 * width), ("attn_out", width, width), ("ffn_up", width, wide), ("ffn_down", wide, width),
        ):  # fmt: skip
            _biased(sink, f"v.blk.{at}.{name}", columns, rows)
        for name in ("ln1", "ln2"):
            sink.norm(f"v.blk.{at}.{name}", width, has_bias=True)
    deepstack = config.listed("deepstack_visual_indexes")
    for name, normed in (
        ("mm.merger", width),
        *((f"mm.deepstack.{at}", merge * width) for at in range(min(len(deepstack or ()), 64))),
    ):
        sink.norm(f"{name}.norm", normed, has_bias=True)
        _biased(sink, f"{name}.0", merge * width, merge * width)
        _biased(sink, f"{name}.2", merge * width, out)


def _qwen25(sink: Sink, config: ConfigValues) -> None:
    """No positions, RMS norms, a gated feed-forward."""
    width, wide = config.integer("hidden_size", least=1), config.integer("intermediate_size", least=1)
    _patches(sink, config, width)
    for at in range(config.integer(*_DEPTH, least=1, most=512)):
        for name, columns, rows in (
            ("attn_qkv", width, 3 * width), ("attn_out", width, width), ("ffn_gate", width, wide), ("ffn_up", width, wide),
            ("ffn_down", wide, width),
        ):  # fmt: skip
            _biased(sink, f"v.blk.{at}.{name}", columns, rows)
        for name in ("ln1", "ln2"):
            sink.norm(f"v.blk.{at}.{name}", width)
    _merger(sink, config, width, config.integer("out_hidden_size", least=1), has_bias=False)


def _qwen2(sink: Sink, config: ConfigValues) -> None:
    width, ratio = config.integer("embed_dim", least=1), config.integer("mlp_ratio", least=1, most=64)
    _patches(sink, config, width)
    for at in range(config.integer(*_DEPTH, least=1, most=512)):
        for name, columns, rows in (
            ("attn_qkv", width, 3 * width), ("attn_out", width, width), ("ffn_up", width, ratio * width),
            ("ffn_down", ratio * width, width),
        ):  # fmt: skip
            _biased(sink, f"v.blk.{at}.{name}", columns, rows)
        for name in ("ln1", "ln2"):
            sink.norm(f"v.blk.{at}.{name}", width, has_bias=True)
    _merger(sink, config, width, config.integer("hidden_size", least=1), has_bias=True)


def _patches(sink: Sink, config: ConfigValues, width: int) -> None:
    patch, time = (
        config.integer("patch_size", least=1, most=256),
        config.integer("temporal_patch_size", least=1, most=64),
    )
    sink.plain("v.patch_embd.weight", patch * patch, time, config.integer("in_channels", "in_chans", default=3), width)


def _merger(sink: Sink, config: ConfigValues, width: int, out: int, *, has_bias: bool) -> None:
    merge = config.integer("spatial_merge_size", least=1, most=64) ** 2
    sink.norm("mm.merger.norm", width, has_bias=has_bias)
    _biased(sink, "mm.merger.0", merge * width, merge * width)
    _biased(sink, "mm.merger.2", merge * width, out)


def _siglip(sink: Sink, config: ConfigValues, hidden: int) -> None:
    """SigLIP without its pooling head, and Gemma 3's projector."""
    width, wide = config.integer("hidden_size", least=1), config.integer("intermediate_size", least=1)
    patch, image = config.integer("patch_size", least=1, most=256), config.integer("image_size", least=1, most=1 << 14)
    sink.plain("v.patch_embd.weight", patch, patch, 3, width)
    sink.plain("v.patch_embd.bias", width)
    sink.plain("v.position_embd.weight", width, (image // patch) ** 2)
    for at in range(config.integer(*_DEPTH, least=1, most=512)):
        for name, columns, rows in (
            ("attn_q", width, width), ("attn_k", width, width), ("attn_v", width, width), ("attn_out", width, width),
            ("ffn_up", width, wide), ("ffn_down", wide, width),
        ):  # fmt: skip
            _biased(sink, f"v.blk.{at}.{name}", columns, rows)
        for name in ("ln1", "ln2"):
            sink.norm(f"v.blk.{at}.{name}", width, has_bias=True)
    sink.norm("v.post_ln", width, has_bias=True)
    sink.plain("mm.soft_emb_norm.weight", width)
    sink.plain("mm.input_projection.weight", hidden, width)


def _pixtral(sink: Sink, config: ConfigValues, outer: Mapping[str, Value], hidden: int) -> None:
    """Pixtral, its patch merger and projector."""
    width, wide = config.integer("hidden_size", least=1), config.integer("intermediate_size", least=1)
    patch, whole = config.integer("patch_size", least=1, most=256), ConfigValues(outer, {}, file="config.json")
    sink.plain("v.patch_embd.weight", patch, patch, 3, width)
    sink.norm("v.pre_ln", width)
    for at in range(config.integer(*_DEPTH, least=1, most=512)):
        for name, columns, rows in (
            ("attn_q", width, width), ("attn_k", width, width), ("attn_v", width, width), ("attn_out", width, width),
            ("ffn_gate", width, wide), ("ffn_up", width, wide), ("ffn_down", wide, width),
        ):  # fmt: skip
            sink.matrix(f"v.blk.{at}.{name}.weight", f"v.blk.{at}.{name}", columns, rows)
        for name in ("ln1", "ln2"):
            sink.norm(f"v.blk.{at}.{name}", width)
    merge = whole.integer("spatial_merge_size", default=1, least=1, most=64) ** 2
    sink.norm("mm.norm", width)
    sink.matrix("mm.patch_merger.weight", "patch_merger", merge * width, width)
    for name, columns in (("mm.1", width), ("mm.2", hidden)):
        sink.matrix(f"{name}.weight", name, columns, hidden)
        if whole.flag("multimodal_projector_bias"):
            sink.plain(f"{name}.bias", hidden)
