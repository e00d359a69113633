"""Header-only projectors (mmproj), drawn at random: the keys and tensors llama.cpp b11669 demands of each kind.

`draw(family, rng)` and `build(family, numbers)` as in `llama_cpp_families`; `P` is the width of the model they belong to.
"""

from collections.abc import Callable
from random import Random

from llama_cpp_draft import Numbers

from llmops.domain.model import Tensor
from llmops.formats.gguf_values import Writable


class Sketch:
    """The keys and tensors of one projector while they are written down."""

    def __init__(self, kind: str, numbers: Numbers, *, audio: bool = False) -> None:
        self.numbers = numbers
        self.prefix = "a" if audio else "v"
        self.side = "audio" if audio else "vision"
        self.tensors: list[Tensor] = []
        self.keys: dict[str, Writable] = {
            "general.architecture": "clip",
            "general.type": "mmproj",
            "clip.projector_type": kind,
            f"clip.has_{self.side}_encoder": True,
        }
        for name, value in (
            ("embedding_length", self["E"]),
            ("attention.head_count", self["H"]),
            ("feed_forward_length", self["F"]),
            ("block_count", self["L"]),
            ("projection_dim", self["P"]),
        ):
            self.key(name, value)
        self.key("attention.layer_norm_epsilon", 1e-6)
        if not audio:
            self.key("image_size", self["S"])
            self.key("patch_size", self["p"])
            self.keys["clip.vision.image_mean"] = (0.5, 0.5, 0.5)
            self.keys["clip.vision.image_std"] = (0.5, 0.5, 0.5)
        self.keys["clip.use_gelu"] = True

    def __getitem__(self, name: str) -> int:
        value = self.numbers[name]
        assert isinstance(value, int)
        return value

    def key(self, name: str, value: Writable) -> None:
        self.keys[f"clip.{self.side}.{name}"] = value

    def matrix(self, name: str, *dims: int, bias: bool = True) -> None:
        self.tensors.append(Tensor(f"{name}.weight", dims, str(self.numbers["type"])))
        if bias:
            self.tensors.append(Tensor(f"{name}.bias", (dims[-1],), "F32"))

    def vector(self, name: str, *dims: int, kind: str = "F32") -> None:
        self.tensors.append(Tensor(name, dims, kind))

    def norm(self, name: str, width: int, *, bias: bool = True) -> None:
        self.vector(f"{name}.weight", width)
        if bias:
            self.vector(f"{name}.bias", width)

    def patches(self, *, bias: bool = True, second: bool = False) -> None:
        for tail in ("", ".1") if second else ("",):
            self.vector(f"v.patch_embd.weight{tail}", self["p"], self["p"], 3, self["E"], kind="F16")
        if bias:
            self.vector("v.patch_embd.bias", self["E"])

    def positions(self, count: int) -> None:
        self.vector(f"{self.prefix}.position_embd.weight", self["E"], count)

    def side_patches(self) -> int:
        return self["S"] // self["p"]

    def blocks(
        self,
        *,
        bias: bool = True,
        gate: bool = False,
        norm_bias: bool = True,
        fused: bool = False,
        key_bias: bool = True,
    ) -> None:
        for at in range(self["L"]):
            name = f"{self.prefix}.blk.{at}"
            self.norm(f"{name}.ln1", self["E"], bias=norm_bias)
            self.norm(f"{name}.ln2", self["E"], bias=norm_bias)
            if fused:
                self.matrix(f"{name}.attn_qkv", self["E"], 3 * self["E"], bias=bias)
            else:
                for part in ("q", "k", "v"):
                    self.matrix(f"{name}.attn_{part}", self["E"], self["E"], bias=bias and (key_bias or part != "k"))
            self.matrix(f"{name}.attn_out", self["E"], self["E"], bias=bias)
            if gate:
                self.matrix(f"{name}.ffn_gate", self["E"], self["F"], bias=bias)
            self.matrix(f"{name}.ffn_up", self["E"], self["F"], bias=bias)
            self.matrix(f"{name}.ffn_down", self["F"], self["E"], bias=bias)


