"""LCK: what a lock needs of the host's memory: that there is enough, and that it may be locked where the engine locks it."""

from llmops.checks.check import Judgement, fail, ok, unknown
from llmops.checks.lock_check import LockCheck, Wanted, beside
from llmops.domain.host import Container
from llmops.domain.reading import Unknown
from llmops.domain.units import size_text


def memory_is_enough(wanted: Wanted) -> Judgement | None:
    """Of the host's memory, what the ledger takes beside pages that can be read again is available.

    The deployments before it in the lock have theirs first.
    """
    host, ledger = wanted.host, wanted.deployment.ledger.host
    if wanted.runs_already():
        return ok("it runs already")
    if isinstance(host.memory, Unknown):
        return unknown(host.memory, "memory")
    memory = host.memory.value
    need = _kept(wanted)
    least = ledger.total_bytes() if not wanted.deployment.devices else need
    if isinstance(memory.limit_bytes, Unknown):
        return unknown(memory.limit_bytes, "memory limit")
    usable = min(memory.total_bytes, memory.limit_bytes.value or memory.total_bytes)
    if usable < least:
        return fail(
            f"{size_text(usable)} of memory may be used, the plan takes {size_text(least)}",
            "take a smaller model or context, or put more of it on cards: `llmops plan --out llmops.lock`",
        )
    available = min(usable, memory.available_bytes)
    others = {one.name: taken for one in wanted.before() if (taken := _kept(one)) > 0}
    if need <= available < need + sum(others.values()):
        return fail(
            f"{size_text(available)} of memory is available, the plan takes {size_text(need)}{beside(tuple(others))}, "
            f"planned at {size_text(sum(others.values()))}",
            "take smaller models or contexts: `llmops plan --out llmops.lock`",
        )
    if available < need:
        return fail(
            f"{size_text(available)} of memory is available, the plan takes {size_text(need)} that cannot be given back",
            "stop what uses memory: `ps aux --sort -rss | head`",
        )
    return ok(f"{size_text(available)} available for {size_text(need)}")


def _kept(wanted: Wanted) -> int:
    """Bytes of host memory that a deployment does not give back: all but the pages of its files."""
    ledger = wanted.deployment.ledger.host
    return max(ledger.total_bytes() - ledger.page_cache_bytes, 0)


def weights_may_be_locked(wanted: Wanted) -> Judgement | None:
    """Where the engine locks its weights in RAM, the limit lets it.

    Units and containers of ours lift it (`LimitMEMLOCK=infinity`, `ulimits`); inside a container nobody can.
    """
    need, system = wanted.deployment.ledger.host.causes.weights_bytes, wanted.host.system
    if "mlock" not in wanted.deployment.settings.load_mode or not need:
        return None
    if wanted.has_target("systemd", "compose"):
        if isinstance(system.container, Unknown):
            return unknown(system.container, "whether this is a container")
        if system.container.value is Container.NONE:
            return ok("unit and container lift the limit of locked memory")
    if isinstance(wanted.host.memory, Unknown):
        return unknown(wanted.host.memory, "memory")
    limit = wanted.host.memory.value.lock_limit_bytes
    if isinstance(limit, Unknown):
        return unknown(limit, "limit of locked memory")
    if limit.value is not None and limit.value < need:
        return fail(
            f"{size_text(limit.value)} of memory may be locked, the engine locks {size_text(need)}",
            "`ulimit -l unlimited` for its user (in a container: `docker run --ulimit memlock=-1`), or plan again",
        )
    return ok("the weights may be locked in memory")


CHECKS = (
    LockCheck(code="LCK006", title="The host's memory is enough", judge=memory_is_enough, decides=True,
              why="What is not on cards lies in RAM; what cannot be given back must fit.", source="the lock's ledger"),
    LockCheck(code="LCK019", title="The weights may be locked in memory", judge=weights_may_be_locked,
              why="Beyond the limit llama-server warns, goes on, and its weights can be paged out.",
              source="getrlimit(2), RLIMIT_MEMLOCK; llama.cpp, src/llama-mmap.cpp (`llama_mlock`)"),
)  # fmt: skip
