"""What became of what was applied: each file against its record, each unit against its file."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath


class DriftState(StrEnum):
    """A file against the newest record, and against what the lock would render now."""

    CLEAN = "clean"
    KEPT = "kept"
    EDITED = "edited"
    MISSING = "missing"
    FOREIGN = "foreign"
    OUTDATED = "outdated"

    def is_fine(self) -> bool:
        """Whether it is as it was left: as applied, or with an edit that was kept on purpose."""
        return self in (DriftState.CLEAN, DriftState.KEPT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One file. `foreign`: it lies where only applied files lie, and was not applied."""

    path: PurePosixPath
    target: str
    state: DriftState
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitState:
    """One unit as systemd knows it.

    `needs_reload`: its file is newer than what is in memory; `runs_older`: the process is older than the file's last change.
    """

    name: str
    active: str
    enabled: str
    needs_reload: bool
    runs_older: bool

    def words(self) -> str:
        """What is not as it should be."""
        told = [
            "its file changed since systemd read it" if self.needs_reload else "",
            "it runs with an older file" if self.runs_older else "",
        ]
        return "; ".join(word for word in told if word)
