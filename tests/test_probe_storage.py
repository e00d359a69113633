"""What lies under a directory, told from /sys as kernels lay it out."""

from pathlib import Path
from typing import NamedTuple

import pytest

from llmops.domain.reading import Known, Unknown
from llmops.domain.storage import Storage, StorageKind
from llmops.probe import storage
from llmops.probe.mounts import Mount, mount_of, read

PCI = "devices/pci0000:00/0000:00:01.0"


class Device(NamedTuple):
    """One device below /sys: its number, its directory, the files in it."""

    number: str
    place: str
    files: dict[str, str]


def lay(root: Path, *devices: Device, slaves: dict[str, tuple[str, ...]] | None = None) -> None:
    for folder in ("sys/dev/block", "sys/class/block"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    places = {}
    for device in devices:
        place = root / "sys" / device.place
        places[place.name] = place
        place.mkdir(parents=True, exist_ok=True)
        for name, text in device.files.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(f"{text}\n")
        (root / "sys/dev/block" / device.number).symlink_to(place)
        (root / "sys/class/block" / place.name).symlink_to(place)
    for name, below in (slaves or {}).items():
        (places[name] / "slaves").mkdir()
        for one in below:
            (places[name] / "slaves" / one).symlink_to(places[one])


def nvme(name: str, number: str, model: str, transport: str = "pcie") -> Device:
    files = {"queue/rotational": "0", "device/model": model, "device/transport": transport, "size": "1000215216"}
    return Device(number, f"{PCI}/nvme/nvme0/{name}", files)


def sd(name: str, number: str, *, model: str, vendor: str = "ATA", spins: bool = False, bus: str = "ata1") -> Device:
    files = {"queue/rotational": str(int(spins)), "device/model": model, "device/vendor": vendor, "size": "2048"}
    return Device(number, f"{PCI}/{bus}/host0/target0:0:0/0:0:0:0/block/{name}", files)


def mounted(device: str, source: str, filesystem: str = "ext4", options: str = "rw") -> str:
    return f"27 1 {device} / / rw - {filesystem} {source} {options}\n"


def root_mount(text: str) -> tuple[Mount, tuple[Mount, ...]]:
    from pathlib import PurePosixPath

    mounts = read(text)
    mount = mount_of(mounts, PurePosixPath("/"))
    assert mount is not None
    return mount, mounts


def ask(root: Path, text: str) -> Storage:
    reading = storage.ask(root, *root_mount(text))
    assert isinstance(reading, Known), reading
    return reading.value


def test_a_partition_of_an_nvme_is_the_whole_disk(tmp_path: Path) -> None:
    disk = nvme("nvme0n1", "259:0", "Samsung SSD 990 PRO 1TB                ")
    part = Device("259:2", f"{disk.place}/nvme0n1p2", {"partition": "2"})
    lay(tmp_path, disk, part)
    found = ask(tmp_path, mounted("259:2", "/dev/nvme0n1p2"))
    assert found == Storage(
        kind=StorageKind.NVME,
        name="nvme0n1",
        model="Samsung SSD 990 PRO 1TB",
        rotational=False,
        size_bytes=1000215216 * 512,
    )


@pytest.mark.parametrize(
    ("device", "kind", "model"),
    [
        (sd("sda", "8:0", model="WDC WD40EFRX-68N", spins=True), StorageKind.HDD, "WDC WD40EFRX-68N"),
        (sd("sda", "8:0", model="Samsung SSD 870"), StorageKind.SATA_SSD, "Samsung SSD 870"),
        (sd("sda", "8:0", model="QEMU HARDDISK", spins=True), StorageKind.VIRTUAL, "QEMU HARDDISK"),
        (sd("sda", "8:0", model="Virtual disk", vendor="VMware"), StorageKind.VIRTUAL, "VMware Virtual disk"),
        (sd("sda", "8:0", model="Virtual Disk", vendor="Msft"), StorageKind.VIRTUAL, "Msft Virtual Disk"),
        (sd("sda", "8:0", model="LUN", vendor="NETAPP", bus="host3/session1"), StorageKind.NETWORK, "NETAPP LUN"),
        (sd("sda", "8:0", model="LUN", vendor="DGC", bus="rport-5:0-0"), StorageKind.NETWORK, "DGC LUN"),
        (sd("sda", "8:0", model="Extreme", vendor="SanDisk", bus="usb2/2-1"), StorageKind.USB, "SanDisk Extreme"),
        (nvme("nvme0n1", "8:0", "Amazon Elastic Block Store"), StorageKind.NETWORK, "Amazon Elastic Block Store"),
        (
            nvme("nvme0n1", "8:0", "Amazon EC2 NVMe Instance Storage"),
            StorageKind.NVME,
            "Amazon EC2 NVMe Instance Storage",
        ),
        (nvme("nvme0n1", "8:0", "nvme_card-pd"), StorageKind.NETWORK, "nvme_card-pd"),
        (nvme("nvme0n1", "8:0", "Linux", transport="tcp"), StorageKind.NETWORK, "Linux"),
        (Device("8:0", "devices/pci0/virtio1/block/vda", {"queue/rotational": "1"}), StorageKind.VIRTUAL, None),
        (Device("8:0", "devices/vbd-51712/block/xvda", {}), StorageKind.VIRTUAL, None),
        (Device("8:0", "devices/platform/mmc_host/mmc0/block/mmcblk0", {}), StorageKind.FLASH_CARD, None),
        (Device("8:0", "devices/rbd/0/block/rbd0", {}), StorageKind.NETWORK, None),
        (Device("8:0", "devices/virtual/block/zram1", {}), StorageKind.MEMORY, None),
        (Device("8:0", "devices/virtual/block/pmem0", {}), StorageKind.OTHER, None),
    ],
    ids=lambda value: value.place.rpartition("/")[2] if isinstance(value, Device) else None,
)
def test_each_kind_of_device_is_told(device: Device, kind: StorageKind, model: str | None, tmp_path: Path) -> None:
    lay(tmp_path, device)
    found = ask(tmp_path, mounted("8:0", "/dev/x"))
    assert (found.kind, found.model) == (kind, model)


def test_a_stripe_is_as_slow_as_its_slowest_disk_and_names_what_it_goes_through(tmp_path: Path) -> None:
    lay(
        tmp_path,
        nvme("nvme0n1", "259:0", "Fast"),
        sd("sdb", "8:16", model="Slow", spins=True),
        Device("9:0", "devices/virtual/block/md0", {"md/level": "raid0"}),
        Device(
            "253:0", "devices/virtual/block/dm-0", {"dm/uuid": "LVM-abcdef", "dm/name": "vg-models", "size": "4096"}
        ),
        Device("253:1", "devices/virtual/block/dm-1", {"dm/uuid": "CRYPT-LUKS2-0123-x", "dm/name": "x"}),
        slaves={"dm-0": ("dm-1",), "dm-1": ("md0",), "md0": ("nvme0n1", "sdb")},
    )
    found = ask(tmp_path, mounted("253:0", "/dev/mapper/vg-models", "xfs"))
    assert (found.kind, found.model, found.name) == (StorageKind.HDD, "Slow", "nvme0n1+sdb")
    assert found.through == ("lvm", "crypt", "raid0")
    assert found.size_bytes == 4096 * 512


def test_btrfs_has_no_number_and_is_found_by_its_source(tmp_path: Path) -> None:
    disk = nvme("nvme0n1", "259:0", "Fast")
    mapped = Device("253:0", "devices/virtual/block/dm-0", {"dm/uuid": "CRYPT-LUKS2-0-x", "dm/name": "luks-home"})
    lay(tmp_path, disk, mapped, slaves={"dm-0": ("nvme0n1",)})
    assert ask(tmp_path, mounted("0:41", "/dev/nvme0n1", "btrfs")).kind is StorageKind.NVME
    assert ask(tmp_path, mounted("0:41", "/dev/mapper/luks-home", "btrfs")).through == ("crypt",)


@pytest.mark.parametrize(
    ("filesystem", "source", "kind"),
    [
        ("tmpfs", "tmpfs", StorageKind.MEMORY),
        ("nfs4", "10.0.0.1:/models", StorageKind.NETWORK),
        ("fuse.sshfs", "me@host:/x", StorageKind.NETWORK),
        ("9p", "C:\\134", StorageKind.VIRTUAL),
        ("virtiofs", "models", StorageKind.VIRTUAL),
        ("fuse.mergerfs", "a:b", StorageKind.FUSE),
        ("zfs", "tank/models", StorageKind.OTHER),
    ],
)
def test_some_filesystems_are_told_by_their_name(
    filesystem: str, source: str, kind: StorageKind, tmp_path: Path
) -> None:
    assert ask(tmp_path, mounted("0:50", source, filesystem)).kind is kind


def test_an_overlay_is_what_its_upper_directory_lies_on_where_that_is_seen(tmp_path: Path) -> None:
    lay(tmp_path, nvme("nvme0n1", "259:0", "Fast"))
    (tmp_path / "data/upper").mkdir(parents=True)
    text = (
        "27 1 0:40 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/data/upper,workdir=/w\n"
        "28 27 259:0 / /data rw - ext4 /dev/nvme0n1 rw\n"
    )
    assert ask(tmp_path, text).through == ("overlay",)
    assert ask(tmp_path, text).kind is StorageKind.NVME
    hidden = text.replace("/data/upper", "/var/lib/docker/overlay2/x/diff")
    assert ask(tmp_path, hidden) == Storage(kind=StorageKind.OVERLAY, name="overlay")


def test_a_loop_device_is_the_disk_its_file_lies_on(tmp_path: Path) -> None:
    lay(
        tmp_path,
        nvme("nvme0n1", "259:0", "Fast"),
        Device("7:0", "devices/virtual/block/loop0", {"loop/backing_file": "/images/a.img"}),
    )
    text = "27 1 7:0 / / rw - ext4 /dev/loop0 rw\n28 27 259:0 / /images rw - ext4 /dev/nvme0n1 rw\n"
    found = ask(tmp_path, text)
    assert (found.kind, found.through) == (StorageKind.NVME, ("loop",))


def test_a_device_that_sys_does_not_have_is_unknown(tmp_path: Path) -> None:
    assert isinstance(storage.ask(tmp_path, *root_mount(mounted("8:1", "/dev/sda1"))), Unknown)


def test_devices_that_hold_each_other_end(tmp_path: Path) -> None:
    one, two = (Device(f"253:{at}", f"devices/virtual/block/dm-{at}", {}) for at in (0, 1))
    lay(tmp_path, one, two, slaves={"dm-0": ("dm-1",), "dm-1": ("dm-0",)})
    assert ask(tmp_path, mounted("253:0", "/dev/dm-0")).kind is StorageKind.OTHER
