"""The control group this process runs in, and the limits in force there: versions 1 and 2, with and without namespaces.

Source: Linux, Documentation/admin-guide/cgroup-v2.rst (memory.max, cpu.max) and cgroup-v1/memory.rst
(memory.limit_in_bytes, hierarchical_memory_limit), cgroups(7). A limit of a parent binds too, so the smallest counts.
"""

from pathlib import Path, PurePosixPath

from llmops.domain.reading import Known, Unknown
from llmops.domain.records import dataclass
from llmops.probe.mounts import Mount
from llmops.probe.mounts import read as read_mounts
from llmops.probe.text import read_text

NO_LIMIT_BYTES = 1 << 60
"""Version 1 writes "no limit" as the largest multiple of a page below 2⁶³."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a controller's files of this process lie: the directories from its own group up to the mount."""

    version: int
    directories: tuple[PurePosixPath, ...]


def place(cgroup: str, mountinfo: str, *, controller: str) -> Place | None:
    """The directories of `controller` for a process whose /proc/self/cgroup and mountinfo are given; None without it."""
    mounts = read_mounts(mountinfo)
    old = [one for one in mounts if one.filesystem == "cgroup" and controller in one.options]
    new = [one for one in mounts if one.filesystem == "cgroup2"]
    for line in cgroup.split("\n"):
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if old and controller in names.split(","):
            return Place(version=1, directories=_directories(old[-1], path))
        if new and not old and number == "0" and not names:
            return Place(version=2, directories=_directories(new[-1], path))
    return None


def ask_memory_limit(root: Path) -> Known[int | None] | Unknown:
    """The smallest memory limit over this process's groups in bytes, None when no group sets one."""
    return _ask_limit(root, new=("memory.max",), old=("memory.stat", "memory.limit_in_bytes"))


def ask_throttle(root: Path) -> Known[int | None] | Unknown:
    """Where the groups of version 2 are slowed down (memory.high), None without; version 1 has nothing of the kind."""
    return _ask_limit(root, new=("memory.high",), old=())


def ask_swap_limit(root: Path) -> Known[int | None] | Unknown:
    """How much swap the groups may use: memory.swap.max; in version 1, what memory and swap together exceed memory by."""
    swap = _ask_limit(root, new=("memory.swap.max",), old=("memory.memsw.limit_in_bytes",))
    if isinstance(swap, Unknown) or swap.value is None or version(root) != Known(1):
        return swap
    memory = _ask_limit(root, new=(), old=("memory.limit_in_bytes",))
    if isinstance(memory, Unknown):
        return memory
    return Known(max(0, swap.value - memory.value) if memory.value is not None else None)


def version(root: Path) -> Known[int | None] | Unknown:
    """1 where any controller is bound to version 1 (also beside an empty version 2), 2, or None without control groups."""
    mounts = read_text(root / "proc/self/mountinfo")
    if isinstance(mounts, Unknown):
        return mounts
    filesystems = [(one.filesystem, one.options) for one in read_mounts(mounts.value)]
    if any(name == "cgroup" and not any(word.startswith("name=") for word in words) for name, words in filesystems):
        return Known(1)
    return Known(2 if any(name == "cgroup2" for name, _ in filesystems) else None)


def _ask_limit(root: Path, *, new: tuple[str, ...], old: tuple[str, ...]) -> Known[int | None] | Unknown:
    found = _ask_place(root, "memory")
    if isinstance(found, Unknown) or found.value is None:
        return Known(None) if isinstance(found, Known) else found
    where = found.value
    names = new if where.version == 2 else old
    texts = [text for folder in where.directories for name in names if (text := _text(root, folder / name)) is not None]
    if refused := [text for text in texts if isinstance(text, Unknown)]:
        return refused[0]
    return read_memory_limit([text.value for text in texts if isinstance(text, Known)])


def read_memory_limit(texts: list[str]) -> Known[int | None] | Unknown:
    """The smallest limit in the texts of memory.max, memory.limit_in_bytes or memory.stat (its hierarchical limit)."""
    limits: list[int] = []
    for text in texts:
        for line in text.split("\n"):
            word = line.removeprefix("hierarchical_memory_limit ").strip()
            if (word == line.strip() and " " in word) or word in ("max", ""):
                continue
            if not (word.isascii() and word.isdigit()):
                return Unknown(f"a control group's memory limit is not a number: {word[:40]}")
            limits.append(int(word[:30]))
    limits = [limit for limit in limits if limit < NO_LIMIT_BYTES]
    return Known(min(limits, default=None))


def ask_cpu_quota(root: Path) -> Known[float | None] | Unknown:
    """How many threads' worth of time this process's groups grant, None when none limits it."""
    found = _ask_place(root, "cpu")
    if isinstance(found, Unknown) or found.value is None:
        return Known(None) if isinstance(found, Known) else found
    pairs: list[str] = []
    for folder in found.value.directories:
        if found.value.version == 2:
            text = _text(root, folder / "cpu.max")
            pairs += [text.value] if isinstance(text, Known) else []
        else:
            quota, period = _text(root, folder / "cpu.cfs_quota_us"), _text(root, folder / "cpu.cfs_period_us")
            if isinstance(quota, Known) and isinstance(period, Known):
                pairs.append(f"{quota.value.strip()} {period.value.strip()}")
    return read_cpu_quota(pairs)


def read_cpu_quota(pairs: list[str]) -> Known[float | None] | Unknown:
    """The smallest quota ÷ period of texts like `200000 100000`; `max` or -1 is no limit."""
    quotas: list[float] = []
    for pair in pairs:
        quota, _, period = pair.strip().partition(" ")
        if quota in ("max", "-1"):
            continue
        if not (quota.isascii() and quota.isdigit() and period.isascii() and period.isdigit() and int(period[:18])):
            return Unknown(f"a control group's CPU limit is not two numbers: {pair.strip()[:40]}")
        quotas.append(int(quota[:18]) / int(period[:18]))
    return Known(min(quotas, default=None))


def _ask_place(root: Path, controller: str) -> Known[Place | None] | Unknown:
    own, mounts = read_text(root / "proc/self/cgroup"), read_text(root / "proc/self/mountinfo")
    if isinstance(own, Unknown):
        return own
    if isinstance(mounts, Unknown):
        return mounts
    return Known(place(own.value, mounts.value, controller=controller))


def _directories(mount: Mount, path: str) -> tuple[PurePosixPath, ...]:
    """From the group up to the mount. In a container the mount shows only a part, or the path leads outside: start there."""
    top, inside = PurePosixPath(mount.point), PurePosixPath(mount.inside)
    group = PurePosixPath(path if path.startswith("/") else "/")
    is_seen = group.is_relative_to(inside) and ".." not in group.parts
    parts = group.relative_to(inside).parts if is_seen else ()
    return tuple(top.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1))


def _text(root: Path, path: PurePosixPath) -> Known[str] | Unknown | None:
    """The file's text; None when the group has no such file (a root group has no limits)."""
    real = root / path.relative_to("/")
    return read_text(real) if real.exists() else None
