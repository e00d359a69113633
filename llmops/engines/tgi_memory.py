"""TGI 3.3.6-dev0: what one server takes of each card, and the pool that its warm-up leaves.

One batch of prompts is run with as many tokens as a step may have; 95 % of what is then free (of the whole card, less what
`--cuda-memory-fraction` keeps) becomes blocks, those of the batch on top. Source: TGI 3.3.6-dev0, server/
text_generation_server/models/flash_causal_lm.py (`warmup`), utils/import_utils.py (`get_cuda_free_memory`),
launcher/src/main.rs (`resolve_attention`). No start was at hand to check it with: every figure is an estimate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from llmops.domain.engine import Device, EngineName, EngineSettings, HostDevice, PoolSettings
from llmops.domain.errors import WrongUsage
from llmops.domain.ledger import Causes, Confidence, DeviceLedger, HostLedger, Ledger, Pool
from llmops.domain.model import Attention, ModelShape
from llmops.domain.units import MIB
from llmops.engines.cache_width import token_bytes
from llmops.engines.card_count import too_few_cards, unusable_instances
from llmops.engines.computed_type import in_computed_type
from llmops.engines.rank_weights import Cut, rank_weights
from llmops.engines.step_width import text_token_bytes
from llmops.engines.vllm_memory import (
    DRIVER_BYTES,
    HOST_BYTES,
    HOST_BYTES_PER_RANK,
    OUTSIDE_BYTES,
    OUTSIDE_PARALLEL_BYTES,
    cuda_bytes,
)

BUILD = "3.3.6-dev0"
DEFAULT_FRACTION = 1.0
DEFAULT_STEP_TOKENS = 4096
WIGGLE_ROOM = 0.95
"""TGI_WIGGLE_ROOM: the rest is for captured graphs and decoding."""

FLASHINFER_LENGTHS = (64, 128, 256)
FLASHINFER_BLOCK, FLASHDECODING_BLOCK = 1, 256
LOADED_BYTES, SAFE_LOADED_BYTES = 300 * MIB, 900 * MIB
"""Libraries and workspaces besides the weights: vLLM's central value, and a wide one."""

GRAPHS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """One rank: weights and tower, the warm-up's step, blocks expected and surely there, what is outside."""

    weights: int
    tower: int
    step: int
    blocks: int
    safe_blocks: int
    outside: int


def resolved(settings: EngineSettings, shape: ModelShape) -> EngineSettings:
    """The settings with TGI's defaults for what was not given: the model's length, 4,096 tokens a step, the whole card."""
    told = settings.pool or PoolSettings()
    length = settings.context_size or shape.context_length
    step = settings.batch_tokens if told.batch_given else min(DEFAULT_STEP_TOKENS, shape.context_length)
    return replace(
        settings,
        context_size=length,
        batch_tokens=max(step, 1),
        gpu_memory_utilization=settings.gpu_memory_utilization or DEFAULT_FRACTION,
        pool=replace(told, batch_given=True),
    )


def ledger(
    *, shape: ModelShape, settings: EngineSettings, devices: Sequence[Device], host: HostDevice, reserve_bytes: int
) -> Ledger:
    """The memory of exactly these settings: one shard on each card."""
    if not devices:
        raise WrongUsage("TGI is planned for cards only", hint="`--engine llama.cpp` runs without a card")
    settings = resolved(settings, shape)
    wanted = settings.tensor_parallel
    used = tuple(devices[:wanted])
    ranks = [_rank(shape, settings, one) for one in used]
    refusals = [
        *too_few_cards(wanted, devices),
        *unusable_instances(EngineName.TGI, devices),
        *_refusals(shape, settings, ranks),
    ]
    pool = _pool(shape, settings, ranks)
    notes = ["TGI is in maintenance: estimated from its source, checked with no start"]
    if any(layer.cross_tokens for layer in shape.layers):
        notes.append("not sized: what a request keeps of its audio")
    notes += [f"not sized: {one}" for one in shape.not_sized]
    return Ledger(
        engine=EngineName.TGI.value,
        engine_build=BUILD,
        confidence=Confidence.LOW,
        devices=tuple(
            _card(device, one, pool, shape, settings, reserve_bytes) for device, one in zip(used, ranks, strict=True)
        ),
        host=HostLedger(
            causes=Causes(overhead_bytes=HOST_BYTES + HOST_BYTES_PER_RANK * len(used)),
            limit_bytes=host.memory_bytes,
            confidence={"overhead_bytes": Confidence.LOW},
        ),
        pool=replace(pool, holds_one=False) if refusals else pool,
        notes=(*notes, *(f"TGI refuses to start: {one}" for one in refusals)),
    )


def block_tokens(shape: ModelShape) -> int:
    """FlashInfer's single tokens where its kernels have the heads' length, else FlashDecoding's blocks."""
    lengths = {one.key_length for one in shape.layers if one.attention is not Attention.NONE}
    return FLASHINFER_BLOCK if lengths and lengths <= set(FLASHINFER_LENGTHS) else FLASHDECODING_BLOCK


