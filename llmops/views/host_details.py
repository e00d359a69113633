"""What else was read of a host, for who asks for all of it (`--verbose`): settings, limits, accounts, ports, each card."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from llmops.domain.gpu_software import Python
from llmops.domain.host import Gpu, HostFacts, Listener, Memory
from llmops.domain.reading import NOT_ASKED, Known, Unknown, known
from llmops.domain.surroundings import Surroundings
from llmops.domain.units import size_text

T = TypeVar("T")

MOST = 8
"""So many of a kind are named; of more, their number."""


def detail_rows(facts: HostFacts) -> tuple[tuple[str, str], ...]:
    """Each with its name; what was not looked at has no row."""
    memory, rows = known(facts.memory), list[tuple[str, list[str]]]()
    if memory is not None:
        rows += [("swap", _swaps(memory)), ("tuning", _tuning(memory))]
    rows += [
        ("limits", _limits(facts, memory)),
        ("python", _listed(facts.pythons, _python)),
        ("firewall", _firewalls(facts.surroundings)),
        ("users", _accounts(facts.surroundings)),
        ("proxies", _listed(facts.surroundings.proxies, lambda one: f"{one.name}={one.value}")),
        ("ports", _listed(facts.listeners, _listener)),
        ("certs", _listed(facts.exposure.certificates, lambda one: f"{one.path} until {one.not_after}")),
    ]
    rows += [(f"card #{gpu.index}", list(_card(gpu))) for gpu in (*facts.nvidia.gpus, *(known(facts.other_gpus) or ()))]
    return tuple((name, ", ".join(words)) for name, words in rows if words)


def _told(name: str, reading: Known[T] | Unknown, words: Callable[[T], str] = str) -> list[str]:
    """The name and the value; what was asked for in vain says so, and what was not asked for is left out."""
    if isinstance(reading, Unknown):
        return [] if reading == NOT_ASKED else [f"{name} not known"]
    return [f"{name} {words(reading.value)}"]


def _listed(reading: Known[tuple[T, ...]] | Unknown, words: Callable[[T], str]) -> list[str]:
    if isinstance(reading, Unknown):
        return [] if reading == NOT_ASKED else [f"not known: {reading.reason}"]
    more = [f"and {len(reading.value) - MOST} more"] if len(reading.value) > MOST else []
    return [*dict.fromkeys(words(one) for one in reading.value[:MOST]), *more] or ["none"]


def _python(python: Python) -> str:
    version = known(python.version)
    return f"{python.path} {version or 'of a version not known'}"


def _listener(one: Listener) -> str:
    program = known(one.program)
    return f"{one.address}:{one.port} {program or one.user}"


def _swaps(memory: Memory) -> list[str]:
    return _listed(
        memory.swaps,
        lambda one: (
            f"{one.name} ({one.kind.value}, priority {one.priority}): {size_text(one.used_bytes)} of "
            f"{size_text(one.size_bytes)} used"
        ),
    )


def _tuning(memory: Memory) -> list[str]:
    tuning = memory.tuning
    return [
        *_told("swappiness", tuning.swappiness),
        *_told("overcommit", tuning.overcommit),
        *_told("vfs_cache_pressure", tuning.vfs_cache_pressure),
        *_told("transparent huge pages", tuning.transparent_huge_pages, lambda word: word or "none"),
        *_told("huge pages", tuning.huge_pages, lambda pages: str(sum(one.total for one in pages))),
        *_told("NUMA balancing", tuning.numa_balancing, lambda mode: "none" if mode is None else str(mode)),
    ]


def _limits(facts: HostFacts, memory: Memory | None) -> list[str]:
    def size(limit: int | None) -> str:
        return "without limit" if limit is None else f"at most {size_text(limit)}"

    words: list[str] = []
    if memory is not None:
        words += [
            *_told("memory", memory.limit_bytes, size),
            *_told(
                "slowed down",
                memory.throttle_bytes,
                lambda high: "never" if high is None else f"above {size_text(high)}",
            ),
            *_told("swap", memory.swap_limit_bytes, size),
            *_told("locked memory", memory.lock_limit_bytes, size),
        ]
    return [
        *words,
        *_told("open files", facts.surroundings.files, lambda one: f"{one.soft} ({one.hard} may be asked for)"),
    ]


def _firewalls(around: Surroundings) -> list[str]:
    def words(on: bool | None) -> str:  # noqa: FBT001 - a reading
        return "not known whether on" if on is None else "on" if on else "off"

    return _listed(around.firewalls, lambda one: f"{one.tool.value} {words(known(one.active))}")


def _accounts(around: Surroundings) -> list[str]:
    there = (
        Known(tuple(one for one in around.accounts.value if one.uid is not None))
        if isinstance(around.accounts, Known)
        else around.accounts
    )
    groups = known(around.groups) or ()
    mine = [one.name for one in groups if one.has_this_user]
    return [
        *_listed(there, lambda one: f"{one.name} ({one.uid})"),
        *([f"this user is in {' '.join(mine)}"] if mine else []),
    ]


def _card(gpu: Gpu) -> Iterator[str]:
    if gpu.fault is not None:
        return
    link = [
        known(one) for one in (gpu.pcie.generation, gpu.pcie.width, gpu.pcie.generation_maximum, gpu.pcie.width_maximum)
    ]
    if None not in link:
        yield f"PCIe {link[0]} x{link[1]} of {link[2]} x{link[3]}"
    yield from _told("at", gpu.temperature_celsius, lambda degrees: f"{degrees} °C")
    yield from _told("limit", gpu.power.limit_watts, lambda watts: f"{watts:.0f} W")
    yield from _told("persistence", gpu.persistence_mode, lambda on: "on" if on else "off")
    yield from _told("ECC", gpu.ecc.enabled, lambda on: "on" if on else "off")
    yield from _told("clocks held by", gpu.clock_reasons, lambda why: ", ".join(one.value for one in why) or "nothing")
    yield from _told(
        "used by",
        gpu.processes,
        lambda users: ", ".join(f"{one.name or 'a process'} ({one.pid})" for one in users[:MOST]) or "nobody",
    )
