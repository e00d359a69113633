"""vLLM 0.33: what one server takes of each card, and the pool that is left.

`budget = ceil(total * utilization)` of what CUDA calls the card's memory; the pool is what weights, libraries, the activation
peak of a dummy run and the CUDA graphs leave of it. CUDA's context and NCCL's buffers come on top: they are taken before the
budget is measured. Source: vLLM 0.33, v1/worker/gpu_worker.py (`determine_available_memory`), v1/worker/utils.py
(`request_memory`), v1/worker/gpu/model_runner.py (`_dummy_sampler_run`). Constants: fitted on 11 logged starts of 0.6 to 0.31, of
which eight are among the vLLM rows of tests/measured/llama.cpp/memory_logs.json; central and safe ones. The peak of 0.33's
second dummy pass is not in them.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from llmops.domain.engine import Device, EngineName, EngineSettings, HostDevice, PoolSettings
from llmops.domain.errors import WrongUsage
from llmops.domain.ledger import Causes, Confidence, DeviceLedger, HostLedger, Ledger, Pool
from llmops.domain.model import Attention, ModelShape, is_tower
from llmops.domain.records import dataclass
from llmops.domain.units import GIB, MIB
from llmops.engines.pool_groups import UngroupableError
from llmops.engines.rank_weights import Cut, rank_weights, vocabulary_rows
from llmops.engines.vllm_blocks import Pools, pools, stage_bounds
from llmops.engines.vllm_defaults import resolved
from llmops.engines.vllm_draft import draft_bytes, draft_notes, draft_refusals
from llmops.engines.vllm_graphs import SAFE_FACTOR, graph_bytes
from llmops.engines.vllm_images import image_peak
from llmops.engines.vllm_loaded import as_loaded
from llmops.engines.vllm_pages import NO_DRAFT_LAYERS
from llmops.engines.vllm_parallel import fused_bytes

BUILD = "0.33.0"
DEFAULT_UTILIZATION = 0.92

OUTSIDE_BYTES, OUTSIDE_PARALLEL_BYTES = 540 * MIB, 900 * MIB
"""CUDA context, cuBLAS and NCCL before the budget is measured: logged total - free, 0.41 (A100) to 0.53 GiB (H100) on one."""

DRIVER_BYTES = 480 * MIB
"""What the driver reports and CUDA does not give: 0.32 to 0.49 GiB on H100, L40, A6000, 3090 and 5090 (0.75 on A100)."""

HOST_BYTES, HOST_BYTES_PER_RANK = 4 * GIB, 2 * GIB
"""RAM of the API server and the engine core, and of each worker: a rule of thumb, in no log and always `low`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """What the shape does not say, on one card. `logit_bytes` for every sequence and entry of the vocabulary.

    `libraries_parallel`, for tensor parallel: 0.2 to 0.6 GiB in logs of 0.6 to 0.11, 2.1 GiB on H100 with 0.19 (NCCL,
    symmetric memory, the workspace of vllm_parallel.py; llm-d-planner's table), which is the safe one; stages of a pipeline take
    less than one card alone.
    """

    weights: int
    libraries: int
    libraries_parallel: int
    logit_bytes: float
    peak: int
    graph_factor: float


CENTRAL = Constants(
    weights=51 * MIB,
    libraries=200 * MIB,
    libraries_parallel=520 * MIB,
    logit_bytes=38.5,
    peak=51 * MIB,
    graph_factor=1,
)
SAFE = Constants(
    weights=102 * MIB,
    libraries=307 * MIB,
    libraries_parallel=2253 * MIB,
    logit_bytes=40,
    peak=307 * MIB,
    graph_factor=SAFE_FACTOR,
)
WIDE_TYPES = frozenset({"BF16", "F16", "F32"})
_DECOMPRESSING = re.compile(
    r"kv_b_proj\.(?:weight|qweight|weight_packed)$|attn_kv_b\.(?:weight|qweight|weight_packed)$"
)

