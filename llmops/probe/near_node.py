"""The memory node a card's slot hangs on, of sysfs: NVML tells only of cards that are memory nodes themselves."""

from dataclasses import replace
from pathlib import Path

from llmops.domain.host import Gpu, Nvidia
from llmops.domain.reading import Known, known
from llmops.probe.text import text_or_none, whole_number


def with_near_nodes(root: Path, nvidia: Nvidia) -> Nvidia:
    """Each card with the node of its place on the PCI bus; -1, which says none, leaves what NVML told."""
    return replace(nvidia, gpus=tuple(_with_node(root, gpu) for gpu in nvidia.gpus))


def _with_node(root: Path, gpu: Gpu) -> Gpu:
    address = known(gpu.address)
    node = whole_number(text_or_none(root / f"sys/bus/pci/devices/{address}/numa_node")) if address else None
    return replace(gpu, numa_node=Known(node)) if node is not None else gpu
