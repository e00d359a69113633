"""Rows of the shipped catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuRow:
    """One card: memory as its driver reports it, bandwidth in 10^9 bytes per second, dense FLOPS in 10^12."""

    name: str
    aliases: tuple[str, ...]
    vendor: str
    architecture: str | None
    compute_capability: str | None
    memory_bytes: int | None
    memory_measured: bool
    bandwidth_gb_s: float | None
    fp16_tflops: float | None
    power_watts: int | None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One model: names, repositories and shape as in its config. `pattern` is one letter per layer (F full, S sliding …)."""

    id: str
    aliases: tuple[str, ...]
    repository: str
    family: str
    gguf_architecture: str | None
    gguf_repositories: tuple[str, ...]
    licence: str | None
    gated: bool
    layers: int
    pattern: str
    hidden: int
    intermediate: int | None
    heads: int
    kv_heads: int
    head_length: int
    vocabulary: int
    context_length: int
    window_tokens: int | None
    tied_embeddings: bool
    parameters: int
    parameters_active: int
    moe: Mapping[str, int] = field(default_factory=dict)
    mla: Mapping[str, int | None] = field(default_factory=dict)
    details: Mapping[str, str | int | bool] = field(default_factory=dict)
    source: str
