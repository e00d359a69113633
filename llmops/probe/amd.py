"""AMD cards: the amdgpu driver's files below /sys, KFD's topology, and what amd-smi or rocm-smi say beside them.

Sources: Linux, Documentation/gpu/amdgpu (mem_info_*, gpu_busy_percent, hwmon) and drivers/gpu/drm/amd/amdkfd/kfd_topology.c
(`properties` of a node: gfx_target_version is major * 10000 + minor * 100 + stepping, location_id is bus << 8 | slot << 3 |
function). ROCm's programs are only asked for names, and compared.
"""

import os
import re
from pathlib import Path

from llmops.domain.gpu import GpuSource, PcieLink, Power, SeenCard
from llmops.domain.gpu_software import AmdFiles
from llmops.domain.host import Gpu, GpuProcess
from llmops.domain.programs import Ran, Runner
from llmops.domain.reading import Known, Unknown
from llmops.domain.records import dataclass
from llmops.probe import pci
from llmops.probe.amd_programs import read_amd_smi, read_rocm_smi
from llmops.probe.driver_files import device_nodes
from llmops.probe.text import text_or_none, whole_number

VENDOR = "0x1002"
APUS = (
    "gfx902", "gfx909", "gfx90c", "gfx1013", "gfx1033", "gfx1035", "gfx1036", "gfx1037", "gfx1103", "gfx1150", "gfx1151",
    "gfx1152", "gfx1153",
)  # fmt: skip
"""Compiler targets of processors with graphics: their memory is the host's (LLVM, User Guide for AMDGPU Backend)."""

ANSWER_SECONDS = 10.0
GENERATION_OF_SPEED = {2.5: 1, 5.0: 2, 8.0: 3, 16.0: 4, 32.0: 5, 64.0: 6}
"""GT/s of a PCIe lane to the generation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardText:
    """One card's files: those of the device by their name, hwmon's by theirs; `gfx` and processes are KFD's."""

    address: str | None
    files: dict[str, str]
    hwmon: dict[str, str]
    gfx_target_version: str | None = None
    processes: tuple[tuple[int, str | None, int], ...] = ()
    kfd_is_there: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdText:
    """All of AMD's side as read. `names` are of libdrm's amdgpu.ids, by device id and revision."""

    cards: tuple[CardText, ...]
    names: dict[tuple[str, str], str]
    kfd: bool | None
    module_version: str | None
    module_loaded: bool
    rocm: str | None
    amd_smi: Known[Ran] | Unknown
    rocm_smi: Known[Ran] | Unknown
    files: AmdFiles


DEVICE_FILES = (
    "vendor", "device", "revision", "product_name", "mem_info_vram_total", "mem_info_vram_used", "mem_info_gtt_total",
    "mem_info_gtt_used", "current_link_speed", "current_link_width", "max_link_speed", "max_link_width", "gpu_busy_percent",
    "numa_node",
)  # fmt: skip
HWMON_FILES = (
    "name",
    "temp1_input",
    "temp1_crit",
    "power1_average",
    "power1_input",
    "power1_cap",
    "power1_cap_max",
    "power1_cap_default",
)


def ask(root: Path, runner: Runner) -> AmdText | None:
    """Read the files below `root`; None where no card of AMD's is in sight. ROCm's programs are asked where a card is."""
    places = _places(root)
    if not places:
        return None
    kfd = _kfd(root)
    processes = _processes(root)
    cards = tuple(_card_text(address, folder, kfd, processes) for address, folder in places)
    node = root / "dev/kfd"
    return AmdText(
        cards=cards,
        names=_names(root),
        kfd=os.access(node, os.R_OK | os.W_OK) if node.exists() else None,
        module_version=text_or_none(root / "sys/module/amdgpu/version"),
        module_loaded=(root / "sys/module/amdgpu").is_dir()
        or any(card.files.get("mem_info_vram_total") for card in cards),
        rocm=_rocm(root),
        amd_smi=_run(runner, "amd-smi", "static", "--asic", "--vram", "--bus", "--json"),
        rocm_smi=_run(runner, "rocm-smi", "--showproductname", "--showmeminfo", "vram", "--showbus", "--json"),
        files=AmdFiles(device_nodes=Known(device_nodes(root, ("kfd", "dri/renderD*")))),
    )


