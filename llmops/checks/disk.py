"""DSK: where models and scratch files go."""

from collections.abc import Callable

from llmops.checks.check import Check, Judgement, ok, together, unknown, warn
from llmops.domain.host import Disk, HostFacts
from llmops.domain.reading import Unknown
from llmops.domain.storage import StorageKind, kind_of_filesystem
from llmops.domain.units import GIB, size_text

LOW_BYTES = 20 * GIB
"""A 32B model at four bits: files of the models most asked for are 2 to 20 GiB."""

LOW_INODES = 10_000


def disks_have_free_space(host: HostFacts) -> Judgement:
    """At least 20 GiB for this user on each."""
    return _judge(
        host,
        wrong=lambda disk: (
            f"{size_text(disk.free_bytes)} free for {disk.path}" if disk.free_bytes < LOW_BYTES else None
        ),
        right=lambda disk: f"{size_text(disk.free_bytes)} free for {disk.path}",
    )


def disks_are_writable(host: HostFacts) -> Judgement:
    """None is mounted read-only."""
    return _judge(
        host,
        wrong=lambda disk: (
            f"{disk.path} is on {disk.mount or 'a filesystem'}, mounted read-only" if disk.read_only else None
        ),
        right=lambda disk: f"{disk.path} is not on a read-only filesystem",
    )


def disks_have_free_inodes(host: HostFacts) -> Judgement:
    """Ten thousand at least, where the filesystem counts them."""
    return _judge(
        host,
        wrong=lambda disk: (
            f"{disk.free_inodes} inodes free for {disk.path}"
            if disk.free_inodes is not None and disk.free_inodes < LOW_INODES
            else None
        ),
        right=lambda disk: f"{disk.path} has inodes",
    )


def disks_are_local(host: HostFacts) -> Judgement:
    """Neither memory nor network."""

    def wrong(disk: Disk) -> str | None:
        match kind_of_filesystem(disk.filesystem):
            case StorageKind.MEMORY:
                return f"{disk.path} is on {disk.filesystem}: its files take up memory"
            case StorageKind.NETWORK:
                return f"{disk.path} is on {disk.filesystem}: loading depends on the network"
            case StorageKind.VIRTUAL:
                return f"{disk.path} is on {disk.filesystem}, a directory of the machine behind this one: loading goes through it"
            case _:
                return None

    if isinstance(host.disks, Unknown):
        return unknown(host.disks, "disks")
    nameless = [disk.path for disk in host.disks.value if not disk.filesystem]
    if nameless:
        return unknown(Unknown("/proc/self/mountinfo does not tell"), f"filesystem of {', '.join(nameless)}")
    return _judge(host, wrong=wrong, right=lambda disk: f"{disk.path} on {disk.filesystem}")


def disks_read_fast_enough(host: HostFacts) -> Judgement:
    """At least 200 MB/s as measured past the page cache."""
    if isinstance(host.disks, Unknown):
        return unknown(host.disks, "disks")
    judgements: list[Judgement] = []
    for disk in host.disks.value:
        if isinstance(disk.speed, Unknown):
            judgements.append(unknown(disk.speed, f"speed of {disk.path}"))
            continue
        speed = disk.speed.value
        rate = f"{disk.path} reads {speed.median_bytes_per_second / 1e6:.0f} MB/s"
        if speed.median_bytes_per_second < SLOW_BYTES_PER_SECOND:
            seconds = 10 * GIB / max(speed.median_bytes_per_second, 1)
            judgements.append(warn(f"{rate}: a model of 10 GiB takes {seconds:.0f} s to load"))
        else:
            judgements.append(ok(rate))
    return together(judgements) or ok("no path was asked for")


def disks_have_no_moving_parts(host: HostFacts) -> Judgement:
    """Neither a spinning disk nor one on USB."""
    if isinstance(host.disks, Unknown):
        return unknown(host.disks, "disks")
    judgements: list[Judgement] = []
    for disk in host.disks.value:
        if isinstance(disk.storage, Unknown):
            judgements.append(unknown(disk.storage, f"device of {disk.path}"))
        elif disk.storage.value.kind in SLOW_KINDS:
            judgements.append(
                warn(f"{disk.path} is on {SLOW_KINDS[disk.storage.value.kind]} ({disk.storage.value.name})")
            )
        else:
            judgements.append(ok(f"{disk.path} is on {disk.storage.value.kind.value.replace('_', ' ')}"))
    return together(judgements) or ok("no path was asked for")


SLOW_BYTES_PER_SECOND = 200_000_000
"""A spinning disk's outer tracks; a SATA SSD reads 500, NVMe 2,000 and more (makers' data sheets)."""

SLOW_KINDS = {
    StorageKind.HDD: "a spinning disk",
    StorageKind.USB: "a disk on USB",
    StorageKind.FLASH_CARD: "a memory card",
}


def _judge(host: HostFacts, *, wrong: Callable[[Disk], str | None], right: Callable[[Disk], str]) -> Judgement:
    """A warning that names every bad disk; unknown where a path did not answer; else the words for each."""
    if isinstance(host.disks, Unknown):
        return unknown(host.disks, "disks")
    bad = [text for disk in host.disks.value if (text := wrong(disk)) is not None]
    if bad:
        return warn("; ".join(bad))
    if host.unread_disks:
        return unknown(Unknown(host.unread_disks[0].reason), host.unread_disks[0].path)
    return ok("; ".join(right(disk) for disk in host.disks.value) or "no path was asked for")


CHECKS = (
    Check(
        code="DSK001",
        title="There is free space for models",
        judge=disks_have_free_space,
        why="`pull` refuses what does not fit before it starts, and a full disk stops every service that writes.",
        fix="free some (`du -xh / | sort -h | tail`), or put the store elsewhere: `--store DIR`",
        source="sizes of the catalogue's models",
    ),
    Check(
        code="DSK002",
        title="The disks can be written to",
        judge=disks_are_writable,
        why="Models cannot be pulled there. A disk that turned read-only by itself has had an error: see the kernel's log.",
        fix="`mount -o remount,rw` if it was meant to be writable, or put the store elsewhere: `--store DIR`",
        source="mount(8); Linux, Documentation/filesystems/ext4 (errors=remount-ro)",
    ),
    Check(
        code="DSK003",
        title="The disks have free inodes",
        judge=disks_have_free_inodes,
        why="Without inodes no file can be made, although bytes are free.",
        fix="find the directory with the most files: `du --inodes -x / | sort -n | tail`",
        source="statvfs(3), f_favail",
    ),
    Check(
        code="DSK004",
        title="The disks are local",
        judge=disks_are_local,
        why="Engines map model files into memory: over a network each page is a request; in tmpfs it is memory.",
        fix="put the store on a local disk: `--store DIR`",
        source="llama.cpp, --mmap; Linux, Documentation/filesystems/tmpfs.rst",
    ),
    Check(
        code="DSK005",
        title="The disks read fast enough to load a model",
        judge=disks_read_fast_enough,
        why="The time a start takes is the model's size over this speed. `render` derives the start timeout from it.",
        fix="put the store on an SSD or NVMe: `--store DIR`",
        source="measured here with O_DIRECT, so not from the page cache",
    ),
    Check(
        code="DSK006",
        title="Models are not on a spinning disk",
        judge=disks_have_no_moving_parts,
        why="Mapped files are read in the order layers are used, by several threads: a spinning disk seeks between them.",
        fix="put the store on an SSD or NVMe: `--store DIR`",
        source="/sys/block/*/queue/rotational",
    ),
)
