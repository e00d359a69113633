"""The processor: /proc/cpuinfo, the topology and NUMA nodes under /sys, and the control group's share of time."""

import os
import re
from pathlib import Path

from llmops.domain.host import Cpu
from llmops.domain.reading import Known, Unknown
from llmops.domain.records import dataclass
from llmops.probe.cgroup import ask_cpu_quota
from llmops.probe.text import read_text, text_or_none

X86_EXTENSIONS = (
    "sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16",
    "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16",
)  # fmt: skip
ARM_EXTENSIONS = ("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2", "sme")
"""Those that llama.cpp's CPU backends are built for (ggml/src/ggml-cpu/CMakeLists.txt), as the kernel spells them."""

ARM_CORES = {
    ("0x41", "0xd03"): "ARM Cortex-A53",
    ("0x41", "0xd08"): "ARM Cortex-A72",
    ("0x41", "0xd0b"): "ARM Cortex-A76",
    ("0x41", "0xd0c"): "ARM Neoverse N1",
    ("0x41", "0xd40"): "ARM Neoverse V1",
    ("0x41", "0xd49"): "ARM Neoverse N2",
    ("0x41", "0xd4f"): "ARM Neoverse V2",
    ("0xc0", "0xac3"): "Ampere-1",
    ("0xc0", "0xac4"): "Ampere-1a",
}
"""Implementer and part of arm64 processors, whose /proc/cpuinfo has no model name (util-linux, sys-utils/lscpu-arm.c)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuText:
    """The files as read: per thread its package and core, and the list of NUMA nodes that have processors ("0-1")."""

    machine: str
    cpuinfo: Known[str] | Unknown
    cores: tuple[tuple[str, str], ...]
    nodes: Known[str] | Unknown
    usable_threads: int | None
    quota_threads: Known[float | None] | Unknown


def ask(root: Path, *, machine: str) -> CpuText:
    """Read the files below `root`; `machine` is what uname says."""
    cores: list[tuple[str, str]] = []
    for folder in sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/topology")):
        package, core = text_or_none(folder / "physical_package_id"), text_or_none(folder / "core_id")
        cores += [(package, core)] if package is not None and core is not None else []
    nodes = root / "sys/devices/system/node"
    with_cpu = read_text(nodes / "has_cpu")
    can_tell = root == Path("/") and hasattr(os, "sched_getaffinity")  # macOS does not bind threads to processors
    usable = len(os.sched_getaffinity(0)) if can_tell else None
    return CpuText(
        machine=machine,
        cpuinfo=read_text(root / "proc/cpuinfo"),
        cores=tuple(cores),
        nodes=with_cpu if isinstance(with_cpu, Known) else read_text(nodes / "online"),
        usable_threads=usable,
        quota_threads=ask_cpu_quota(root),
    )


def read(text: CpuText) -> Known[Cpu] | Unknown:
    """The processor; cores and nodes may be unknown on their own."""
    if isinstance(text.cpuinfo, Unknown):
        return text.cpuinfo
    blocks = [_fields(block) for block in re.split(r"\n\s*\n", text.cpuinfo.value)]
    threads = [block for block in blocks if "processor" in block]
    if not threads:
        return Unknown("/proc/cpuinfo names no processor")
    count = len(threads) if text.usable_threads is None else min(len(threads), text.usable_threads)
    return Known(
        Cpu(
            model=_model(threads[0], blocks),
            architecture=text.machine,
            physical_cores=_physical_cores(text.cores, threads),
            threads=max(count, 1),
            numa_nodes=_node_count(text.nodes),
            vector_extensions=_extensions(threads[0]),
            quota_threads=text.quota_threads,
        )
    )


def _fields(block: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in block.split("\n"))
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}


def _model(thread: dict[str, str], blocks: list[dict[str, str]]) -> str:
    part = (thread.get("CPU implementer", ""), thread.get("CPU part", ""))
    names = [thread.get("model name"), ARM_CORES.get(part), *(block.get("Model") for block in blocks)]
    named = next((name for name in names if name), None)
    if named is None and all(part):
        named = f"implementer {part[0]} part {part[1]}"
    return named or thread.get("cpu", "not named by /proc/cpuinfo")


def _physical_cores(cores: tuple[tuple[str, str], ...], threads: list[dict[str, str]]) -> Known[int] | Unknown:
    pairs = cores or tuple(
        (thread["physical id"], thread["core id"]) for thread in threads if {"physical id", "core id"} <= set(thread)
    )
    # some virtual machines give every thread the core id 0 or -1: then one core would be claimed for many threads
    if not pairs or any(core == "-1" for _, core in pairs):
        return Unknown("neither /sys/devices/system/cpu nor /proc/cpuinfo tells cores from threads")
    return Known(len(set(pairs)))


def _node_count(nodes: Known[str] | Unknown) -> Known[int] | Unknown:
    """How many numbers a list such as `0-1,4` names."""
    if isinstance(nodes, Unknown):
        return nodes
    count = 0
    for part in nodes.value.strip().split(","):
        match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part, re.ASCII)
        if match is None or (match[2] is not None and int(match[2]) < int(match[1])):
            return Unknown(f"not a list of NUMA nodes: {nodes.value.strip()[:40]}")
        count += int(match[2] or match[1]) - int(match[1]) + 1
    return Known(count)


def _extensions(thread: dict[str, str]) -> tuple[str, ...]:
    flags = set(thread.get("flags", thread.get("Features", "")).split())
    return tuple(name for name in (*X86_EXTENSIONS, *ARM_EXTENSIONS) if name in flags)
