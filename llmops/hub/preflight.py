"""Before the first byte: does this file system hold the files, and about how long will it take?

The speed is that of the last transfer into this store, which it keeps; the first one has none to go by.
"""

import json
import os
import resource
from contextlib import suppress
from pathlib import Path

from llmops.domain.finding import Where
from llmops.domain.model import ModelFile
from llmops.domain.units import GIB, MIB, size_text
from llmops.hub.disk import DiskTrouble

MOUNTS = Path("/proc/self/mountinfo")
FILE_LIMITS = {"vfat": 4 * GIB - 1, "msdos": 4 * GIB - 1, "hfs": 2 * GIB - 1}
"""The longest file by the type of file system, where models come near it (FAT keeps lengths in 32 bits)."""

LINKLESS = frozenset({"vfat", "msdos", "exfat"})
"""File systems without any kind of link: `current` could not be switched in one step there."""

SPEED_FILE = "last-transfer.json"
WORTH_KEEPING_BYTES = 16 * MIB


def check_lengths(root: Path, files: tuple[ModelFile, ...]) -> None:
    """Raises `DiskTrouble` for a file that is longer than the file system or `ulimit -f` allows, and where links lack."""
    longest = max(files, key=lambda one: one.bytes, default=None)
    if longest is None:
        return
    kind = file_system(root)
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit != resource.RLIM_INFINITY and longest.bytes > limit:
        text = f"`{longest.name}` has {size_text(longest.bytes)}, and `ulimit -f` allows {size_text(limit)}"
        raise DiskTrouble(
            text, hint="`ulimit -f unlimited`; in a unit `LimitFSIZE=infinity`", where=Where(file=str(root))
        )
    most = FILE_LIMITS.get(kind or "")
    if most is not None and longest.bytes > most:
        raise DiskTrouble(
            f"`{longest.name}` has {size_text(longest.bytes)}: a file on {kind} has at most {size_text(most)}",
            hint="`--store DIR` on ext4, XFS or btrfs",
            where=Where(file=str(root)),
        )
    if kind in LINKLESS:
        hint = "`--store DIR` on ext4, XFS or btrfs"
        raise DiskTrouble(f"{kind} has no links, which a store is made of", hint=hint, where=Where(file=str(root)))


def file_system(path: Path) -> str | None:
    """The type of the file system a path lies on, by the mounts above it; None where the kernel does not say."""
    try:
        text = MOUNTS.read_text(encoding="utf-8", errors="replace")
        real = str(path.resolve())
    except OSError:
        return None
    found: tuple[str, str] = ("", "")
    for line in text.splitlines():
        before, dash, after = line.partition(" - ")
        words = before.split()
        point = words[4].replace("\\040", " ") if len(words) > 4 else ""
        is_above = point and (real == point or real.startswith(point.rstrip("/") + "/"))
        if dash and is_above and len(point) >= len(found[0]):  # a later mount covers an earlier one
            found = (point, after.split(" ", 1)[0])
    return found[1] or None


def last_speed(root: Path) -> float | None:
    """Bytes a second of the last transfer into this store."""
    try:
        told = json.loads((root / "incoming" / SPEED_FILE).read_text(encoding="utf-8"))
        speed = float(told["bytes_per_second"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return speed if 0 < speed < 1e12 else None


def keep_speed(root: Path, *, received_bytes: int, seconds: float) -> None:
    """Note the speed for the next time; a few small files say nothing."""
    if received_bytes < WORTH_KEEPING_BYTES or seconds <= 0:
        return
    target = root / "incoming" / SPEED_FILE
    new = target.with_name(f"{SPEED_FILE}.{os.getpid()}")
    with suppress(OSError):
        new.write_text(json.dumps({"bytes_per_second": round(received_bytes / seconds)}) + "\n", encoding="utf-8")
        new.replace(target)
