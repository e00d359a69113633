"""Collects the tensors of a model, each matrix as its quantization stores it."""

from llmops.domain.model import Tensor
from llmops.formats.config_quantization import Quantization
from llmops.formats.stored_matrix import Stored, stored_tensors

_OTHER_WORDS = {
    "mlp.": ("block_sparse_moe.", "feed_forward.", "mixer.", "ffn."),
    "mamba.": ("mixer.",),
    "self_attn.": ("attention.", "mixer.", "linear_attn."),
    "mlp.shared_experts.": (
        "mlp.shared_expert.",
        "mlp.shared_mlp.",
        "block_sparse_moe.shared_experts.",
        "mixer.shared_experts.",
    ),
}
_EXPERT_WORDS = {"gate_proj": ("w1", "gate_up_proj"), "up_proj": ("w3", "gate_up_proj"), "down_proj": ("w2",)}


class Sink:
    """`at(layer)` gives one that names a block's tensors and shares the list. `dtype` is how plain tensors are stored."""

    __slots__ = ("_dtype", "_how", "_layer", "tensors")

    def __init__(self, *, dtype: str, how: Quantization | None, layer: int | None = None) -> None:
        self._dtype = dtype
        self._how = how
        self._layer = layer
        self.tensors: list[Tensor] = []

    def at(self, layer: int) -> "Sink":
        """The same list, under the names of one block."""
        one = Sink(dtype=self._dtype, how=self._how, layer=layer)
        one.tensors = self.tensors
        return one

    def _name(self, name: str) -> str:
        return name if self._layer is None else f"blk.{self._layer}.{name}"

    def plain(self, name: str, *dims: int) -> None:
        """A tensor that is never quantized."""
        self.tensors.append(Tensor(self._name(name), dims, self._dtype))

    def norm(self, name: str, width: int, *, has_bias: bool = False) -> None:
        """A norm's weight, and its bias where it has one."""
        self.plain(f"{name}.weight", width)
        if has_bias:
            self.plain(f"{name}.bias", width)

    def matrix(self, name: str, module: str, columns: int, rows: int, *stack: int) -> None:
        """A linear layer's weight; `module` is its name inside a block, as transformers has it."""
        layout = None
        if self._how is not None:
            layout = self._how.layout(self._modules(module), is_expert="_exps." in name)
        if layout is None:
            self.plain(name, columns, rows, *stack)
            return
        stem = self._name(name).removesuffix(".weight")
        if layout.stored is Stored.NF4 and stack:
            self.plain(name, columns, rows, *stack)
            return
        self.tensors += stored_tensors(layout, stem, columns, rows, stack=stack, dtype=self._dtype)

    def _modules(self, module: str) -> tuple[str, ...]:
        """All names below the root that a checkpoint may have for it."""
        if self._layer is None:
            return (module,)
        words = [module]
        for start, others in _OTHER_WORDS.items():
            if module.startswith(start):
                words += [other + module.removeprefix(start) for other in others]
        if ".experts.0." in module:
            last = module.rpartition(".")[2]
            words += [word.replace(last, other) for word in tuple(words) for other in _EXPERT_WORDS.get(last, ())]
            words += [word.replace(".experts.0.", ".experts.") for word in tuple(words)]
        return tuple(f"layers.{self._layer}.{word}" for word in words)
