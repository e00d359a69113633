"""Cards and what serves them: every source asked at the same time, NVML waited for longest."""

import platform
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from llmops.domain.gpu import GpuSource
from llmops.domain.gpu_software import AmdFiles, Containers, Cuda, FoundEngine, Python
from llmops.domain.host import Gpu, HostFacts, Memory, Nvidia
from llmops.domain.programs import Ran, Runner
from llmops.domain.reading import Known, Unknown
from llmops.domain.records import dataclass
from llmops.probe import (
    amd,
    apple,
    containers,
    cuda,
    driver_files,
    engines,
    intel,
    kernel_log,
    lspci,
    nvidia,
    nvidia_smi,
    pythons,
)
from llmops.probe.told import told
from llmops.probe.within import answer_of, beside

T = TypeVar("T")

SECOND_SECONDS = 5.0
"""How long nvidia-smi is still waited for once NVML has answered: it is then only compared."""

Waiting = Callable[[str], None]
"""Told what is waited for, "" when nothing is any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked and may still be on its way; `software` is None where only a plan's needs are asked."""

    cards: "Future[Nvidia]"
    smi: "Future[Known[Ran] | Unknown]"
    others: "Future[tuple[tuple[Gpu, ...], AmdFiles, tuple[GpuSource, ...]]]"
    software: "Software | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """What only the doctor looks at."""

    pci: "Future[Known[Ran] | Unknown]"
    log: "Future[Known[str] | Unknown]"
    driver: "Future[driver_files.DriverText]"
    cuda: "Future[Cuda]"
    containers: "Future[Containers]"
    engines: "Future[tuple[FoundEngine, ...]]"
    pythons: "Future[tuple[Python, ...]]"


def ask(
    *, root: Path, runner: Runner, environment: Mapping[str, str], seconds: float, full: bool, software: bool
) -> Asked:
    """Start every question. `full` reads serial numbers; without `software` only what a plan needs is asked."""
    return Asked(
        cards=beside(lambda: nvidia.read(nvidia.ask(runner, environment, seconds=seconds, full=full))),
        smi=beside(partial(nvidia_smi.ask, runner)),
        others=beside(partial(_others, root, runner)),
        software=_ask_software(root, runner, environment) if software else None,
    )


def _ask_software(root: Path, runner: Runner, environment: Mapping[str, str]) -> Software:
    return Software(
        pci=beside(partial(lspci.ask, runner)),
        log=beside(partial(kernel_log.ask, runner)),
        driver=beside(partial(driver_files.ask, root, runner)),
        cuda=beside(lambda: cuda.read(cuda.ask(root, runner, environment))),
        containers=beside(lambda: containers.read(containers.ask(root, runner, environment))),
        engines=beside(lambda: engines.read(engines.ask(root, runner, environment))),
        pythons=beside(lambda: pythons.read(pythons.ask(root, runner))),
    )


def answers(asked: Asked, facts: HostFacts, *, waiting: Waiting) -> HostFacts:
    """The facts with all of it; `waiting` is told which source holds them up."""
    waiting("the cards (NVML)")
    first = answer_of(asked.cards)
    waiting("nvidia-smi")
    seconds = SECOND_SECONDS if first.gpus else nvidia_smi.ANSWER_SECONDS + 1
    second, seen = nvidia_smi.read(_or_unknown(asked.smi, "nvidia-smi", seconds))
    waiting("cards of other makers")
    gpus, files, sources = answer_of(asked.others)
    facts = replace(
        facts,
        nvidia=told(nvidia.with_host_memory(with_fallback(first, second, seen), facts.memory)),
        other_gpus=told(Known(tuple(with_host_memory(gpu, facts.memory) for gpu in gpus))),
        gpu_sources=told((nvidia_smi.of_nvml(first), second, *sources)),
        amd=told(files),
    )
    if asked.software is not None:
        facts = _with_software(facts, asked.software, waiting)
    waiting("")
    return facts


def _with_software(facts: HostFacts, asked: Software, waiting: Waiting) -> HostFacts:
    waiting("the kernel's log")
    log = answer_of(asked.log)
    waiting("lspci")
    bus = lspci.read(answer_of(asked.pci))
    waiting("the driver's files")
    driver = replace(driver_files.read(answer_of(asked.driver)), rejected=kernel_log.read_rejected(log))
    waiting("CUDA's libraries")
    found_cuda = answer_of(asked.cuda)
    waiting("docker")
    found_containers = answer_of(asked.containers)
    waiting("engines")
    found_engines = answer_of(asked.engines)
    waiting("Python")
    return replace(
        facts,
        gpu_sources=(*facts.gpu_sources, told(bus)),
        xids=kernel_log.read_xids(log),
        driver_files=told(driver),
        cuda=found_cuda,
        containers=found_containers,
        engines=told(Known(found_engines)),
        pythons=Known(answer_of(asked.pythons)),
    )


def with_fallback(first: Nvidia, second: GpuSource, seen: tuple[Gpu, ...]) -> Nvidia:
    """NVML's answer; where it shows no card and nvidia-smi does, those cards, and NVML's state as it is."""
    if first.gpus or not seen:
        return first
    driver = first.driver if isinstance(first.driver, Known) else nvidia_smi.driver(second)
    return replace(first, driver=driver, gpus=seen)


def with_host_memory(gpu: Gpu, memory: Known[Memory] | Unknown) -> Gpu:
    """A card that shares the host's memory cannot have more free than the host."""
    if not gpu.unified_memory or isinstance(gpu.free_bytes, Unknown):
        return gpu
    if isinstance(memory, Unknown):
        return replace(gpu, free_bytes=Unknown(f"the card shares the host's memory, and {memory.reason}"))
    return replace(gpu, free_bytes=Known(min(gpu.free_bytes.value, memory.value.available_bytes)))


def _others(root: Path, runner: Runner) -> tuple[tuple[Gpu, ...], AmdFiles, tuple[GpuSource, ...]]:
    """Cards of AMD, Intel and Apple."""
    gpus, files, sources = amd.read(amd.ask(root, runner))
    mac = apple.read(apple.ask(runner)) if platform.system() == "Darwin" else ()
    return (*gpus, *intel.read(intel.ask(root)), *mac), files, sources


def _or_unknown(answer: "Future[Known[T] | Unknown]", what: str, seconds: float) -> Known[T] | Unknown:
    try:
        return answer_of(answer, seconds=seconds)
    except TimeoutError:
        if answer.done():
            raise
        return Unknown(f"{what} did not answer within {seconds:g} s")