def _numbers(
    rng: Random, *, patch: tuple[int, ...] = (14, 16), merge: int = 2, lengths: tuple[int, ...] = (64, 72, 80)
) -> Numbers:
    length, patch_size = rng.choice(lengths), rng.choice(patch)
    heads = rng.choice((4, 8, 12, 16))
    side = merge * rng.randint(4, 16)
    return {
        "type": rng.choice(("F16", "F16", "BF16", "F32", "Q8_0" if length * heads % 32 == 0 else "F16")),
        "E": length * heads,
        "H": heads,
        "F": rng.choice((2, 3, 4)) * length * heads + rng.choice((0, 64)),
        "L": rng.randint(2, 8),
        "P": rng.choice((512, 1024, 2560, 4096)),
        "p": patch_size,
        "S": side * patch_size,
    }


def gemma3(s: Sketch) -> None:
    s.patches()
    s.positions(s.side_patches() ** 2)
    s.blocks()
    s.norm("v.post_ln", s["E"])
    s.matrix("mm.input_projection", s["P"], s["E"], bias=False)
    s.vector("mm.soft_emb_norm.weight", s["E"])


def llava(s: Sketch) -> None:
    s.patches(bias=False)
    s.vector("v.class_embd", s["E"])
    s.positions(s.side_patches() ** 2 + 1)
    s.norm("v.pre_ln", s["E"])
    s.blocks()
    s.matrix("mm.0", s["E"], s["P"])
    s.matrix("mm.2", s["P"], s["P"])


def idefics3(s: Sketch) -> None:
    s.key("projector.scale_factor", s["m"])
    s.patches()
    s.positions(s.side_patches() ** 2)
    s.blocks()
    s.norm("v.post_ln", s["E"])
    s.matrix("mm.model.fc", s["E"] * s["m"] ** 2, s["P"], bias=False)


def qwen2vl(s: Sketch) -> None:
    s.patches(bias=False, second=True)
    s.blocks()
    s.norm("v.post_ln", s["E"])
    s.matrix("mm.0", 4 * s["E"], 4 * s["E"])
    s.matrix("mm.2", 4 * s["E"], s["P"])


def qwen25vl(s: Sketch) -> None:
    s.keys["clip.use_gelu"] = False
    s.keys["clip.use_silu"] = True
    s.key("n_wa_pattern", s["wa"])
    s.patches(bias=False, second=True)
    s.blocks(gate=True, norm_bias=False)
    s.norm("v.post_ln", s["E"], bias=False)
    s.matrix("mm.0", 4 * s["E"], 4 * s["E"])
    s.matrix("mm.2", 4 * s["E"], s["P"])


def qwen3vl(s: Sketch) -> None:
    deep = tuple(at for at in range(s["L"]) if at % 3 == 1)[: s["deep"]]
    s.key("is_deepstack_layers", tuple(at in deep for at in range(s["L"])))
    s.patches(second=True)
    s.positions(s.side_patches() ** 2)
    s.blocks(fused=True)
    for at in deep:
        s.norm(f"v.deepstack.{at}.norm", 4 * s["E"])
        s.matrix(f"v.deepstack.{at}.fc1", 4 * s["E"], 4 * s["E"])
        s.matrix(f"v.deepstack.{at}.fc2", 4 * s["E"], s["P"])
    s.norm("v.post_ln", s["E"])
    s.matrix("mm.0", 4 * s["E"], 4 * s["E"])
    s.matrix("mm.2", 4 * s["E"], s["P"])


def internvl(s: Sketch) -> None:
    s.key("projector.scale_factor", 2)
    s.patches()
    s.vector("v.class_embd", s["E"])
    s.positions(s.side_patches() ** 2 + 1)
    s.blocks()
    for at in range(s["L"]):
        s.vector(f"v.blk.{at}.ls1.weight", s["E"])
        s.vector(f"v.blk.{at}.ls2.weight", s["E"])
    s.norm("mm.model.mlp.0", 4 * s["E"])
    s.matrix("mm.model.mlp.1", 4 * s["E"], s["P"])
    s.matrix("mm.model.mlp.3", s["P"], s["P"])


