"""`python -m llmops.probe.nvidia_child`: print what NVML says as one line of JSON. The only module that imports pynvml.

Checked against nvidia-ml-py 13.615 and a stand-in library (tests/nvml); no statement here was tried on a real card.
"""

import ctypes
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from llmops.domain.forms import dump
from llmops.domain.host import Driver, Gpu, GpuProcess, Nvidia, NvidiaState, RowRemapping
from llmops.domain.reading import Known, Unknown

T = TypeVar("T")

LIBRARY = "libnvidia-ml.so.1"

EXTRA_PLACES = ("/usr/lib/wsl/lib", "/run/opengl-driver/lib", "/usr/local/nvidia/lib64", "/usr/lib64-nvidia")
"""Where the library lies outside the loader's path: WSL, NixOS, Kubernetes device plug-ins, hosted notebooks."""

SICK = (15, 16, 999)
"""NVML errors of a card that is there but does not work: GPU is lost, reset required, unknown error (nvml.h)."""

STATES = {
    4: NvidiaState.NO_PERMISSION,
    9: NvidiaState.DRIVER_NOT_LOADED,
    12: NvidiaState.LIBRARY_ABSENT,
    18: NvidiaState.VERSION_MISMATCH,
}
"""What nvmlInit answers (nvml.h): insufficient permissions, driver not loaded, library not found, version mismatch."""


def main() -> int:
    """Print the one line."""
    sys.stdout.write(json.dumps(dump(ask())) + "\n")
    return 0


def ask() -> Nvidia:
    """Open NVML and read every card; only opening it can fail as a whole."""
    import pynvml

    absent = _preload(LIBRARY, EXTRA_PLACES)
    if absent is not None:
        return absent
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        state = STATES.get(_code(error), NvidiaState.FAILED)
        return _closed(state, str(error))
    driver = _driver(pynvml)
    count = _reading(pynvml, pynvml.nvmlDeviceGetCount)
    if isinstance(count, Unknown):
        return Nvidia(state=NvidiaState.FAILED, detail=count.reason, driver=driver, gpus=())
    gpus = tuple(gpu for index in range(int(count.value)) for gpu in _card(pynvml, index))
    if not gpus:
        return Nvidia(state=NvidiaState.NO_DEVICES, detail="the driver shows no card", driver=driver, gpus=())
    return Nvidia(state=NvidiaState.READY, detail="", driver=driver, gpus=gpus)


def _closed(state: NvidiaState, detail: str) -> Nvidia:
    return Nvidia(state=state, detail=detail, driver=Unknown(detail), gpus=())


def _preload(library: str, places: tuple[str, ...]) -> Nvidia | None:
    """Load the library from the loader's path or from one of `places`, so that pynvml finds it; None when that went well.

    pynvml says "not found" also of a library that is there but broken: the loader's own words tell the two apart.
    """
    try:
        ctypes.CDLL(library)
    except OSError as error:
        words = str(error)
    else:
        return None
    if "No such file or directory" not in words:
        return _closed(NvidiaState.FAILED, f"the library is there but does not load: {words}")
    for place in places:
        if (Path(place) / library).exists():
            try:
                ctypes.CDLL(os.path.join(place, library), mode=ctypes.RTLD_GLOBAL)  # noqa: PTH118 - a plain text for C
            except OSError as error:
                return _closed(NvidiaState.FAILED, f"the library is there but does not load: {error}")
            return None
    return _closed(NvidiaState.LIBRARY_ABSENT, f"{library} is not installed")


def _code(error: Exception) -> int:
    return int(getattr(error, "value", -1))


def _reading(pynvml: ModuleType, function: Callable[..., T], *arguments: object) -> Known[T] | Unknown:
    """One question: a function the library lacks, or that the card does not support, leaves the others alone."""
    try:
        return Known(function(*arguments))
    except pynvml.NVMLError as error:
        return Unknown(str(error))
    except (UnicodeDecodeError, ValueError, TypeError, AttributeError) as error:
        # AttributeError: pynvml itself is older than the function
        return Unknown(f"{type(error).__name__}: {error}")


def _driver(pynvml: ModuleType) -> Known[Driver] | Unknown:
    version = _reading(pynvml, pynvml.nvmlSystemGetDriverVersion)
    if isinstance(version, Unknown):
        return version
    cuda = _reading(pynvml, pynvml.nvmlSystemGetCudaDriverVersion_v2)
    text = Known(f"{cuda.value // 1000}.{cuda.value % 1000 // 10}") if isinstance(cuda, Known) else cuda
    return Known(Driver(version=_text(version.value), cuda=text))


