"""Jetson boards, where NVML shows no card: the chip by the device tree, its driver by the device files.

JetPack before 6 has neither NVML nor nvidia-smi. Chips: NVIDIA, Jetson Linux developer guide (tegra210 Nano, tegra186 TX2,
tegra194 Xavier, tegra234 Orin, tegra264 Thor); compute capabilities: NVIDIA's table of GPUs.
"""

import os
import re
from pathlib import Path

from llmops.domain.host import Driver, Gpu, Nvidia, NvidiaState
from llmops.domain.reading import Known, Unknown
from llmops.domain.records import dataclass
from llmops.probe.nvml_card import NO_SERIAL
from llmops.probe.text import text_or_none

CHIPS = {
    "tegra210": ("5.3", "maxwell"),
    "tegra186": ("6.2", "pascal"),
    "tegra194": ("7.2", "volta"),
    "tegra234": ("8.7", "ampere"),
    "tegra264": ("11.0", "blackwell"),
}
NODES = ("dev/nvgpu/igpu0/power", "dev/nvhost-gpu", "dev/nvhost-ctrl-gpu")
"""Device files of the driver `nvgpu`, newer ones first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TegraText:
    """The files as read; `usable` is whether the driver's device file may be opened, None where there is none."""

    model: str
    compatible: str
    release: str
    usable: bool | None


def ask(root: Path) -> TegraText | None:
    """The board below `root`; None where it is no Jetson."""
    tree = root / "proc/device-tree"
    compatible = text_or_none(tree / "compatible") or ""
    if "nvidia,tegra" not in compatible:
        return None
    nodes = [root / node for node in NODES if (root / node).exists()]
    return TegraText(
        model=(text_or_none(tree / "model") or "").strip("\0 "),
        compatible=compatible,
        release=text_or_none(root / "etc/nv_tegra_release") or "",
        usable=any(os.access(node, os.R_OK | os.W_OK) for node in nodes) if nodes else None,
    )


def read(text: TegraText | None, nvidia: Nvidia) -> Nvidia:
    """NVML's answer where it shows a card or this is no Jetson; else the chip, ready if its device file may be opened."""
    chip = next((word for word in CHIPS if text is not None and f"nvidia,{word}" in text.compatible), None)
    if text is None or chip is None or nvidia.gpus:
        return nvidia
    driver = read_release(text.release)
    if text.usable is None:
        detail = "the device files of the Jetson's driver (nvgpu) are not there"
        return Nvidia(state=NvidiaState.DRIVER_NOT_LOADED, detail=detail, driver=driver, gpus=())
    if not text.usable:
        detail = "this user may not open the Jetson's device files (group video)"
        return Nvidia(state=NvidiaState.NO_PERMISSION, detail=detail, driver=driver, gpus=())
    return Nvidia(state=NvidiaState.READY, detail="", driver=driver, gpus=(_gpu(text, chip),))


def read_release(text: str) -> Known[Driver] | Unknown:
    """`36.4.3` of `# R36 (release), REVISION: 4.3, …`."""
    match = re.search(r"R(\d{2,3}) \(release\), REVISION: (\d+(?:\.\d+)*)", text, re.ASCII)
    if match is None:
        return Unknown("/etc/nv_tegra_release names no release of Jetson Linux")
    return Known(Driver(version=f"{match[1]}.{match[2]}", cuda=Unknown("not told without NVML")))


def _gpu(text: TegraText, chip: str) -> Gpu:
    no = Unknown("not told without NVML")
    capability, architecture = CHIPS[chip]
    return Gpu(
        index=0,
        vendor="nvidia",
        name=Known(text.model[:120] or f"NVIDIA {chip}"),
        uuid=no,
        memory_bytes=no,
        free_bytes=no,
        reserved_bytes=no,
        compute_capability=Known(capability),
        mig_enabled=Known(False),  # noqa: FBT003 - a reading, not a switch
        ecc_errors=Unknown("the chip counts no memory errors"),
        temperature_celsius=no,
        processes=no,
        unified_memory=True,
        row_remapping=Unknown("the chip remaps no rows"),
        architecture=Known(architecture),
        serial=NO_SERIAL,
    )
