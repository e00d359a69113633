"""A ledger: the memory by device and cause, whether it fits, and what is missing where it does not."""

from collections.abc import Iterator
from itertools import groupby

from llmops.domain.engine import EngineName
from llmops.domain.ledger import Causes, Confidence, DeviceLedger, HostLedger, Ledger, Pool
from llmops.domain.units import figure_text, size_text
from llmops.views.screen import Screen, Tone

CAUSES = {
    "weights_bytes": "weights",
    "kv_cache_bytes": "KV cache",
    "recurrent_state_bytes": "recurrent state",
    "compute_bytes": "compute buffers",
    "cuda_graphs_bytes": "CUDA graphs",
    "projector_bytes": "projector",
    "draft_bytes": "draft model",
    "overhead_bytes": "overhead",
}
CARD_OVERHEAD = "CUDA context"
HOST_OVERHEAD = {
    EngineName.LLAMA_CPP.value: "process and prompt cache",
    EngineName.VLLM.value: "processes",
    EngineName.SGLANG.value: "processes",
    EngineName.TGI.value: "processes",
    EngineName.OLLAMA.value: "process and prompt cache",
}


def show_ledger(ledger: Ledger, to: Screen) -> None:
    """One column a device (or a run of equal ones), the host last; causes that are zero everywhere are left out."""
    shown = tuple(_shown(ledger))
    devices = [device for _, device in shown]
    columns = [*(dict(_figures(one.causes)) for one in devices), dict(_figures(ledger.host.causes))]
    head = ["", *(title for title, _ in shown), "RAM", ""]
    rows = [
        [_cause(name, ledger), *[_size(column[name]) for column in columns], _trust(name, ledger)]
        for name in CAUSES
        if any(column[name] for column in columns)
    ]
    rows.append(["total", *[size_text(sum(column.values())) for column in columns], ""])
    if any(device.reserve_bytes for device in devices):
        rows.append(["reserve", *[_size(device.reserve_bytes) for device in devices], "-", ""])
    free = [size_text(device.free_bytes) for device in devices]
    rows.append(["free", *free, _limit(ledger.host), ""])
    spare = [_spare(device.spare_bytes()) for device in devices]
    rows.append(["to spare", *spare, _spare(ledger.host.spare_bytes()), ""])
    to.table(head, rows, right=tuple(range(1, len(columns) + 1)))
    _show_pool(ledger, to)


def _shown(ledger: Ledger) -> Iterator[tuple[str, DeviceLedger]]:
    """A title and a column for each run of cards that hold the same: eight columns of one figure are read by nobody."""
    if len(ledger.devices) == 1:
        yield ledger.devices[0].name, ledger.devices[0]
        return  # its number says nothing
    for _, run in groupby(enumerate(ledger.devices), key=lambda one: one[1]):
        (first, device), *others = run
        yield (f"{first} to {others[-1][0]}, each: {device.name}" if others else f"{first}: {device.name}"), device


def _figures(causes: Causes) -> Iterator[tuple[str, int]]:
    for name in CAUSES:
        yield name, getattr(causes, name)


def _cause(name: str, ledger: Ledger) -> str:
    if name != "overhead_bytes":
        return CAUSES[name]
    on_cards = any(device.causes.overhead_bytes for device in ledger.devices)
    in_ram = HOST_OVERHEAD.get(ledger.engine, "process")
    return f"{CARD_OVERHEAD}; {in_ram}" if on_cards else in_ram


def _trust(name: str, ledger: Ledger) -> str:
    """The weakest confidence of a cause over the cards that have it, else of RAM."""
    cards = [device for device in ledger.devices if getattr(device.causes, name)]
    holders: list[DeviceLedger | HostLedger] = [*cards] or [ledger.host]
    known = [confidence for one in holders if (confidence := one.confidence.get(name)) is not None]
    return _weakest(known)


def _weakest(known: list[Confidence]) -> str:
    if not known:
        return ""
    weakest = known[0]
    for one in known[1:]:
        weakest = weakest.weaker(one)
    return weakest.value