def pixtral(s: Sketch) -> None:
    s.keys["clip.use_gelu"] = False
    s.keys["clip.use_silu"] = True
    s.key("attention.head_dim", s["E"] // s["H"])
    s.patches(bias=False)
    s.norm("v.pre_ln", s["E"], bias=False)
    s.blocks(bias=False, gate=True, norm_bias=False)
    if s["m"] > 1:
        s.key("spatial_merge_size", s["m"])
        s.norm("mm.input_norm", s["E"], bias=False)
        s.matrix("mm.patch_merger", s["E"] * s["m"] ** 2, s["E"], bias=False)
    s.matrix("mm.1", s["E"], s["P"])
    s.matrix("mm.2", s["P"], s["P"])
    s.vector("v.token_embd.img_break", s["P"])


def kimivl(s: Sketch) -> None:
    s.key("projector.scale_factor", 2)
    s.patches()
    s.positions(s.side_patches() ** 2)
    s.blocks()
    s.norm("v.post_ln", s["E"])
    s.norm("mm.input_norm", s["E"])
    s.matrix("mm.1", 4 * s["E"], 4 * s["E"])
    s.matrix("mm.2", 4 * s["E"], s["P"])


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


def _whisper(s: Sketch) -> None:
    s.key("num_mel_bins", s["mel"])
    s.vector("a.conv1d.1.weight", 3, s["mel"], s["E"], kind="F16")
    s.vector("a.conv1d.1.bias", 1, s["E"])
    s.vector("a.conv1d.2.weight", 3, s["E"], s["E"], kind="F16")
    s.vector("a.conv1d.2.bias", 1, s["E"])
    s.positions(1500)
    s.blocks(key_bias=False)
    s.norm("a.post_ln", s["E"])


Write = Callable[[Sketch], None]

PROJECTORS: dict[str, tuple[str, Write, Callable[[Random], Numbers]]] = {
    "gemma3": ("gemma3", gemma3, lambda rng: _numbers(rng, merge=4)),
    "llava": ("mlp", llava, _numbers),
    "idefics3": ("idefics3", idefics3, lambda rng: _numbers(rng, merge=4) | {"m": rng.choice((2, 4))}),
    "qwen2vl": ("qwen2vl_merger", qwen2vl, _numbers),
    "qwen2.5vl": ("qwen2.5vl_merger", qwen25vl, lambda rng: _numbers(rng) | {"wa": rng.choice((2, 4, 8))}),
    "qwen3vl": ("qwen3vl_merger", qwen3vl, lambda rng: _numbers(rng) | {"deep": rng.choice((0, 1, 3))}),
    "internvl": ("internvl", internvl, _numbers),
    "pixtral": ("pixtral", pixtral, lambda rng: _numbers(rng) | {"m": rng.choice((1, 2))}),
    "kimivl": ("kimivl", kimivl, _numbers),
    "ultravox": ("ultravox", ultravox, lambda rng: _numbers(rng, lengths=(64,)) | {"mel": rng.choice((80, 128))}),
    "qwen2a": ("qwen2a", qwen2a, lambda rng: _numbers(rng, lengths=(64,)) | {"mel": rng.choice((80, 128))}),
    "voxtral": ("voxtral", voxtral, lambda rng: _numbers(rng, lengths=(64,)) | {"mel": rng.choice((80, 128))}),
}
AUDIO = frozenset({"ultravox", "qwen2a", "voxtral"})


def draw(family: str, rng: Random) -> Numbers:
    """The numbers of one projector of the family."""
    return PROJECTORS[family][2](rng)


def build(family: str, numbers: Numbers) -> tuple[dict[str, Writable], tuple[Tensor, ...]]:
    """Keys and tensors of the projector with these numbers."""
    kind, write, _ = PROJECTORS[family]
    sketch = Sketch(kind, numbers, audio=family in AUDIO)
    write(sketch)
    return sketch.keys, tuple(sketch.tensors)
