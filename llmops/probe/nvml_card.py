"""One card through NVML: every field asked on its own."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from llmops.domain.gpu import ClockReason, Clocks, ComputeMode, Ecc, MigInstance, PcieLink, Power, Virtualization
from llmops.domain.host import Gpu, GpuProcess, RowRemapping
from llmops.domain.reading import Known, Unknown, mapped
from llmops.probe import nvml_links, pci
from llmops.probe.nvml import NO_FUNCTION, NOT_SUPPORTED, UNKNOWN_ERROR, Nvml, code

T = TypeVar("T")
Handle = Any
"""An opaque pointer."""

INTEGRATED = ("5.3", "6.2", "7.2", "8.7", "11.0", "12.1")
"""Compute capabilities of chips without memory of their own: Jetson Nano to Orin, Thor, GB10 (DGX Spark).

Source: NVIDIA, CUDA GPU compute capability tables; no board with memory of its own has one of these.
"""

_INTEGRATED_NAME = re.compile(r"\b(GB10|Thor|Orin|Xavier|Tegra|Jetson)\b")

REASONS = (
    (0x1, ClockReason.IDLE),
    (0x2, ClockReason.APPLICATION_CLOCKS),
    (0x4, ClockReason.SOFTWARE_POWER_CAP),
    (0x8, ClockReason.HARDWARE_SLOWDOWN),
    (0x10, ClockReason.SYNC_BOOST),
    (0x20, ClockReason.SOFTWARE_THERMAL),
    (0x40, ClockReason.HARDWARE_THERMAL),
    (0x80, ClockReason.HARDWARE_POWER_BRAKE),
    (0x100, ClockReason.DISPLAY_CLOCKS),
)
"""nvmlClocksEventReason… (nvml.h)."""

GENERATIONS = {
    2: "kepler",
    3: "maxwell",
    4: "pascal",
    5: "volta",
    6: "turing",
    7: "ampere",
    8: "ada",
    9: "hopper",
    10: "blackwell",
}
"""nvmlDeviceArchitecture_t (nvml.h)."""

NO_SERIAL = Unknown("left out: `llmops doctor --full` asks for serial numbers")

CLOCK_SM, CLOCK_MEMORY = 1, 2
CORRECTED, UNCORRECTED = 0, 1
VOLATILE, AGGREGATE = 0, 1
SLOWDOWN = 1
SENSOR_GPU = 0
"""nvmlClockType_t, nvmlMemoryErrorType_t, nvmlEccCounterType_t, nvmlTemperatureThresholds_t, nvmlTemperatureSensors_t."""


def card(nvml: Nvml, handle: Handle, *, index: int, full: bool) -> Gpu:
    """All of the card, or of a MIG instance. `fault` is set where any answer was that the card does not work."""
    nvml.lost()
    name = nvml.text("nvmlDeviceGetName", handle)
    capability = mapped(nvml.ask("nvmlDeviceGetCudaComputeCapability", handle), lambda pair: f"{pair[0]}.{pair[1]}")
    memory, free, reserved = _memory(nvml, handle)
    ecc = _ecc(nvml, handle)
    return Gpu(
        index=index,
        vendor="nvidia",
        name=name,
        uuid=nvml.text("nvmlDeviceGetUUID", handle),
        memory_bytes=memory,
        free_bytes=free,
        reserved_bytes=reserved,
        compute_capability=capability,
        mig_enabled=_mig(nvml, handle),
        ecc_errors=_errors(ecc),
        temperature_celsius=nvml.newer("nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature", handle, SENSOR_GPU),
        processes=_processes(nvml, handle),
        unified_memory=is_integrated(name, capability),
        row_remapping=_rows(nvml, handle),
        address=_address(nvml, handle),
        architecture=_architecture(nvml.whole("nvmlDeviceGetArchitecture", handle)),
        shared_bytes=Unknown("NVML does not tell"),
        serial=nvml.text("nvmlDeviceGetSerial", handle) if full else NO_SERIAL,
        numa_node=nvml.whole("nvmlDeviceGetNumaNodeId", handle),
        pcie=PcieLink(
            generation=nvml.whole("nvmlDeviceGetCurrPcieLinkGeneration", handle),
            width=nvml.whole("nvmlDeviceGetCurrPcieLinkWidth", handle),
            generation_maximum=nvml.whole("nvmlDeviceGetMaxPcieLinkGeneration", handle),
            width_maximum=nvml.whole("nvmlDeviceGetMaxPcieLinkWidth", handle),
        ),
        power=_power(nvml, handle),
        clocks=Clocks(
            sm_mhz=nvml.whole("nvmlDeviceGetClockInfo", handle, CLOCK_SM),
            sm_maximum_mhz=nvml.whole("nvmlDeviceGetMaxClockInfo", handle, CLOCK_SM),
            memory_mhz=nvml.whole("nvmlDeviceGetClockInfo", handle, CLOCK_MEMORY),
            memory_maximum_mhz=nvml.whole("nvmlDeviceGetMaxClockInfo", handle, CLOCK_MEMORY),
        ),
        clock_reasons=mapped(
            nvml.newer("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons", handle),
            read_reasons,
        ),
        load_percent=_number(nvml.ask("nvmlDeviceGetUtilizationRates", handle), lambda rates: int(rates.gpu)),
        slowdown_celsius=nvml.whole("nvmlDeviceGetTemperatureThreshold", handle, SLOWDOWN),
        persistence_mode=nvml.switch("nvmlDeviceGetPersistenceMode", handle),
        compute_mode=_word(nvml.whole("nvmlDeviceGetComputeMode", handle), tuple(ComputeMode)),
        display_active=nvml.switch("nvmlDeviceGetDisplayActive", handle),
        virtualization=_word(nvml.whole("nvmlDeviceGetVirtualizationMode", handle), tuple(Virtualization)),
        vgpu_licensed=_license(nvml, handle),
        ecc=ecc,
        retired_pages_pending=nvml.switch("nvmlDeviceGetRetiredPagesPendingStatus", handle),
        nvlinks=nvml_links.links(nvml, handle),
        fabric=nvml_links.fabric(nvml, handle),
        fault=nvml.lost() or _unknown_error(nvml, handle),
    )


def mig_instance(nvml: Nvml, handle: Handle, name: Known[str] | Unknown, *, number: int) -> MigInstance:
    """Which part of its card a MIG device is: the profile stands in its name."""
    match = re.search(r"\bMIG (\S+)", name.value) if isinstance(name, Known) else None
    return MigInstance(
        profile=Known(match[1]) if match is not None else Unknown("the device's name says no profile"),
        gpu_instance=nvml.whole("nvmlDeviceGetGpuInstanceId", handle),
        compute_instance=nvml.whole("nvmlDeviceGetComputeInstanceId", handle),
        number=number,
    )


def is_integrated(name: Known[str] | Unknown, capability: Known[str] | Unknown) -> bool:
    """Whether the chip shares the host's memory: by its compute capability, by its name where that is not told."""
    if isinstance(capability, Known):
        return capability.value in INTEGRATED
    return isinstance(name, Known) and _INTEGRATED_NAME.search(name.value) is not None


