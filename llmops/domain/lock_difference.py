"""Where a lock does not say what is computed now."""

from llmops.domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LockDifference:
    """A key and its two values as JSON text; None: there is no such key. Of long lists the part from the first difference on."""

    key: str
    locked: str | None
    computed: str | None
