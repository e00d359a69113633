"""LCK: whether the swap file that a lock asks for can be made: what `make-swap` would refuse, said before."""

from pathlib import PurePosixPath

from llmops.checks.check import Judgement, fail, ok, unknown
from llmops.checks.lock_check import LockCheck, Wanted
from llmops.domain.host import Disk
from llmops.domain.host_memory import SWAP_ROOM, swap_bytes
from llmops.domain.places import SWAP_FILE
from llmops.domain.profile import SwapWish
from llmops.domain.reading import Unknown
from llmops.domain.units import size_text

FILESYSTEMS = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs"})
"""As in templates/host-tuning/make-swap.j2."""

FIX = "`host.swap: zram` or `none` in the profile, and `llmops plan --out` again"


def swap_file_can_be_made(wanted: Wanted) -> Judgement | None:
    """No swap yet, a file system that the kernel swaps to, and twice its size free."""
    if wanted.needs.lock.host.swap is not SwapWish.FILE or not wanted.has_target("host-tuning"):
        return None
    memory, disk = wanted.host.memory, _disk(wanted)
    if isinstance(memory, Unknown):
        return unknown(memory, "memory")
    if isinstance(memory.value.swaps, Unknown):
        return unknown(memory.value.swaps, "swap")
    names = [one.name for one in memory.value.swaps.value]
    if str(SWAP_FILE) in names:
        return ok(f"{SWAP_FILE} is in use")
    if names:
        return fail(f"there is swap already ({names[0]}): no file is made beside it", FIX)
    if isinstance(disk, Unknown):
        return unknown(disk, "disk of the swap file")
    if disk.filesystem not in FILESYSTEMS:
        return fail(f"the kernel takes no swap file on {disk.filesystem} ({disk.mount})", FIX)
    size = swap_bytes(memory.value.total_bytes)
    if disk.free_bytes < size * SWAP_ROOM:
        return fail(f"{size_text(disk.free_bytes)} free for {size_text(size)} of swap, which may take half of it", FIX)
    return ok(f"{size_text(size)} on {disk.filesystem}")


def _disk(wanted: Wanted) -> Disk | Unknown:
    """That with the longest mount above the file."""
    if isinstance(wanted.host.disks, Unknown):
        return wanted.host.disks
    above = [one for one in wanted.host.disks.value if SWAP_FILE.is_relative_to(PurePosixPath(one.mount))]
    if not above:
        return Unknown(f"these facts do not say of {SWAP_FILE.parent}: `--disk {SWAP_FILE.parent.parent}`")
    return max(above, key=lambda one: len(one.mount))


CHECKS = (
    LockCheck(
        code="LCK020",
        title="The swap file can be made",
        judge=swap_file_can_be_made,
        of_host=True,
        why="`llmops-swap.service` refuses and fails where the kernel would not use it, or where it is not right.",
        source="swapon(8); the rendered make-swap",
    ),
)
