"""Cards and what serves them: every source asked at the same time, NVML waited for longest."""

import platform
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from llmops.domain.gpu import GpuSource
from llmops.domain.gpu_software import AmdFiles, Containers, Cuda, DriverFiles, FoundEngine, Python
from llmops.domain.host import Gpu, HostFacts, Memory, Nvidia
from llmops.domain.programs import Ran, Runner
from llmops.domain.reading import Known, Unknown, mapped
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
    kernel_side,
    lspci,
    nvidia,
    nvidia_smi,
    pythons,
    tegra,
)
from llmops.probe.near_node import with_near_nodes
from llmops.probe.told import told
from llmops.probe.wait import Wait, Waiting
from llmops.probe.within import answer_of, beside

T = TypeVar("T")

SECOND_SECONDS = 5.0
"""How long nvidia-smi is still waited for once NVML has answered: it is then only compared."""

LIMIT_SECONDS = 30.0

Others = tuple[Known[tuple[Gpu, ...]] | Unknown, AmdFiles, tuple[GpuSource, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked and may still be on its way; `software` is None where only a plan's needs are asked."""

    until: float
    cards: "Future[Nvidia]"
    smi: "Future[Known[Ran] | Unknown]"
    others: "Future[Others]"
    software: "Software | None"

    def wait(self, waiting: Waiting) -> Wait:
        """Until the limit that all sources have together."""
        return Wait(until=self.until, waiting=waiting)


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """What only the doctor looks at."""

    pci: "Future[Known[Ran] | Unknown]"
    log: "Future[Known[str] | Unknown]"
    driver: "Future[DriverFiles]"
    cuda: "Future[Cuda]"
    containers: "Future[Containers]"
    engines: "Future[Known[tuple[FoundEngine, ...]] | Unknown]"
    pythons: "Future[Known[tuple[Python, ...]] | Unknown]"


def ask(
    *,
    root: Path,
    runner: Runner,
    environment: Mapping[str, str],
    seconds: float,
    full: bool,
    log: "Future[Known[str] | Unknown] | None",
) -> Asked:
    """Start every question. `full` reads serial numbers; without the kernel's log only what a plan needs is asked."""
    return Asked(
        until=time.monotonic() + LIMIT_SECONDS,
        cards=beside(
            lambda: with_near_nodes(
                root,
                tegra.read(tegra.ask(root), nvidia.read(nvidia.ask(runner, environment, seconds=seconds, full=full))),
            )
        ),
        smi=beside(partial(nvidia_smi.ask, runner)),
        others=beside(partial(_others, root, runner)),
        software=_ask_software(root, runner, environment, log) if log is not None else None,
    )


def _ask_software(
    root: Path, runner: Runner, environment: Mapping[str, str], log: "Future[Known[str] | Unknown]"
) -> Software:
    return Software(
        pci=beside(partial(lspci.ask, runner)),
        log=log,
        driver=beside(lambda: driver_files.read(driver_files.ask(root, runner))),
        cuda=beside(lambda: cuda.read(cuda.ask(root, runner, environment))),
        containers=beside(lambda: containers.read(containers.ask(root, runner, environment))),
        engines=beside(lambda: Known(engines.read(engines.ask(root, runner, environment)))),
        pythons=beside(lambda: Known(pythons.read(pythons.ask(root, runner)))),
    )


def answers(asked: Asked, facts: HostFacts, *, waiting: Waiting) -> HostFacts:
    """The facts with all of it; `waiting` is told which source holds them up. None does for longer than its limit."""
    wait = asked.wait(waiting)
    waiting("the cards (NVML)")
    first = answer_of(asked.cards)
    # where NVML has answered nvidia-smi is only compared: it may not hold up what is known
    smi = Wait(until=min(asked.until, time.monotonic() + SECOND_SECONDS), waiting=waiting) if first.gpus else wait
    second, seen = nvidia_smi.read(smi.answer(asked.smi, "nvidia-smi", lambda no: no))
    gpus, files, sources = wait.answer(asked.others, "cards of other makers", _no_others)
    facts = replace(
        facts,
        nvidia=told(nvidia.with_host_memory(with_fallback(first, second, seen), facts.memory)),
        other_gpus=told(_with_host_memory(gpus, facts.memory)),
        gpu_sources=told((nvidia_smi.of_nvml(first), second, kernel_side.as_source(facts.kernel_side), *sources)),
        amd=told(files),
    )
    if asked.software is not None:
        facts = _with_software(facts, asked.software, wait)
    return facts


def _with_software(facts: HostFacts, asked: Software, wait: Wait) -> HostFacts:
    log = wait.answer(asked.log, "the kernel's log", lambda no: no)
    bus = lspci.read(wait.answer(asked.pci, "lspci", lambda no: no))
    driver = wait.answer(asked.driver, "the driver's files", lambda no: told(DriverFiles(), otherwise=no))
    return replace(
        facts,
        gpu_sources=(*facts.gpu_sources, told(bus)),
        xids=kernel_log.read_xids(log),
        driver_files=told(replace(driver, rejected=kernel_log.read_rejected(log))),
        cuda=wait.answer(asked.cuda, "CUDA's files", lambda no: told(Cuda(), otherwise=no)),
        containers=wait.answer(asked.containers, "docker", lambda no: told(Containers(), otherwise=no)),
        engines=told(wait.answer(asked.engines, "the search for engines", lambda no: no)),
        pythons=wait.answer(asked.pythons, "the search for Pythons", lambda no: no),
    )


def _no_others(no: Unknown) -> Others:
    return no, told(AmdFiles(), otherwise=no), ()


def _with_host_memory(
    gpus: Known[tuple[Gpu, ...]] | Unknown, memory: Known[Memory] | Unknown
) -> Known[tuple[Gpu, ...]] | Unknown:
    return mapped(gpus, lambda found: tuple(with_host_memory(gpu, memory) for gpu in found))


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


def _others(root: Path, runner: Runner) -> Others:
    """Cards of AMD, Intel and Apple."""
    gpus, files, sources = amd.read(amd.ask(root, runner))
    mac = apple.read(apple.ask(runner)) if platform.system() == "Darwin" else ()
    return Known((*gpus, *intel.read(intel.ask(root)), *mac)), files, sources
