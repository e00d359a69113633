"""Intel's cards, to the depth of name and memory: sysfs of the drivers i915 and xe.

Memory: `lmem_total_bytes` of i915 (its discrete branch), `physical_vram_size_bytes` of xe (until Linux 6.12), else the size of
the card's memory window (the second 64-bit region in `resource`), which is all of the memory where the firmware resizes it.
"""

import re
from pathlib import Path

from llmops.domain.host import Gpu
from llmops.domain.reading import Known, Unknown
from llmops.domain.records import dataclass
from llmops.domain.units import GIB, MIB
from llmops.probe import pci
from llmops.probe.text import text_or_none, whole_number

VENDOR = "0x8086"

DISCRETE = {
    "4905": "Iris Xe MAX",
    "4908": "Server GPU SG1",
    "56a0": "Arc A770",
    "56a1": "Arc A750",
    "56a2": "Arc A580",
    "56a5": "Arc A380",
    "56a6": "Arc A310",
    "56b0": "Arc Pro A30M",
    "56b1": "Arc Pro A40/A50",
    "56b3": "Arc Pro A60",
    "56c0": "Data Center GPU Flex 170",
    "56c1": "Data Center GPU Flex 140",
    "0bd5": "Data Center GPU Max 1550",
    "0bda": "Data Center GPU Max 1100",
    "e20b": "Arc B580",
    "e20c": "Arc B570",
    "e211": "Arc Pro B60",
    "e212": "Arc Pro B50",
}
"""Cards with memory of their own, by PCI device id (Linux, include/drm/intel/pciids.h; names: Mesa and the PCI id list)."""

SMALL_WINDOW_BYTES = 256 * MIB
"""The window where the firmware does not resize it: then it says nothing of the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardText:
    """One card's files."""

    address: str | None
    device: str
    driver: str | None
    memory: str | None
    resource: str


def ask(root: Path) -> tuple[CardText, ...]:
    """Intel's display devices below `root`, integrated ones too."""
    found: list[CardText] = []
    for folder in sorted((root / "sys/bus/pci/devices").glob("*")):
        if text_or_none(folder / "vendor") != VENDOR or not (text_or_none(folder / "class") or "").startswith("0x03"):
            continue
        driver = folder / "driver"
        bound = driver.readlink().name if driver.is_symlink() else None
        if bound in ("vfio-pci", "pci-stub"):
            continue  # it belongs to a virtual machine
        sizes = [*folder.glob("drm/card*/lmem_total_bytes"), *folder.glob("tile*/physical_vram_size_bytes")]
        texts = [text for path in sorted(sizes) if (text := text_or_none(path)) is not None]
        found.append(
            CardText(
                address=pci.address(folder.name),
                device=(text_or_none(folder / "device") or "").removeprefix("0x"),
                driver=bound,
                memory=texts[0] if texts else None,
                resource=text_or_none(folder / "resource") or "",
            )
        )
    return tuple(found)


def read(texts: tuple[CardText, ...]) -> tuple[Gpu, ...]:
    """The cards; one that is not known to have memory of its own shares the host's."""
    return tuple(read_card(text, index) for index, text in enumerate(texts))


def read_card(text: CardText, index: int) -> Gpu:
    """Name and memory."""
    no = Unknown("not read of Intel's cards")
    name = DISCRETE.get(text.device)
    memory = read_memory(text) if name is not None else Unknown("the card shares the host's memory")
    return Gpu(
        index=index,
        vendor="intel",
        name=Known(f"Intel {name}" if name else f"Intel graphics 8086:{text.device}"),
        uuid=no,
        memory_bytes=memory,
        free_bytes=no,
        reserved_bytes=no,
        compute_capability=Unknown("a card of Intel has none"),
        mig_enabled=Known(False),  # noqa: FBT003 - a reading, not a switch
        ecc_errors=no,
        temperature_celsius=no,
        processes=no,
        unified_memory=name is None,
        row_remapping=no,
        address=Known(text.address) if text.address else no,
        architecture=no,
        fault=None if name is None or text.driver in ("i915", "xe") else "no driver (i915, xe) serves the card",
    )


def read_memory(text: CardText) -> Known[int] | Unknown:
    """In bytes: what the driver says, else a window that is not the small one."""
    said = whole_number(text.memory) if text.memory and not text.memory.startswith("0x") else _hexadecimal(text.memory)
    if said:
        return Known(said)
    sizes = []
    for line in text.resource.split("\n"):
        match = re.fullmatch(r"0x([0-9a-f]{16}) 0x([0-9a-f]{16}) 0x[0-9a-f]{16}", line.strip())
        if match is not None and int(match[2], 16) > int(match[1], 16):
            sizes.append(int(match[2], 16) - int(match[1], 16) + 1)
    largest = max(sizes, default=0)
    if largest > SMALL_WINDOW_BYTES and largest >= GIB:
        return Known(largest)
    return Unknown("neither the driver nor the card's memory window tells (switch on Resizable BAR in the firmware)")


def _hexadecimal(text: str | None) -> int | None:
    return int(text, 16) if text and re.fullmatch(r"0x[0-9a-f]{1,16}", text) else None
