"""LCK: what a lock needs of the disk: its files, room for them, and the speed to start in time."""

from llmops.checks.check import Judgement, fail, ok, unknown, warn
from llmops.checks.lock_check import LockCheck, Wanted, beside
from llmops.domain.host import Disk
from llmops.domain.reading import Known, Unknown
from llmops.domain.units import size_text


def files_are_there(wanted: Wanted) -> Judgement | None:
    """Every file of the lock lies in the store with its size. Their digests are `llmops verify`'s to check."""
    files = wanted.needs.files.get(wanted.name, Unknown("the store was not looked at"))
    if isinstance(files, Unknown):
        return unknown(files, "files")
    wrong = [one for one in files.value if one.have_bytes != one.bytes]
    if not wrong:
        return ok(f"{len(files.value)} files in {wanted.needs.store}")
    state = "is not there" if wrong[0].have_bytes is None else f"has {wrong[0].have_bytes} of {wrong[0].bytes} bytes"
    more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return fail(f"{wrong[0].name} {state}{more}", "llmops pull", script=())


def _to_pull(wanted: Wanted) -> dict[str, int]:
    """Bytes of each file that the store has not got, by its digest: one file of several deployments is pulled once.

    Where the store was not looked at, all of the model's.
    """
    every = wanted.needs.lock.deployments
    held = {key for name in every for key in _files_of(wanted, name, there=True)}
    return {key: size for key, size in _files_of(wanted, wanted.name, there=False).items() if key not in held}


def _files_of(wanted: Wanted, name: str, *, there: bool) -> dict[str, int]:
    """A deployment's files that are, or are not, in the store with their size."""
    found = wanted.needs.files.get(name, Unknown("the store was not looked at"))
    whole = {one.name for one in found.value if one.have_bytes == one.bytes} if isinstance(found, Known) else set()
    files = wanted.needs.lock.deployments[name].model.files
    return {
        one.digest.value if one.digest is not None else f"{name}/{one.name}": one.bytes
        for one in files
        if (one.name in whole) is there
    }


def _pulled_before(wanted: Wanted, own: dict[str, int]) -> dict[str, int]:
    """Bytes that each deployment before this one has still to pull beside what is its own."""
    counted, taken = set(own), dict[str, int]()
    for other in wanted.before():
        new = {key: size for key, size in _to_pull(other).items() if key not in counted}
        counted |= set(new)
        if new:
            taken[other.name] = sum(new.values())
    return taken


def disk_has_room(wanted: Wanted) -> Judgement | None:
    """What is still to be pulled fits where the store is."""
    files = wanted.needs.files.get(wanted.name, Unknown("the store was not looked at"))
    own = _to_pull(wanted)
    missing = sum(own.values())
    if not missing:
        return ok("nothing is to be pulled")
    disk = _disk(wanted)
    if isinstance(disk, Unknown):
        return unknown(disk, "disk of the store")
    if disk.read_only:
        return fail(
            f"{disk.path} is read-only, and {size_text(missing)} are to be pulled", "`--store DIR` on another disk"
        )
    if disk.free_bytes < missing:
        fix = "free some (`llmops models gc`), or `--store DIR` on another disk"
        if isinstance(files, Unknown):
            return warn(f"{size_text(disk.free_bytes)} free for {disk.path}, the model is {size_text(missing)}", fix)
        return fail(f"{size_text(disk.free_bytes)} free for {disk.path}, {size_text(missing)} are to be pulled", fix)
    others = _pulled_before(wanted, own)
    if disk.free_bytes < missing + sum(others.values()):
        message = (
            f"{size_text(disk.free_bytes)} free for {disk.path}, {size_text(missing)} are to be pulled"
            f"{beside(tuple(others))}, which take {size_text(sum(others.values()))}"
        )
        fix = "free some (`llmops models gc`), or `--store DIR` on another disk"
        return warn(message, fix) if isinstance(files, Unknown) else fail(message, fix)
    return ok(f"{size_text(disk.free_bytes)} free for {size_text(missing)}")


def start_takes_the_promised_time(wanted: Wanted) -> Judgement | None:
    """The files, read at the speed that was measured, are in memory before the promised time and before systemd gives up."""
    disk = _disk(wanted)
    if isinstance(disk, Unknown):
        return unknown(disk, "disk of the store")
    if isinstance(disk.speed, Unknown):
        return unknown(disk.speed, f"speed of {disk.path}")
    total = sum(one.bytes for one in wanted.deployment.model.files)
    seconds = total / max(disk.speed.value.median_bytes_per_second, 1)
    rate = f"{size_text(total)} at {disk.speed.value.median_bytes_per_second / 1e6:.0f} MB/s take {seconds:.0f} s"
    promised, limit = wanted.deployment.slo.start_seconds, wanted.deployment.numbers.start_timeout_seconds.value
    fix = "put the store on a faster disk (`--store DIR`), or take a smaller model"
    if promised is not None and seconds > promised:
        return fail(f"{rate} to read, `slo.start_seconds` is {promised:g}", fix)
    if seconds > limit:
        return fail(
            f"{rate} to read, and systemd gives up after {limit} s", f"{fix}; or `llmops plan --out` on this host"
        )
    return ok(f"{rate} to read")


def _disk(wanted: Wanted) -> Disk | Unknown:
    if isinstance(wanted.host.disks, Unknown):
        return wanted.host.disks
    disks = wanted.host.disks.value
    store = wanted.needs.store
    exact = next((one for one in disks if one.path == store), None)
    if exact is not None:
        return exact
    if len(disks) == 1:
        return disks[0]
    return Unknown(f"these facts do not say of {store}: `--disk {store}`")


CHECKS = (
    LockCheck(
        code="LCK007",
        title="The lock's files are there",
        judge=files_are_there,
        decides=True,
        why="The unit starts with the files of the lock, from the store.",
        source="the lock's files",
    ),
    LockCheck(
        code="LCK008",
        title="The disk has room for what is to be pulled",
        judge=disk_has_room,
        decides=True,
        why="`pull` refuses before it starts.",
        source="the lock's files; statvfs(3)",
    ),
    LockCheck(
        code="LCK009",
        title="The start takes the promised time",
        judge=start_takes_the_promised_time,
        decides=True,
        why="Loading is reading: the model's bytes over the disk's speed.",
        source="measured with O_DIRECT; the lock's start timeout and `slo.start_seconds`",
    ),
)