def cell_bytes(shape: ModelShape, settings: EngineSettings) -> int:
    """Of one token in all layers of one shard. A window keeps every token."""
    kind = settings.kv_cache_type_k
    return sum(
        token_bytes(one, ranks=settings.tensor_parallel, kind=kind)
        for one in shape.layers
        if one.attention is not Attention.NONE
    )


def _outside_bytes(device: Device, settings: EngineSettings) -> int:
    if device.overhead_bytes is not None:
        return device.overhead_bytes
    return DRIVER_BYTES + (OUTSIDE_PARALLEL_BYTES if settings.tensor_parallel > 1 else OUTSIDE_BYTES)


def _rank(shape: ModelShape, settings: EngineSettings, device: Device) -> Rank:
    own = rank_weights(in_computed_type(shape), Cut(tensor=settings.tensor_parallel))
    step = settings.batch_tokens * text_token_bytes(shape, settings.tensor_parallel)
    outside = _outside_bytes(device, settings)
    size = cell_bytes(shape, settings) * block_tokens(shape)
    warm = -(-settings.batch_tokens // block_tokens(shape))
    kept = (1 - (settings.gpu_memory_utilization or DEFAULT_FRACTION)) * cuda_bytes(device)

    def blocks(loaded: int) -> int:
        free = device.free_bytes - outside - own.text - own.tower - loaded - step - warm * size - int(kept)
        if not size or device.free_bytes - outside - own.text - own.tower - loaded - step < warm * size:
            return 0
        return int(max(free, 0) * WIGGLE_ROOM // size) + warm

    return Rank(
        weights=own.text,
        tower=own.tower,
        step=step,
        blocks=blocks(LOADED_BYTES),
        safe_blocks=blocks(SAFE_LOADED_BYTES),
        outside=outside + LOADED_BYTES,
    )


def _pool(shape: ModelShape, settings: EngineSettings, ranks: Sequence[Rank]) -> Pool:
    """Of the poorest shard. `--max-batch-total-tokens` is what the router hands out of it."""
    size = block_tokens(shape)
    each = cell_bytes(shape, settings) * size
    told = settings.pool or PoolSettings()
    most = told.pool_tokens or (1 << 62)
    blocks, surely = min(one.blocks for one in ranks), min(one.safe_blocks for one in ranks)
    tokens, safe = min(blocks * size, most), min(surely * size, most)
    length = max(settings.context_size, 1)
    return Pool(
        num_blocks=blocks,
        bytes_per_block=each,
        kv_pool_bytes=blocks * each,
        kv_pool_tokens=tokens,
        max_concurrency=round(min(tokens / length, float(settings.parallel)), 4),
        block_tokens=size,
        longest_tokens=min(safe, shape.context_length),
        safe_bytes=surely * each,
        safe_tokens=safe,
        safe_concurrency=round(min(safe / length, float(settings.parallel)), 4),
        holds_one=safe >= length,
    )


def _card(
    device: Device, one: Rank, pool: Pool, shape: ModelShape, settings: EngineSettings, reserve_bytes: int
) -> DeviceLedger:
    told = settings.pool or PoolSettings()
    graphs = 0 if told.eager else 2 * sum(GRAPHS) * shape.vocabulary * 2
    causes = Causes(
        weights_bytes=one.weights,
        kv_cache_bytes=pool.num_blocks * pool.bytes_per_block,
        compute_bytes=one.step,
        cuda_graphs_bytes=graphs,
        projector_bytes=one.tower,
        overhead_bytes=one.outside,
    )
    named = ("weights", "kv_cache", "compute", "cuda_graphs", "projector", "overhead")
    return DeviceLedger(
        name=device.name,
        capacity_bytes=device.capacity_bytes,
        free_bytes=device.free_bytes,
        causes=causes,
        reserve_bytes=reserve_bytes,
        confidence={f"{name}_bytes": Confidence.LOW for name in named if getattr(causes, f"{name}_bytes")},
    )


def _refusals(shape: ModelShape, settings: EngineSettings, ranks: Sequence[Rank]) -> list[str]:
    """What ends the start, or what TGI does not serve in this way."""
    count = settings.tensor_parallel
    heads = {one.heads for one in shape.layers if one.attention is not Attention.NONE and one.heads}
    found = [f"{one} heads do not divide by {count} shards" for one in sorted(heads) if one % count]
    if any(one.attention is Attention.LATENT for one in shape.layers):
        found.append("its cache of latent attention is not sized here")
    if any(one.recurrent is not None for one in shape.layers):
        found.append("it has no pool of recurrent states")
    if any(one.blocks <= 0 for one in ranks):
        found.append(f"no room for a step of {settings.batch_tokens} tokens: `--max-batch-prefill-tokens` less")
    told = settings.pool or PoolSettings()
    if told.pool_tokens is not None and settings.context_size > told.pool_tokens:
        found.append("`--max-total-tokens` is more than `--max-batch-total-tokens`")
    return found
