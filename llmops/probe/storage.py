"""What lies under a mounted filesystem, by what /sys says of its block device and of those below it.

Sources: Linux, Documentation/ABI/stable/sysfs-block, Documentation/admin-guide/abi-testing (dm/uuid, md/level, loop), and
the names that hypervisors and clouds give their disks.
"""

import re
from pathlib import Path, PurePosixPath

from llmops.domain.reading import Known, Unknown
from llmops.domain.records import dataclass
from llmops.domain.storage import Storage, StorageKind, kind_of_filesystem
from llmops.probe.mounts import Mount, mount_of
from llmops.probe.text import text_or_none, whole_number

CLOUD_DISKS = ("amazon elastic block store", "nvme_card-pd", "msft nvme accelerator", "google persistentdisk")
"""Disks that are a network away, by their model: AWS EBS, Google PD, Azure managed disks."""

HYPERVISORS = ("qemu", "virtual disk", "vbox", "vmware", "msft", "xen", "virtio", "nutanix")
LOOP, DIRECT_LOOP = "loop", "loop (direct)"
"""A file as a disk: without direct I/O of its own, it is read through the page cache, whatever the filesystem on it does."""

DEPTH_LIMIT = 6
"""A partition on LUKS on LVM on RAID has four levels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockText:
    """One block device as /sys has it: `place` is its directory below /sys, `below` the devices it is made of."""

    name: str
    place: str
    model: str | None = None
    vendor: str | None = None
    rotational: str | None = None
    sectors: str | None = None
    transport: str | None = None
    mapping: str | None = None
    raid: str | None = None
    direct: str | None = None
    below: tuple["BlockText", ...] = ()
    file: Mount | None = None


def ask(root: Path, mount: Mount, mounts: tuple[Mount, ...]) -> Known[Storage] | Unknown:
    """The device that `mount` is on."""
    if mount.filesystem == "overlay":
        return _overlay(root, mount, mounts)
    if (kind := kind_of_filesystem(mount.filesystem)) is not None:
        return Known(Storage(kind=kind, name=mount.source))
    folder = _folder(root, mount)
    if folder is not None:
        return Known(read(_ask_block(root, folder, mounts, depth=0)))
    if mount.filesystem == "zfs":
        return Known(Storage(kind=StorageKind.OTHER, name=mount.source, through=("zfs",)))
    return Unknown(f"/sys names no block device for {mount.source or mount.filesystem}")


def read(text: BlockText) -> Storage:
    """The device at the bottom. Of several, the slowest kind counts: a stripe waits for it."""
    through: tuple[str, ...] = ()
    level = [text]
    while level[0].below or level[0].file:
        through += (_mapping(level[0]),)
        if not level[0].below:
            break
        level = list(level[0].below)
    kinds = [_kind(one) for one in level]
    slow = max(range(len(level)), key=lambda at: _SLOWNESS.get(kinds[at], 0))
    rotational = {"0": False, "1": True}.get((level[slow].rotational or "").strip())
    sectors = whole_number(text.sectors)
    return Storage(
        kind=kinds[slow],
        name="+".join(sorted(one.name for one in level)),
        model=_model(level[slow]) or None,
        rotational=rotational,
        size_bytes=sectors * 512 if sectors else None,
        through=through,
    )


_SLOWNESS = {
    StorageKind.NVME: 1,
    StorageKind.SATA_SSD: 2,
    StorageKind.USB: 4,
    StorageKind.HDD: 3,
    StorageKind.NETWORK: 5,
}


def _kind(text: BlockText) -> StorageKind:
    name, place, model = text.name, text.place, _model(text).lower()
    if text.file is not None:
        return kind_of_filesystem(text.file.filesystem) or StorageKind.OTHER
    if re.match(r"(zram|ram)\d", name):
        return StorageKind.MEMORY
    if re.match(r"(nbd|rbd|drbd)\d", name) or "/session" in place or "/rport-" in place:
        return StorageKind.NETWORK
    if (text.transport or "pcie") not in ("pcie", "loop", "apple-nvme") or model.startswith(CLOUD_DISKS):
        return StorageKind.NETWORK
    if re.match(r"(vd[a-z]|xvd[a-z]|dasd)", name) or "/virtio" in place or any(word in model for word in HYPERVISORS):
        return StorageKind.VIRTUAL
    if name.startswith("nvme"):
        return StorageKind.NVME
    if name.startswith("mmcblk"):
        return StorageKind.FLASH_CARD
    if re.search(r"/usb\d", place):
        return StorageKind.USB
    if name.startswith("sd"):
        spins = (text.rotational or "").strip()
        return {"1": StorageKind.HDD, "0": StorageKind.SATA_SSD}.get(spins, StorageKind.OTHER)
    return StorageKind.OTHER


def _model(text: BlockText) -> str:
    """`ATA` is what the kernel says for every SATA disk's vendor."""
    vendor = "" if (text.vendor or "").strip() in ("ATA", "") or (text.vendor or "").startswith("0x") else text.vendor
    return " ".join(f"{vendor or ''} {text.model or ''}".split())


