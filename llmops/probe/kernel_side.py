"""What the kernel says of graphics cards, apart from NVML: the PCI bus, loaded modules, the version of `nvidia`."""

import re
from pathlib import Path

from llmops.domain.gpu import GpuSource, SeenCard
from llmops.domain.host import DisplayCard, KernelSide
from llmops.domain.reading import Known, Unknown
from llmops.domain.records import dataclass
from llmops.probe.text import read_text, text_or_none

MODULES = ("nvidia", "nvidia_uvm", "nouveau", "amdgpu", "i915", "xe")
"""Kernel modules that serve a card, as /proc/modules spells them."""

CLASSES = ("0x03", "0x12")
"""PCI base classes: display controllers (also `3D controller`, what data-centre cards are) and processing accelerators."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PciText:
    """One device's files: class, vendor and device as written by sysfs, and the name of the driver it is bound to."""

    address: str
    class_: str
    vendor: str
    device: str
    driver: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelText:
    """The files as read. `driver_version` is /proc/driver/nvidia/version, `module_version` that of /sys/module."""

    modules: Known[str] | Unknown
    module_version: str | None
    driver_version: str | None
    devices: tuple[PciText, ...]


def ask(root: Path) -> KernelText:
    """Read the files below `root`."""
    devices: list[PciText] = []
    for folder in sorted((root / "sys/bus/pci/devices").glob("*")):
        class_, vendor, device = (text_or_none(folder / name) or "" for name in ("class", "vendor", "device"))
        driver = folder / "driver"
        bound = driver.readlink().name if driver.is_symlink() else None
        devices.append(PciText(address=folder.name, class_=class_, vendor=vendor, device=device, driver=bound))
    return KernelText(
        modules=read_text(root / "proc/modules"),
        module_version=text_or_none(root / "sys/module/nvidia/version"),
        driver_version=text_or_none(root / "proc/driver/nvidia/version"),
        devices=tuple(devices),
    )


def read(text: KernelText) -> Known[KernelSide] | Unknown:
    """The modules and cards; unknown only where neither the modules nor a PCI bus can be read."""
    if isinstance(text.modules, Unknown) and not text.devices:
        return text.modules
    loaded = (
        {line.split(" ", 1)[0] for line in text.modules.value.split("\n")} if isinstance(text.modules, Known) else set()
    )
    cards = [
        DisplayCard(
            address=one.address,
            vendor_id=one.vendor.removeprefix("0x"),
            device_id=one.device.removeprefix("0x"),
            kernel_driver=one.driver,
        )
        for one in text.devices
        if one.class_.startswith(CLASSES) and re.fullmatch(r"0x[0-9a-f]{4}", one.vendor)
    ]
    return Known(
        KernelSide(
            modules=tuple(name for name in MODULES if name in loaded),
            nvidia_version=read_version(text.module_version, text.driver_version),
            cards=tuple(cards),
        )
    )


def read_version(module: str | None, driver: str | None) -> str | None:
    """`570.124.06` from /sys/module/nvidia/version, else the first version after "Module" in /proc/driver/nvidia/version."""
    match = re.fullmatch(r"\d+\.\d+(\.\d+)?", module or "", re.ASCII)
    if match is not None:
        return match[0]
    match = re.search(r"Module\b.*?(\d+\.\d+(?:\.\d+)?)", driver or "", re.ASCII)
    return match[1] if match is not None else None


def as_source(side: Known[KernelSide] | Unknown) -> GpuSource:
    """The cards of the bus in the words of the other sources: ids in the place of names, those of virtual machines left out."""
    if isinstance(side, Unknown):
        return GpuSource(name="sysfs", cards=side, driver_version=side)
    own = [card for card in side.value.cards if not card.is_handed_on()]
    version = side.value.nvidia_version
    return GpuSource(
        name="sysfs",
        cards=Known(tuple(SeenCard(address=one.address, name=f"{one.vendor_id}:{one.device_id}") for one in own)),
        driver_version=Known(version) if version is not None else Unknown("no module `nvidia` is loaded"),
    )