WIDE_ROWS, NARROW_ROWS = 10, 2
"""Rows of the hidden width, and of the feed-forward's, that one token of the forward pass holds at its widest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Bytes on one rank besides the pool."""

    weights: int
    draft: int
    tower: int
    peak: int
    graphs: int
    libraries: int

    def inside_bytes(self, *, graphs_in_budget: bool) -> int:
        """What comes out of the budget before the pool."""
        own = self.weights + self.draft + self.tower + self.peak + self.libraries
        return own + (self.graphs if graphs_in_budget else 0)


def ledger(
    *, shape: ModelShape, settings: EngineSettings, devices: Sequence[Device], host: HostDevice, reserve_bytes: int
) -> Ledger:
    """The memory of exactly these settings: one rank on each card, stage by stage, replica by replica."""
    if not devices:
        raise WrongUsage("vLLM is planned for cards only", hint="`--engine llama.cpp` runs without a card")
    settings = resolved(settings, shape, devices[0])
    told = settings.pool or PoolSettings()
    ranks = settings.tensor_parallel * told.pipeline_parallel * told.data_parallel
    used = tuple(devices[:ranks])
    notes = _notes(shape, settings, ranks, len(devices))
    refusals = [*_refusals(shape, settings), *draft_refusals(settings)]
    cut = None
    try:
        cut = pools(shape, settings, device=devices[0])
    except UngroupableError as refused:
        refusals.append(str(refused))
    central, safe = (
        [
            taken(shape, settings, stage=_stage(at, settings), constants=constants, device=one)
            for at, one in enumerate(used)
        ]
        for constants in (CENTRAL, SAFE)
    )
    pool = _pool(shape, settings, used, cut, central, safe) if cut is not None else None
    if refusals:
        nothing = Pool(num_blocks=0, bytes_per_block=0, kv_pool_bytes=0, kv_pool_tokens=0, max_concurrency=0.0)
        pool = replace(pool or nothing, holds_one=False)
    confidence = _confidence(shape, settings)
    return Ledger(
        engine=EngineName.VLLM.value,
        engine_build=BUILD,
        confidence=confidence,
        devices=tuple(
            _card(device, one, pool, cut, _stage(at, settings), settings, reserve_bytes, confidence)
            for at, (device, one) in enumerate(zip(used, central, strict=True))
        ),
        host=HostLedger(
            causes=Causes(overhead_bytes=HOST_BYTES + HOST_BYTES_PER_RANK * len(used)),
            limit_bytes=host.memory_bytes,
            confidence={"overhead_bytes": Confidence.LOW},
        ),
        pool=pool,
        notes=(*notes, *(f"vLLM refuses to start: {one}" for one in refusals)),
    )


def taken(
    shape: ModelShape, settings: EngineSettings, *, stage: int, constants: Constants, device: Device | None = None
) -> Taken:
    """What one rank of a stage takes besides the pool."""
    told = settings.pool or PoolSettings()
    bounds = stage_bounds(len(shape.layers), told.pipeline_parallel, told.layer_partition)
    cut = Cut(
        tensor=settings.tensor_parallel,
        stages=bounds,
        replicas=told.data_parallel,
        by_expert=told.expert_parallel,
        tower_on_every_rank=told.replicated_tower,
    )
    own = rank_weights(as_loaded(shape, device), cut, stage=stage)
    is_last = stage == told.pipeline_parallel - 1
    return Taken(
        weights=own.text + unpacked_bytes(shape, bounds[stage], settings.tensor_parallel) + constants.weights,
        draft=draft_bytes(shape, settings, own.draft, is_safe=constants is SAFE) if is_last else 0,
        tower=0 if told.text_only else own.tower,
        peak=_peak(shape, settings, constants, is_first=stage == 0, is_last=is_last),
        graphs=int(graph_bytes(settings, device) * constants.graph_factor),
        libraries=_libraries(shape, settings, constants, device),
    )


