"""What a host is, as JSON: a facts document, or the whole document of `doctor --json`."""

import hashlib
import json
from typing import cast

from llmops.domain.errors import WrongInput
from llmops.domain.finding import Where
from llmops.domain.forms import FormError, Json, KeyPath, key_text, load
from llmops.domain.host import Cpu, Gpu, HostFacts, Memory, Nvidia
from llmops.domain.reading import Known, Unknown, known
from llmops.formats.plain_data import Migrations, current, refuse_unsound

FACTS_SCHEMA = "llmops.facts/1"
MIGRATIONS: Migrations = {}
"""None yet: `llmops.facts/1` is the first version."""

LIMIT_CHARACTERS = 16 << 20
HINT = "`llmops doctor --json > facts.json` writes one"

SIGNED = frozenset({"priority", "days_left", "temperature_celsius", "slowdown_celsius"})
"""Numbers that may be below zero: a swap's priority, a certificate that ran out, a card in the cold. No other may."""


def parse_facts(text: str, *, file: str) -> HostFacts:
    """The facts of a host. Raises `WrongInput` with the line (of broken JSON) or the key."""
    data, above = _facts_of(_json(text, file=file), file=file)

    def wrong(message: str, path: KeyPath, *, hint: str | None = None) -> WrongInput:
        where = Where(file=file, key=key_text((*above, *path)) or None)
        return WrongInput(message, hint=hint or HINT, where=where)

    migrated = current(data, newest=FACTS_SCHEMA, migrations=MIGRATIONS, wrong=wrong)
    refuse_unsound(migrated, wrong, allowed="\n\t")
    try:
        _refuse_negative(migrated, ())
        return load(HostFacts, migrated)
    except FormError as error:
        raise wrong(error.message, error.path, hint=error.hint) from None


def _refuse_negative(data: Json, path: KeyPath) -> None:
    """No size, count or code is below zero: such a number was not read from a host, and no check would hold."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, one in items:
        if isinstance(one, int | float) and one < 0 and not SIGNED & {key, *path[-1:]}:
            raise FormError(f"{one} is below zero", (*path, key))
        _refuse_negative(one, (*path, key))


def facts_digest(facts: HostFacts) -> str:
    """`sha256:` over what stays: cards and their totals, driver, CPU, memory in total, OS, kinds of filesystem.

    Free memory, temperatures, processes, listeners, tools, the kernel's patch level and the reasons of what is unknown
    are left out: the same box has the same digest tomorrow.
    """
    stable: dict[str, Json] = {
        "os": [facts.system.os_id, facts.system.os_version],
        "cpu": _cpu(facts.cpu),
        "memory": _memory(facts.memory),
        "filesystems": _filesystems(facts),
        "nvidia": _nvidia(facts.nvidia),
    }
    others = known(facts.other_gpus)
    if others:
        stable["others"] = [_gpu(gpu) for gpu in others]
    text = json.dumps(stable, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _cpu(reading: Known[Cpu] | Unknown) -> Json:
    cpu = known(reading)
    if cpu is None:
        return None
    extensions: list[Json] = list[Json](sorted(cpu.vector_extensions))
    return [cpu.model, cpu.architecture, known(cpu.physical_cores), cpu.threads, known(cpu.numa_nodes), extensions]


def _memory(reading: Known[Memory] | Unknown) -> Json:
    memory = known(reading)
    return None if memory is None else [memory.total_bytes, known(memory.limit_bytes)]


def _filesystems(facts: HostFacts) -> Json:
    return list[Json](sorted({disk.filesystem for disk in known(facts.disks) or ()}))


def _nvidia(nvidia: Nvidia) -> Json:
    driver = known(nvidia.driver)
    version: Json = None if driver is None else [driver.version, known(driver.cuda)]
    cards: list[Json] = [_gpu(gpu) for gpu in sorted(nvidia.gpus, key=lambda one: one.index)]
    return [nvidia.state.value, version, cards]


def _gpu(gpu: Gpu) -> Json:
    named = [known(gpu.name), known(gpu.uuid), known(gpu.compute_capability)]
    return [gpu.index, gpu.vendor, gpu.unified_memory, *named, known(gpu.memory_bytes), known(gpu.mig_enabled)]


def _json(text: str, *, file: str) -> Json:
    if len(text) > LIMIT_CHARACTERS:
        raise WrongInput(f"larger than {LIMIT_CHARACTERS >> 20} million characters", hint=HINT, where=Where(file=file))
    try:
        return cast("Json", json.loads(text, object_pairs_hook=_table))
    except json.JSONDecodeError as error:
        where = Where(file=file, line=error.lineno)
        raise WrongInput(f"not JSON: {error.msg}", hint=HINT, where=where) from None
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise WrongInput(f"not a facts document: {reason}", hint=HINT, where=Where(file=file)) from None


def _table(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key `{twice[:60]}` is there twice")
    return table


def _facts_of(data: Json, *, file: str) -> tuple[Json, KeyPath]:
    """The facts in a document, and the path to them: a `doctor` document holds them as `result.facts`."""
    if not isinstance(data, dict) or not str(data.get("schema", "")).startswith("llmops.doctor/"):
        return data, ()
    result, error = data.get("result"), data.get("error")
    if isinstance(result, dict) and "facts" in result:
        return result["facts"], ("result", "facts")
    said = error.get("message") if isinstance(error, dict) else None
    message = (
        f"this `doctor` document holds no facts, but the error: {said}"
        if said
        else "this `doctor` document holds no facts"
    )
    raise WrongInput(message[:300], hint=HINT, where=Where(file=file, key="result.facts"))
