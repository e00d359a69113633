"""What one rank of vLLM 0.33 takes besides its pool: weights, drafter, images, the dummy run's peak, graphs, libraries.

Source: vLLM 0.33, v1/worker/gpu/model_runner.py (`profile_run`, `_dummy_run`, `_dummy_sampler_run`). Constants: fitted on 11
logged starts of 0.6 to 0.31, of which eight are among the vLLM rows of tests/measured/llama.cpp/memory_logs.json; central and
safe ones. The peak of 0.33's second dummy pass is not in them.
"""

import re

from llmops.domain.engine import Device, EngineSettings, PoolSettings
from llmops.domain.model import Attention, ModelShape
from llmops.domain.records import dataclass
from llmops.domain.units import MIB
from llmops.engines.rank_weights import Cut, rank_weights, vocabulary_rows
from llmops.engines.step_width import text_token_bytes
from llmops.engines.vllm_adapters import adapter_bytes
from llmops.engines.vllm_blocks import stage_bounds
from llmops.engines.vllm_draft import draft_bytes
from llmops.engines.vllm_graphs import SAFE_FACTOR, graph_bytes
from llmops.engines.vllm_images import image_peak
from llmops.engines.vllm_loaded import as_loaded
from llmops.engines.vllm_offload import in_ram
from llmops.engines.vllm_online import quantized_on_load
from llmops.engines.vllm_padding import padding_bytes
from llmops.engines.vllm_parallel import fused_bytes


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Bytes on one rank besides the pool; `in_ram` are those of its weights that lie in RAM."""

    weights: int
    draft: int
    tower: int
    peak: int
    graphs: int
    libraries: int
    in_ram: int = 0

    def inside_bytes(self, *, graphs_in_budget: bool) -> int:
        """What comes out of the budget before the pool."""
        own = self.weights + self.draft + self.tower + self.peak + self.libraries
        return own + (self.graphs if graphs_in_budget else 0)


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
    shape = quantized_on_load(shape, told.quantized_by)
    own = rank_weights(as_loaded(shape, device, told.computed_type), cut, stage=stage)
    adapters = adapter_bytes(shape, settings, cut=cut, stage=stage, is_safe=constants is SAFE)
    is_last = stage == told.pipeline_parallel - 1
    moved = in_ram(shape, own.text, told.offloaded_bytes, settings.tensor_parallel)
    return Taken(
        weights=own.text
        - moved
        + adapters
        + padding_bytes(shape, device, cut, bounds[stage])
        + unpacked_bytes(shape, bounds[stage], settings.tensor_parallel)
        + constants.weights,
        draft=draft_bytes(shape, settings, own.draft, cut=cut, is_safe=constants is SAFE) if is_last else 0,
        tower=0 if told.text_only else own.tower,
        peak=_peak(shape, settings, constants, is_first=stage == 0, is_last=is_last),
        graphs=int(graph_bytes(settings, device) * constants.graph_factor),
        libraries=_libraries(shape, settings, constants, device),
        in_ram=moved,
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
    if latent is None:
        return 0
    if all(tensor.type in WIDE_TYPES for tensor in shape.tensors if _DECOMPRESSING.search(tensor.name)):
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

    It schedules one row for a request, drafted tokens or not (`_dummy_run`). A pooler has no sampler (`_dummy_pooler_run`).
    """
    rows = min(settings.parallel, settings.batch_tokens)
    sampler = int(constants.logit_bytes * rows * vocabulary_rows(shape)) if is_last and not settings.embeddings else 0
    forward = settings.batch_tokens * text_token_bytes(shape, settings.tensor_parallel)
    images = image_peak(shape, settings, is_first=is_first, is_safe=constants is SAFE)
    return max(sampler, forward, images.encoder) + images.kept + constants.peak
