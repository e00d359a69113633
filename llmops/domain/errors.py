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

    def meaning(self) -> str:
        """What it tells the caller, in a few words."""
        match self:
            case Exit.FINE:
                return "fine, also with warnings (`--strict` makes those 1)"
            case Exit.HONEST_NO:
                return "an honest no: not ready, does not fit, differs from the lock, would change, a failed finding"
            case Exit.USAGE:
                return "usage: unknown or contradictory options, an unknown or ambiguous name"
            case Exit.WRONG_INPUT:
                return "an input is wrong: missing, truncated, hostile, not what its name says, newer than this version"
            case Exit.OUTSIDE_WORLD:
                return (
                    "the outside world: unreachable or refusing, wrong bytes, no tool, no space, no permission, locked"
                )
            case Exit.APPLY_FAILED:
                return "apply did not go through; the host is as it was before"
            case Exit.BUG:
                return "a bug: a traceback on stderr, with what to report"
            case Exit.INTERRUPTED:
                return "interrupted (Ctrl-C); resumable where the command is"
            case Exit.TERMINATED:
                return "terminated (SIGTERM); resumable where the command is"


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


class Impossible(Stop):
    """What is asked is understood and cannot be: this engine with these files or cards (the hint says what can)."""

    exit_code = Exit.HONEST_NO


class WrongInput(Stop):
    """A file is missing, truncated, hostile, not what its name says, or newer than this program."""

    exit_code = Exit.WRONG_INPUT


class OutsideWorld(Stop):
    """Hub or server unreachable or refusing, wrong bytes served, tool missing, no space, no permission, lock held."""

    exit_code = Exit.OUTSIDE_WORLD


class ApplyFailed(Stop):
    """Applying did not go through; the host is as it was before."""

    exit_code = Exit.APPLY_FAILED


class Terminated(BaseException):
    """SIGTERM: like Ctrl-C, everything is put away on the way out."""


class BrokenOff(Stop):
    """Ctrl-C or SIGTERM among the commands of an apply; the message says what became of it."""

    exit_code = Exit.INTERRUPTED

    def __init__(self, message: str, *, cause: BaseException, hint: str | None = None) -> None:
        is_signal = isinstance(cause, Terminated)
        super().__init__(f"{'terminated' if is_signal else 'interrupted'}: {message}", hint=hint)
        self.exit_code = Exit.TERMINATED if is_signal else Exit.INTERRUPTED