def _mapping(text: BlockText) -> str:
    if text.raid:
        return text.raid.strip()
    if text.name.startswith("loop"):
        return DIRECT_LOOP if (text.direct or "").strip() == "1" else LOOP
    word = (text.mapping or "").partition("-")[0].lower()
    return {"mpath": "multipath"}.get(word, word) or "device-mapper"


def _overlay(root: Path, mount: Mount, mounts: tuple[Mount, ...]) -> Known[Storage] | Unknown:
    """What is written goes to the upper directory; in a container that path is the host's, and not seen."""
    upper = next((option[9:] for option in mount.options if option.startswith("upperdir=")), None)
    if upper is not None and upper.startswith("/") and (root / upper.lstrip("/")).is_dir():
        below = mount_of(mounts, PurePosixPath(upper))
        if below is not None and below.filesystem != "overlay":
            found = ask(root, below, mounts)
            if isinstance(found, Known):
                one = found.value
                return Known(
                    Storage(
                        kind=one.kind,
                        name=one.name,
                        model=one.model,
                        rotational=one.rotational,
                        size_bytes=one.size_bytes,
                        through=("overlay", *one.through),
                    )
                )
    return Known(Storage(kind=StorageKind.OVERLAY, name="overlay"))


def _folder(root: Path, mount: Mount) -> Path | None:
    """The device's directory in /sys: by its number, else (btrfs has none) by the name of what is mounted."""
    blocks = root / "sys/class/block"
    name = PurePosixPath(mount.source.partition(":")[0]).name
    places = [] if mount.device.startswith("0:") else [root / "sys/dev/block" / mount.device]
    if mount.source.startswith("/dev/") and name:
        places.append(blocks / name)
        places += [folder for folder in sorted(blocks.glob("dm-*")) if text_or_none(folder / "dm/name") == name]
    return next((place.resolve() for place in places if place.exists()), None)


def _ask_block(root: Path, folder: Path, mounts: tuple[Mount, ...], *, depth: int) -> BlockText:
    if (folder / "partition").exists():
        folder = folder.parent
    below: tuple[BlockText, ...] = ()
    file: Mount | None = None
    if depth < DEPTH_LIMIT:
        parts = sorted((folder / "slaves").glob("*"))
        backing = text_or_none(folder / "loop/backing_file")
        if backing:
            file = mount_of(mounts, PurePosixPath(backing))
            under = _folder(root, file) if file is not None else None
            parts += [under] if under is not None and file is not None and file.filesystem != "overlay" else []
        below = tuple(_ask_block(root, part.resolve(), mounts, depth=depth + 1) for part in parts)
    return BlockText(
        name=folder.name,
        place=str(folder),
        model=text_or_none(folder / "device/model"),
        vendor=text_or_none(folder / "device/vendor"),
        rotational=text_or_none(folder / "queue/rotational"),
        sectors=text_or_none(folder / "size"),
        transport=text_or_none(folder / "device/transport"),
        mapping=text_or_none(folder / "dm/uuid"),
        raid=text_or_none(folder / "md/level"),
        direct=text_or_none(folder / "loop/dio"),
        below=below,
        file=file,
    )