def _libraries(shape: ModelShape, settings: EngineSettings, constants: Constants, device: Device | None) -> int:
    """The safe constant of several ranks is of 0.19, which had the fused workspace of two ranks already."""
    if settings.tensor_parallel == 1:
        return constants.libraries
    fused = fused_bytes(shape, settings, device)
    if constants is SAFE:
        return max(constants.libraries_parallel, CENTRAL.libraries_parallel + fused)
    return constants.libraries_parallel + fused


def unpacked_bytes(shape: ModelShape, layers: tuple[int, int], ranks: int) -> int:
    """A quantized `kv_b_proj` is kept in 16 bit as well, for decoding (mla_attention.py, `split_kv_b_proj`)."""
    latent = shape.latent
    is_quantized = any(tensor.type not in WIDE_TYPES for tensor in shape.tensors if _DECOMPRESSING.search(tensor.name))
    if latent is None or not is_quantized:
        return 0
    both = latent.key_length - latent.rope_length + latent.value_length
    heads = sum(layer.heads for layer in shape.layers[slice(*layers)] if layer.attention is Attention.LATENT)
    return 2 * heads * both * latent.rank // ranks


def _peak(
    shape: ModelShape,
    settings: EngineSettings,
    constants: Constants,
    *,
    is_first: bool,
    is_last: bool,
) -> int:
    """The dummy run's transient peak: images first, then the forward pass or the sampler over the whole vocabulary.

    It schedules one row for a request, drafted tokens or not (`_dummy_run`).
    """
    rows = min(settings.parallel, settings.batch_tokens)
    sampler = int(constants.logit_bytes * rows * vocabulary_rows(shape)) if is_last else 0
    width = max((_widest(shape, at, settings.tensor_parallel) for at in range(len(shape.layers))), default=0)
    forward = settings.batch_tokens * 2 * (WIDE_ROWS * shape.embedding_length + NARROW_ROWS * width)
    images = image_peak(shape, settings, is_first=is_first, is_safe=constants is SAFE)
    return max(sampler, forward, images.encoder) + images.kept + constants.peak


def _widest(shape: ModelShape, at: int, ranks: int) -> int:
    layer = shape.layers[at]
    return max(layer.feed_forward, layer.expert_feed_forward * layer.experts_used) // ranks


def budget_bytes(device: Device, utilization: float) -> int:
    """What vLLM may take, as it is measured after CUDA's context: a share of CUDA's total."""
    return math.ceil(cuda_bytes(device) * utilization)


def cuda_bytes(device: Device) -> int:
    """What CUDA calls the card's memory. A bare size is that already."""
    return device.capacity_bytes - (DRIVER_BYTES if device.overhead_bytes is None else device.overhead_bytes)


def _outside_bytes(device: Device, settings: EngineSettings) -> int:
    """Context and buffers beside the budget, and what the driver keeps."""
    if device.overhead_bytes is not None:
        return device.overhead_bytes
    told = settings.pool or PoolSettings()
    parallel = settings.tensor_parallel * told.pipeline_parallel > 1
    return DRIVER_BYTES + (OUTSIDE_PARALLEL_BYTES if parallel else OUTSIDE_BYTES)


def _pool(
    shape: ModelShape,
    settings: EngineSettings,
    devices: Sequence[Device],
    cut: Pools,
    central: Sequence[Taken],
    safe: Sequence[Taken],
) -> Pool:
    """Blocks of the poorest rank; block 0 is never handed out, so one more than a request's must be there."""
    told = settings.pool or PoolSettings()
    blocks = _blocks(settings, devices, cut, central)
    surely = min(_blocks(settings, devices, cut, safe), blocks)
    tokens = settings.context_size or shape.context_length
    needed = cut.request_blocks(tokens)
    size = max(cut.bytes_per_block(stage) for stage in range(told.pipeline_parallel))
    return Pool(
        num_blocks=blocks,
        bytes_per_block=size,
        kv_pool_bytes=blocks * size,
        kv_pool_tokens=int(blocks / needed * tokens),
        max_concurrency=round(blocks / needed, 4),
        block_tokens=cut.block_tokens,
        longest_tokens=cut.longest_request(surely, limit_tokens=max(shape.context_length, tokens)),
        safe_bytes=surely * size,
        safe_tokens=int(surely / needed * tokens),
        safe_concurrency=round(surely / needed, 4),
        holds_one=needed <= surely - 1,
    )


