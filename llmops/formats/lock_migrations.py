"""Older locks as the newest schema has them."""

from llmops.domain.engine import DeviceKind
from llmops.domain.forms import Json

MAKERS = (
    (("amd ", "radeon", "instinct"), DeviceKind.ROCM),
    (("apple ",), DeviceKind.METAL),
    (("intel ", "arc "), DeviceKind.OTHER),
)
"""Words of a card's name, lower case, where its maker is none but NVIDIA."""


def with_kinds(data: dict[str, Json]) -> dict[str, Json]:
    """`/1` to `/2`: a card's kind, which `/1` did not say, by its name; anything else is left for the reader to judge."""
    deployments = data.get("deployments")
    if not isinstance(deployments, dict):
        return data
    return data | {"deployments": {name: _deployment(one) for name, one in deployments.items()}}


def _deployment(data: Json) -> Json:
    devices = data.get("devices") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(devices, list):
        return data
    return data | {"devices": [_device(one) for one in devices]}


def _device(data: Json) -> Json:
    if not isinstance(data, dict) or "kind" in data:
        return data
    name = f"{data.get('name', '')} ".lower()
    kind = next((kind for words, kind in MAKERS if any(word in name for word in words)), DeviceKind.CUDA)
    return data | {"kind": kind.value}
