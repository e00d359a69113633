"""Every derived figure that rendered files repeat, each with the rule it came from: one number, one source."""

from llmops.domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A whole number in the unit its name ends in, and the rule that gave it, in words."""

    value: int
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """The figures of one deployment. client > edge > gateway > queue + longest generation; stop > drain."""

    slots: Number
    queue_length: Number
    queue_timeout_seconds: Number
    request_timeout_seconds: Number
    gateway_timeout_seconds: Number
    edge_read_timeout_seconds: Number
    client_timeout_seconds: Number
    client_retries: Number
    retry_after_seconds: Number
    start_timeout_seconds: Number
    stop_timeout_seconds: Number
    rate_limit_requests_per_minute: Number
    rate_limit_burst: Number
    connections_per_key: Number
    body_limit_bytes: Number
    memory_max_bytes: Number
    tasks_max: Number
    alert_queue_length: Number
    engine_port: Number
    gateway_port: Number
