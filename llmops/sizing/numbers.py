"""The figures other files repeat, worked out once, each with its rule."""

import math

from llmops.domain.engine import EngineName, EngineSettings
from llmops.domain.ledger import Ledger
from llmops.domain.numbers import Number, Numbers
from llmops.domain.plan import Speed
from llmops.domain.profile import Serve
from llmops.domain.units import GIB, MIB, figure_text

UNKNOWN_DECODE_TOKENS_PER_SECOND = 5.0
"""Policy: about as fast as a person reads; slower is not worth serving."""

SHORTEST_REQUEST_SECONDS, LONGEST_REQUEST_SECONDS = 300, 3000
"""A request may take at least five minutes (policy), and less than the 3600 s of llama-server's own `--timeout` (b11669)."""

QUEUE_SECONDS = 60
WAITING_PER_SLOT = 4
ALERT_SHARE = 0.8
"""Policy, which `serve.queue` overrules: nobody waits a minute for the first word, four for each slot are what a minute serves of
answers of 15 s, and the alert comes while there is room."""

RETRY_AFTER_SECONDS = 2
FEWEST_RETRIES, MOST_RETRIES = 2, 10
DRAIN_SECONDS = 60
EDGE_MARGIN_SECONDS = 30
"""Policy: answers in flight get a minute; each layer waits longer than the one behind it, so that the inner one says why."""

SLOWEST_READ_BYTES_PER_SECOND = 150e6
"""A hard disk's sequential rate."""

GATEWAY_PORT_DISTANCE = 1000
BODY_BYTES_PER_TOKEN = 8
"""Policy: twice the four characters that a token of English has, for JSON's escapes and other alphabets."""

HTTP_THREADS_ON_DEMAND = 1024
"""llama-server (b11669) starts up to so many beside its fixed ones."""

OTHER_THREADS = 512
VLLM_TASKS = 8192
"""Policy: bounds against a runaway process, not measurements; the driver and NCCL start tens of threads for each card."""


def numbers(*, settings: EngineSettings, ledger: Ledger, speed: Speed, serve: Serve, port: int) -> Numbers:
    """All derived figures. They hold: client > edge > gateway > queue + request; stop > drain; start ≥ 120 s."""
    slots = settings.parallel
    queue_length = _queue_length(serve, slots)
    queue = _queue_timeout(serve)
    request = _request_timeout(settings, speed)
    gateway = queue.value + request.value + EDGE_MARGIN_SECONDS
    edge = gateway + EDGE_MARGIN_SECONDS
    return Numbers(
        slots=Number(value=slots, rule="requests in flight: `parallel` of the settings"),
        queue_length=queue_length,
        queue_timeout_seconds=queue,
        request_timeout_seconds=request,
        gateway_timeout_seconds=Number(value=gateway, rule=f"queue + request + {EDGE_MARGIN_SECONDS} s"),
        edge_read_timeout_seconds=Number(value=edge, rule=f"gateway + {EDGE_MARGIN_SECONDS} s"),
        client_timeout_seconds=Number(value=edge + EDGE_MARGIN_SECONDS, rule=f"edge + {EDGE_MARGIN_SECONDS} s"),
        client_retries=_client_retries(queue.value, max(queue_length.value, slots)),
        retry_after_seconds=Number(value=RETRY_AFTER_SECONDS, rule="what a refusal (429) tells a client to wait"),
        start_timeout_seconds=_start_timeout(settings, ledger, speed),
        stop_timeout_seconds=Number(
            value=DRAIN_SECONDS + EDGE_MARGIN_SECONDS,
            rule=f"{DRAIN_SECONDS} s to drain + {EDGE_MARGIN_SECONDS} s to let go of the memory",
        ),
        rate_limit_requests_per_minute=Number(
            value=serve.rate_limit.requests_per_minute, rule="serve.rate_limit.requests_per_minute"
        ),
        rate_limit_burst=Number(value=serve.rate_limit.burst, rule="serve.rate_limit.burst"),
        connections_per_key=Number(value=slots + queue_length.value, rule="slots + queue: more would only wait"),
        body_limit_bytes=_body_limit(settings),
        memory_max_bytes=_memory_max(ledger),
        tasks_max=_tasks_max(settings),
        alert_queue_length=Number(
            value=max(1, math.ceil(ALERT_SHARE * queue_length.value)),
            rule=f"{ALERT_SHARE:.0%} of the queue, at least 1",
        ),
        engine_port=Number(value=port, rule="the plan's port, on 127.0.0.1 only"),
        gateway_port=gateway_port(port),
    )


def gateway_port(port: int) -> Number:
    """Where the queue in front of the engine listens: a fixed distance, so that ports of several engines cannot meet."""
    if port + GATEWAY_PORT_DISTANCE < 65536:
        return Number(value=port + GATEWAY_PORT_DISTANCE, rule=f"the engine's port + {GATEWAY_PORT_DISTANCE}")
    return Number(value=port - GATEWAY_PORT_DISTANCE, rule=f"the engine's port - {GATEWAY_PORT_DISTANCE}")


