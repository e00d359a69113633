"""Why a command stops: one class per exit code, each with what, where and the next command to type."""

from enum import IntEnum

from llmops.domain.finding import Where


class Exit(IntEnum):
    """Every exit code of the command, see `docs/reference/exit-codes.md`."""

    FINE = 0
    HONEST_NO = 1
    USAGE = 2
    WRONG_INPUT = 3
    OUTSIDE_WORLD = 4
    APPLY_FAILED = 5
    BUG = 70
    INTERRUPTED = 130
    TERMINATED = 143


class Stop(Exception):
    """The base: never raised itself."""

    exit_code = Exit.BUG

    def __init__(self, message: str, *, hint: str | None = None, where: Where | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where


class WrongUsage(Stop):
    """Unknown or contradictory options, an unknown or ambiguous name (the candidates are in the hint)."""

    exit_code = Exit.USAGE


class WrongInput(Stop):
    """A file is missing, truncated, hostile, not what its name says, or newer than this program."""

    exit_code = Exit.WRONG_INPUT


class OutsideWorld(Stop):
    """Hub or server unreachable or refusing, wrong bytes served, tool missing, no space, no permission, lock held."""

    exit_code = Exit.OUTSIDE_WORLD


class ApplyFailed(Stop):
    """Applying did not go through; the host is as it was before."""

    exit_code = Exit.APPLY_FAILED
