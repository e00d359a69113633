"""Where a lock does not say what is computed now."""

from llmops.domain.forms import Json
from llmops.domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LockDifference:
    """A key and its two values; None: there is no such key."""

    key: str
    locked: Json
    computed: Json
