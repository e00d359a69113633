"""`-ot PATTERN=BUFFER,…`: which tensors it moves, and the ledger after it. Source: llama.cpp common/arg.cpp, src/llama-model.cpp.

The first pattern found anywhere in a tensor's name wins. Any pattern, also one that matches nothing, turns pipelining off.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from llmops.domain.engine import Device, EngineSettings
from llmops.domain.ledger import Buffer, Causes, Confidence, Ledger
from llmops.domain.model import ModelShape, Tensor
from llmops.engines.llama_cpp_placement import HOST, cuda_tensor_bytes, host_tensor_bytes, place

CPU = "CPU"
_BLOCK = re.compile(r"blk\.([0-9]{1,5})\.(.+)", re.ASCII)
_EXPERTS = re.compile(r"ffn_(?:up|down|gate|gate_up)_(?:ch)?exps")
PATTERN_LIMIT = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One pattern and the buffer it sends a tensor to (`CPU`, `CUDA1`)."""

    pattern: re.Pattern[str]
    buffer: str


def parse(text: str) -> tuple[Override, ...] | None:
    """The overrides; None where the server would refuse one."""
    made: list[Override] = []
    for part in text.split(","):
        pattern, equals, buffer = part.partition("=")
        if not equals or not buffer or len(pattern) > PATTERN_LIMIT:
            return None
        try:
            made.append(Override(pattern=re.compile(pattern), buffer=buffer))
        except re.error:
            return None
    return tuple(made)


def moved(shape: ModelShape, overrides: Sequence[Override]) -> tuple[tuple[Tensor, str], ...]:
    """Every tensor a pattern finds, and where it goes."""
    found = []
    for tensor in shape.tensors:
        first = next((one for one in overrides if one.pattern.search(tensor.name)), None)
        if first is not None:
            found.append((tensor, first.buffer))
    return tuple(found)


def leading_experts(shape: ModelShape, found: Sequence[tuple[Tensor, str]]) -> int | None:
    """N where exactly the experts of the first N blocks go to RAM: the same as `--n-cpu-moe N`. None where it is not that."""
    names = {tensor.name for tensor, buffer in found if buffer == CPU}
    if not names or len(names) != len(found):
        return None
    blocks = [int(match[1]) for name in names if (match := _BLOCK.fullmatch(name)) is not None]
    count = max(blocks, default=-1) + 1
    experts = {
        tensor.name
        for tensor in shape.tensors
        if (match := _BLOCK.fullmatch(tensor.name)) is not None and int(match[1]) < count and _EXPERTS.match(match[2])
    }
    return count if names == experts else None


def follow(
    ledger: Ledger,
    found: Sequence[tuple[Tensor, str]],
    *,
    shape: ModelShape,
    settings: EngineSettings,
    devices: Sequence[Device],
) -> Ledger:
    """Weights moved from cards to RAM to the byte; compute raised by the two largest moved matrices, and `low`."""
    placement = place(shape, settings, devices)
    taken = [0] * len(ledger.devices)
    kept = 0
    for tensor, buffer in found:
        where = _card(tensor, placement.layers, placement.output)
        if buffer == CPU and where != HOST:
            taken[where] += cuda_tensor_bytes(tensor)
            kept += host_tensor_bytes(tensor)
    if not ledger.devices:
        return ledger
    largest = sum(sorted((cuda_tensor_bytes(one) for one, buffer in found if buffer == CPU), reverse=True)[:2])
    cards = tuple(
        replace(
            card,
            causes=_plus(card.causes, weights=-taken[at], compute=largest if kept else 0),
            confidence={**card.confidence, "weights_bytes": Confidence.LOW, "compute_bytes": Confidence.LOW},
        )
        for at, card in enumerate(ledger.devices)
    )
    mapped = kept if ledger.host.page_cache_bytes else 0
    host = replace(
        ledger.host,
        causes=_plus(ledger.host.causes, weights=kept, compute=0),
        page_cache_bytes=ledger.host.page_cache_bytes + mapped,
        confidence={**ledger.host.confidence, "weights_bytes": Confidence.LOW},
    )
    buffers = dict(ledger.buffers or {})
    for at, card in enumerate(cards):
        old = buffers.get(f"CUDA{at}", Buffer())
        buffers[f"CUDA{at}"] = replace(old, model=card.causes.weights_bytes, compute=card.causes.compute_bytes)
    buffers["CUDA_Host"] = replace(buffers.get("CUDA_Host", Buffer()), model=host.causes.weights_bytes)
    return replace(ledger, devices=cards, host=host, buffers=buffers, confidence=Confidence.LOW)


def _card(tensor: Tensor, layers: Sequence[int], output: int) -> int:
    """Where a tensor lies without the override; the token embedding always in RAM."""
    match = _BLOCK.fullmatch(tensor.name)
    if match is not None:
        return layers[int(match[1])] if int(match[1]) < len(layers) else HOST
    return output if tensor.name.startswith("output") else HOST


def _plus(causes: Causes, *, weights: int, compute: int) -> Causes:
    return replace(
        causes,
        weights_bytes=max(causes.weights_bytes + weights, 0),
        compute_bytes=causes.compute_bytes + compute,
    )
