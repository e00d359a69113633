"""What lies under a directory: the device, and how fast it was read."""

from enum import StrEnum

from llmops.domain.records import dataclass


class StorageKind(StrEnum):
    """What kind of device answers."""

    NVME = "nvme"
    SATA_SSD = "sata_ssd"
    HDD = "hdd"
    FLASH_CARD = "flash_card"
    USB = "usb"
    VIRTUAL = "virtual"
    NETWORK = "network"
    MEMORY = "memory"
    OVERLAY = "overlay"
    FUSE = "fuse"
    OTHER = "other"

    def is_behind_another_cache(self) -> bool:
        """A server or a hypervisor may answer from its own memory: reads without this host's cache do not show that."""
        return self in (StorageKind.VIRTUAL, StorageKind.NETWORK, StorageKind.FUSE)


MEMORY = ("tmpfs", "ramfs", "devtmpfs", "rootfs", "hugetlbfs")
NETWORK = (
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "lustre", "afs", "beegfs", "gpfs", "wekafs", "ocfs2", "gfs2",
    "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse", "fuse.juicefs", "fuse.mount-s3",
    "fuse.blobfuse2", "fuse.ceph-fuse", "fuse.mfs", "fuse.seaweedfs",
)  # fmt: skip
FROM_THE_HOST = ("9p", "virtiofs", "vboxsf", "fuse.vmhgfs-fuse", "prl_fs", "drvfs", "fakeowner", "fuse.grpcfuse")
"""A directory of the machine that this one is a guest of."""


def kind_of_filesystem(filesystem: str) -> StorageKind | None:
    """Where the name of the filesystem tells it all; None where a device has to be looked at."""
    if filesystem in MEMORY:
        return StorageKind.MEMORY
    if filesystem in NETWORK:
        return StorageKind.NETWORK
    if filesystem in FROM_THE_HOST:
        return StorageKind.VIRTUAL
    if filesystem == "fuse" or filesystem.startswith("fuse."):
        return StorageKind.FUSE
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """The device: `name` as the kernel's ("nvme0n1"; of several, those joined by "+"), `through` mappings above it ("crypt").

    Of a virtual disk `rotational` is what the hypervisor claims, so it is not taken for its kind.
    """

    kind: StorageKind
    name: str
    model: str | None = None
    rotational: bool | None = None
    size_bytes: int | None = None
    through: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSpeed:
    """Sequential reading as it was measured: bytes a second of the middle, the slowest and the fastest of the rounds.

    Read past the page cache (O_DIRECT), in blocks of `block_bytes`, `requests` at a time, of a file of `file_bytes` random
    bytes that was written for it.
    """

    median_bytes_per_second: int
    low_bytes_per_second: int
    high_bytes_per_second: int
    rounds: int
    read_bytes: int
    file_bytes: int
    block_bytes: int
    requests: int
    direct: bool = True