def _blocks(settings: EngineSettings, devices: Sequence[Device], cut: Pools, taken_by: Sequence[Taken]) -> int:
    told = settings.pool or PoolSettings()
    if told.blocks is not None:
        return told.blocks
    counts = []
    for at, (device, one) in enumerate(zip(devices, taken_by, strict=True)):
        room = told.pool_bytes
        if room is None:
            share = settings.gpu_memory_utilization or DEFAULT_UTILIZATION
            room = budget_bytes(device, share) - one.inside_bytes(graphs_in_budget=told.graphs_in_budget)
        counts.append(max(room // cut.bytes_per_block(_stage(at, settings)), 0))
    return min(counts)


def _stage(rank: int, settings: EngineSettings) -> int:
    told = settings.pool or PoolSettings()
    return rank // settings.tensor_parallel % told.pipeline_parallel


def _card(
    device: Device,
    one: Taken,
    pool: Pool | None,
    cut: Pools | None,
    stage: int,
    settings: EngineSettings,
    reserve_bytes: int,
    confidence: Confidence,
) -> DeviceLedger:
    kept = pool.num_blocks * cut.bytes_per_block(stage) if pool is not None and cut is not None else 0
    causes = Causes(
        weights_bytes=one.weights,
        kv_cache_bytes=kept,
        compute_bytes=one.peak,
        cuda_graphs_bytes=one.graphs,
        projector_bytes=one.tower,
        draft_bytes=one.draft,
        overhead_bytes=one.libraries + _outside_bytes(device, settings),
    )
    named = ("weights", "kv_cache", "compute", "cuda_graphs", "projector", "draft", "overhead")
    return DeviceLedger(
        name=device.name,
        capacity_bytes=device.capacity_bytes,
        free_bytes=device.free_bytes,
        causes=causes,
        reserve_bytes=reserve_bytes,
        confidence={f"{name}_bytes": confidence for name in named if getattr(causes, f"{name}_bytes")},
    )


def _confidence(shape: ModelShape, settings: EngineSettings) -> Confidence:
    """Calibrated where every part is like the logged starts; images, drafts and what is not sized make it an estimate."""
    told = settings.pool or PoolSettings()
    has_tower = any(is_tower(tensor.name) for tensor in shape.tensors) and not told.text_only
    is_drafted = told.drafted_tokens > 0 and told.drafter not in NO_DRAFT_LAYERS
    if has_tower or is_drafted or shape.not_sized or shape.tensors_confidence is Confidence.LOW:
        return Confidence.LOW
    return Confidence.CALIBRATED


def _refusals(shape: ModelShape, settings: EngineSettings) -> list[str]:
    """What ends the start whatever the memory (config/model.py, `verify_with_parallel_config`)."""
    ranks = settings.tensor_parallel
    heads = {layer.heads for layer in shape.layers if layer.attention is not Attention.NONE and layer.heads}
    found = [f"{count} heads do not divide by tensor parallel {ranks}" for count in sorted(heads) if count % ranks]
    told = settings.pool or PoolSettings()
    said, stages, layers = told.layer_partition, told.pipeline_parallel, len(shape.layers)
    if said and stages > 1 and (len(said) != stages or sum(said) != layers):
        parts = f"{len(said)} stages and {sum(said)} layers"
        found.append(f"VLLM_PP_LAYER_PARTITION has {parts}, there are {stages} and {layers}")
    return found


def _notes(shape: ModelShape, settings: EngineSettings, ranks: int, cards: int) -> list[str]:
    told = settings.pool or PoolSettings()
    notes = []
    if ranks > cards:
        notes.append(f"needs {ranks} cards, {cards} given")
    if told.data_parallel > 1:
        notes.append(f"each of {told.data_parallel} replicas has a pool of this size")
    return [*notes, *draft_notes(shape, told), *(f"not sized: {one}" for one in shape.not_sized)]
