"""What goes to a machine without network: a bundle's manifest, and where its parts lie in it."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from llmops.domain.records import dataclass

BUNDLE_SCHEMA = "llmops.bundle/1"
MANIFEST = "bundle.json"
CHECKSUMS = "SHA256SUMS"
MINISIGN = f"{CHECKSUMS}.minisig"
SSH_SIGNATURE = f"{CHECKSUMS}.sig"
SIGNATURES = (MINISIGN, SSH_SIGNATURE)
SBOM = "sbom.cdx.json"
IMAGES = "images.txt"
README = "README.txt"
BLOBS = "blobs/sha256"
WHEELS = "wheels"
LOCKS = "locks"
RENDERED = "rendered"
BACKUP = "backup"
SIGNED_AS = "llmops-bundle"
"""The namespace of an `ssh-keygen -Y` signature: one that was made for something else does not count."""

LARGE = (f"{BLOBS}/", f"{WHEELS}/")


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFile:
    """One file of a bundle, by its path in it."""

    path: str
    bytes: int
    sha256: str

    def is_large(self) -> bool:
        """Model files and wheels: compressed or random already, so stored as they are; all others are text."""
        return self.path.startswith(LARGE)

    def is_blob(self) -> bool:
        """Whether it is a model's file, named by its sha256."""
        return self.path.startswith(f"{BLOBS}/")


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleLock:
    """A lock that was packed: what it is called here, and its path."""

    name: str
    path: str
    deployments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupFile:
    """A file of the applied configuration as it lay on its host; `mode` is octal; `edited`: it is not what was applied."""

    path: str
    mode: str
    owner: str
    target: str
    edited: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUp:
    """The generation that was active: its files, and the paths of the secrets, which are left out."""

    generation: int
    applied_at: str
    files: tuple[BackupFile, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The manifest. No time stamps of its own and no path of the machine it was made on: same inputs, same bytes.

    `files` are all but the manifest, the checksums and their signature, sorted by path.
    """

    schema: str = BUNDLE_SCHEMA
    made_by: str
    has_models: bool
    locks: tuple[BundleLock, ...]
    images: tuple[str, ...]
    backup: BackedUp | None
    files: tuple[BundleFile, ...]

    def large(self) -> tuple[BundleFile, ...]:
        """What is stored as it is, in the order it lies in."""
        return tuple(one for one in self.files if one.is_large())

    def small(self) -> tuple[BundleFile, ...]:
        """The text."""
        return tuple(one for one in self.files if not one.is_large())


def blob_path(sha256: str) -> str:
    """Where a model's file lies in a bundle."""
    return f"{BLOBS}/{sha256}"


ReadAt = Callable[[int, memoryview], int]
"""Reads bytes from an offset into a buffer; how many there were, 0 at the end."""

OpenBlob = Callable[[str], AbstractContextManager[ReadAt]]
"""Opens a model's file by its sha256."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Who signed the checksums; `kind` is minisign or ssh. `checked`: against a key that was given."""

    kind: str
    by: str | None
    checked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rto:
    """A recovery time objective held against what was measured: the restore, and the start that the lock expects.

    `start_seconds` None: the lock has no estimate for it, so it is not counted.
    """

    objective_seconds: float
    restore_seconds: float
    start_seconds: float | None
    met: bool