def _queue_length(serve: Serve, slots: int) -> Number:
    if isinstance(serve.queue.max_waiting, int):
        return Number(value=serve.queue.max_waiting, rule="serve.queue.max_waiting")
    return Number(value=WAITING_PER_SLOT * slots, rule=f"{WAITING_PER_SLOT} waiting per slot")


def _queue_timeout(serve: Serve) -> Number:
    if isinstance(serve.queue.timeout_seconds, int):
        return Number(value=serve.queue.timeout_seconds, rule="serve.queue.timeout_seconds")
    return Number(value=QUEUE_SECONDS, rule=f"{QUEUE_SECONDS} s: nobody waits longer for the first word")


def _client_retries(queue_seconds: int, places: int) -> Number:
    """A full queue that empties within its timeout has a place free every timeout / places: asked again until then."""
    value = min(max(math.ceil(queue_seconds / places / RETRY_AFTER_SECONDS), FEWEST_RETRIES), MOST_RETRIES)
    rule = (
        f"until one of {places} places is free, every {RETRY_AFTER_SECONDS} s, {FEWEST_RETRIES} to {MOST_RETRIES} times"
    )
    return Number(value=value, rule=rule)


def _request_timeout(settings: EngineSettings, speed: Speed) -> Number:
    """The longest generation: a whole context at the low estimate, twice, since other slots are busy too."""
    estimate = speed.decode_tokens_per_second
    rate = UNKNOWN_DECODE_TOKENS_PER_SECOND if estimate is None else max(estimate.low, 0.1)
    source = "assumed, the speed is not known" if estimate is None else "the low estimate"
    seconds = math.ceil(2 * settings.request_tokens() / rate)
    value = min(max(seconds, SHORTEST_REQUEST_SECONDS), LONGEST_REQUEST_SECONDS)
    rule = (
        f"twice a whole context at {figure_text(rate)} tokens/s ({source}), "
        f"within {SHORTEST_REQUEST_SECONDS} to {LONGEST_REQUEST_SECONDS} s"
    )
    return Number(value=value, rule=rule)


def _start_timeout(settings: EngineSettings, ledger: Ledger, speed: Speed) -> Number:
    """Ollama's first start reads and writes the whole model once more, into its own store."""
    loading = _loading_timeout(ledger, speed)
    if settings.engine is not EngineName.OLLAMA:
        return loading
    copying = math.ceil(_weights_bytes(ledger) / SLOWEST_READ_BYTES_PER_SECOND)
    return Number(value=loading.value + copying, rule=f"{loading.rule}; + {copying} s to copy the weights at 150 MB/s")


def _weights_bytes(ledger: Ledger) -> int:
    return ledger.host.causes.weights_bytes + sum(device.causes.weights_bytes for device in ledger.devices)


def _loading_timeout(ledger: Ledger, speed: Speed) -> Number:
    if speed.load_seconds is not None:
        loading = speed.load_seconds
        return Number(
            value=max(math.ceil(3 * loading.value) + 60, 120),
            rule=f"3 x loading + 60 s, at least 120 s; loading: {loading.basis}",
        )
    value = max(math.ceil(_weights_bytes(ledger) / SLOWEST_READ_BYTES_PER_SECOND) + 60, 120)
    return Number(value=value, rule="weights at 150 MB/s + 60 s, at least 120 s")


def _body_limit(settings: EngineSettings) -> Number:
    value = max(BODY_BYTES_PER_TOKEN * settings.request_tokens(), MIB)
    return Number(value=value, rule=f"{BODY_BYTES_PER_TOKEN} bytes per token of context, at least 1 MiB")


def _memory_max(ledger: Ledger) -> Number:
    """The host ledger holds the mapped weights too; the margin is for page cache while weights pass through to a card."""
    total = ledger.host.total_bytes()
    value = total + max(GIB, total // 8)
    limit = ledger.host.limit_bytes
    if limit is not None and value > limit:
        return Number(value=max(total, limit), rule="the host's usable memory, or the ledger where that is more")
    return Number(
        value=value, rule="the host's ledger + an eighth, at least 1 GiB, for page cache and what is not counted"
    )


def _tasks_max(settings: EngineSettings) -> Number:
    if settings.engine.takes_pool():
        return Number(value=VLLM_TASKS, rule="Python, CUDA and NCCL threads of every rank: a generous fixed bound")
    value = HTTP_THREADS_ON_DEMAND + OTHER_THREADS + settings.parallel
    rule = f"{HTTP_THREADS_ON_DEMAND} HTTP threads on demand + {OTHER_THREADS} for computing and the driver + slots"
    return Number(value=value, rule=rule)
