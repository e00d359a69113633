"""Header-only audio projectors: what hears 30 seconds of sound, as `llama_cpp_projectors` writes what sees."""

from collections.abc import Callable
from random import Random

from llama_cpp_draft import Numbers
from llama_cpp_sketch import Sketch, some_numbers


def ultravox(s: Sketch) -> None:
    _whisper(s)
    s.key("projector.stack_factor", 8)
    s.vector("mm.a.norm_pre.weight", 8 * s["E"])
    s.matrix("mm.a.mlp.1", 8 * s["E"], 2 * s["P"], bias=False)
    s.matrix("mm.a.mlp.2", s["P"], s["P"], bias=False)
    s.vector("mm.a.norm_mid.weight", s["P"])


def qwen2a(s: Sketch) -> None:
    _whisper(s)
    s.matrix("mm.a.fc", s["E"], s["P"])


def voxtral(s: Sketch) -> None:
    _whisper(s)
    s.key("projector.stack_factor", 4)
    s.matrix("mm.a.mlp.1", 4 * s["E"], s["P"], bias=False)
    s.matrix("mm.a.mlp.2", s["P"], s["P"], bias=False)


def glma(s: Sketch) -> None:
    _whisper(s, end=False)
    s.key("projector.stack_factor", 4)
    s.norm("mm.a.norm_pre", s["E"])
    s.matrix("mm.a.mlp.1", 4 * s["E"], 2 * s["P"])
    s.matrix("mm.a.mlp.2", 2 * s["P"], s["P"])
    s.vector("v.boi", s["P"])
    s.vector("v.eoi", s["P"])


def meralion(s: Sketch) -> None:
    _whisper(s)
    s.key("projector.stack_factor", s["stack"])
    wide = s["stack"] * s["E"]
    s.matrix("mm.a.mlp.0", wide, s["X"])
    s.matrix("mm.a.mlp.1", s["X"], s["X"])
    s.matrix("mm.a.mlp.2", s["X"], s["X"])
    s.matrix("mm.a.mlp.3", s["X"], s["P"])
    s.norm("mm.a.norm_pre", s["E"])


def musicflamingo(s: Sketch) -> None:
    _whisper(s)
    s.matrix("mm.a.mlp.1", s["E"], s["P"])
    s.matrix("mm.a.mlp.2", s["P"], s["P"])


def qwen3a(s: Sketch) -> None:
    s.key("num_mel_bins", s["mel"])
    if s["chunk"]:
        s.key("chunk_size", s["chunk"])
    wide = s["C"]
    for at, before in ((1, 1), (2, wide), (3, wide)):
        s.vector(f"a.conv2d.{at}.weight", 3, 3, before, wide, kind="F16")
        s.vector(f"a.conv2d.{at}.bias", 1, 1, wide)
    s.matrix("a.conv_out", wide * (s["mel"] // 8), s["E"], bias=False)
    s.positions(1500)
    s.blocks()
    s.norm("a.post_ln", s["E"])
    s.matrix("mm.a.mlp.1", s["E"], s["E"])
    s.matrix("mm.a.mlp.2", s["E"], s["P"])


def gemma4ua(s: Sketch) -> None:
    s.key("num_mel_bins", 640)
    s.key("block_count", 0)
    s.matrix("mm.a.input_projection", 640, s["P"], bias=False)


def gemma4a(s: Sketch) -> None:
    """Two convolutions, then blocks of feed-forward, local attention, a convolution, feed-forward."""
    s.key("num_mel_bins", 128)
    wide, head = s["E"], s["E"] // s["H"]
    for at, (before, channels) in enumerate(((1, 128), (128, 32))):
        s.vector(f"a.conv1d.{at}.weight", 3, 3, before, channels, kind="F16")
        s.vector(f"a.conv1d.{at}.norm.weight", channels)
    s.matrix("a.input_projection", 32 * 32, wide, bias=False)
    for at in range(s["L"]):
        name = f"a.blk.{at}"
        for part in ("ln1", "ln2", "attn_pre_norm", "attn_post_norm", "ffn_norm", "ffn_post_norm", "ffn_norm_1"):
            s.vector(f"{name}.{part}.weight", wide)
        for part in ("ffn_post_norm_1", "norm_conv", "conv_norm"):
            s.vector(f"{name}.{part}.weight", wide)
        for part in ("attn_q", "attn_k", "attn_v", "attn_out", "attn_k_rel", "conv_pw2"):
            s.matrix(f"{name}.{part}", wide, wide, bias=False)
        s.vector(f"{name}.per_dim_scale.weight", head)
        s.vector(f"{name}.per_dim_k_scale.weight", head)
        for tail in ("", "_1"):
            s.matrix(f"{name}.ffn_up{tail}", wide, s["F"], bias=False)
            s.matrix(f"{name}.ffn_down{tail}", s["F"], wide, bias=False)
        s.matrix(f"{name}.conv_pw1", wide, 2 * wide, bias=False)
        s.vector(f"{name}.conv_dw.weight", 5, wide)
    s.matrix("a.pre_encode.out", wide, s["P"])
    s.matrix("mm.a.input_projection", s["P"], s["P"], bias=False)


def _whisper(s: Sketch, *, end: bool = True) -> None:
    s.key("num_mel_bins", s["mel"])
    s.vector("a.conv1d.1.weight", 3, s["mel"], s["E"], kind="F16")
    s.vector("a.conv1d.1.bias", 1, s["E"])
    s.vector("a.conv1d.2.weight", 3, s["E"], s["E"], kind="F16")
    s.vector("a.conv1d.2.bias", 1, s["E"])
    s.positions(1500)
    s.blocks(key_bias=False)
    if end:
        s.norm("a.post_ln", s["E"])


def _heard(**more: tuple[int, ...]) -> Callable[[Random], Numbers]:
    def drawn(rng: Random) -> Numbers:
        numbers = some_numbers(rng, lengths=(64,)) | {"mel": rng.choice((80, 128))}
        return numbers | {name: rng.choice(choices) for name, choices in more.items()}

    return drawn


SOUNDS: dict[str, tuple[str, Callable[[Sketch], None], Callable[[Random], Numbers]]] = {
    "ultravox": ("ultravox", ultravox, _heard()),
    "qwen2a": ("qwen2a", qwen2a, _heard()),
    "voxtral": ("voxtral", voxtral, _heard()),
    "glma": ("glma", glma, _heard()),
    "meralion": ("meralion", meralion, _heard(stack=(8, 15), X=(1024, 2560))),
    "musicflamingo": ("musicflamingo", musicflamingo, _heard()),
    "gemma4ua": ("gemma4ua", gemma4ua, _heard()),
    "gemma4a": ("gemma4a", gemma4a, _heard()),
    "qwen3a": ("qwen3a", qwen3a, _heard(C=(128, 480), chunk=(0,))),
}
"""By family: the name in `clip.projector_type`, what writes it, what draws its numbers."""
