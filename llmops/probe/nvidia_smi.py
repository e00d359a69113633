"""The second source of NVIDIA's cards: `nvidia-smi`, compared with NVML, and used where NVML itself cannot be asked.

Sizes are MiB without a unit; `[N/A]`, `[Not Supported]`, `[Unknown Error]` and the like stand where there is no value.
`cuda_version` is no field of it, and one field it does not know fails the whole question.
"""

import re

from llmops.domain.gpu import GpuSource, SeenCard
from llmops.domain.host import Driver, Gpu, Nvidia
from llmops.domain.programs import Ran, Runner
from llmops.domain.reading import Known, Unknown, known
from llmops.domain.units import MIB
from llmops.probe import pci
from llmops.probe.nvml_card import NO_SERIAL, is_integrated

ANSWER_SECONDS = 30.0

FIELDS = (
    "index",
    "name",
    "uuid",
    "memory.total",
    "memory.used",
    "driver_version",
    "compute_cap",
    "pci.bus_id",
    "mig.mode.current",
)
OLD_FIELDS = ("index", "name", "uuid", "memory.total", "memory.used", "driver_version")
"""Drivers before R510 do not know `compute_cap`."""


def ask(runner: Runner) -> Known[Ran] | Unknown:
    """One question; again without the newer fields where the program does not know them."""
    if runner.find("nvidia-smi") is None:
        return Unknown("`nvidia-smi` is not installed")
    ran = _query(runner, FIELDS)
    if isinstance(ran, Known) and "is not a valid field to query" in f"{ran.value.stdout}{ran.value.stderr}":
        return _query(runner, OLD_FIELDS)
    return ran


def _query(runner: Runner, fields: tuple[str, ...]) -> Known[Ran] | Unknown:
    argv = ("nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits")
    ran = runner.run(argv, timeout_seconds=ANSWER_SECONDS)
    if isinstance(ran, Unknown) and "did not end" in ran.reason:
        return Unknown(f"`nvidia-smi` did not answer within {ANSWER_SECONDS:g} s")
    return ran


def read(ran: Known[Ran] | Unknown) -> tuple[GpuSource, tuple[Gpu, ...]]:
    """What it says of the cards, and the cards as facts."""
    if isinstance(ran, Unknown):
        return GpuSource(name="nvidia-smi", cards=ran, driver_version=ran), ()
    text = ran.value.stdout
    rows = [row for line in text.split("\n") if (row := _row(line)) is not None]
    if not rows:
        said = next((line.strip() for line in f"{text}\n{ran.value.stderr}".split("\n") if line.strip()), "nothing")
        no = Unknown(f"`nvidia-smi` (exit code {ran.value.exit_code}) said: {said[:200]}")
        return GpuSource(name="nvidia-smi", cards=no, driver_version=no), ()
    gpus = tuple(_gpu(row) for row in rows)
    drivers = {driver for row in rows if (driver := _value(row, 5))}
    version = Known(drivers.pop()) if len(drivers) == 1 else Unknown("no one driver version in the answer")
    seen = tuple(
        SeenCard(
            address=known(gpu.address), name=known(gpu.name), memory_bytes=known(gpu.memory_bytes), fault=gpu.fault
        )
        for gpu in gpus
    )
    return GpuSource(name="nvidia-smi", cards=Known(seen), driver_version=version), gpus


def of_nvml(nvidia: Nvidia) -> GpuSource:
    """The first source in the same words. A card in MIG mode is one card; its memory is not told by its instances."""
    if not nvidia.gpus:
        no = Unknown(nvidia.detail or nvidia.state.value)
        return GpuSource(name="nvml", cards=no, driver_version=_version(nvidia))
    cards: dict[int, SeenCard] = {}
    for gpu in nvidia.gpus:
        memory = None if gpu.is_mig_instance or gpu.unified_memory else known(gpu.memory_bytes)
        name = re.sub(r" MIG \S+$", "", known(gpu.name) or "") or None
        cards[gpu.index] = SeenCard(address=known(gpu.address), name=name, memory_bytes=memory, fault=gpu.fault)
    return GpuSource(name="nvml", cards=Known(tuple(cards.values())), driver_version=_version(nvidia))


def _version(nvidia: Nvidia) -> Known[str] | Unknown:
    return Known(nvidia.driver.value.version) if isinstance(nvidia.driver, Known) else nvidia.driver


def driver(source: GpuSource) -> Known[Driver] | Unknown:
    """The driver as nvidia-smi names it; which CUDA it serves is not among what was asked."""
    if isinstance(source.driver_version, Unknown):
        return source.driver_version
    return Known(Driver(version=source.driver_version.value, cuda=Unknown("nvidia-smi was not asked for it")))


def _row(line: str) -> tuple[str, ...] | None:
    """A line of values, told by its number of fields and its index."""
    parts = tuple(part.strip() for part in line.split(","))
    is_row = len(parts) in (len(OLD_FIELDS), len(OLD_FIELDS) + 1, len(FIELDS)) and re.fullmatch(
        r"\d{1,3}", parts[0], re.ASCII
    )
    return parts if is_row else None


def _value(row: tuple[str, ...], at: int) -> str | None:
    """The field, None where it is missing or one of the words for no value."""
    text = row[at] if at < len(row) else ""
    return None if not text or re.fullmatch(r"\[.*\]|N/A", text) else text


def _reading(row: tuple[str, ...], at: int) -> Known[str] | Unknown:
    value = _value(row, at)
    return Known(value) if value is not None else Unknown(f"nvidia-smi says {row[at] if at < len(row) else 'nothing'}")


def _mig(row: tuple[str, ...]) -> Known[bool] | Unknown:
    word = row[8] if len(row) > 8 else ""
    if word in ("Enabled", "Disabled", "[N/A]", "N/A"):
        return Known(word == "Enabled")
    return Unknown("nvidia-smi does not tell")


def _size(row: tuple[str, ...], at: int) -> Known[int] | Unknown:
    text = _reading(row, at)
    if isinstance(text, Unknown):
        return text
    match = re.fullmatch(r"(\d{1,9})( MiB)?", text.value, re.ASCII)
    return Known(int(match[1]) * MIB) if match is not None else Unknown(f"nvidia-smi says {text.value[:40]}")


def _gpu(row: tuple[str, ...]) -> Gpu:
    no = Unknown("not among what nvidia-smi was asked")
    name, capability = _reading(row, 1), _reading(row, 6)
    total, used = _size(row, 3), _size(row, 4)
    free: Known[int] | Unknown = used
    if isinstance(total, Known) and isinstance(used, Known):
        free = Known(max(total.value - used.value, 0))
    if len(row) > 8 and row[8] == "Enabled":
        total = free = Unknown("MIG mode is on, and nvidia-smi's list does not tell its instances")
    address = pci.address(row[7]) if len(row) > 7 else None
    fault = next((word for word in row if word in ("[Unknown Error]", "[GPU is lost]", "[GPU requires reset]")), None)
    return Gpu(
        index=int(row[0]),
        vendor="nvidia",
        name=name,
        uuid=_reading(row, 2),
        memory_bytes=total,
        free_bytes=free,
        reserved_bytes=no,
        compute_capability=capability,
        mig_enabled=_mig(row),
        ecc_errors=no,
        temperature_celsius=no,
        processes=no,
        unified_memory=is_integrated(name, capability),
        row_remapping=no,
        address=Known(address) if address is not None else no,
        serial=NO_SERIAL,
        fault=fault.strip("[]") if fault is not None else None,
    )