def _size(count_bytes: int) -> str:
    return size_text(count_bytes) if count_bytes else "-"


def _limit(host: HostLedger) -> str:
    return "not known" if host.limit_bytes is None else size_text(host.limit_bytes)


def _spare(count_bytes: int | None) -> str:
    return "-" if count_bytes is None else size_text(count_bytes)


def _show_pool(ledger: Ledger, to: Screen) -> None:
    if ledger.pool is None:
        return
    pool = ledger.pool
    to.line(
        f"KV pool: {pool.num_blocks:,} blocks of {size_text(pool.bytes_per_block)}, {pool.kv_pool_tokens:,} tokens, "
        f"{figure_text(pool.max_concurrency)} requests of full length at a time"
    )
    if pool.safe_bytes and pool.safe_bytes < pool.kv_pool_bytes:
        to.line(
            f"surely there: {size_text(pool.safe_bytes)} of it, {pool.safe_tokens:,} tokens, one request of up to "
            f"{pool.longest_tokens:,}"
        )


def show_fit(ledger: Ledger, to: Screen, *, starts: bool | None = True) -> None:
    """Whether it fits, how sure that is, and what is missing where.

    `starts` False: something else ends the start; None: whether something does is not known.
    """
    confidence = f"confidence: {_confidence(ledger)}, checked on {ledger.engine} {ledger.engine_build}"
    if ledger.fits() and starts is None:
        to.line(f"Whether it starts is not known; of memory there is enough ({confidence})", tone=Tone.WARN)
        return
    if ledger.fits() and not starts:
        to.line(f"It would not start; of memory there is enough ({confidence})", tone=Tone.BAD)
        return
    if ledger.fits():
        to.line(f"It fits ({confidence})", tone=Tone.GOOD)
        return
    for text in what_is_missing(ledger):
        to.line(f"It does not fit: {text} ({confidence})", tone=Tone.BAD)


def _confidence(ledger: Ledger) -> str:
    """The ledger's word, and each cause it leaves out because it is less sure and was judged all the same."""
    judged: list[tuple[DeviceLedger | HostLedger, str]] = [(one, f" on `{one.name}`") for one in ledger.devices]
    if ledger.host.limit_bytes is not None:
        judged.append((ledger.host, " in RAM" if ledger.devices else ""))
    less = dict.fromkeys(
        f"{_cause(name, ledger).rpartition('; ')[2]}{place} {value.value}"
        for one, place in judged
        for name, value in one.confidence.items()
        if getattr(one.causes, name) and value.weaker(ledger.confidence) is not ledger.confidence
    )
    return f"{ledger.confidence.value}; only {', '.join(less)}" if less else ledger.confidence.value


def what_is_missing(ledger: Ledger) -> Iterator[str]:
    """Where a ledger that does not fit lacks how much."""
    short = [device for device in ledger.devices if device.spare_bytes() < 0]
    if len(short) == 1:
        yield f"`{short[0].name}` misses {size_text(-short[0].spare_bytes())}"
    elif short:
        together = sum(-device.spare_bytes() for device in short)
        yield f"{len(short)} of {len(ledger.devices)} cards miss {size_text(together)} together"
    spare = ledger.host.spare_bytes()
    if spare is not None and spare < 0:
        yield f"RAM misses {size_text(-spare)}"
    if ledger.pool is not None and not ledger.pool.holds_one:
        yield from _pool_is_too_small(ledger, ledger.pool)


def _pool_is_too_small(ledger: Ledger, pool: Pool) -> Iterator[str]:
    refusals = [note for note in ledger.notes if "refuses to start" in note]
    if refusals:
        yield from refusals
    elif pool.longest_tokens:
        yield f"the KV pool surely holds one request of {pool.longest_tokens:,} tokens, not of full length"
    else:
        yield f"the KV pool of {pool.safe_tokens or pool.kv_pool_tokens:,} tokens does not hold one request"
