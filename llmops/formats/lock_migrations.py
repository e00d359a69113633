"""Older locks as the newest schema has them."""

from llmops.domain.engine import DeviceKind
from llmops.domain.forms import Json

MAKERS = (
    (("amd ", "radeon", "instinct"), DeviceKind.ROCM),
    (("apple ",), DeviceKind.METAL),
    (("intel ", "arc "), DeviceKind.OTHER),
)
"""Words of a card's name, lower case, where its maker is none but NVIDIA."""

NEW_NUMBERS: dict[str, Json] = {
    "client_retries": {"value": 2, "rule": "what the OpenAI SDKs do by themselves: llmops.lock/1 says none"},
    "retry_after_seconds": {"value": 2, "rule": "what templates said before the lock did"},
}


def second(data: dict[str, Json]) -> dict[str, Json]:
    """`/1` to `/2`: a card's kind by its name, and what clients are told of retries. Anything else is left for the reader."""
    deployments = data.get("deployments")
    if not isinstance(deployments, dict):
        return data
    return data | {"deployments": {name: _deployment(one) for name, one in deployments.items()}}


def _deployment(data: Json) -> Json:
    if not isinstance(data, dict):
        return data
    devices, numbers = data.get("devices"), data.get("numbers")
    changed = dict(data)
    if isinstance(devices, list):
        changed["devices"] = [_device(one) for one in devices]
    if isinstance(numbers, dict):
        changed["numbers"] = dict[str, Json](NEW_NUMBERS) | numbers
    return changed


def _device(data: Json) -> Json:
    if not isinstance(data, dict) or "kind" in data:
        return data
    name = f"{data.get('name', '')} ".lower()
    kind = next((kind for words, kind in MAKERS if any(word in name for word in words)), DeviceKind.CUDA)
    return data | {"kind": kind.value}
