"""`/proc/self/mountinfo`: which filesystem is mounted where (proc(5))."""

import re
from pathlib import PurePosixPath

from llmops.domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One mounted filesystem: `inside` is the directory of it that is seen at `point`; `options` are its own.

    `device` is "major:minor"; major 0 is no block device (a network, memory, or a filesystem of several devices).
    """

    inside: str
    point: str
    filesystem: str
    source: str
    options: tuple[str, ...]
    read_only: bool
    device: str = ""


def read(text: str) -> tuple[Mount, ...]:
    """Every mount, in order; a line that is not one is left out."""
    # not splitlines: the kernel escapes line ends in paths, but not the form feeds and separators that one splits at, too
    return tuple(mount for line in text.split("\n") if (mount := _mount(line)) is not None)


def mount_of(mounts: tuple[Mount, ...], path: PurePosixPath) -> Mount | None:
    """The mount that `path` (absolute, links followed) lies on: the deepest, of equally deep ones the one on top."""
    found: Mount | None = None
    for mount in mounts:
        if path.is_relative_to(mount.point) and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def _mount(line: str) -> Mount | None:
    before, dash, after = line.partition(" - ")
    left, right = before.split(), after.split()
    if not dash or len(left) < 6 or len(right) < 3:
        return None
    options = tuple(right[2].split(","))
    return Mount(
        inside=_unescaped(left[3]),
        point=_unescaped(left[4]),
        filesystem=right[0],
        source=_unescaped(right[1]),
        options=options,
        read_only="ro" in left[5].split(",") or "ro" in options,
        device=left[2],
    )


def _unescaped(text: str) -> str:
    """The kernel writes blank, tab, newline and backslash as three octal digits."""
    return re.sub(r"\\([0-3][0-7]{2})", lambda match: chr(int(match[1], 8)), text)
