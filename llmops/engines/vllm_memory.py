"""vLLM 0.33: what one server takes of each card, first depth. Every figure is marked `low`.

`budget = ceil(total · utilization)`; the pool is what weights, libraries, activation peak and graphs leave of it. Constants
are the safe ones fitted on 11 logged starts (pool 0.5 to 0.9 GiB below the logged one). Source: vLLM 0.33,
v1/worker/gpu_worker.py, v1/worker/utils.py; images, LoRA, drafts and state-space layers are not covered.
"""

import math
from collections.abc import Sequence

from llmops.domain.engine import Device, EngineName, EngineSettings, HostDevice
from llmops.domain.errors import WrongUsage
from llmops.domain.ledger import Causes, Confidence, DeviceLedger, HostLedger, Ledger, Pool
from llmops.domain.model import Attention, ModelShape, Tensor
from llmops.domain.units import GIB, MIB
from llmops.engines.vllm_blocks import groups

BUILD = "0.33.0"

WEIGHTS_MARGIN_BYTES = 102 * MIB
LIBRARIES_BYTES, LIBRARIES_PARALLEL_BYTES = 307 * MIB, 614 * MIB
PEAK_BYTES_PER_LOGIT = 40
PEAK_MARGIN_BYTES = 307 * MIB
GRAPHS_BYTES = 410 * MIB
HOST_BYTES, HOST_BYTES_PER_RANK = 4 * GIB, 2 * GIB
DEFAULT_UTILIZATION = 0.92

_REPLICATED = ("norm", "mlp.gate.weight", "router", "bias", "e_score", "inv_freq")
_KEY_VALUE = ("k_proj", "v_proj")


def ledger(
    *, shape: ModelShape, settings: EngineSettings, devices: Sequence[Device], host: HostDevice, reserve_bytes: int
) -> Ledger:
    """The memory of exactly these settings; one rank on each of the first `tensor_parallel` devices."""
    if not devices:
        raise WrongUsage("vLLM is planned for cards only", hint="`--engine llama.cpp` runs without a card")
    ranks = settings.tensor_parallel
    weights = rank_weights_bytes(shape, ranks) + WEIGHTS_MARGIN_BYTES
    peak = PEAK_BYTES_PER_LOGIT * settings.parallel * shape.vocabulary + PEAK_MARGIN_BYTES
    libraries = LIBRARIES_BYTES if ranks == 1 else LIBRARIES_PARALLEL_BYTES
    utilization = settings.gpu_memory_utilization or DEFAULT_UTILIZATION
    fixed = weights + peak + libraries + GRAPHS_BYTES
    available = min(math.ceil(device.capacity_bytes * utilization) for device in devices[:ranks]) - fixed
    pool = _pool(shape, settings, available)
    taken = pool.num_blocks * pool.bytes_per_block if pool else 0
    causes = Causes(
        weights_bytes=weights,
        kv_cache_bytes=taken,
        compute_bytes=peak,
        cuda_graphs_bytes=GRAPHS_BYTES,
        overhead_bytes=libraries,
    )
    confidence = dict.fromkeys(
        ("weights_bytes", "kv_cache_bytes", "compute_bytes", "cuda_graphs_bytes", "overhead_bytes"), Confidence.LOW
    )
    cards = tuple(
        DeviceLedger(
            name=device.name,
            capacity_bytes=device.capacity_bytes,
            free_bytes=device.free_bytes,
            causes=causes,
            reserve_bytes=reserve_bytes,
            confidence=confidence,
        )
        for device in devices[:ranks]
    )
    return Ledger(
        engine=EngineName.VLLM.value,
        engine_build=BUILD,
        confidence=Confidence.LOW,
        devices=cards,
        host=HostLedger(
            causes=Causes(overhead_bytes=HOST_BYTES + HOST_BYTES_PER_RANK * ranks),
            limit_bytes=host.memory_bytes,
            confidence={"overhead_bytes": Confidence.LOW},
        ),
        pool=pool,
        notes=_notes(shape, settings, len(devices)),
    )


def _pool(shape: ModelShape, settings: EngineSettings, available_bytes: int) -> Pool | None:
    """The pool of blocks; block 0 is never handed out, so one more than a request's must be there."""
    cut = groups(shape, tensor_parallel=settings.tensor_parallel, kv_cache_type=settings.kv_cache_type_k)
    if cut is None:
        return None
    blocks = max(available_bytes // cut.bytes_per_block, 0)
    tokens = settings.context_size or shape.context_length
    wanted = cut.request_blocks(tokens, batch_tokens=settings.batch_tokens)
    concurrency = blocks / wanted if blocks > wanted else min(blocks / wanted, 0.9999)
    return Pool(
        num_blocks=blocks,
        bytes_per_block=cut.bytes_per_block,
        kv_pool_bytes=blocks * cut.bytes_per_block,
        kv_pool_tokens=int(concurrency * tokens),
        max_concurrency=round(concurrency, 4),
    )


def rank_weights_bytes(shape: ModelShape, ranks: int) -> int:
    """Bytes of one rank: matrices are cut by `ranks`, norms, biases and routers are on every rank, K and V by whole heads."""
    kv_heads = max((layer.kv_heads for layer in shape.layers), default=1) or 1
    return sum(_rank_bytes(tensor, ranks, kv_heads) for tensor in shape.tensors)


def _rank_bytes(tensor: Tensor, ranks: int, kv_heads: int) -> int:
    if len(tensor.dims) < 2 or any(word in tensor.name for word in _REPLICATED):
        return tensor.data_bytes()
    parts = min(ranks, kv_heads) if any(word in tensor.name for word in _KEY_VALUE) else ranks
    return -(-tensor.data_bytes() // parts)


def _notes(shape: ModelShape, settings: EngineSettings, cards: int) -> tuple[str, ...]:
    notes = ["vLLM is planned at first depth: constants of logged starts; start once and pin the pool it prints"]
    if any(layer.recurrent is not None for layer in shape.layers):
        notes.append("the state of linear-attention layers is not counted in the pool")
    if any(layer.attention is Attention.NONE and layer.recurrent is None for layer in shape.layers):
        notes.append("layers without a cache are left out of the pool")
    if settings.tensor_parallel > cards:
        notes.append(f"tensor parallel {settings.tensor_parallel} needs as many cards, {cards} given")
    heads = max((layer.heads for layer in shape.layers), default=1)
    if heads % settings.tensor_parallel:
        notes.append(
            f"{heads} heads do not divide by tensor parallel {settings.tensor_parallel}: vLLM refuses to start"
        )
    return (*notes, *(f"not sized: {one}" for one in shape.not_sized))