def read_reasons(bits: int) -> tuple[ClockReason, ...]:
    """The reasons of a mask; a bit that is not known is `other`."""
    known = sum(bit for bit, _ in REASONS)
    return tuple(reason for bit, reason in REASONS if bits & bit) + ((ClockReason.OTHER,) if bits & ~known else ())


def process_name(pid: int) -> str | None:
    """The program's name; None where it runs in another PID namespace, or has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None


def _memory(nvml: Nvml, handle: Handle) -> tuple[Known[int] | Unknown, Known[int] | Unknown, Known[int] | Unknown]:
    """Total, free, reserved in bytes.

    Version 2 names what the driver reserves (total = reserved + free + used); version 1 counts it as used, its free is the same.
    """
    two = nvml.ask("nvmlDeviceGetMemoryInfo", handle, getattr(nvml.pynvml, "nvmlMemory_v2", None))
    if isinstance(two, Known) and hasattr(two.value, "reserved"):
        return _sizes(int(two.value.total), int(two.value.free), int(two.value.reserved))
    one = nvml.ask("nvmlDeviceGetMemoryInfo", handle)
    if isinstance(one, Unknown):
        return one, one, one
    total, free, _ = _sizes(int(one.value.total), int(one.value.free), 0)
    return total, free, Unknown("this driver does not name its reserve")


def _sizes(
    total: int, free: int, reserved: int
) -> tuple[Known[int] | Unknown, Known[int] | Unknown, Known[int] | Unknown]:
    """The three as readings: figures that cannot be (all ones, say) is no memory at all."""
    if 0 < total < 1 << 63 and max(free, reserved) <= total:
        return Known(total), Known(free), Known(reserved)
    no = Unknown(f"NVML's answer cannot be: {free} bytes free and {reserved} reserved of {total}")
    return no, no, no


def _mig(nvml: Nvml, handle: Handle) -> Known[bool] | Unknown:
    """A card without MIG answers "Not Supported", an old driver has no such function: off, if the number of instances agrees."""
    mode = nvml.ask("nvmlDeviceGetMigMode", handle)
    if isinstance(mode, Known):
        return Known(bool(mode.value[0]))
    if mode.reason not in (NOT_SUPPORTED, NO_FUNCTION):
        return mode
    most = nvml.whole("nvmlDeviceGetMaxMigDeviceCount", handle)
    if isinstance(most, Known) and most.value:
        return Unknown(f"MIG mode: {mode.reason}; but the card takes {most.value} instances")
    return Known(False)  # noqa: FBT003 - a reading, not a switch


def _ecc(nvml: Nvml, handle: Handle) -> Ecc:
    mode = nvml.ask("nvmlDeviceGetEccMode", handle)
    is_off = isinstance(mode, Known) and not mode.value[0]

    def errors(kind: int, since: int) -> Known[int] | Unknown:
        if is_off:
            return Unknown("ECC is switched off")
        count = nvml.whole("nvmlDeviceGetTotalEccErrors", handle, kind, since)
        if isinstance(count, Unknown):
            return Unknown("the card counts no memory errors") if count.reason == NOT_SUPPORTED else count
        # none is only an answer of a card that looks for them
        return Unknown(f"ECC mode: {mode.reason}") if isinstance(mode, Unknown) and not count.value else count

    return Ecc(
        enabled=_number(mode, lambda pair: bool(pair[0])),
        enabled_after_reboot=_number(mode, lambda pair: bool(pair[1])),
        volatile_corrected=errors(CORRECTED, VOLATILE),
        volatile_uncorrected=errors(UNCORRECTED, VOLATILE),
        aggregate_corrected=errors(CORRECTED, AGGREGATE),
        aggregate_uncorrected=errors(UNCORRECTED, AGGREGATE),
    )


def _errors(ecc: Ecc) -> Known[int] | Unknown:
    return ecc.volatile_uncorrected


def _rows(nvml: Nvml, handle: Handle) -> Known[RowRemapping] | Unknown:
    rows = nvml.ask("nvmlDeviceGetRemappedRows", handle)
    if isinstance(rows, Unknown):
        return Unknown("the card remaps no rows") if rows.reason == NOT_SUPPORTED else rows
    corrected, uncorrected, pending, failed = rows.value
    return Known(
        RowRemapping(pending=bool(pending), failed=bool(failed), corrected_rows=corrected, uncorrected_rows=uncorrected)
    )


def _power(nvml: Nvml, handle: Handle) -> Power:
    def watts(function: str) -> Known[float] | Unknown:
        return mapped(nvml.whole(function, handle), lambda milliwatts: milliwatts / 1000)

    limits = nvml.ask("nvmlDeviceGetPowerManagementLimitConstraints", handle)
    return Power(
        draw_watts=watts("nvmlDeviceGetPowerUsage"),
        limit_watts=watts("nvmlDeviceGetEnforcedPowerLimit"),
        default_limit_watts=watts("nvmlDeviceGetPowerManagementDefaultLimit"),
        maximum_limit_watts=_number(limits, lambda pair: int(pair[1]) / 1000),
    )


def _processes(nvml: Nvml, handle: Handle) -> Known[tuple[GpuProcess, ...]] | Unknown:
    """Who computes and who draws on the card; memory per process is not told inside a container."""
    found: dict[int, GpuProcess] = {}
    for kind in ("Compute", "Graphics"):
        running = nvml.ask(f"nvmlDeviceGet{kind}RunningProcesses", handle)
        if isinstance(running, Unknown) and running.reason == NO_FUNCTION:
            running = nvml.ask(f"nvmlDeviceGet{kind}RunningProcesses_v2", handle)
        if isinstance(running, Unknown):
            return running
        for one in running.value:
            pid = int(one.pid)
            found.setdefault(pid, GpuProcess(pid=pid, name=process_name(pid), used_bytes=_used(one.usedGpuMemory)))
    return Known(tuple(found[pid] for pid in sorted(found)))


def _used(told: int | None) -> int | None:
    """What a process holds; not told in a container and below WDDM."""
    return told if told is not None and 0 <= told < 1 << 63 else None


def _address(nvml: Nvml, handle: Handle) -> Known[str] | Unknown:
    info = nvml.ask("nvmlDeviceGetPciInfo", handle)
    if isinstance(info, Unknown):
        return info
    address = pci.address(_text(info.value.busId))
    return Known(address) if address is not None else Unknown("NVML names no PCI address")


def _architecture(number: Known[int] | Unknown) -> Known[str] | Unknown:
    if isinstance(number, Unknown):
        return number
    word = GENERATIONS.get(number.value)
    return Known(word) if word is not None else Unknown(f"a generation not known here: {number.value}")


def _license(nvml: Nvml, handle: Handle) -> Known[bool] | Unknown:
    """Whether a virtual card's features that are switched on are licensed: without, it is slowed down after 20 minutes."""
    features = nvml.ask("nvmlDeviceGetGridLicensableFeatures_v4", handle)
    if isinstance(features, Unknown):
        return features
    table = features.value
    if not table.isGridLicenseSupported:
        return Unknown("the card needs no licence")
    count = min(int(table.licensableFeaturesCount), len(table.gridLicensableFeatures))
    enabled = [one for one in table.gridLicensableFeatures[:count] if one.featureEnabled]
    if not enabled:
        return Unknown("no feature that needs a licence is switched on")
    return Known(all(bool(one.featureState) for one in enabled))


