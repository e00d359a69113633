"""The figures that other files repeat keep their order, whatever the plan."""

from hypothesis import given
from hypothesis import strategies as st

from llmops.domain.engine import EngineName, EngineSettings
from llmops.domain.ledger import Causes, Confidence, HostLedger, Ledger
from llmops.domain.numbers import Numbers
from llmops.domain.plan import Estimate, Speed
from llmops.domain.profile import Queue, RateLimit, Serve
from llmops.domain.units import GIB, MIB
from llmops.sizing.numbers import numbers


def estimate(value: float) -> Estimate:
    return Estimate(value=value, low=value / 2, high=value * 2, confidence=Confidence.LOW, basis="a test")


def host_ledger(total: int, *, limit: int | None = None) -> Ledger:
    host = HostLedger(causes=Causes(weights_bytes=total), limit_bytes=limit)
    return Ledger(engine="llama.cpp", engine_build="b11669", confidence=Confidence.LOW, devices=(), host=host)


def of(
    *,
    context: int = 32768,
    slots: int = 4,
    speed: Speed | None = None,
    serve: Serve | None = None,
    ledger: Ledger | None = None,
) -> Numbers:
    return numbers(
        settings=EngineSettings(engine=EngineName.LLAMA_CPP, context_size=context, parallel=slots),
        ledger=ledger or host_ledger(GIB),
        speed=speed or Speed(),
        serve=serve or Serve(),
        port=8080,
    )


SPEEDS = st.builds(
    Speed,
    decode_tokens_per_second=st.none() | st.floats(0.01, 5000).map(estimate),
    load_seconds=st.none() | st.floats(0.1, 5000).map(estimate),
)


@given(
    context=st.integers(256, 1 << 21),
    slots=st.integers(1, 64),
    speed=SPEEDS,
    queue=st.integers(0, 600),
    waiting=st.integers(0, 500),
)
def test_every_timeout_is_longer_than_what_it_waits_for(
    context: int, slots: int, speed: Speed, queue: int, waiting: int
) -> None:
    serve = Serve(queue=Queue(max_waiting=waiting, timeout_seconds=queue))
    made = of(context=context, slots=slots, speed=speed, serve=serve)
    behind = made.queue_timeout_seconds.value + made.request_timeout_seconds.value
    assert made.client_timeout_seconds.value > made.edge_read_timeout_seconds.value > behind
    assert made.start_timeout_seconds.value >= 120
    assert made.stop_timeout_seconds.value > 60
    assert made.body_limit_bytes.value >= MIB
    assert made.slots.value == slots
    assert made.queue_length.value == waiting
    assert made.connections_per_key.value >= slots
    assert all(getattr(made, name).rule for name in type(made).__dataclass_fields__)


def test_the_rates_are_the_profiles() -> None:
    made = of(serve=Serve(rate_limit=RateLimit(requests_per_minute=7, burst=3)))
    assert (made.rate_limit_requests_per_minute.value, made.rate_limit_burst.value) == (7, 3)


def test_a_body_may_hold_the_whole_context() -> None:
    assert of(context=4 * 1_000_000).body_limit_bytes.value == 8 * 1_000_000


def test_loading_three_times_as_long_as_expected_is_still_waited_for() -> None:
    made = of(speed=Speed(load_seconds=estimate(100.0)))
    assert made.start_timeout_seconds.value == 360


def test_ollamas_first_start_has_time_to_copy_the_model_too() -> None:
    settings = EngineSettings(engine=EngineName.OLLAMA, context_size=8192, parallel=1)
    made = numbers(settings=settings, ledger=host_ledger(3 * GIB), speed=Speed(), serve=Serve(), port=11434)
    assert made.start_timeout_seconds.value == 120 + 22  # 3 GiB at 150 MB/s
    assert "to copy the weights" in made.start_timeout_seconds.rule


def test_the_memory_limit_is_above_the_ledger_and_within_the_host() -> None:
    assert of(ledger=host_ledger(16 * GIB)).memory_max_bytes.value == 18 * GIB
    assert of(ledger=host_ledger(16 * GIB, limit=17 * GIB)).memory_max_bytes.value == 17 * GIB
    assert of(ledger=host_ledger(16 * GIB, limit=15 * GIB)).memory_max_bytes.value == 16 * GIB