def _text(value: str | bytes) -> str:
    """Old versions of nvidia-ml-py give bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _card(pynvml: ModuleType, index: int) -> tuple[Gpu, ...]:
    """The card, or its MIG instances in its stead."""
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    except pynvml.NVMLError as error:
        return (_lost(index, str(error)),)
    card = _gpu(pynvml, handle, index=index)
    if not (isinstance(card.mig_enabled, Known) and card.mig_enabled.value):
        return (card,)
    instances = _instances(pynvml, handle, card)
    if isinstance(instances, Unknown):
        return (_without_instances(card, f"MIG mode is on, and its instances cannot be listed: {instances.reason}"),)
    return instances or (_without_instances(card, "MIG mode is on and the card has no instance: nothing can be used"),)


def _lost(index: int, reason: str) -> Gpu:
    no = Unknown(reason)
    return Gpu(
        index=index,
        vendor="nvidia",
        name=no,
        uuid=no,
        memory_bytes=no,
        free_bytes=no,
        reserved_bytes=no,
        compute_capability=no,
        mig_enabled=no,
        ecc_errors=no,
        temperature_celsius=no,
        processes=no,
        row_remapping=no,
        fault=reason,
    )


def _without_instances(card: Gpu, reason: str) -> Gpu:
    no = Unknown(reason)
    return replace(card, memory_bytes=no, free_bytes=no, reserved_bytes=no)


def _instances(
    pynvml: ModuleType,
    handle: Any,  # noqa: ANN401 - an opaque pointer
    card: Gpu,
) -> tuple[Gpu, ...] | Unknown:
    most = _reading(pynvml, pynvml.nvmlDeviceGetMaxMigDeviceCount, handle)
    if isinstance(most, Unknown):
        return most
    found: list[Gpu] = []
    for at in range(int(most.value)):
        instance = _reading(pynvml, pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, at)
        if isinstance(instance, Known):  # numbers without an instance answer "Not Found"
            # errors, temperature and rows belong to the whole card
            found.append(
                replace(
                    _gpu(pynvml, instance.value, index=card.index),
                    mig_enabled=Known(True),  # noqa: FBT003 - a reading, not a switch
                    is_mig_instance=True,
                    compute_capability=card.compute_capability,
                    ecc_errors=card.ecc_errors,
                    temperature_celsius=card.temperature_celsius,
                    row_remapping=card.row_remapping,
                    unified_memory=False,
                )
            )
    return tuple(found)


def _gpu(pynvml: ModuleType, handle: Any, *, index: int) -> Gpu:  # noqa: ANN401 - an opaque pointer
    memory, free, reserved, is_unified = _memory(pynvml, handle)
    name = _reading(pynvml, pynvml.nvmlDeviceGetName, handle)
    uuid = _reading(pynvml, pynvml.nvmlDeviceGetUUID, handle)
    capability = _reading(pynvml, pynvml.nvmlDeviceGetCudaComputeCapability, handle)
    mig = _reading(pynvml, pynvml.nvmlDeviceGetMigMode, handle)
    return Gpu(
        index=index,
        vendor="nvidia",
        name=Known(_text(name.value)) if isinstance(name, Known) else name,
        uuid=Known(_text(uuid.value)) if isinstance(uuid, Known) else uuid,
        memory_bytes=memory,
        free_bytes=free,
        reserved_bytes=reserved,
        compute_capability=(
            Known(f"{capability.value[0]}.{capability.value[1]}") if isinstance(capability, Known) else capability
        ),
        mig_enabled=Known(bool(mig.value[0])) if isinstance(mig, Known) else _no_mig(mig),
        ecc_errors=_ecc(pynvml, handle),
        temperature_celsius=_temperature(pynvml, handle),
        processes=_processes(pynvml, handle),
        unified_memory=is_unified,
        fault=_fault(pynvml, handle),
        row_remapping=_rows(pynvml, handle),
    )


def _no_mig(reading: Unknown) -> Known[bool] | Unknown:
    """A card or driver without MIG answers "Not Supported", an old one has no such function: then it is off."""
    return Known(False) if reading.reason in ("Not Supported", "Function Not Found") else reading  # noqa: FBT003


def _memory(
    pynvml: ModuleType,
    handle: Any,  # noqa: ANN401 - an opaque pointer
) -> tuple[Known[int] | Unknown, Known[int] | Unknown, Known[int] | Unknown, bool]:
    """Total, free, reserved in bytes, and whether the card has no memory of its own.

    Version 2 names what the driver reserves (total = reserved + free + used); version 1 counts it as used, its free is the same.
    """
    two = _reading(pynvml, pynvml.nvmlDeviceGetMemoryInfo, handle, getattr(pynvml, "nvmlMemory_v2", None))
    if isinstance(two, Known) and hasattr(two.value, "reserved"):
        return Known(int(two.value.total)), Known(int(two.value.free)), Known(int(two.value.reserved)), False
    one = _reading(pynvml, pynvml.nvmlDeviceGetMemoryInfo, handle)
    if isinstance(one, Known):
        no = Unknown("this driver does not name its reserve")
        return Known(int(one.value.total)), Known(int(one.value.free)), no, False
    return one, one, one, one.reason == "Not Supported"


def _ecc(pynvml: ModuleType, handle: Any) -> Known[int] | Unknown:  # noqa: ANN401 - an opaque pointer
    """Uncorrected errors since the driver was loaded."""
    mode = _reading(pynvml, pynvml.nvmlDeviceGetEccMode, handle)
    if isinstance(mode, Known) and not mode.value[0]:
        return Unknown("ECC is switched off")
    errors = _reading(
        pynvml,
        pynvml.nvmlDeviceGetTotalEccErrors,
        handle,
        pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
        pynvml.NVML_VOLATILE_ECC,
    )
    if isinstance(errors, Unknown) and errors.reason == "Not Supported":
        return Unknown("the card counts no memory errors")
    return Known(int(errors.value)) if isinstance(errors, Known) else errors


def _rows(pynvml: ModuleType, handle: Any) -> Known[RowRemapping] | Unknown:  # noqa: ANN401 - an opaque pointer
    rows = _reading(pynvml, pynvml.nvmlDeviceGetRemappedRows, handle)
    if isinstance(rows, Unknown):
        return Unknown("the card remaps no rows") if rows.reason == "Not Supported" else rows
    return Known(RowRemapping(pending=bool(rows.value[2]), failed=bool(rows.value[3])))


def _temperature(pynvml: ModuleType, handle: Any) -> Known[int] | Unknown:  # noqa: ANN401 - an opaque pointer
    """The newer call first: drivers from 610 on lack the older one, those before 575 the newer."""
    newer = getattr(pynvml, "nvmlDeviceGetTemperatureV", None)
    sensor = pynvml.NVML_TEMPERATURE_GPU
    value = _reading(pynvml, newer, handle, sensor) if newer is not None else Unknown("Function Not Found")
    if isinstance(value, Unknown):
        value = _reading(pynvml, pynvml.nvmlDeviceGetTemperature, handle, sensor)
    return Known(int(value.value)) if isinstance(value, Known) else value


def _processes(pynvml: ModuleType, handle: Any) -> Known[tuple[GpuProcess, ...]] | Unknown:  # noqa: ANN401 - see above
    """Who computes on the card; memory per process is not told inside a container."""
    running = _reading(pynvml, pynvml.nvmlDeviceGetComputeRunningProcesses, handle)
    if isinstance(running, Unknown):
        return running
    return Known(
        tuple(
            GpuProcess(pid=int(one.pid), name=_process_name(int(one.pid)), used_bytes=one.usedGpuMemory)
            for one in running.value
        )
    )


def _process_name(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None


def _fault(pynvml: ModuleType, handle: Any) -> str | None:  # noqa: ANN401 - an opaque pointer
    """NVML's word for a card that takes no questions any more, asked of its memory, load and processes."""
    for function, argument in (
        (pynvml.nvmlDeviceGetMemoryInfo, None),
        (pynvml.nvmlDeviceGetUtilizationRates, ...),
        (pynvml.nvmlDeviceGetComputeRunningProcesses, ...),
    ):
        try:
            function(handle) if argument is ... else function(handle, argument)
        except pynvml.NVMLError as error:
            if _code(error) in SICK:
                return str(error)
        except (UnicodeDecodeError, ValueError, TypeError, AttributeError):
            continue
    return None


if __name__ == "__main__":
    sys.exit(main())
