"""A MIG instance as a device to plan for: its own memory, and its part of what the card can do."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from llmops.domain.engine import Device
from llmops.domain.reading import Known, known

if TYPE_CHECKING:
    from llmops.domain.catalogue import GpuRow
    from llmops.domain.host import Gpu

SLICES = (("A30", 4), ("RTX PRO 6000", 4), ("RTX PRO 5000", 2), ("RTX PRO 4500", 2))
"""Compute slices of a card by its name (NVIDIA MIG user guide, supported GPUs and profiles, as of 2026-11-21); others have 7."""

MOST_SLICES = 7
MEMORY_SLICES = 8
"""An instance has whole eighths of the card's memory, and of its bandwidth (the same guide: quarters on cards of 4)."""

_PROFILE = re.compile(r"(?:(?P<own>[0-9])c\.)?(?P<all>[0-9])g\.[0-9]{1,3}gb", re.ASCII)
_NAME = re.compile(r" MIG \S+$", re.ASCII)


def is_shared(gpu: "Gpu", gpus: "Sequence[Gpu]") -> bool:
    """Whether another compute instance is in the same GPU instance: their memory is one, and told of each."""
    own = _place(gpu)
    return own is not None and sum(_place(one) == own for one in gpus) > 1


def _place(gpu: "Gpu") -> tuple[int, int] | None:
    part = gpu.mig_instance
    if part is None or not isinstance(part.gpu_instance, Known):
        return None
    return gpu.index, part.gpu_instance.value


def number(gpu: "Gpu", gpus: "Sequence[Gpu]") -> int:
    """NVML's number of an instance on its card; where older facts do not say it, its place in their list."""
    if gpu.mig_instance is not None and gpu.mig_instance.number is not None:
        return gpu.mig_instance.number
    return [one for one in gpus if one.index == gpu.index].index(gpu)


def with_part_of_card(device: Device, gpu: "Gpu", rows: "Sequence[GpuRow]") -> Device:
    """The device with its part of the card's speed, where the catalogue has the card and the profile is told."""
    from llmops.formats.catalogue import gpu_of_driver

    name = _NAME.sub("", device.name)
    cards = [
        row for row in rows if row.mig and row.memory_bytes and gpu_of_driver((row,), name, row.memory_bytes) is row
    ]
    profile = known(gpu.mig_instance.profile) if gpu.mig_instance is not None else None
    match = _PROFILE.match(profile) if profile is not None else None
    if len(cards) != 1 or match is None:
        return device
    (row,) = cards
    slices = next((count for word, count in SLICES if row.name.startswith(word)), MOST_SLICES)
    compute = min(int(match["own"] or match["all"]) / slices, 1)
    eighths = round(MEMORY_SLICES * device.capacity_bytes / (row.memory_bytes or device.capacity_bytes))
    memory = min(max(eighths, 1), MEMORY_SLICES) / MEMORY_SLICES

    def part(whole: float | None, share: float) -> float | None:
        return None if whole is None else whole * share

    return replace(
        device,
        bandwidth_gb_s=part(row.bandwidth_gb_s, memory),
        fp16_tflops=part(row.fp16_tflops, compute),
        fp16_acc16_tflops=part(row.fp16_acc16_tflops, compute),
        fp32_tflops=part(row.fp32_tflops, compute),
    )
