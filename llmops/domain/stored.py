"""What a store holds: versions of models, and what was freed of it."""

from llmops.domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFile:
    """A file of a version; `sha256` None: it is none of the store's verified files."""

    name: str
    bytes: int
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a model; `version` is its commit where it has one. `pulled_at` None: pulled before this was recorded."""

    name: str
    version: str
    pulled_at: str | None
    is_current: bool
    is_previous: bool
    files: tuple[VersionFile, ...]
    directory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Freed:
    """Blobs that no version names, by sha256, and what they take on the disk; with `dry_run` they are still there."""

    blobs: tuple[str, ...]
    bytes: int
    dry_run: bool
