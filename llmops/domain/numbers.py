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

    def out_of_order(self) -> tuple[tuple[str, str], ...]:
        """What a hand put out of order: the figure, and in words what it has to be above, or within."""
        gateway, edge = self.gateway_timeout_seconds.value, self.edge_read_timeout_seconds.value
        longest = self.queue_timeout_seconds.value + self.request_timeout_seconds.value
        above = (
            ("client_timeout_seconds", self.client_timeout_seconds.value, edge, "the edge's"),
            ("edge_read_timeout_seconds", edge, gateway, "the gateway's"),
            ("gateway_timeout_seconds", gateway, longest, "queue + longest request,"),
        )
        found = [
            (name, f"{value} s, not more than {whose} {other} s")
            for name, value, other, whose in above
            if value <= other
        ]
        alert, queue = self.alert_queue_length.value, max(self.queue_length.value, 1)
        if alert > queue:
            found.append(("alert_queue_length", f"{alert}, more than can ever wait: {self.queue_length.value}"))
        return tuple(found)
