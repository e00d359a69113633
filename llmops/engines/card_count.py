"""How many cards an engine that takes one process a card needs, and which of them it can take."""

from collections.abc import Sequence

from llmops.domain.engine import Device, EngineName
from llmops.domain.engine_verdicts import TITLES


def too_few_cards(ranks: int, devices: Sequence[Device]) -> tuple[str, ...]:
    """Why a start with so many ranks ends, empty where there are cards enough."""
    return (f"it needs {ranks} cards, {len(devices)} given",) if ranks > len(devices) else ()


def unusable_instances(engine: EngineName, devices: Sequence[Device]) -> tuple[str, ...]:
    """Why a start on these MIG instances ends, or is not known to go well; empty for whole cards.

    vLLM 0.33 takes what NVML says of the instance's UUID, its number among the instances, for the number of a card
    (platforms/cuda.py, device_control_id_to_physical_device_id): there is always a card 0. Other engines were not read.
    """
    parts = [one.instance for one in devices if one.instance is not None]
    if not parts:
        return ()
    if len(devices) > 1:
        return ("a process sees one MIG instance: they cannot be joined",)
    if engine is not EngineName.VLLM:
        return (f"{TITLES[engine]} was not tried on a MIG instance: `--engine llama.cpp` runs on each",)
    if parts[0] > 0:
        return (
            f"vLLM takes the number of a MIG instance ({parts[0]}) for a card's, and ends: "
            "it runs on the first instance of a card, `--engine llama.cpp` on each",
        )
    return ()
