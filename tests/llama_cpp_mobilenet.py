"""Header-only projectors of Gemma 3n, which sees with a network of convolutions (MobileNet V5)."""

from collections.abc import Callable
from random import Random

from llama_cpp_draft import Numbers
from llama_cpp_sketch import Sketch, some_numbers

STAGES = 4


def gemma3nv(s: Sketch) -> None:
    """Four stages, each of half the rows and columns: whole convolutions, inverted bottlenecks, then attention between them."""
    s.vector("v.conv_stem.conv.weight", 3, 3, 3, s["C"], kind="F16")
    s.vector("v.conv_stem.conv.bias", 1, 1, s["C"])
    s.vector("v.conv_stem.bn.weight", s["C"])
    before = s["C"]
    for stage in range(STAGES):
        wide = s["C"] << (stage + 1)
        for at in range(s["B"] + 1):
            name = f"v.blk.{stage}.{at}"
            if stage == 0:
                _whole(s, name, before, wide)
            elif stage >= 2 and at % 2:
                _attention(s, name, wide)
            else:
                _bottleneck(s, name, before, wide, mid=at == 0 or bool(s["mid"]))
            before = wide
    s.vector("v.msfa.ffn.pw_exp.conv.weight", 1, 1, 24 * s["C"], s["X"], kind="F16")
    s.vector("v.msfa.ffn.pw_exp.bn.weight", s["X"])
    s.vector("v.msfa.ffn.pw_proj.conv.weight", 1, 1, s["X"], s["E"], kind="F16")
    s.vector("v.msfa.ffn.pw_proj.bn.weight", s["E"])
    s.vector("v.msfa.norm.weight", s["E"])
    s.matrix("mm.input_projection", s["E"], s["P"], bias=False)
    s.vector("mm.soft_emb_norm.weight", s["E"])


def _whole(s: Sketch, name: str, before: int, wide: int) -> None:
    s.vector(f"{name}.conv_exp.weight", 3, 3, before, 4 * wide, kind="F16")
    s.vector(f"{name}.bn1.weight", 4 * wide)
    s.vector(f"{name}.conv_pwl.weight", 1, 1, 4 * wide, wide, kind="F16")
    s.vector(f"{name}.bn2.weight", wide)


def _bottleneck(s: Sketch, name: str, before: int, wide: int, *, mid: bool) -> None:
    if s["start"]:
        s.vector(f"{name}.dw_start.conv.weight", s["k"], s["k"], 1, before, kind="F16")
        s.vector(f"{name}.dw_start.bn.weight", before)
    s.vector(f"{name}.pw_exp.conv.weight", 1, 1, before, 2 * wide, kind="F16")
    s.vector(f"{name}.pw_exp.bn.weight", 2 * wide)
    if mid:
        s.vector(f"{name}.dw_mid.conv.weight", s["k"], s["k"], 1, 2 * wide, kind="F16")
        s.vector(f"{name}.dw_mid.bn.weight", 2 * wide)
    s.vector(f"{name}.pw_proj.conv.weight", 1, 1, 2 * wide, wide, kind="F16")
    s.vector(f"{name}.pw_proj.bn.weight", wide)
    s.vector(f"{name}.layer_scale.gamma", 1, 1, wide)


def _attention(s: Sketch, name: str, wide: int) -> None:
    each = s["D"]
    s.vector(f"{name}.attn.query.proj.weight", 1, 1, wide, s["heads"] * each, kind="F16")
    for part in ("key", "value"):
        s.vector(f"{name}.attn.{part}.proj.weight", 1, 1, wide, each, kind="F16")
        if s["down"]:
            s.vector(f"{name}.attn.{part}.down_conv.weight", 3, 3, 1, wide, kind="F16")
            s.vector(f"{name}.attn.{part}.norm.weight", wide)
    s.vector(f"{name}.attn.output.proj.weight", 1, 1, s["heads"] * each, wide, kind="F16")
    s.vector(f"{name}.norm.weight", wide)
    s.vector(f"{name}.layer_scale.gamma", 1, 1, wide)


def _drawn(rng: Random) -> Numbers:
    wide = rng.choice((512, 1024, 2048))  # as wide as the model, which b11669 looks for
    more = {
        "E": wide,
        "P": wide,
        "C": rng.choice((16, 32, 64)),
        "B": rng.choice((1, 2, 3)),
        "X": rng.choice((1024, 3008)),
        "k": rng.choice((3, 5)),
    }
    parts = {name: rng.choice((0, 1)) for name in ("mid", "start", "down")}
    attention = {
        "heads": rng.choice((4, 8)),
        "D": rng.choice((32, 64)),
        "S": rng.choice((256, 512, 768)),
        "p": 16,
        "L": 1,
    }
    return some_numbers(rng) | more | parts | attention


MOBILENETS: dict[str, tuple[str, Callable[[Sketch], None], Callable[[Random], Numbers]]] = {
    "gemma3nv": ("gemma3nv", gemma3nv, _drawn),
}
"""By family: the name in `clip.projector_type`, what writes it, what draws its numbers."""
