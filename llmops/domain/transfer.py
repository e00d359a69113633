"""What a transfer of model files reports while it runs and when it is done, and what re-hashing them found."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import PurePosixPath

from llmops.domain.model import Digest
from llmops.domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """How far one file is: `done_bytes` of `total_bytes` are on this disk, part of them perhaps from an earlier run.

    `trouble`: why nothing moves just now, and when it is tried again, in words.
    """

    name: str
    done_bytes: int
    total_bytes: int
    trouble: str = ""


Progress = Callable[[Moved], None]
"""Called from several threads, at most a few times a second for one file; never with a lower count than before."""


def silent(_moved: Moved) -> None:
    """A `Progress` for callers that show none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file that was verified and can be opened at `path`; `expected` is the digest it was held against."""

    name: str
    bytes: int
    sha256: str
    expected: Digest | None
    path: PurePosixPath
    transferred_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A model that is on disk, whole and verified: `directory` is its version's folder, `current` the link to it.

    `unlinked` names files of an earlier pull that are no longer in that folder; their verified bytes stay in the store.
    """

    name: str
    version: str
    commit: str | None
    licence: str | None
    directory: PurePosixPath
    current: PurePosixPath
    files: tuple[StoredFile, ...]
    transferred_bytes: int
    unlinked: tuple[str, ...] = ()
    gated: str | None = None


class FileStatus(StrEnum):
    """How a file on disk compares with the lock."""

    OK = "ok"
    MISSING = "missing"
    CHANGED = "changed"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCheck:
    """One file held against the lock; `why` says what differs, in words, where something does."""

    name: str
    path: PurePosixPath
    status: FileStatus
    why: str | None = None
