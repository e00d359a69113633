"""What became of what was applied: each file against its record, each unit against its file."""

from dataclasses import dataclass
from datetime import datetime
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
class Changed:
    """When files that a unit reads were last changed: those of its start, and those of a reload."""

    at_start: datetime | None = None
    on_reload: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitState:
    """One unit as systemd knows it.

    `needs_reload`: its unit file is newer than what systemd has in memory; `runs_older`: the process is older than what it
    reads at its start; `config_older`: what a reload reads again changed since the last one.
    """

    name: str
    active: str
    enabled: str
    needs_reload: bool
    runs_older: bool
    config_older: bool = False

    def words(self) -> str:
        """What is not as it should be."""
        told = [
            "its file changed since systemd read it" if self.needs_reload else "",
            "it runs with older files than those on disk" if self.runs_older else "",
            "its configuration in memory is older than that on disk" if self.config_older else "",
        ]
        return "; ".join(word for word in told if word)

    def mended_by(self) -> str:
        """What to type for it."""
        if self.needs_reload:
            return "systemctl daemon-reload"
        if self.runs_older:
            return f"systemctl restart {self.name}"
        return f"{'nginx -t && ' if self.name == 'nginx.service' else ''}systemctl reload {self.name}"
