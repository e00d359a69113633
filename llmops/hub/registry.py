"""The versions of models in a store: which there are, which is current, what nothing names any more.

What a folder holds is told by the folder itself, so nothing can disagree with it; when it was pulled is recorded (`records`).
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from llmops.domain.errors import OutsideWorld, WrongUsage
from llmops.domain.finding import Where
from llmops.domain.stored import Freed, Version, VersionFile, VersionRecord
from llmops.hub.disk import disk_errors, sync_directory
from llmops.hub.store import NEW, Store, files_below

GOING = ".going-"
"""A version that is being removed has this before its name: no command shows it, `gc` takes what a broken run left."""


def versions(store: Store) -> tuple[Version, ...]:
    """Every version of every model, by name, then the newest first."""
    blobs = _blobs(store)
    by_inode = {_pair(status): sha256 for sha256, status in blobs.items()}
    found = []
    with disk_errors(store.root):
        for name in _folders(store.root / "models"):
            current, previous = store.current_version(name), store.previous_version(name)
            for version in _folders(store.root / "models" / name):
                record = store.record(name, version)
                found.append(
                    Version(
                        name=name,
                        version=version,
                        is_current=version == current,
                        is_previous=version == previous,
                        files=tuple(_files(store.directory(name, version), by_inode, record)),
                        directory=str(store.directory(name, version)),
                        record=record,
                    )
                )
    found.sort(key=lambda one: one.record.pulled_at or "", reverse=True)
    return tuple(sorted(found, key=lambda one: one.name))


def disk_bytes(store: Store) -> int:
    """What all verified files take on the disk; one that several versions name counts once."""
    return sum(status.st_blocks * 512 for status in _blobs(store).values())


def remove(store: Store, name: str, version: str) -> None:
    """Take one version out of sight, in one step, then away; its bytes stay until `collect`.

    Raises `WrongUsage` where there is none, `OutsideWorld` where it is current or a process has a file of it open.
    """
    folder = store.directory(name, version)
    with store.landing(), store.hold(f"model-{name}", what=f"model `{name}`"), disk_errors(folder):
        if not folder.is_dir() or folder.is_symlink():
            raise WrongUsage(f"model `{name}` has no version `{version}`", hint="`llmops models list` shows them")
        if store.current_version(name) == version:
            hint = f"`llmops models activate {name} OTHER_VERSION` first"
            raise OutsideWorld(f"version `{version}` is what `current` points at", hint=hint)
        user = _opened_by({_identity(folder / one) for one in files_below(folder)})
        if user is not None:
            raise OutsideWorld(
                f"process {user} has a file of it open", hint="stop it first", where=Where(file=str(folder))
            )
        going = folder.with_name(f"{GOING}{version}")
        if going.exists():
            shutil.rmtree(going)
        folder.rename(going)
        if store.previous_version(name) == version:
            store.previous(name).unlink()
        store.record_path(name, version).unlink(missing_ok=True)
        sync_directory(folder.parent)
        shutil.rmtree(going)


def collect(store: Store, *, dry_run: bool = False) -> Freed:
    """Remove verified bytes that no version names, and what a broken removal left, while no other run brings or names files.

    Bytes with a name outside the store stay: their space would not be freed. Raises `OutsideWorld` while a pull runs.
    """
    if not store.incoming.is_dir():  # nothing was ever pulled here
        return Freed(blobs=(), bytes=0, dry_run=dry_run)
    with disk_errors(store.root), store.clearing() as is_alone:
        if not is_alone:
            text = "a pull runs: what it has brought is not named by a version yet"
            hint = "wait for it, then run `llmops models gc` again"
            raise OutsideWorld(text, hint=hint, where=Where(file=str(store.root)))
        left = _left(store)
        unnamed = _unnamed(store)
        ours = Counter(_identity(path) for path in left if not path.is_symlink())
        kept = {sha256 for sha256, status in unnamed.items() if status.st_nlink > 1 + ours[_pair(status)]}
        gone = {sha256: status for sha256, status in sorted(unnamed.items()) if sha256 not in kept}
        if not dry_run:
            _remove(store, left, gone)
    size = sum(status.st_blocks * 512 for status in gone.values())
    return Freed(blobs=tuple(gone), bytes=size, dry_run=dry_run, kept=tuple(sorted(kept)))


def _left(store: Store) -> tuple[Path, ...]:
    """What runs that were killed left: files of versions that were being removed, and a file or link before its name."""
    models = [store.root / "models" / name for name in _folders(store.root / "models")]
    going = [one for model in models for one in _going(model)]
    new = [folder / NEW for folder in (*models, *(store.root / "records" / model.name for model in models))]
    return (*(one / name for one in going for name in files_below(one)), *(one for one in new if os.path.lexists(one)))


def _remove(store: Store, left: Sequence[Path], gone: Iterable[str]) -> None:
    for one in left:
        one.unlink()
    for model in _folders(store.root / "models"):
        for one in _going(store.root / "models" / model):
            shutil.rmtree(one)
    for sha256 in gone:
        store.blob(sha256).unlink()
    sync_directory(store.root / "blobs" / "sha256")


def _unnamed(store: Store) -> dict[str, os.stat_result]:
    """Blobs that no file and no record of a version stands for."""
    blobs = _blobs(store)
    named: set[tuple[int, int]] = set()
    recorded: set[str] = set()
    for name in _folders(store.root / "models"):
        for version in _folders(store.root / "models" / name):
            folder = store.directory(name, version)
            named |= {_identity(folder / one) for one in files_below(folder)}
            recorded |= set(store.record(name, version).files.values())
    return {sha256: status for sha256, status in blobs.items() if _pair(status) not in named and sha256 not in recorded}


def _blobs(store: Store) -> dict[str, os.stat_result]:
    folder = store.root / "blobs" / "sha256"
    try:
        with os.scandir(folder) as entries:
            return {
                entry.name: entry.stat(follow_symlinks=False)
                for entry in entries
                if entry.is_file(follow_symlinks=False) and len(entry.name) == 64
            }
    except FileNotFoundError:
        return {}


def _folders(folder: Path) -> tuple[str, ...]:
    """Folders in a folder, links and what begins with a dot left out."""
    try:
        with os.scandir(folder) as entries:
            found = [one.name for one in entries if one.is_dir(follow_symlinks=False) and not one.name.startswith(".")]
    except FileNotFoundError:
        return ()
    return tuple(sorted(one for one in found if one not in ("current", "previous")))


def _going(folder: Path) -> Sequence[Path]:
    return [one for one in folder.glob(f"{GOING}*") if one.is_dir() and not one.is_symlink()]


def _files(folder: Path, by_inode: dict[tuple[int, int], str], record: VersionRecord) -> Iterator[VersionFile]:
    for name in files_below(folder):
        with suppress(OSError):
            status = (folder / name).stat()
            sha256 = by_inode.get(_pair(status)) or record.files.get(name)
            yield VersionFile(name=name, bytes=status.st_size, sha256=sha256)


def _identity(path: Path) -> tuple[int, int]:
    try:
        return _pair(path.stat())
    except OSError:
        return (0, 0)


def _pair(status: os.stat_result) -> tuple[int, int]:
    return (status.st_dev, status.st_ino)


def _opened_by(files: set[tuple[int, int]]) -> int | None:
    """A process that has one of these files open or mapped, as far as /proc may be read."""
    for process in Path("/proc").glob("[0-9]*"):
        for folder in ("fd", "map_files"):
            with suppress(OSError), os.scandir(process / folder) as entries:
                if any(_identity(Path(one.path)) in files for one in entries):
                    return int(process.name)
        with suppress(OSError, ValueError):
            maps = (process / "maps").read_text(encoding="utf-8", errors="replace")
            if any(_mapped(line) in files for line in maps.splitlines()):
                return int(process.name)
    return None


def _mapped(line: str) -> tuple[int, int]:
    """Device and inode of a line of /proc/PID/maps (proc_pid_maps(5))."""
    words = line.split(None, 5)
    major, _, minor = words[3].partition(":")
    return (os.makedev(int(major, 16), int(minor, 16)), int(words[4]))
