"""What has to be done on a host so that changed files count, in order."""

from pathlib import PurePosixPath

from llmops.domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One command. `required`: the change is taken back when it fails; else that it failed is said.

    `also_fine`: exit codes that say it is so already, since a command among which a run was killed is run once more.
    """

    argv: tuple[str, ...]
    why: str
    required: bool = True
    timeout_seconds: int = 60
    also_fine: tuple[int, ...] = ()

    def text(self) -> str:
        """As a person would type it."""
        return " ".join(self.argv)


TODO_SCHEMA = "llmops.effects/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Todo:
    """What an apply does on its host beside writing files, decided before the first of it.

    `before` is done while the old files lie there, and `back` takes that back; `after` makes the new files count, and `done`
    of it have ended. `active`: the units that ran before any of it.
    """

    schema: str = TODO_SCHEMA
    before: tuple[Effect, ...] = ()
    back: tuple[Effect, ...] = ()
    after: tuple[Effect, ...] = ()
    done: int = 0
    active: tuple[str, ...] = ()

    def has_any(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.before or self.after)

    def left(self) -> tuple[Effect, ...]:
        """Those of `after` that have not ended."""
        return self.after[max(self.done, 0) :]


NOTHING = Todo()


EVERY_CARD = "every card"
"""In place of names: of a service that needs device nodes and names no card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceUnit:
    """What a service's unit file says of other files: those it reads when it starts, and those a reload reads again.

    `is_once`: it does its work at boot and ends (`Type=oneshot`). `start_seconds` and `stop_seconds` are its time limits,
    `user` the account it runs as (empty: root), `directories` those systemd makes for it to write to, and keeps. `after` are
    units that are up before it starts, and stop after it; `cards` what it calls those whose memory it takes.
    """

    name: str
    at_start: frozenset[PurePosixPath]
    on_reload: frozenset[PurePosixPath]
    is_once: bool
    start_seconds: int
    stop_seconds: int
    user: str = ""
    directories: tuple[PurePosixPath, ...] = ()
    after: frozenset[str] = frozenset()
    cards: frozenset[str] = frozenset()

    def shares_card(self, other: "ServiceUnit") -> bool:
        """Whether both take memory of one card."""
        if EVERY_CARD in self.cards | other.cards:
            return bool(self.cards and other.cards)
        return bool(self.cards & other.cards)
