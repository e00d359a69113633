"""NVIDIA cards through NVML, asked in a process of its own: opening the library can hang, or end the process."""

import json
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from llmops.domain.forms import FormError, load
from llmops.domain.host import Gpu, Memory, Nvidia, NvidiaState
from llmops.domain.programs import Ran, Runner
from llmops.domain.reading import Known, Unknown

ANSWER_SECONDS = 30.0
"""Without a persistence daemon the driver wakes every card when NVML is opened: seconds each, on a machine of eight."""

CHILD = ("-m", "llmops.probe.nvidia_child")


def ask(
    runner: Runner, environment: Mapping[str, str], *, seconds: float = ANSWER_SECONDS, full: bool = False
) -> Known[Ran] | Unknown:
    """Start the child with this interpreter and this environment; `full` reads serial numbers, too."""
    argv = (sys.executable, *CHILD, *(("--full",) if full else ()))
    return runner.run(argv, timeout_seconds=seconds, environment=above(environment))


def above(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child that is a module of this package, wherever the package lies."""
    folder = str(Path(__file__).parents[2])
    path = ":".join(part for part in (folder, environment.get("PYTHONPATH", "")) if part)
    return {**environment, "PYTHONPATH": path}


def read(ran: Known[Ran] | Unknown) -> Nvidia:
    """What the child printed; a child that did not end, died or printed junk is a failed NVML, never "no card"."""
    if isinstance(ran, Unknown):
        return failed(
            re.sub(rf"`{re.escape(shlex.join((sys.executable, *CHILD)))}( --full)?`", "NVML", ran.reason).replace(
                "did not end", "did not answer"
            )
        )
    if ran.value.exit_code != 0:
        words = ran.value.stderr.strip().splitlines()
        how = f"signal {-ran.value.exit_code}" if ran.value.exit_code < 0 else f"exit code {ran.value.exit_code}"
        return failed(f"asking NVML ended with {how}{': ' + words[-1][:200] if words else ''}")
    # the driver's libraries print warnings where they like: the document is the last line
    lines = ran.value.stdout.strip().splitlines()
    try:
        return load(Nvidia, json.loads(lines[-1]))
    except (IndexError, ValueError, RecursionError, FormError) as error:
        return failed(f"NVML's answer is not understood: {str(error)[:200]}")


def failed(detail: str) -> Nvidia:
    """A library or driver that could not be asked."""
    return Nvidia(state=NvidiaState.FAILED, detail=detail, driver=Unknown(detail), gpus=())


def with_host_memory(nvidia: Nvidia, memory: Known[Memory] | Unknown) -> Nvidia:
    """The same, cards without memory of their own (GB10, Thor) given the host's: what is there, what is available.

    CUDA's own free value is too low there, since it counts the page cache as used.
    """
    return replace(nvidia, gpus=tuple(_with_host_memory(gpu, memory) for gpu in nvidia.gpus))


def _with_host_memory(gpu: Gpu, memory: Known[Memory] | Unknown) -> Gpu:
    if not gpu.unified_memory:
        return gpu
    if isinstance(memory, Unknown):
        reason = Unknown(f"the card shares the host's memory, and {memory.reason}")
        return replace(gpu, memory_bytes=reason, free_bytes=reason)
    return replace(gpu, memory_bytes=Known(memory.value.total_bytes), free_bytes=Known(memory.value.available_bytes))
