"""What would change on a host, what did, and what takes it back."""

from enum import StrEnum
from pathlib import PurePosixPath

from llmops.domain.records import dataclass

GENERATION_SCHEMA = "llmops.generation/1"
GENERATIONS = PurePosixPath("/var/lib/llmops/generations")
"""Below the root that is applied to: one directory per apply that changed something."""


class Action(StrEnum):
    """What happens to one path."""

    CREATE = "create"
    UPDATE = "update"
    KEEP = "keep"
    DELETE = "delete"
    CONFLICT = "conflict"

    def writes(self) -> bool:
        """Whether applying it touches the host."""
        return self in (Action.CREATE, Action.UPDATE, Action.DELETE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """A file as it is or shall be; `secret` content is never shown."""

    content: bytes
    mode: int
    owner: str
    secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedFile:
    """What a path shall be. `content` None: made once, when it is applied; what is there is kept."""

    path: PurePosixPath
    target: str
    content: bytes | None
    mode: int
    owner: str
    secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One path before and after; None: it is not there. `why` says what is in the way of a conflict."""

    path: PurePosixPath
    target: str
    action: Action
    before: FileState | None
    after: FileState | None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSet:
    """Changes in the order they are made."""

    changes: tuple[Change, ...]

    def has_work(self) -> bool:
        """Whether applying it would write anything."""
        return any(change.action.writes() for change in self.changes)

    def conflicts(self) -> tuple[Change, ...]:
        """What stands in the way."""
        return tuple(change for change in self.changes if change.action is Action.CONFLICT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A file as it was before: its digest, and where its content lies, relative to the generation's directory."""

    sha256: str
    mode: int
    owner: str
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationFile:
    """One path of a generation: what was done, and what it is since (None: deleted). `owner` is the one asked for."""

    path: PurePosixPath
    target: str
    action: Action
    sha256: str | None
    mode: int
    owner: str
    secret: bool
    before: Backup | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """Which command changed a host, run by whom, and why within a change freeze."""

    what: str
    who: str = ""
    reason: str = ""


APPLY = By(what="apply")


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """The record of one apply: every path that is ours since, so that the newest record alone says what is managed.

    `what`: the command that did it, `apply`, `rollback to 3`; `who` ran it; `reason`: why a change freeze did not hold it.
    """

    schema: str = GENERATION_SCHEMA
    number: int
    made_by: str
    applied_at: str
    files: tuple[GenerationFile, ...]
    directories: tuple[PurePosixPath, ...] = ()
    warnings: tuple[str, ...] = ()
    what: str = "apply"
    who: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What an apply did: the generation it made (None: nothing to do) and what could not be set, in words."""

    generation: int | None
    changes: tuple[Change, ...]
    warnings: tuple[str, ...] = ()
