"""The disks of the paths asked for, each filesystem's reading measured once."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from llmops.domain.host import Disk
from llmops.domain.reading import Known, Unknown
from llmops.domain.storage import DiskSpeed
from llmops.probe import read_speed
from llmops.probe.storage import LOOP
from llmops.probe.within import within

Told = Callable[[str, float], None]
"""Called with the path whose disk is measured, and how far that is, from 0 to 1."""

QUICK = Unknown("not measured: left out by `--quick`")
NOT_WANTED = Unknown("not measured: `llmops doctor` does it")
ELSEWHERE = ("/var/tmp", "/tmp", "/var/lib", "/srv", "/opt")  # noqa: S108 - only asked whether they are on the same disk
"""Where a file may be written when this user may not write where models go: the disk is the same."""

LOOK_SECONDS = 2.0


def measured(
    disks: Known[tuple[Disk, ...]] | Unknown, told: Told, *, trial: read_speed.Trial | None = None
) -> Known[tuple[Disk, ...]] | Unknown:
    """With the speed of each, or why it was not measured; one after the other, because they may share a device."""
    if isinstance(disks, Unknown):
        return disks
    known: dict[int | str, Known[DiskSpeed] | Unknown] = {}
    filled = []
    for disk in disks.value:
        if isinstance(disk.storage, Known) and LOOP in disk.storage.value.through:
            filled.append(
                replace(disk, speed=Unknown("a file as a disk (loop) is read through the page cache below it"))
            )
            continue
        places = within(LOOK_SECONDS, partial(_places, Path(disk.path)), what=f"the filesystem of {disk.path}")
        if isinstance(places, Unknown):
            filled.append(replace(disk, speed=places))
            continue
        # every subvolume of btrfs has a device number of its own
        key: int | str = disk.source if disk.filesystem == "btrfs" else places.value[0]
        if key not in known:
            known[key] = read_speed.ask(
                places.value[1],
                filesystem=disk.filesystem,
                free_bytes=disk.free_bytes,
                told=partial(told, disk.path),
                trial=trial,
            )
        filled.append(replace(disk, speed=known[key]))
    return Known(tuple(filled))


def without(disks: Known[tuple[Disk, ...]] | Unknown, why: Unknown) -> Known[tuple[Disk, ...]] | Unknown:
    """Nothing is measured, and that is said."""
    return disks if isinstance(disks, Unknown) else Known(tuple(replace(disk, speed=why) for disk in disks.value))


def _places(path: Path) -> Known[tuple[int, tuple[Path, ...]]] | Unknown:
    """The device number of `path`'s filesystem, and directories on it: the nearest that exists, then others to try."""
    place = path.absolute()
    while not place.is_dir():
        if place == place.parent:
            return Unknown(f"{path}: no part of it exists")
        place = place.parent
    device = place.stat().st_dev
    return Known((device, (place, *(other for other in _others(place) if _device(other) == device))))


def _others(place: Path) -> Sequence[Path]:
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home raises without a home
    candidates = [Path(name) for name in (home, *ELSEWHERE) if name.startswith("/")]
    return [one for one in dict.fromkeys(candidates) if one != place]


def _device(place: Path) -> int | None:
    try:
        return place.stat().st_dev
    except OSError:
        return None
