"""The store: verified bytes under their sha256, models as names for them, and the link a unit points through.

`blobs/sha256/<hex>` is verified before it gets that name. `models/<name>/<version>/<file>` is a hard link to a blob (where
there are none a file that shares its blocks, else a relative symbolic link), so that a container can be given one model's
folder alone.
`incoming` holds what is on its way. Every step is a rename that is synced, so that at any moment what is visible is whole.
"""

import json
import os
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from llmops.domain.errors import OutsideWorld, WrongInput
from llmops.domain.file_names import unsafe_file_name
from llmops.domain.finding import Where
from llmops.domain.model import DigestAlgorithm
from llmops.domain.places import STORE, blob_file, current_directory, incoming_directory, model_directory
from llmops.domain.units import MIB
from llmops.hub.crew import Halt
from llmops.hub.disk import clone, disk_errors, sync_directory
from llmops.hub.hashing import file_digests
from llmops.hub.holding import WAIT_SECONDS, held

FILE_MODE = 0o444
FOLDER_MODE = 0o755
RECORD_LIMIT = 8 * MIB
STAMP_NS = 1_000_000_000
"""The time stamp of verified bytes (1970-01-01T00:00:01, as Nix does): whoever writes to them leaves another one."""

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

    def record(self, name: str, version: str) -> dict[str, object]:
        """`pulled_at` and `files` (name → sha256) of a version; nothing where there is no readable record."""
        try:
            with self.record_path(name, version).open("rb") as file:
                found = json.loads(file.read(RECORD_LIMIT))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def hold(
        self, key: str, *, what: str, wait: Callable[[float], object] = time.sleep
    ) -> AbstractContextManager[None]:
        """Be the only run that works on `key` (a digest, or a model's name)."""
        return held(self.incoming / f"{_plain(key)}.lock", what=what, wait_seconds=self.wait_seconds, wait=wait)

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

    def publish(self, name: str, version: str, files: Mapping[str, str]) -> tuple[str, ...]:
        """Make the version's folder hold exactly `files` (name → sha256), all of whose bytes are in the store.

        Links of an earlier pull that are not among them go (their names are returned); files that are not ours stay.
        """
        folder = self.directory(name, version)
        with self.hold(f"model-{name}", what=f"model `{name}`"):
            self._make_folder(folder)
            for file, sha256 in files.items():
                self._link(self.blob(sha256), folder, file)
            gone = self._drop_others(folder, set(files))
            with disk_errors(folder):
                for inside in {folder, *((folder / file).parent for file in files)}:
                    sync_directory(inside)
            self._write_record(name, version, files)
        return gone

    def _write_record(self, name: str, version: str, files: Mapping[str, str]) -> None:
        """Remember when this version was pulled; a later pull of the same files does not change it."""
        before = self.record(name, version)
        if before.get("files") == dict(files):
            return
        path = self.record_path(name, version)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        text = json.dumps({"schema": "llmops.version/1", "pulled_at": now, "files": dict(files)}, indent=1)
        self._make_folder(path.parent)
        new = path.with_name(f".new-{os.getpid()}")
        with disk_errors(path):
            with suppress(FileNotFoundError):
                new.unlink()
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(descriptor)
            new.replace(path)
            sync_directory(path.parent)

    def activate(self, name: str, version: str) -> None:
        """Point `current` at a version, in one step."""
        current = self.current(name)
        with self.hold(f"model-{name}", what=f"model `{name}`"), disk_errors(current):
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
        new = link.with_name(f".{link.name}-{os.getpid()}")
        with suppress(FileNotFoundError):
            new.unlink()
        new.symlink_to(version)
        new.replace(link)
        sync_directory(link.parent)

    def _refuse_unless_link(self, current: Path) -> None:
        if not current.is_symlink():
            text = "this is not a link: something else than a pull put it here"
            raise OutsideWorld(text, hint=f"move `{current}` away", where=Where(file=str(current)))

    def _link(self, blob: Path, folder: Path, file: str) -> None:
        """`file` in `folder` becomes the blob, in one step; nothing is done when it is already."""
        reason = unsafe_file_name(file)
        if reason is not None:
            raise WrongInput(f"the file name {file[:200]!r} {reason}: refused")
        target = folder / file
        self._make_folder(target.parent)
        with disk_errors(target):
            if os.path.lexists(target) and _is_same_file(target, blob):
                return
            if target.is_dir() and not target.is_symlink():
                raise OutsideWorld("a directory is in the way of a file", where=Where(file=str(target)))
            new = target.with_name(f".new-{os.getpid()}")
            with suppress(FileNotFoundError):
                new.unlink()
            try:
                new.hardlink_to(blob)
            except OSError:  # no hard links here, too many, or not ours (fs.protected_hardlinks)
                if not _reflink(blob, new):
                    new.symlink_to(os.path.relpath(blob, target.parent))
            new.replace(target)

    def _drop_others(self, folder: Path, keep: set[str]) -> tuple[str, ...]:
        """Remove links to blobs that are not in `keep`; what is not a link of ours is left for `verify` to name."""
        gone = []
        with disk_errors(folder):
            others = [name for name in files_below(folder) if name not in keep]
            ours = {(row.st_dev, row.st_ino) for row in self._blob_stats()} if others else set()
            for name in others:
                with suppress(FileNotFoundError):
                    status = (folder / name).stat()
                    if (status.st_dev, status.st_ino) in ours:
                        (folder / name).unlink()
                        gone.append(name)
        return tuple(gone)

    def _blob_stats(self) -> list[os.stat_result]:
        with os.scandir(self.root / "blobs" / "sha256") as entries:
            return [entry.stat(follow_symlinks=False) for entry in entries]

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


def _reflink(blob: Path, new: Path) -> bool:
    """A file of its own that shares the blob's blocks; False where the file system has no such thing."""
    descriptor = os.open(blob, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    target = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        is_shared = clone(descriptor, target)
        if is_shared:
            os.fchmod(target, FILE_MODE)
            os.utime(target, ns=(STAMP_NS, STAMP_NS))
            os.fsync(target)
    finally:
        os.close(target)
        os.close(descriptor)
    if not is_shared:
        new.unlink()
    return is_shared


def _is_same_file(path: Path, blob: Path) -> bool:
    try:
        return path.samefile(blob)
    except FileNotFoundError:
        return False


def _plain(part: str) -> str:
    """A name that is one part of a path."""
    if unsafe_file_name(part) is not None or "/" in part or part in ("current", "previous") or part.startswith("."):
        raise WrongInput(f"{part[:200]!r} cannot be a folder's name in the store")
    return part
