"""The keys and tensors of one header-only projector (mmproj) while they are written down."""

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
        groups: int = 0,
    ) -> None:
        """`groups`: heads of keys and of values, where they are fewer."""
        for at in range(self["L"]):
            name = f"{self.prefix}.blk.{at}"
            self.norm(f"{name}.ln1", self["E"], bias=norm_bias)
            self.norm(f"{name}.ln2", self["E"], bias=norm_bias)
            if fused:
                keys = self["E"] // self["H"] * groups if groups else self["E"]
                self.matrix(f"{name}.attn_qkv", self["E"], self["E"] + 2 * keys, bias=bias)
            else:
                for part in ("q", "k", "v"):
                    self.matrix(f"{name}.attn_{part}", self["E"], self["E"], bias=bias and (key_bias or part != "k"))
            self.matrix(f"{name}.attn_out", self["E"], self["E"], bias=bias)
            if gate:
                self.matrix(f"{name}.ffn_gate", self["E"], self["F"], bias=bias)
            self.matrix(f"{name}.ffn_up", self["E"], self["F"], bias=bias)
            self.matrix(f"{name}.ffn_down", self["F"], self["E"], bias=bias)


def some_numbers(
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