def read(text: AmdText | None) -> tuple[tuple[Gpu, ...], AmdFiles, tuple[GpuSource, ...]]:
    """The cards, AMD's files, and what other sources say of the cards."""
    if text is None:
        return (), AmdFiles(kfd_usable=Known(None), module_version=Known(None), rocm_version=Known(None)), ()
    sources = (
        GpuSource(name="amdgpu", cards=Known(tuple(_seen(card, text.names) for card in text.cards))),
        GpuSource(name="amd-smi", cards=read_amd_smi(text.amd_smi)),
        GpuSource(name="rocm-smi", cards=read_rocm_smi(text.rocm_smi)),
    )
    gpus = tuple(read_card(card, index, text, sources) for index, card in enumerate(text.cards))
    files = AmdFiles(
        kfd_usable=Known(text.kfd),
        module_version=Known(text.module_version or ("" if text.module_loaded else None)),
        rocm_version=Known(text.rocm),
        device_nodes=text.files.device_nodes,
    )
    return gpus, files, sources


def read_card(card: CardText, index: int, text: AmdText, sources: tuple[GpuSource, ...]) -> Gpu:
    """One card. What NVML alone tells stays unknown."""
    no = Unknown("not told by the amdgpu driver")
    total, used = (whole_number(card.files.get(f"mem_info_vram_{name}")) for name in ("total", "used"))
    gtt, gtt_used = (whole_number(card.files.get(f"mem_info_gtt_{name}")) for name in ("total", "used"))
    architecture = read_gfx(card)
    is_shared = isinstance(architecture, Known) and architecture.value in APUS
    if is_shared and gtt is not None and gtt > (total or 0):
        total, used = gtt, gtt_used
    is_driven = bool(card.files.get("mem_info_vram_total"))
    reason = Unknown("the amdgpu driver does not tell" if is_driven else "no amdgpu driver serves the card")
    return Gpu(
        index=index,
        vendor="amd",
        name=_name(card, text.names, sources),
        uuid=no,
        memory_bytes=Known(total) if total else reason,
        free_bytes=Known(max(total - used, 0)) if total and used is not None else reason,
        reserved_bytes=no,
        compute_capability=Unknown("a card of AMD has none"),
        mig_enabled=Known(False),  # noqa: FBT003 - a reading, not a switch
        ecc_errors=no,
        temperature_celsius=_scaled(card.hwmon.get("temp1_input"), 1000),
        processes=_held(card),
        unified_memory=is_shared,
        row_remapping=no,
        address=Known(card.address) if card.address else Unknown("the card's folder names no address"),
        serial=no,
        architecture=architecture,
        shared_bytes=Known(gtt) if gtt is not None else no,
        numa_node=_number(card.files.get("numa_node"), "the host has one NUMA node"),
        pcie=PcieLink(
            generation=read_generation(card.files.get("current_link_speed")),
            width=_number(card.files.get("current_link_width"), "not told"),
            generation_maximum=read_generation(card.files.get("max_link_speed")),
            width_maximum=_number(card.files.get("max_link_width"), "not told"),
        ),
        power=Power(
            draw_watts=_watts(card.hwmon.get("power1_average") or card.hwmon.get("power1_input")),
            limit_watts=_watts(card.hwmon.get("power1_cap")),
            default_limit_watts=_watts(card.hwmon.get("power1_cap_default")),
            maximum_limit_watts=_watts(card.hwmon.get("power1_cap_max")),
        ),
        load_percent=_number(card.files.get("gpu_busy_percent"), "not told"),
        slowdown_celsius=_scaled(card.hwmon.get("temp1_crit"), 1000),
        fault=None if is_driven else reason.reason,
    )


