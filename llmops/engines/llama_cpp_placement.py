"""llama.cpp b11669: which tensor and which layer's cache lies where, and what they take there.

Source: llama.cpp b11434 src/llama-model.cpp (`load_tensors`, `get_layer_buft_list`), ggml/src/ggml-cuda/ggml-cuda.cu
(`ggml_backend_cuda_buffer_type_get_alloc_size`); all buffers of 170 measured rows come out to the byte.
"""

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import field

from llmops.domain.engine import Device, DeviceKind, EngineSettings
from llmops.domain.model import Attention, Layer, ModelShape, Tensor
from llmops.domain.records import dataclass
from llmops.domain.tensor_types import TENSOR_TYPES
from llmops.domain.units import padded
from llmops.engines.llama_cpp_overrides import CPU, Override, from_settings, moved

HOST = -1
"""The place of what stays in RAM; a card is its position among the devices."""

CUDA_ALIGNMENT = 128
HOST_ALIGNMENT = 32
MATRIX_ROW_PADDING = 512
"""CUDA pads a quantized tensor whose rows are not whole multiples of 512 elements, once at its end."""

_BLOCK = re.compile(r"blk\.(\d+)\.(.+)")
_FIRST = ("per_layer_model_proj", "per_layer_proj_norm")
"""Weights of the model as a whole that lie with its first block."""
_INPUTS = ("token_embd", "token_types", "position_embd", "per_layer_token_embd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """What of a command line bears on where weights lie and work is done, beside `EngineSettings`.

    `overrides` None: those of the settings. `names` are the engine's own names of the cards (`CUDA1`), empty: in their order.
    `host_buffers` False: weights in RAM are not pinned, so that the processor's own arrangement (`repack`) is used for them.
    """

    overrides: tuple[Override, ...] | None = None
    op_offload: bool = True
    repack: bool = True
    host_buffers: bool = True
    names: tuple[str, ...] = ()

    def name(self, card: int) -> str:
        """What the engine calls a card."""
        return self.names[card] if card < len(self.names) else f"CUDA{card}"


PLAIN = Loading()

WITHOUT_OUTPUT = frozenset(
    {"bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "modern-bert", "eurobert", "neo-bert"}
)
"""Encoders: their embedding is no output layer as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The place of every layer, and of the output (`HOST` or a card's position); `moves`: tensors an override puts elsewhere.

    `is_overridden`: there is a pattern, whether or not it finds anything. `repacked`: matrices in RAM are rearranged where
    the processor can, and then no card can take their work over.
    """

    layers: tuple[int, ...]
    output: int
    offloaded_layers: int
    cards: int
    kv_offload: bool
    moves: Mapping[str, int] = field(default_factory=dict)
    is_overridden: bool = False
    op_offload: bool = True
    repacked: bool = False
    metal: bool = False

    def crosses(self) -> bool:
        """Whether a block's weight lies on a card that is not its block's."""
        for name, to in self.moves.items():
            match = _BLOCK.match(name)
            layer = len(self.layers) if match is None else int(match[1])
            if to != HOST and layer < len(self.layers) and self.layers[layer] != to:
                return True
        return False

    def is_mixed(self) -> bool:
        """Whether part of the work's data is in RAM: layers, caches or moved weights."""
        return not self.is_whole() or not self.kv_offload or HOST in self.moves.values()

    def is_whole(self) -> bool:
        """Whether every layer and the output are on cards."""
        return self.output != HOST and HOST not in self.layers

    def cache(self, layer: int) -> int:
        """Where a layer's cache lies."""
        return self.layers[layer] if self.kv_offload else HOST


def place(
    shape: ModelShape, settings: EngineSettings, devices: Sequence[Device], loading: Loading = PLAIN
) -> Placement:
    """Layers and output over the cards: the last layers go to the cards first, in the proportions of `-ts`.

    `start = max(L + 1 - ngl, 0)`; layer i ≥ start goes to the first card with `(i - start) / n < cumulative share`,
    `n = min(ngl, L + 1)`, the output counts as the last of these; L counts MTP blocks, which take nothing. All in 32-bit floats.
    """
    count = len(shape.layers)
    blocks = count + shape.mtp_layers
    if not devices or not settings.use_gpu:
        return Placement(
            layers=(HOST,) * count,
            output=HOST,
            offloaded_layers=0,
            cards=0,
            kv_offload=settings.kv_offload,
            repacked=loading.repack,
        )
    wanted = blocks + 1 if settings.gpu_layers is None else min(settings.gpu_layers, blocks + 1)
    start = blocks + 1 - wanted
    shares = _cumulative_shares(settings.tensor_split or tuple(float(one.free_bytes) for one in devices), len(devices))
    places = [HOST if at < start else _card(at - start, wanted, shares) for at in range(blocks + 1)]
    overrides = from_settings(settings) if loading.overrides is None else loading.overrides
    buffers = {CPU: HOST} | {loading.name(card): card for card in range(len(devices))}
    return Placement(
        layers=tuple(places[:count]),
        output=places[blocks],
        offloaded_layers=wanted,
        cards=len(devices),
        kv_offload=settings.kv_offload,
        moves={name: buffers.get(buffer, HOST) for name, buffer in moved(shape, overrides).items()},
        is_overridden=bool(overrides),
        op_offload=loading.op_offload,
        repacked=loading.repack and not loading.host_buffers,
        metal=any(one.kind is DeviceKind.METAL for one in devices),
    )


def _float32(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


def _cumulative_shares(split: Sequence[float], cards: int) -> tuple[float, ...]:
    parts = [*split, *([0.0] * cards)][:cards]
    running: list[float] = []
    total = 0.0
    for part in parts:
        total = _float32(total + _float32(part))
        running.append(total)
    return tuple(_float32(one / total) for one in running) if total else tuple([0.0] * (cards - 1) + [1.0])


def _card(position: int, count: int, shares: Sequence[float]) -> int:
    point = _float32(_float32(position) / _float32(count))
    return next((card for card, share in enumerate(shares) if point < share), len(shares) - 1)


def cuda_tensor_bytes(tensor: Tensor) -> int:
    """Bytes of a tensor in a CUDA buffer: its data, the tail of the row padding, all to 128."""
    return padded(tensor.data_bytes() + row_tail_bytes(tensor.type, tensor.dims[0]), CUDA_ALIGNMENT)


def host_tensor_bytes(tensor: Tensor) -> int:
    """Bytes of a tensor in a host buffer: its data to 32."""
    return padded(tensor.data_bytes(), HOST_ALIGNMENT)


def row_tail_bytes(kind: str, row_elements: int) -> int:
    """CUDA's padding behind a quantized tensor with rows of `row_elements`."""
    row = TENSOR_TYPES[kind]
    left = row_elements % MATRIX_ROW_PADDING
    return row.row_bytes(MATRIX_ROW_PADDING - left) if row.quantized and left else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Weight bytes per card and in RAM, and what partial offload copies: the host-resident matrices of the worst block.

    `host_arranged` is the part of those in RAM that the processor rearranges: memory of its own (`CPU_REPACK`), no file pages.
    """

    cards: tuple[int, ...]
    host: int
    host_matrices: tuple[int, ...]
    host_arranged: int = 0


def weights(shape: ModelShape, placement: Placement) -> Weights:
    """Where the weights go. The token embedding stays in RAM; a tied one is copied to the output's card as well."""
    cards = [0] * placement.cards
    host = arranged = 0
    blocks: dict[int, list[int]] = {}
    for tensor in shape.tensors:
        for at, where in enumerate(_places(tensor.name, shape, placement)):
            if where == HOST:
                host += host_tensor_bytes(tensor)
                is_matrix = at > 0 or not tensor.name.startswith(_INPUTS)  # the second place of a table is the output's
                if placement.repacked and is_matrix and is_arranged(tensor.name, tensor.type, tensor.dims):
                    arranged += host_tensor_bytes(tensor)
                _note_matrix(blocks, tensor)
            else:
                cards[where] += cuda_tensor_bytes(tensor)
    worst = max((sorted(one, reverse=True) for one in blocks.values()), key=lambda one: sum(one[:2]), default=[])
    return Weights(cards=tuple(cards), host=host, host_matrices=tuple(worst), host_arranged=arranged)


def _note_matrix(blocks: dict[int, list[int]], tensor: Tensor) -> None:
    match = _BLOCK.match(tensor.name)
    if match is not None and len(tensor.dims) > 1:
        blocks.setdefault(int(match[1]), []).append(cuda_tensor_bytes(tensor))


def _places(name: str, shape: ModelShape, placement: Placement) -> tuple[int, ...]:
    """Every place that holds a copy of the tensor; none for blocks the graph does not create (MTP without speculation)."""
    match = _BLOCK.match(name)
    if match is not None:
        layer = int(match[1])
        if layer >= len(shape.layers):
            return ()
        return (placement.moves.get(name, placement.layers[layer]),)
    if name in placement.moves:
        twice = name.startswith("token_embd.") and _has_second_table(shape)
        return (placement.moves[name],) * (2 if twice else 1)
    if name.startswith("rope_"):  # one in the file, one in every buffer whose layers read it
        return tuple(
            sorted({placement.layers[at] for at, one in enumerate(shape.layers) if _reads_factors(shape, one)})
        )
    if name.startswith("token_embd.") and shape.has_tied_output() and shape.architecture not in WITHOUT_OUTPUT:
        return _tied_places(name, shape, placement)
    if name.startswith(_FIRST):
        return (placement.layers[0],)
    if name.startswith("token_embd_norm."):
        has_own = any(one.name.startswith("output_norm.") for one in shape.tensors)
        return (placement.layers[0] if has_own else placement.output,)
    if name.startswith(_INPUTS):
        return (HOST,)
    return (placement.output,)


def _tied_places(name: str, shape: ModelShape, placement: Placement) -> tuple[int, ...]:
    """The embedding that is the output as well: in RAM, and once more where the output is or wants another arrangement."""
    if shape.architecture in TIED_IN_RAM:
        return (HOST,)
    if placement.output != HOST:
        return (HOST, placement.output)
    is_second = _has_second_table(shape) or (placement.repacked and is_repacked(shape, name))
    return (HOST, HOST) if is_second else (HOST,)


TIED_IN_RAM = frozenset({"bitnet"})
"""Their output reads the embedding where it is: no copy on a card."""


def _has_second_table(shape: ModelShape) -> bool:
    """gemma3n and gemma4 keep the tied output as a tensor of its own even where the embedding lies."""
    return shape.architecture in ("gemma3n", "gemma4") and shape.has_tied_output()


def _reads_factors(shape: ModelShape, layer: Layer) -> bool:
    """gemma4's sliding layers turn without the file's frequency factors (src/models/gemma4.cpp)."""
    return shape.architecture != "gemma4" or layer.attention is Attention.FULL


REPACKED_TYPES = frozenset({"Q4_0", "Q4_K", "IQ4_NL", "MXFP4"})
"""What a processor with AVX2 rearranges, eight rows at a time (ggml/src/ggml-cpu/repack.cpp)."""

REPACKED_ROWS = 8


def is_repacked(shape: ModelShape, name: str) -> bool:
    """Without cards, matrices of these types are rearranged in memory of their own: a tied output becomes a second copy."""
    tensor = next(one for one in shape.tensors if one.name == name)
    return is_arranged(name, tensor.type, tensor.dims)


def is_arranged(name: str, kind: str, dims: Sequence[int]) -> bool:
    """Whether the processor has an arrangement of its own for a weight it multiplies with.

    Matrices and stacks of experts; other stacks (the heads of latent attention) are left as they are.
    """
    is_matrix = len(dims) > 1 and (all(dim == 1 for dim in dims[2:]) or "_exps." in name)
    return kind in REPACKED_TYPES and is_matrix and dims[1] % REPACKED_ROWS == 0


def weight_place(name: str, placement: Placement, *, at: int | None, output: bool = False) -> int:
    """Where the graph reads a weight (`output`: as the output layer's).

    Where an override puts it; else a block's lies with its block, one that every block has a copy of (`at`) with that block,
    the inputs in RAM, the rest with the output.
    """
    if name in placement.moves:
        return placement.moves[name]
    if output:
        return placement.output
    match = _BLOCK.match(name)
    if match is not None:
        return placement.layers[int(match[1])]
    if at is not None:
        return placement.layers[at]
    if name.startswith((*_FIRST, "token_embd_norm.")):
        return placement.layers[0]
    return HOST if name.startswith(_INPUTS) else placement.output


def cache_bytes(
    layer: Layer, *, cells: int, streams: int, kind_k: str, kind_v: str, value_width: int, on_card: bool
) -> int:
    """K, V and indexer keys of one layer; a recurrent or cacheless one has none. A tail only on a card, as for weights."""
    if not layer.owns_kv_cache or layer.kv_heads == 0 or layer.key_length == 0:
        return 0
    total = 0
    indexed = layer.indexer.key_length if layer.indexer is not None else 0
    for kind, width in ((kind_k, layer.key_width()), (kind_v, value_width), (kind_k, indexed)):
        if width == 0:
            continue
        tail = row_tail_bytes(kind, width) if on_card else 0
        total += padded(TENSOR_TYPES[kind].row_bytes(width) * cells * streams + tail, CUDA_ALIGNMENT)
    return total


def state_bytes(layer: Layer, *, slots: int) -> int:
    """Recurrent state of one layer, f32 whatever the cache types; source: src/llama-memory-recurrent.cpp."""
    if layer.recurrent is None:
        return 0
    parts = (layer.recurrent.conv_elements, layer.recurrent.state_elements)
    return sum(padded(4 * part * slots, CUDA_ALIGNMENT) for part in parts if part)
