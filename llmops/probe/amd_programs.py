"""What `amd-smi` and `rocm-smi` print as JSON: names and sizes of AMD's cards, to compare with the driver's files."""

import json
import re
from typing import Any

from llmops.domain.gpu import SeenCard
from llmops.domain.programs import Ran
from llmops.domain.reading import Known, Unknown
from llmops.probe import pci
from llmops.probe.text import whole_number


def read_amd_smi(ran: Known[Ran] | Unknown) -> Known[tuple[SeenCard, ...]] | Unknown:
    """`amd-smi static --json`: a list, since ROCm 7 below `gpu_data`; sizes are `{"value": 196592, "unit": "MB"}`, in MiB."""
    data = _json(ran, "amd-smi")
    if isinstance(data, Unknown):
        return data
    rows = data.value.get("gpu_data") if isinstance(data.value, dict) else data.value
    if not isinstance(rows, list):
        return Unknown("amd-smi's answer is not understood")
    return Known(tuple(_amd_smi_card(row) for row in rows if isinstance(row, dict)))


def read_rocm_smi(ran: Known[Ran] | Unknown) -> Known[tuple[SeenCard, ...]] | Unknown:
    """`rocm-smi --json`: a table of cards, every value a text, memory in bytes; words are spelled anew in each release."""
    data = _json(ran, "rocm-smi")
    if isinstance(data, Unknown):
        return data
    if not isinstance(data.value, dict):
        return Unknown("rocm-smi's answer is not understood")
    cards: list[SeenCard] = []
    for key, row in sorted(data.value.items()):
        if not re.fullmatch(r"card\d{1,3}", key) or not isinstance(row, dict):
            continue
        words = {str(name).lower(): str(value) for name, value in row.items()}
        cards.append(
            SeenCard(
                address=pci.address(words.get("pci bus", "")),
                name=words.get("card series") or words.get("card model"),
                memory_bytes=whole_number(words.get("vram total memory (b)")),
            )
        )
    return Known(tuple(cards))


def _amd_smi_card(row: dict[str, Any]) -> SeenCard:
    parts = {name: part if isinstance(part, dict) else {} for name, part in row.items()}
    asic, vram, bus = parts.get("asic", {}), parts.get("vram", {}), parts.get("bus", {})
    size = vram.get("size")
    value = size.get("value") if isinstance(size, dict) else None
    is_size = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 30
    name = asic.get("market_name")
    return SeenCard(
        address=pci.address(str(bus.get("bdf", ""))),
        name=name if isinstance(name, str) and name not in ("", "N/A") else None,
        memory_bytes=int(value) << 20 if is_size and value is not None else None,
    )


def _json(ran: Known[Ran] | Unknown, program: str) -> Known[Any] | Unknown:
    """The document in what was printed: warnings may stand before it."""
    if isinstance(ran, Unknown):
        return ran
    text = ran.value.stdout
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    try:
        return Known(json.loads(text[start:])) if start >= 0 else Unknown(f"`{program}` printed no document")
    except (ValueError, RecursionError) as error:
        return Unknown(f"`{program}`'s answer is not understood: {str(error)[:80]}")