def read_gfx(card: CardText) -> Known[str] | Unknown:
    """`gfx1100` of 110000, `gfx90a` of 90010; stepping and minor are hexadecimal digits in the name."""
    number = whole_number(card.gfx_target_version)
    if number is None:
        said = "KFD does not list the card" if card.kfd_is_there else "no KFD: the kernel's compute driver is not there"
        return Unknown(said)
    return Known(f"gfx{number // 10000}{number // 100 % 100:x}{number % 100:x}")


def read_generation(speed: str | None) -> Known[int] | Unknown:
    """4 of `16.0 GT/s PCIe`."""
    match = re.match(r"(\d+(?:\.\d+)?) GT/s", speed or "", re.ASCII)
    generation = GENERATION_OF_SPEED.get(float(match[1])) if match is not None else None
    return Known(generation) if generation is not None else Unknown("not told")


def read_names(text: str) -> dict[tuple[str, str], str]:
    """Of libdrm's amdgpu.ids: `744C,	C8,	AMD Radeon RX 7900 XTX`."""
    names: dict[tuple[str, str], str] = {}
    for line in text.split("\n"):
        parts = [part.strip() for part in line.split(",", 2)]
        if len(parts) == 3 and not line.startswith("#"):
            names[parts[0].lower(), parts[1].lower()] = parts[2]
    return names


def _seen(card: CardText, names: dict[tuple[str, str], str]) -> SeenCard:
    return SeenCard(
        address=card.address,
        name=_listed(card, names),
        memory_bytes=whole_number(card.files.get("mem_info_vram_total")),
    )


def _name(card: CardText, names: dict[tuple[str, str], str], sources: tuple[GpuSource, ...]) -> Known[str] | Unknown:
    """The board's own name, libdrm's, or that of a program which sees as many cards."""
    own = card.files.get("product_name") or _listed(card, names)
    if own:
        return Known(own)
    for source in sources[1:]:
        cards = source.cards.value if isinstance(source.cards, Known) else ()
        same = [one.name for one in cards if one.address == card.address and one.name] if card.address else []
        alike = {one.name for one in cards if one.name}
        if same or len(alike) == 1:
            return Known(same[0] if same else str(alike.pop()))
    ids = card.files.get("device", "").removeprefix("0x")
    return Known(f"AMD card 1002:{ids}") if ids else Unknown("no source names the card")


def _listed(card: CardText, names: dict[tuple[str, str], str]) -> str | None:
    ids = (card.files.get("device", ""), card.files.get("revision", ""))
    return names.get((ids[0].removeprefix("0x").lower(), ids[1].removeprefix("0x").lower()))


def _held(card: CardText) -> Known[tuple[GpuProcess, ...]] | Unknown:
    if not card.kfd_is_there:
        return Unknown("no KFD: the kernel's compute driver is not there")
    return Known(tuple(GpuProcess(pid=pid, name=name, used_bytes=used) for pid, name, used in card.processes))


def _number(text: str | None, reason: str) -> Known[int] | Unknown:
    number = whole_number(text)
    return Known(number) if number is not None else Unknown(reason)


