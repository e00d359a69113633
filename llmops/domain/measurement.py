"""What a running server answered."""

from llmops.domain.finding import Finding
from llmops.domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One smoke run: each check is a finding; times in seconds, None where it did not come to that."""

    url: str
    model: str | None
    findings: tuple[Finding, ...]
    time_to_first_token_seconds: float | None = None
    total_seconds: float | None = None
    streamed_chunks: int = 0
