"""Published security holes of the driver, the container toolkit and the engines, and which branches of the driver live."""

from dataclasses import dataclass

from llmops.domain.engine_matrix import numbers
from llmops.domain.finding import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """One hole, or several that one release closed: versions from `first` (None: all) to before `fixed` (None: not fixed).

    `severity` is `fail` where a stranger's request or a container can do harm, else `warn`. `component`: the hole is of a
    part that nothing rendered here starts, so it is told and does not count. Where sources differ, `fixed` is the later
    version and `note` says so.
    """

    product: str
    ids: tuple[str, ...]
    first: str | None = None
    fixed: str | None
    severity: Status
    what: str
    component: str | None = None
    note: str | None = None
    source: str

    def concerns(self, version: str) -> bool:
        """Whether this version has it. A version without numbers has none that is known."""
        have = numbers(version)
        if not have or (self.first is not None and have < numbers(self.first)):
            return False
        return self.fixed is None or have < numbers(self.fixed)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverBranch:
    """A branch of the NVIDIA driver: until when it gets fixes ("2028-06", None: not stated), the version that has all of them.

    `fixed` None: no version of the branch has them.
    """

    branch: int
    kind: str
    ends: str | None
    has_ended: bool
    fixed: str | None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisories:
    """The shipped rows. `as_of` is the day they were last looked at."""

    as_of: str
    branches: tuple[DriverBranch, ...]
    advisories: tuple[Advisory, ...]

    def of(self, product: str, version: str) -> tuple[Advisory, ...]:
        """The holes of this version of a product, the worst first; those of parts that are never started left out."""
        rows = [
            one for one in self.advisories if one.product == product and not one.component and one.concerns(version)
        ]
        return tuple(sorted(rows, key=lambda one: (one.severity is not Status.FAIL, one.ids)))

    def aside(self, product: str, version: str) -> tuple[Advisory, ...]:
        """The holes of parts of it that nothing rendered here starts."""
        return tuple(
            one for one in self.advisories if one.product == product and one.component and one.concerns(version)
        )

    def safe_from(self, product: str, version: str) -> str | None:
        """The first version without any of the holes that this version has; None where one of them is not fixed."""
        fixed = [one.fixed for one in self.of(product, version)]
        if any(one is None for one in fixed):
            return None
        return max((one for one in fixed if one is not None), key=numbers, default=None)

    def branch(self, number: int) -> DriverBranch | None:
        """The row of one branch of the driver."""
        return next((one for one in self.branches if one.branch == number), None)

    def maintained(self) -> tuple[DriverBranch, ...]:
        """Branches that get fixes, and a version that has them, oldest first."""
        return tuple(
            sorted(
                (one for one in self.branches if not one.has_ended and one.fixed is not None),
                key=lambda one: one.branch,
            )
        )
