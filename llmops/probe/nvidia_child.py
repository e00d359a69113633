"""`python -m llmops.probe.nvidia_child [--full]`: print what NVML says as one line of JSON. Only this module imports pynvml.

Checked against nvidia-ml-py 13.615 and a stand-in library (tests/nvml); no statement here was tried on a real card.
"""

import ctypes
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from llmops.domain.forms import dump
from llmops.domain.host import Driver, Gpu, Nvidia, NvidiaState
from llmops.domain.reading import Known, Unknown
from llmops.probe import nvml_card, nvml_links
from llmops.probe.nvml import NOT_FOUND, Nvml, code

LIBRARY = "libnvidia-ml.so.1"

EXTRA_PLACES = ("/usr/lib/wsl/lib", "/run/opengl-driver/lib", "/usr/local/nvidia/lib64", "/usr/lib64-nvidia")
"""Where the library lies outside the loader's path: WSL, NixOS, Kubernetes device plug-ins, hosted notebooks."""

MOST_CARDS = 64
"""More than any machine has: a wild answer must not keep the doctor busy."""

STATES = {
    4: NvidiaState.NO_PERMISSION,
    9: NvidiaState.DRIVER_NOT_LOADED,
    12: NvidiaState.LIBRARY_ABSENT,
    18: NvidiaState.VERSION_MISMATCH,
}
"""What nvmlInit answers (nvml.h): insufficient permissions, driver not loaded, library not found, version mismatch."""


def main() -> int:
    """Print the one line."""
    sys.stdout.write(json.dumps(dump(ask(full="--full" in sys.argv[1:]))) + "\n")
    return 0


def ask(*, full: bool = False) -> Nvidia:
    """Open NVML and read every card; only opening it can fail as a whole. `full` reads serial numbers, too."""
    import pynvml

    absent = _preload(LIBRARY, EXTRA_PLACES)
    if absent is not None:
        return absent
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        state = STATES.get(code(error), NvidiaState.FAILED)
        return _closed(state, str(error))
    nvml = Nvml(pynvml)
    driver = _driver(nvml)
    count = nvml.whole("nvmlDeviceGetCount")
    if isinstance(count, Unknown):
        return Nvidia(state=NvidiaState.FAILED, detail=count.reason, driver=driver, gpus=())
    cards: list[tuple[Gpu, object | None]] = []
    shown: list[Gpu] = []
    for index in range(min(count.value, MOST_CARDS)):
        handle = nvml.ask("nvmlDeviceGetHandleByIndex", index)
        if isinstance(handle, Unknown):
            lost = _lost(index, handle.reason)
            cards.append((lost, None))
            shown.append(lost)
            continue
        gpu = nvml_card.card(nvml, handle.value, index=index, full=full)
        cards.append((gpu, handle.value))
        shown += _with_instances(nvml, handle.value, gpu, full=full)
    if not shown:
        return Nvidia(state=NvidiaState.NO_DEVICES, detail="the driver shows no card", driver=driver, gpus=())
    pairs = Known(nvml_links.pairs(nvml, tuple(cards)))
    return Nvidia(state=NvidiaState.READY, detail="", driver=driver, gpus=tuple(shown), pairs=pairs)


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


def _driver(nvml: Nvml) -> Known[Driver] | Unknown:
    version = nvml.text("nvmlSystemGetDriverVersion")
    if isinstance(version, Unknown):
        return version
    cuda = nvml.whole("nvmlSystemGetCudaDriverVersion_v2")
    text = Known(f"{cuda.value // 1000}.{cuda.value % 1000 // 10}") if isinstance(cuda, Known) else cuda
    return Known(Driver(version=version.value, cuda=text))


def _with_instances(nvml: Nvml, handle: object, card: Gpu, *, full: bool) -> tuple[Gpu, ...]:
    """The card, or its MIG instances in its stead."""
    if isinstance(card.mig_enabled, Unknown):
        most = nvml.whole("nvmlDeviceGetMaxMigDeviceCount", handle)
        may_be_divided = isinstance(most, Known) and most.value > 0
        return (_without_instances(card, card.mig_enabled.reason),) if may_be_divided else (card,)
    if not card.mig_enabled.value:
        return (card,)
    instances = _instances(nvml, handle, card, full=full)
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


def _instances(nvml: Nvml, handle: object, card: Gpu, *, full: bool) -> tuple[Gpu, ...] | Unknown:
    most = nvml.whole("nvmlDeviceGetMaxMigDeviceCount", handle)
    if isinstance(most, Unknown):
        return most
    found: list[Gpu] = []
    for at in range(min(most.value, MOST_CARDS)):
        device = nvml.ask("nvmlDeviceGetMigDeviceHandleByIndex", handle, at)
        if isinstance(device, Unknown):
            if device.reason == NOT_FOUND:
                continue  # a number without an instance
            return device
        one = nvml_card.card(nvml, device.value, index=card.index, full=full)
        # what is not memory, name and processes belongs to the whole card
        found.append(
            replace(
                card,
                name=one.name,
                uuid=one.uuid,
                memory_bytes=one.memory_bytes,
                free_bytes=one.free_bytes,
                reserved_bytes=one.reserved_bytes,
                processes=one.processes,
                fault=card.fault or one.fault,
                is_mig_instance=True,
                mig_instance=nvml_card.mig_instance(nvml, device.value, one.name, number=at),
            )
        )
    return tuple(found)


if __name__ == "__main__":
    sys.exit(main())
