"""A model as its own files describe it: tensors, layers, attention kinds. Lengths in tokens, widths in elements."""

from dataclasses import dataclass
from enum import StrEnum

from llmops.domain.ledger import Confidence
from llmops.domain.tensor_types import TENSOR_TYPES

OUTPUT_NAMES = frozenset({"output.weight", "lm_head.weight", "language_model.lm_head.weight"})


@dataclass(frozen=True, slots=True)
class Tensor:
    """One stored tensor; `dims` fastest first (a matrix of rows x columns is `(columns, rows)`)."""

    name: str
    dims: tuple[int, ...]
    type: str

    def elements(self) -> int:
        """How many numbers it holds."""
        count = 1
        for dim in self.dims:
            count *= dim
        return count

    def data_bytes(self) -> int:
        """Its bytes in the file, without padding: whole blocks per row (ggml `ggml_nbytes`)."""
        return TENSOR_TYPES[self.type].row_bytes(self.elements())


class Attention(StrEnum):
    """What a layer remembers of earlier tokens."""

    FULL = "full"
    SLIDING = "sliding"
    CHUNKED = "chunked"
    LATENT = "latent"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentState:
    """Elements one layer keeps per sequence whatever the context: convolution window and state."""

    conv_elements: int
    state_elements: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexer:
    """Sparse attention's own small keys, one head of `key_length`, which choose `top` cells for each token."""

    key_length: int
    heads: int
    top: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One block. A latent layer has one KV head of `key_length` = rank + rope and `value_length` 0 (V is a view of K).

    `feed_forward` is the dense width (0 where the block has experts only); `expert_feed_forward` one expert's width.
    `owns_kv_cache` is False where the layer reads an earlier layer's cache.
    """

    attention: Attention
    heads: int
    kv_heads: int
    key_length: int
    value_length: int
    feed_forward: int
    experts: int = 0
    experts_used: int = 0
    expert_feed_forward: int = 0
    owns_kv_cache: bool = True
    recurrent: RecurrentState | None = None
    indexer: Indexer | None = None

    def key_width(self) -> int:
        """Elements of K for one token."""
        return self.kv_heads * self.key_length

    def value_width(self) -> int:
        """Elements of V for one token."""
        return self.kv_heads * self.value_length


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentAttention:
    """MLA: `rank` = kv_lora_rank, `rope_length` of the shared key part, `key_length` of one decompressed head (nope + rope)."""

    rank: int
    rope_length: int
    key_length: int
    value_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """All that sizing needs of a model.

    `architecture` is the GGUF word (`llama`, `qwen3moe`); `layers` leaves MTP blocks out (`mtp_layers` counts them).
    `tensors_confidence` is `exact` when `tensors` come from the files' own headers, `calibrated` when they were worked out
    from the shape and a quantization's rules. `context_length` is the trained one. `not_sized` names what of this model
    the sizing does not cover, in words for a person.
    """

    architecture: str
    name: str
    layers: tuple[Layer, ...]
    embedding_length: int
    vocabulary: int
    context_length: int
    window_tokens: int | None = None
    latent: LatentAttention | None = None
    tensors: tuple[Tensor, ...]
    tensors_confidence: Confidence
    quantization: str | None = None
    mtp_layers: int = 0
    has_chat_template: bool = False
    not_sized: tuple[str, ...] = ()

    def weights_bytes(self) -> int:
        """Sum of all tensors as stored, without any engine's padding."""
        return sum(tensor.data_bytes() for tensor in self.tensors)

    def parameters(self) -> int:
        """Elements over all tensors."""
        return sum(tensor.elements() for tensor in self.tensors)

    def has_tied_output(self) -> bool:
        """Whether the output layer reuses the token embedding: no matrix of its own, by its GGUF and safetensors names."""
        return all(tensor.name not in OUTPUT_NAMES for tensor in self.tensors)


class DigestAlgorithm(StrEnum):
    """`git-sha1` is sha1 over the word blob, the size, a zero byte and the bytes: what the hub gives for small files."""

    SHA256 = "sha256"
    GIT_SHA1 = "git-sha1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """A file's digest in lower-case hex."""

    algorithm: DigestAlgorithm
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """One file of a model; `name` is relative, with forward slashes, checked to stay below its folder."""

    name: str
    bytes: int
    digest: Digest | None


class SourceKind(StrEnum):
    """How a MODEL was named."""

    CATALOGUE = "catalogue"
    HUB = "hub"
    LOCAL = "local"
    URL = "url"
    OLLAMA = "ollama"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """A MODEL as typed and what the text says: `repository` and `revision` for the hub, `selector` = quantization or file.

    For a local file or directory `path` is the typed path; for a URL it is the URL.
    """

    typed: str
    kind: SourceKind
    repository: str | None = None
    revision: str | None = None
    selector: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """A model pinned: where it comes from, its commit, and the files that are needed, the one to open first."""

    source: str
    kind: SourceKind
    repository: str | None
    commit: str | None
    licence: str | None
    files: tuple[ModelFile, ...]