def _unknown_error(nvml: Nvml, handle: Handle) -> str | None:
    """A card that answers "Unknown Error" to what every card can tell does not work, either."""
    for function, arguments in (
        ("nvmlDeviceGetMemoryInfo", (None,)),
        ("nvmlDeviceGetUtilizationRates", ()),
        ("nvmlDeviceGetComputeRunningProcesses_v3", ()),
    ):
        try:
            getattr(nvml.pynvml, function)(handle, *arguments)
        except nvml.pynvml.NVMLError as error:
            if code(error) == UNKNOWN_ERROR:
                return str(error)
        except (UnicodeDecodeError, ValueError, TypeError, AttributeError):
            continue
    return None


def _number(reading: Known[Any] | Unknown, function: Callable[[Any], T]) -> Known[T] | Unknown:
    """`function` of NVML's answer; an answer of another shape is unknown."""
    if isinstance(reading, Unknown):
        return reading
    try:
        return Known(function(reading.value))
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        return Unknown(f"NVML's answer is not understood: {error}")


def _word(reading: Known[int] | Unknown, words: tuple[T, ...]) -> Known[T] | Unknown:
    if isinstance(reading, Unknown):
        return reading
    return (
        Known(words[reading.value])
        if reading.value < len(words)
        else Unknown(f"a mode not known here: {reading.value}")
    )


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
