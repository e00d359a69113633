"""What a store holds: versions of models, what is known of each beside its files, and what was freed."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from llmops.domain.records import dataclass

VERSION_SCHEMA = "llmops.version/2"


class MeasuredBy(StrEnum):
    """The command that measured."""

    PULL = "pull"
    VERIFY = "verify"
    SMOKE = "smoke"
    BENCH = "bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The last result of a command for one version: when (UTC), whether it was a yes, and its figures, units in their names."""

    by: MeasuredBy
    at: str
    ok: bool
    figures: Mapping[str, int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ByLock:
    """The lock that a version was last pulled by: where it lay on this machine, and the sha256 of its text then."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRecord:
    """What is known of a version beside its files. `files`: name → sha256. `lock` None: MODEL was typed, or it is not known."""

    schema: str = VERSION_SCHEMA
    pulled_at: str | None = None
    repository: str | None = None
    licence: str | None = None
    gated: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    lock: ByLock | None = None
    measured: tuple[Measured, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFile:
    """A file of a version; `sha256` None: it is none of the store's verified files."""

    name: str
    bytes: int
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a model; `version` is its commit where it has one, `record` empty where none was written or can be read."""

    name: str
    version: str
    is_current: bool
    is_previous: bool
    files: tuple[VersionFile, ...]
    directory: str
    record: VersionRecord = VersionRecord()


@dataclass(frozen=True, slots=True, kw_only=True)
class Freed:
    """Blobs that no version names, by sha256, and what they take on the disk; with `dry_run` they are still there.

    `kept`: no version names these either, but they have names outside the store, so that nothing would be freed.
    """

    blobs: tuple[str, ...]
    bytes: int
    dry_run: bool
    kept: tuple[str, ...] = ()
