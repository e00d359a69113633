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


class Local(StrEnum):
    """Whose a file's content is: NONE, what we rendered; else a person's, and what was said about that.

    KEPT and MERGED were asked for. EDITED and FOREIGN came back with an earlier generation, from before anyone was asked:
    an edit of a file that was ours, and a file that never was.
    """

    NONE = ""
    KEPT = "kept"
    MERGED = "merged"
    EDITED = "edited"
    FOREIGN = "foreign"

    def is_settled(self) -> bool:
        """Whether a person decided that it stays."""
        return self in (Local.KEPT, Local.MERGED)


class Ways(StrEnum):
    """What is done with an edit that stands in the way."""

    REFUSE = "refuse"
    KEEP = "keep"
    MERGE = "merge"
    OVERWRITE = "overwrite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """Lines that were edited and are rendered otherwise now, from `line` of the file that lies there (the first is 1)."""

    line: int
    last: tuple[str, ...]
    here: tuple[str, ...]
    now: tuple[str, ...]


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
    """One path before and after; None: it is not there. `why` says what is in the way of a conflict.

    `local`: whose content is there after it; where that is a person's, `rendered` is what we would have there (None: nothing).
    `is_news`: nothing is written, but the last record says otherwise.
    """

    path: PurePosixPath
    target: str
    action: Action
    before: FileState | None
    after: FileState | None
    why: str = ""
    clashes: tuple[Clash, ...] = ()
    local: Local = Local.NONE
    rendered: bytes | None = None
    is_news: bool = False

    def words(self) -> str:
        """What happens to the path, and to an edit of it."""
        return f"{self.action.value} ({self.local.value})" if self.local.is_settled() else self.action.value


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSet:
    """Changes in the order they are made."""

    changes: tuple[Change, ...]

    def has_work(self) -> bool:
        """Whether applying it would write anything, be it only that an edit stays."""
        return any(change.action.writes() or change.is_news for change in self.changes)

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
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationFile:
    """One path of a generation: what was done, and what it is since (None: deleted). `owner` is the one asked for.

    `local`: whose content it is; where that is a person's, `rendered` is the digest of what we would have there.
    `label`: the one SELinux' policy has for it, as it was set; empty where SELinux is off.
    """

    path: PurePosixPath
    target: str
    action: Action
    sha256: str | None
    mode: int
    owner: str
    secret: bool
    before: Backup | None = None
    local: Local = Local.NONE
    rendered: str | None = None
    label: str = ""

    def is_ours(self) -> bool:
        """Whether it is there, and managed."""
        return self.sha256 is not None and self.local is not Local.FOREIGN

    def last_rendered(self) -> str | None:
        """The digest of what we rendered last."""
        return self.rendered if self.local is not Local.NONE else self.sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """Which command changed a host, run by whom, and why within a change freeze; `freeze`: the windows that hold from now on."""

    what: str
    who: str = ""
    reason: str = ""
    freeze: tuple[str, ...] = ()


APPLY = By(what="apply")


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """The record of one apply: every path that is ours since, so that the newest record alone says what is managed.

    `what`: the command that did it, `apply`, `rollback to 3`; `who` ran it; `reason`: why a change freeze did not hold it;
    `freeze`: the windows of the lock that was applied last, for the commands that read no lock.
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
    freeze: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What an apply did: the generation it made (None: nothing to do) and what could not be set, in words.

    `unlabelled`: files whose SELinux label could not be set; `failed`: what went wrong without harm among early commands.
    """

    generation: int | None
    changes: tuple[Change, ...]
    warnings: tuple[str, ...] = ()
    unlabelled: tuple[PurePosixPath, ...] = ()
    failed: tuple[str, ...] = ()
