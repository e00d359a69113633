"""What a card holds beside every buffer: CUDA's context and kernels, cuBLAS's workspace, ggml's pool. llama.cpp b11669.

Nothing prints it, so it is an allowance: 512 MiB, or more where the parts come to more.

- Context and loaded kernels, as total minus free before anything is loaded (logs of llama.cpp and Ollama, with whatever else ran
  there): 180 MiB on an RTX 2000 Ada (ggml-org/llama.cpp#22673), 259 on an RTX 4070 Laptop (#20184), 264 on an RTX 3090
  (ollama/ollama#17482), 472 on an RTX 4090 (ggml-org/llama.cpp#23679); after a run 451 to 456 on three RTX 4090 (#15860);
  "120-550 MB depending on GPU" by who moved it out of a device's start, on an RTX PRO 6000 Blackwell (#20595). The largest of an
  architecture or of one before it is taken. After a run of gemma4-12B 154 MiB beyond the buffers in all.
- cuBLAS's workspace: 32 MiB from capability 9.0 on, 4 before (NVIDIA, cuBLAS, `cublasSetWorkspace`: default sizes); 8 are taken.
- Pool: what the largest product needs at once (ggml/src/ggml-cuda/ggml-cuda.cu, `ggml_cuda_op_mul_mat_cublas`, mmq.cu). Quantized
  weights read activations of 36 bytes for 32 numbers; 16-bit ones have activations and results in 16 bit; before capability 7.5
  quantized weights are made 16-bit whole, a matrix at a time. What flash attention needs is in the compute buffer.
"""

from llmops.domain.engine import Device
from llmops.domain.model import ModelShape
from llmops.domain.records import dataclass
from llmops.domain.units import MIB
from llmops.engines.llama_cpp_compute import Case
from llmops.engines.llama_cpp_once import Once

CUDA_CONTEXT_BYTES = 512 * MIB
"""The least: what logs of whole runs stayed below."""

CONTEXT_BYTES, CONTEXT_BYTES_BLACKWELL = 472 * MIB, 525 * MIB
CUBLAS_BYTES, CUBLAS_BYTES_HOPPER = 8 * MIB, 32 * MIB
BLACKWELL, HOPPER, TURING = (10, 0), (9, 0), (7, 5)
POOL_GRANULE = 2 * MIB
"""Physical pages of the pool's address range."""

DP4A_ROWS = 64
"""Smaller batches are multiplied as they are on older cards, too (`MMQ_DP4A_MAX_BATCH_SIZE`)."""

PLAIN = frozenset({"F16", "BF16", "F32"})


def card_context_bytes(device: Device | None, case: Case) -> int:
    """The allowance for one card; None: any from capability 7.5 on."""
    capability = _capability(device.compute_capability if device is not None else None)
    workspace = CUBLAS_BYTES_HOPPER if capability >= HOPPER else CUBLAS_BYTES
    context = CONTEXT_BYTES_BLACKWELL if capability >= BLACKWELL else CONTEXT_BYTES
    parts = context + workspace + pool_bytes(case, has_int8=capability >= TURING)
    return max(CUDA_CONTEXT_BYTES, parts)


def _capability(text: str | None) -> tuple[int, int]:
    """`8.6` → (8, 6); a card that is not known counts as the newest."""
    major, _, minor = (text or "").partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (99, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One kind of product: elements of a row of its matrix, rows, and whether it is plain, the output's, of chosen experts."""

    wide: int
    high: int
    is_plain: bool
    is_output: bool
    chosen: int


def _products(shape: ModelShape) -> tuple[Product, ...]:
    chosen = max((layer.experts_used for layer in shape.layers), default=1) or 1
    kinds = {
        (one.dims[0], one.dims[1], one.type in PLAIN, one.name == "output.weight", chosen if "_exps" in one.name else 1)
        for one in shape.tensors
        if one.name != "token_embd.weight" and sum(dim > 1 for dim in one.dims) > 1
    }
    if not kinds:  # a shape without tensors: the widest its layers can have, in 16 bit
        wide = shape.embedding_length
        dense = max((max(one.feed_forward, one.heads * one.key_length, 4 * wide) for one in shape.layers), default=0)
        expert = max((one.expert_feed_forward for one in shape.layers), default=0)
        kinds = {(wide, dense, True, False, 1), (wide, expert, True, False, chosen)}
    return tuple(Product(wide=w, high=h, is_plain=p, is_output=o, chosen=c) for w, h, p, o, c in sorted(kinds))


_kinds = Once(_products, kept=64)


def pool_bytes(case: Case, *, has_int8: bool) -> int:
    """The largest product's scratch: every matrix but the output sees all rows of a batch."""
    largest = max((_scratch_bytes(case, one, has_int8=has_int8) for one in _kinds(case.shape)), default=0)
    return -(-largest // POOL_GRANULE) * POOL_GRANULE


def _scratch_bytes(case: Case, one: Product, *, has_int8: bool) -> int:
    rows = (case.context.output_rows if one.is_output else case.rows()) * one.chosen
    if one.is_plain:
        return 2 * rows * (one.wide + one.high)
    if has_int8 or rows < DP4A_ROWS:
        return 36 * rows * one.wide // 32
    return 2 * one.wide * one.high + 2 * rows * (one.wide + one.high)