def _scaled(text: str | None, by: int) -> Known[int] | Unknown:
    number = whole_number(text)
    return Known(number // by) if number is not None else Unknown("not told by the driver")


def _watts(text: str | None) -> Known[float] | Unknown:
    number = whole_number(text)
    return Known(number / 1_000_000) if number is not None else Unknown("not told by the driver")


def _run(runner: Runner, program: str, *arguments: str) -> Known[Ran] | Unknown:
    path = runner.find(program) or (f"/opt/rocm/bin/{program}" if Path(f"/opt/rocm/bin/{program}").exists() else None)
    if path is None:
        return Unknown(f"`{program}` is not installed")
    return runner.run((path, *arguments), timeout_seconds=ANSWER_SECONDS)


def _places(root: Path) -> list[tuple[str | None, Path]]:
    """Each card's address and folder: of the PCI bus by vendor and class, else those that amdgpu shows below /sys/class/drm."""
    found: list[tuple[str | None, Path]] = []
    for folder in sorted((root / "sys/bus/pci/devices").glob("*")):
        kind = text_or_none(folder / "class") or ""
        driver = folder / "driver"
        is_handed_on = driver.is_symlink() and driver.readlink().name in ("vfio-pci", "pci-stub")
        if text_or_none(folder / "vendor") == VENDOR and kind.startswith(("0x03", "0x12")) and not is_handed_on:
            found.append((pci.address(folder.name), folder))
    shown = [
        folder
        for folder in sorted((root / "sys/class/drm").glob("card[0-9]*/device"))
        if (folder / "mem_info_vram_total").exists()
    ]
    without = [folder for folder in shown if not folder.is_symlink()]
    if len(without) == len(found):  # a copied tree, without the links from one to the other
        return [(address, folder) for (address, _), folder in zip(found, without, strict=True)]
    return found or [(None, folder) for folder in shown]


def _card_text(
    address: str | None,
    folder: Path,
    kfd: dict[str, tuple[str, str]] | None,
    processes: dict[str, list[tuple[int, str | None, int]]],
) -> CardText:
    hwmon = next(iter(sorted(folder.glob("hwmon/hwmon*"))), None)
    version, gpu_id = (kfd or {}).get(address or "", ("", ""))
    return CardText(
        address=address,
        files={name: text for name in DEVICE_FILES if (text := text_or_none(folder / name)) is not None},
        hwmon={name: text for name in HWMON_FILES if hwmon and (text := text_or_none(hwmon / name)) is not None},
        gfx_target_version=version or None,
        processes=tuple(processes.get(gpu_id, ())) if gpu_id else (),
        kfd_is_there=kfd is not None,
    )


def _kfd(root: Path) -> dict[str, tuple[str, str]] | None:
    """KFD's cards: address → (gfx_target_version, gpu_id); None without KFD."""
    nodes = root / "sys/class/kfd/kfd/topology/nodes"
    if not nodes.is_dir():
        return None
    found: dict[str, tuple[str, str]] = {}
    for folder in sorted(nodes.glob("[0-9]*")):
        lines = (text_or_none(folder / "properties") or "").split("\n")
        words = {name: value.strip() for name, _, value in (line.partition(" ") for line in lines)}
        location, version = whole_number(words.get("location_id")), words.get("gfx_target_version", "0")
        if location is None or version in ("", "0"):
            continue  # a node of processors
        domain = whole_number(words.get("domain")) or 0
        address = f"{domain:04x}:{location >> 8 & 0xFF:02x}:{location >> 3 & 0x1F:02x}.{location & 7}"
        found[address] = (version, text_or_none(folder / "gpu_id") or "")
    return found


def _processes(root: Path) -> dict[str, list[tuple[int, str | None, int]]]:
    """Who computes, by gpu_id: /sys/class/kfd/kfd/proc/<pid>/vram_<gpu_id> in bytes."""
    found: dict[str, list[tuple[int, str | None, int]]] = {}
    for path in sorted((root / "sys/class/kfd/kfd/proc").glob("[0-9]*/vram_[0-9]*")):
        pid, used = whole_number(path.parent.name), whole_number(text_or_none(path))
        if pid is not None and used is not None:
            name = text_or_none(root / f"proc/{pid}/comm")
            found.setdefault(path.name.removeprefix("vram_"), []).append((pid, name, used))
    return found


def _names(root: Path) -> dict[tuple[str, str], str]:
    for place in ("usr/share/libdrm/amdgpu.ids", "opt/amdgpu/share/libdrm/amdgpu.ids"):
        text = text_or_none(root / place)
        if text is not None:
            return read_names(text)
    return {}


def _rocm(root: Path) -> str | None:
    """`7.1.0` of /opt/rocm/.info/version, else of the newest /opt/rocm-…; None without."""
    for folder in [root / "opt/rocm", *sorted((root / "opt").glob("rocm-[0-9]*"), reverse=True)]:
        match = re.match(r"\d+\.\d+(?:\.\d+)?", text_or_none(folder / ".info/version") or "", re.ASCII)
        if match is not None:
            return match[0]
    return None
