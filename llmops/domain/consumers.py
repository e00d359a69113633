"""The programs that read rendered files, and what they said of them."""

from llmops.domain.finding import Finding, Status, Where
from llmops.domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumed:
    """One target given to its consumer.

    `program` is what was (or would be) run, `package` the Debian package it is in, `install` how to get it. `stood_in` names
    what the target does not have yet and was replaced while checking. `said`: the program's words, or why it was not asked.
    """

    target: str
    program: str
    package: str
    install: str
    status: Status
    said: str
    stood_in: tuple[str, ...] = ()

    def was_asked(self) -> bool:
        """Whether the real consumer read the files."""
        return self.status is not Status.SKIP

    def findings(self) -> tuple[Finding, ...]:
        """Refusals, consumers that are not here, and what was stood in for."""
        found: list[Finding] = []
        where = Where(file=f"templates/{self.target}")
        if self.status is Status.FAIL:
            text = f"{self.program} refuses the {self.target} files: {self.said}"
            found.append(Finding(code="RND101", status=Status.FAIL, message=text, where=where))
        elif self.status is Status.SKIP:
            text = f"the {self.target} files are not checked: {self.said}"
            found.append(
                Finding(code="RND102", status=Status.SKIP, message=text, fix=self.install or None, where=where)
            )
        if self.stood_in:
            text = f"stood in for while checking the {self.target} files: {', '.join(self.stood_in)}"
            found.append(Finding(code="RND103", status=Status.SKIP, message=text, where=where))
        return tuple(found)
