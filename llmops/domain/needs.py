"""What a lock needs of a host, as the checks of it are handed it."""

from collections.abc import Mapping
from dataclasses import dataclass

from llmops.domain.lock import Lock
from llmops.domain.reading import Known, Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class NeededFile:
    """A file of the lock in the store: `have_bytes` is what lies there, None: nothing does."""

    name: str
    bytes: int
    have_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxRow:
    """A directive of a rendered unit, and the systemd that first knew it."""

    key: str
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """The lock, its edge's port, its files in the store (`store` is the directory asked) and the directives of its units."""

    lock: Lock
    edge_port: int
    store: str
    files: Mapping[str, Known[tuple[NeededFile, ...]] | Unknown]
    directives: tuple[SandboxRow, ...]
