"""The keys and tensors of a header-only model while they are written down, and the numbers it is made of."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from llmops.domain.model import Tensor
from llmops.domain.tensor_types import TENSOR_TYPES
from llmops.formats.gguf_values import Writable

Numbers = dict[str, int | str]

QUANTIZATIONS = ("F16", "BF16", "Q8_0", "Q4_0", "Q4_K", "Q5_K", "IQ4_NL")


class Draft:
    """The keys and tensors of one model while they are written down; numbers by their short names."""

    def __init__(self, architecture: str, numbers: Numbers) -> None:
        self.architecture = architecture
        self.numbers = numbers
        self.keys: dict[str, Writable] = {}
        self.tensors: list[Tensor] = []
        self.layer = -1

    def __getitem__(self, name: str) -> int:
        value = self.numbers[name]
        assert isinstance(value, int)
        return value

    def key(self, name: str, value: Writable) -> None:
        self.keys[f"{self.architecture}.{name}"] = value

    def matrix(self, name: str, *dims: int, tail: str = ".weight") -> None:
        """A quantized tensor; rows that are no whole blocks fall back to F16, as when a model is quantized."""
        kind = str(self.numbers["type"])
        if kind in ("Q4_K", "Q5_K") and ("attn_v" in name or "ffn_down" in name or name == "output"):
            kind = "Q6_K"
        if dims[0] % TENSOR_TYPES[kind].block_elements:
            kind = "Q8_0" if dims[0] % 32 == 0 else "F16"
        self._add(name + tail, dims, kind)

    def vector(self, name: str, *dims: int, tail: str = ".weight") -> None:
        self._add(name + tail, dims, "F32")

    def table(self, name: str, *dims: int) -> None:
        """Whole numbers."""
        self._add(f"{name}.weight", dims, "I32")

    def norm(self, name: str, width: int, *, bias: bool = False) -> None:
        self.vector(name, width)
        if bias:
            self.vector(name, width, tail=".bias")

    def _add(self, name: str, dims: tuple[int, ...], kind: str) -> None:
        where = name if self.layer < 0 else f"blk.{self.layer}.{name}"
        self.tensors.append(Tensor(where, dims, kind))

    # -- parts that many families share

    def common(self, *, epsilon: str = "attention.layer_norm_rms_epsilon") -> None:
        self.keys["general.architecture"] = self.architecture
        self.keys["tokenizer.ggml.model"] = "no_vocab"
        self.key("vocab_size", self["V"])
        self.key("context_length", 131072)
        self.key("embedding_length", self["E"])
        self.key("block_count", self["L"])
        self.key(epsilon, 1e-5)
        if "F" in self.numbers:
            self.key("feed_forward_length", self["F"])
        if "H" in self.numbers:
            self.key("attention.head_count", self["H"])
            self.key("attention.head_count_kv", self["G"])
            self.key("attention.key_length", self["D"])
            self.key("attention.value_length", self["D"])
            self.key("rope.dimension_count", self["D"])
            self.key("rope.freq_base", 10000.0)

    def ends(self, *, norm_bias: bool = False, tied: bool | None = None) -> None:
        self.layer = -1
        self.matrix("token_embd", self["E"], self["V"])
        self.norm("output_norm", self["E"], bias=norm_bias)
        if not (bool(self.numbers.get("tied", 0)) if tied is None else tied):
            self.matrix("output", self["E"], self["V"])

    def attention(
        self, *, bias: bool = False, output_bias: bool = False, head_norms: bool = False, kv: int = -1
    ) -> None:
        width, heads = self["D"], self["H"]
        groups = self["G"] if kv < 0 else kv
        self.matrix("attn_q", self["E"], heads * width)
        self.matrix("attn_k", self["E"], groups * width)
        self.matrix("attn_v", self["E"], groups * width)
        self.matrix("attn_output", heads * width, self["E"])
        if bias:
            for name, size in (("attn_q", heads), ("attn_k", groups), ("attn_v", groups)):
                self.vector(name, size * width, tail=".bias")
        if output_bias:
            self.vector("attn_output", self["E"], tail=".bias")
        if head_norms:
            self.norm("attn_q_norm", width)
            self.norm("attn_k_norm", width)

    def feed_forward(self, width: int | None = None, *, gate: bool = True, bias: bool = False) -> None:
        wide = self["F"] if width is None else width
        if gate:
            self.matrix("ffn_gate", self["E"], wide)
        self.matrix("ffn_up", self["E"], wide)
        self.matrix("ffn_down", wide, self["E"])
        if bias:
            self.vector("ffn_up", wide, tail=".bias")
            self.vector("ffn_down", self["E"], tail=".bias")

    def experts(self, *, shared: int = 0, gate: bool = True, shared_gate: bool = False) -> None:
        wide, count = self["Fe"], self["X"]
        self.vector("ffn_gate_inp", self["E"], count)
        if gate:
            self.matrix("ffn_gate_exps", self["E"], wide, count)
        self.matrix("ffn_up_exps", self["E"], wide, count)
        self.matrix("ffn_down_exps", wide, self["E"], count)
        if shared:
            if shared_gate:
                self.vector("ffn_gate_inp_shexp", self["E"])
            if gate:
                self.matrix("ffn_gate_shexp", self["E"], shared)
            self.matrix("ffn_up_shexp", self["E"], shared)
            self.matrix("ffn_down_shexp", shared, self["E"])

    def expert_keys(self) -> None:
        self.key("expert_count", self["X"])
        self.key("expert_used_count", self["u"])
        self.key("expert_feed_forward_length", self["Fe"])

    def blocks(self) -> range:
        return range(self["L"])

    def at(self, layer: int) -> None:
        self.layer = layer


# ---- numbers ---------------------------------------------------------------------------------------------------------


def dense_numbers(rng: Random) -> Numbers:
    width = rng.choice((64, 64, 80, 96, 128, 128, 128, 256))
    groups = rng.choice((1, 2, 4, 8, 8))
    heads = groups * rng.choice((1, 2, 3, 4, 5, 7, 8))
    embedding = 64 * rng.randint(8, 80)
    return {
        "type": rng.choice(QUANTIZATIONS),
        "L": rng.randint(2, 14),
        "E": embedding,
        "V": rng.choice((32000, 49155, 100352, 128256, 151936, 200064, 262144)),
        "H": heads,
        "G": groups,
        "D": width,
        "F": rng.choice((256, 64)) * rng.randint(8, 60),
        "tied": rng.randint(0, 1),
    }


def expert_numbers(rng: Random) -> Numbers:
    numbers = dense_numbers(rng)
    count = rng.choice((8, 16, 32, 60, 64, 128))
    return numbers | {
        "X": count,
        "u": rng.choice([one for one in (1, 2, 4, 6, 8) if one < count]),
        "Fe": 64 * rng.randint(4, 40),
    }


def square_numbers(rng: Random) -> Numbers:
    """Families whose loaders take the query as wide as the stream."""
    numbers = dense_numbers(rng)
    return numbers | {"E": int(numbers["H"]) * int(numbers["D"])}


def square_expert_numbers(rng: Random) -> Numbers:
    return expert_numbers(rng) | square_numbers(rng)


KINDS = (
    "F16", "BF16", "F32", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ1_S", "IQ1_M",
    "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS", "MXFP4", "TQ1_0", "TQ2_0",
)  # fmt: skip


def mixed(tensors: Sequence[Tensor], seed: int) -> tuple[Tensor, ...]:
    """Each matrix in one of a few types drawn for the model, as far as its rows are whole blocks of it."""
    rng = Random(seed)
    few = rng.sample(KINDS, rng.randint(2, 6))
    made: list[Tensor] = []
    for tensor in tensors:
        fits = [kind for kind in few if tensor.dims[0] % TENSOR_TYPES[kind].block_elements == 0]
        is_matrix = len(tensor.dims) > 1 and tensor.type != "F32"
        made.append(replace(tensor, type=rng.choice(fits)) if is_matrix and fits else tensor)
    return tuple(made)
