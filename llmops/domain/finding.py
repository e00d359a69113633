"""What was found, how bad it is, where, and what to do."""

from enum import StrEnum

from llmops.domain.records import dataclass


class Status(StrEnum):
    """The four answers of a check; `skip` means it could not be known, with the reason."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"

    def fails_the_run(self) -> bool:
        """Whether a command that judges exits 1 because of it."""
        return self is Status.FAIL


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """A place a person can open: a file (or URL, or device), a 1-based line, a key path such as `serve.tls`."""

    file: str | None = None
    line: int | None = None
    key: str | None = None

    def text(self) -> str:
        """`llmops.yaml:7, serve.tls`, leaving out what is not known."""
        place = self.file or ""
        if self.line is not None:
            place += f":{self.line}"
        return ", ".join(part for part in (place, self.key) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One judgement with its public code."""

    code: str
    status: Status
    message: str
    fix: str | None = None
    where: Where | None = None
