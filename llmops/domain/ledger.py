"""Memory by device and by cause: the document of `result.ledger`. All figures are bytes."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import ClassVar

from llmops.domain.records import dataclass


class Confidence(StrEnum):
    """How far a figure can be trusted: to the byte; within a stated bound from measurements; an estimate."""

    EXACT = "exact"
    CALIBRATED = "calibrated"
    LOW = "low"

    def weaker(self, other: "Confidence") -> "Confidence":
        """The less certain of two."""
        order = (Confidence.EXACT, Confidence.CALIBRATED, Confidence.LOW)
        return max(self, other, key=order.index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Causes:
    """What takes memory on one device, or on the host."""

    weights_bytes: int = 0
    kv_cache_bytes: int = 0
    recurrent_state_bytes: int = 0
    compute_bytes: int = 0
    cuda_graphs_bytes: int = 0
    projector_bytes: int = 0
    draft_bytes: int = 0
    overhead_bytes: int = 0

    def total_bytes(self) -> int:
        """The sum of the causes."""
        return (
            self.weights_bytes
            + self.kv_cache_bytes
            + self.recurrent_state_bytes
            + self.compute_bytes
            + self.cuda_graphs_bytes
            + self.projector_bytes
            + self.draft_bytes
            + self.overhead_bytes
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLedger:
    """One card. It fits when `causes.total_bytes() + reserve_bytes <= free_bytes`."""

    FLAT: ClassVar = ("causes",)
    DERIVED: ClassVar = ("total_bytes",)

    name: str
    capacity_bytes: int
    free_bytes: int
    causes: Causes
    reserve_bytes: int
    confidence: Mapping[str, Confidence] = field(default_factory=dict)

    def total_bytes(self) -> int:
        """The sum of the causes."""
        return self.causes.total_bytes()

    def spare_bytes(self) -> int:
        """What is left after total and reserve; negative: what is missing."""
        return self.free_bytes - self.total_bytes() - self.reserve_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLedger:
    """The host's RAM: `limit_bytes` is what may be used (None: not known, then it is not judged).

    `page_cache_bytes` is the part of the weights that is mapped file pages, which the kernel can take back.
    """

    FLAT: ClassVar = ("causes",)
    DERIVED: ClassVar = ("total_bytes",)

    causes: Causes
    limit_bytes: int | None = None
    page_cache_bytes: int = 0
    confidence: Mapping[str, Confidence] = field(default_factory=dict)

    def total_bytes(self) -> int:
        """The sum of the causes."""
        return self.causes.total_bytes()

    def spare_bytes(self) -> int | None:
        """What is left of the limit; negative: missing; None: no limit known."""
        return None if self.limit_bytes is None else self.limit_bytes - self.total_bytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """One of llama.cpp's buffers, as it prints them."""

    model: int = 0
    context: int = 0
    compute: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The KV pool of an engine that pre-allocates: what to expect, and in `safe_*` what surely will be there.

    A block has `block_tokens` tokens of an attention layer. `longest_tokens` is the longest request the safe pool holds, at
    most the model's. `holds_one`: the engine starts, since the safe pool holds one request of the asked length.
    """

    num_blocks: int
    bytes_per_block: int
    kv_pool_bytes: int
    kv_pool_tokens: int
    max_concurrency: float
    block_tokens: int = 0
    longest_tokens: int = 0
    safe_bytes: int = 0
    safe_tokens: int = 0
    safe_concurrency: float = 0.0
    holds_one: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Everything one engine command line takes on given devices."""

    DERIVED: ClassVar = ("fits",)

    engine: str
    engine_build: str
    confidence: Confidence
    devices: tuple[DeviceLedger, ...]
    host: HostLedger
    buffers: Mapping[str, Buffer] | None = None
    pool: Pool | None = None
    notes: tuple[str, ...] = ()

    def missing_bytes(self) -> int:
        """What all devices and the host together lack; 0 where each has enough."""
        spares = [*(device.spare_bytes() for device in self.devices), self.host.spare_bytes() or 0]
        return -sum(spare for spare in spares if spare < 0)

    def spare_bytes(self) -> int:
        """The tightest device's rest (without devices the host's), or, below zero, all that is missing together."""
        if self.missing_bytes():
            return -self.missing_bytes()
        spares = [device.spare_bytes() for device in self.devices]
        return min(spares, default=self.host.spare_bytes() or 0)

    def fits(self) -> bool:
        """Every device and the host (where its limit is known) have enough; a pool holds one request."""
        host = self.host.spare_bytes()
        return (
            all(device.spare_bytes() >= 0 for device in self.devices)
            and (host is None or host >= 0)
            and (self.pool is None or self.pool.holds_one)
        )
