"""The store: verified bytes under their sha256, models as names for them, and the link a unit points through.

`blobs/sha256/<hex>` is verified before it gets that name. `models/<name>/<version>/<file>` is a hard link to a blob (where
there are none a file that shares its blocks, else a relative symbolic link), so that a container can be given one model's
folder alone.
`incoming` holds what is on its way. Every step is a rename that is synced, so that at any moment what is visible is whole.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from llmops.domain.errors import OutsideWorld, WrongInput
from llmops.domain.file_names import unsafe_file_name
from llmops.domain.finding import Where
from llmops.domain.model import DigestAlgorithm
from llmops.domain.places import STORE, blob_file, current_directory, incoming_directory, model_directory
from llmops.domain.stored import ByLock, Measured, VersionRecord
from llmops.hub.crew import Halt
from llmops.hub.disk import disk_errors, sync_directory
from llmops.hub.hashing import file_digests
from llmops.hub.holding import WAIT_SECONDS, alone, held, shared
from llmops.hub.linking import FILE_MODE, STAMP_NS, is_same_file, link
from llmops.hub.version_record import read_record, with_measured, write_record

FOLDER_MODE = 0o755
NEW = ".new"
"""What a file or link is called before it gets its name, in the folder of its model: one at a time, so it is known whose."""

USER_STORE = Path(".local/share/llmops")


def store_root(given: str | None, *, environment: Mapping[str, str]) -> Path:
    """Where the store is: as given (`--store`, `LLMOPS_STORE`), else /var/lib/llmops for root, else in the home."""
    chosen = given or environment.get("LLMOPS_STORE")
    if chosen:
        return Path(chosen).absolute()
    if os.geteuid() == 0:
        return Path(STORE)
    try:
        return Path.home() / USER_STORE
    except RuntimeError as error:
        raise OutsideWorld("this user has no home directory for a store", hint="`--store DIR`") from error


class Store:
    """A store at `root`, which may itself be a link; nothing below it may."""

    def __init__(self, root: Path, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self.wait_seconds = wait_seconds
        self.root = root.resolve()
        self._pure = PurePosixPath(self.root)
        self.incoming = Path(incoming_directory(self._pure))
        self._landing = self.incoming / "landing"

    def prepare(self) -> None:
        """Make the store's folders. Raises `OutsideWorld` when that is not possible."""
        with disk_errors(self.root):
            self.root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        for folder in (self.root / "blobs" / "sha256", self.incoming, self.root / "models"):
            self._make_folder(folder)

    def blob(self, sha256: str) -> Path:
        """Where the bytes with this digest lie, or would."""
        return Path(blob_file(self._pure, sha256))

    def has(self, sha256: str, *, size_bytes: int) -> bool:
        """Whether the verified bytes are here and untouched since, told by their length and time stamp."""
        status = self._blob_status(sha256)
        return status is not None and status.st_size == size_bytes and status.st_mtime_ns == STAMP_NS

    def of_length(self, size_bytes: int) -> tuple[Path, ...]:
        """The verified, untouched bytes of this length."""
        with disk_errors(self.root):
            found = self._blob_stats()
        return tuple(
            path for path, one in sorted(found.items()) if one.st_size == size_bytes and one.st_mtime_ns == STAMP_NS
        )

    def still_holds(self, sha256: str, *, size_bytes: int, halt: Halt) -> bool:
        """As `has`; bytes whose time stamp is not ours (written to, or copied here) are hashed again first."""
        if self.has(sha256, size_bytes=size_bytes):
            return True
        status = self._blob_status(sha256)
        if status is None or status.st_size != size_bytes:
            return False
        blob = self.blob(sha256)
        with disk_errors(blob):
            (found,) = file_digests(blob, (DigestAlgorithm.SHA256,), between=lambda _done: halt.check())
            if found != sha256:
                return False
            with suppress(PermissionError):
                os.utime(blob, ns=(STAMP_NS, STAMP_NS))
        return True

    def _blob_status(self, sha256: str) -> os.stat_result | None:
        try:
            status = self.blob(sha256).lstat()
        except OSError:
            return None
        return status if stat.S_ISREG(status.st_mode) else None

    def directory(self, name: str, version: str) -> Path:
        """`models/<name>/<version>`."""
        return Path(model_directory(self._pure, _plain(name), _plain(version)))

    def current(self, name: str) -> Path:
        """`models/<name>/current`."""
        return Path(current_directory(self._pure, _plain(name)))

    def current_version(self, name: str) -> str | None:
        """The version `current` points at; None when there is none, or it points elsewhere than at a version."""
        return _pointed_at(self.current(name))

    def previous(self, name: str) -> Path:
        """`models/<name>/previous`: the link to what was current before."""
        return self.current(name).with_name("previous")

    def previous_version(self, name: str) -> str | None:
        """The version `previous` points at, as with `current_version`."""
        return _pointed_at(self.previous(name))

    def record_path(self, name: str, version: str) -> Path:
        """What is known of a version beside its files: `models` holds verified files alone."""
        return self.root / "records" / _plain(name) / f"{_plain(version)}.json"

    def record(self, name: str, version: str) -> VersionRecord:
        """What is known of a version; an empty record where there is no readable one."""
        return read_record(self.record_path(name, version))

    def hold(
        self, key: str, *, what: str, wait: Callable[[float], object] = time.sleep
    ) -> AbstractContextManager[None]:
        """Be the only run that works on `key` (a digest, or a model's name)."""
        return held(self.incoming / f"{_plain(key)}.lock", what=what, wait_seconds=self.wait_seconds, wait=wait)

    def landing(self, *, wait: Callable[[float], object] = time.sleep) -> AbstractContextManager[None]:
        """Bring bytes and give them names, with any number of other runs, while no `models gc` takes what has no name yet."""
        return shared(self._landing, what="`models gc`", wait_seconds=self.wait_seconds, wait=wait)

    def clearing(self) -> AbstractContextManager[bool]:
        """Be the only run in the store; False where another one brings or names files."""
        return alone(self._landing)

    def admit(self, partial: Path, sha256: str) -> Path:
        """Give verified bytes their name: synced, read-only, renamed, the folder synced."""
        blob = self.blob(sha256)
        with disk_errors(partial):
            self._no_link(blob.parent)
            descriptor = os.open(partial, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fchmod(descriptor, FILE_MODE)
                os.utime(descriptor, ns=(STAMP_NS, STAMP_NS))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            partial.replace(blob)
            sync_directory(blob.parent)
        return blob

    @contextmanager
    def _naming(self, name: str) -> Iterator[None]:
        """Be the only run that changes a model's names, and clear away what one that was killed was about to name."""
        with self.landing(), self.hold(f"model-{name}", what=f"model `{name}`"):
            for folder in (self.current(name).parent, self.root / "records" / name):
                with disk_errors(folder), suppress(FileNotFoundError, NotADirectoryError):
                    if folder.resolve() == folder:  # no link leads elsewhere
                        (folder / NEW).unlink()
            yield

    def publish(self, name: str, version: str, about: VersionRecord) -> tuple[str, ...]:
        """Make the version's folder hold exactly the files of `about`, all of whose bytes are in the store.

        Links of an earlier pull that are not among them go (their names are returned); files that are not ours stay.
        """
        folder, files = self.directory(name, version), about.files
        with self._naming(name):
            self._make_folder(folder)
            for file, sha256 in files.items():
                self._link(self.blob(sha256), folder, file, new=self.current(name).with_name(NEW))
            gone = self._drop_others(folder, set(files))
            with disk_errors(folder):
                for inside in {folder, *((folder / file).parent for file in files)}:
                    sync_directory(inside)
            before = self.record(name, version)
            if before.files == files:  # when it was pulled, and what is known besides, stays
                about = replace(about, pulled_at=before.pulled_at, lock=before.lock, measured=before.measured)
            self._write_record(name, version, before, replace(about, pulled_at=about.pulled_at or now_text()))
        return gone

    def note(self, name: str, version: str, *, lock: ByLock | None = None, measured: Measured | None = None) -> None:
        """Remember by which lock a version was pulled, or what a command measured. Only of a version that is recorded."""
        with self._naming(name):
            before = self.record(name, version)
            if not before.files:
                return
            after = before if lock is None else replace(before, lock=lock)
            after = after if measured is None else with_measured(after, measured)
            self._write_record(name, version, before, after)

    def _write_record(self, name: str, version: str, before: VersionRecord, after: VersionRecord) -> None:
        if after == before:
            return
        path = self.record_path(name, version)
        self._make_folder(path.parent)
        with disk_errors(path):
            write_record(path, after, new=path.with_name(NEW))

    def activate(self, name: str, version: str) -> None:
        """Point `current` at a version, in one step."""
        current = self.current(name)
        with self._naming(name), disk_errors(current):
            if not self.directory(name, version).is_dir():
                raise OutsideWorld(f"model `{name}` has no version `{version}`", where=Where(file=str(current)))
            if os.path.lexists(current):
                self._refuse_unless_link(current)
                if self.current_version(name) == version:
                    return
            before = self.current_version(name)
            if before is not None:  # first: killed between the two, nothing points at what never was current
                self._point(self.previous(name), before)
            self._point(current, version)

    def _point(self, link: Path, version: str) -> None:
        """A link that leads to a version, in one step."""
        if os.path.lexists(link):
            self._refuse_unless_link(link)
        new = link.with_name(NEW)
        new.symlink_to(version)
        new.replace(link)
        sync_directory(link.parent)

    def _refuse_unless_link(self, current: Path) -> None:
        if not current.is_symlink():
            text = "this is not a link: something else than a pull put it here"
            raise OutsideWorld(text, hint=f"move `{current}` away", where=Where(file=str(current)))

    def _link(self, blob: Path, folder: Path, file: str, *, new: Path) -> None:
        """`file` in `folder` becomes the blob, in one step by way of `new`; nothing is done when it is already."""
        reason = unsafe_file_name(file)
        if reason is not None:
            raise WrongInput(f"the file name {file[:200]!r} {reason}: refused")
        target = folder / file
        self._make_folder(target.parent)
        with disk_errors(target):
            if os.path.lexists(target) and is_same_file(target, blob):
                return
            if target.is_dir() and not target.is_symlink():
                raise OutsideWorld("a directory is in the way of a file", where=Where(file=str(target)))
            link(blob, target, new=new)

    def _drop_others(self, folder: Path, keep: set[str]) -> tuple[str, ...]:
        """Remove links to blobs that are not in `keep`; what is not a link of ours is left for `verify` to name."""
        gone = []
        with disk_errors(folder):
            others = [name for name in files_below(folder) if name not in keep]
            ours = {(row.st_dev, row.st_ino) for row in self._blob_stats().values()} if others else set()
            for name in others:
                with suppress(FileNotFoundError):
                    status = (folder / name).stat()
                    if (status.st_dev, status.st_ino) in ours:
                        (folder / name).unlink()
                        gone.append(name)
        return tuple(gone)

    def _blob_stats(self) -> dict[Path, os.stat_result]:
        with os.scandir(self.root / "blobs" / "sha256") as entries:
            return {Path(entry.path): entry.stat(follow_symlinks=False) for entry in entries}

    def _make_folder(self, folder: Path) -> None:
        """Make a folder below the root, part by part; a link on the way is refused."""
        path = self.root
        for part in folder.relative_to(self.root).parts:
            path = path / part
            with disk_errors(path):
                try:
                    path.mkdir(mode=FOLDER_MODE)
                    path.chmod(FOLDER_MODE)  # whatever the umask: the servers' users read here
                    sync_directory(path.parent)
                except FileExistsError:
                    self._no_link(path)

    def _no_link(self, path: Path) -> None:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            text = "a symbolic link inside the store: refused, it may lead anywhere"
            raise OutsideWorld(text, hint="only the store's root may be a link", where=Where(file=str(path)))
        if not stat.S_ISDIR(mode):
            raise OutsideWorld("a file is in the way of a directory", where=Where(file=str(path)))


def now_text() -> str:
    """The time, as records say it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _pointed_at(link: Path) -> str | None:
    try:
        target = str(link.readlink())
    except OSError:
        return None
    return target if "/" not in target and target not in ("", ".", "..") else None


def files_below(folder: Path) -> tuple[str, ...]:
    """Names of all files in a version's folder, links included, relative and sorted; links to folders are files here."""
    found = []
    for inside, folders, files in os.walk(folder):
        links = [one for one in folders if Path(inside, one).is_symlink()]
        prefix = Path(inside).relative_to(folder)
        found += [(prefix / one).as_posix() for one in (*files, *links)]
    return tuple(sorted(found))


def _plain(part: str) -> str:
    """A name that is one part of a path."""
    if unsafe_file_name(part) is not None or "/" in part or part in ("current", "previous") or part.startswith("."):
        raise WrongInput(f"{part[:200]!r} cannot be a folder's name in the store")
    return part
