"""What would change on a host, what did, and what takes it back."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath


class Action(StrEnum):
    """What happens to one path."""

    CREATE = "create"
    UPDATE = "update"
    KEEP = "keep"
    DELETE = "delete"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """A file as it is or shall be; `secret` content is never shown."""

    content: bytes
    mode: int
    owner: str
    secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One path before and after; None: it is not there."""

    path: PurePosixPath
    target: str
    action: Action
    before: FileState | None
    after: FileState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSet:
    """Changes in the order they are made."""

    changes: tuple[Change, ...]

    def has_work(self) -> bool:
        """Whether applying it would write anything."""
        return any(change.action in (Action.CREATE, Action.UPDATE, Action.DELETE) for change in self.changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What an apply did: the generation it made (None: nothing to do) and what could not be set, in words."""

    generation: int | None
    changes: tuple[Change, ...]
    warnings: tuple[str, ...] = ()
