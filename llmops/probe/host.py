"""All of the host: every source asked at the same time, none able to hold up the others for long."""

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from llmops.domain.host import HostFacts
from llmops.domain.programs import Runner
from llmops.probe import cpu, disks, kernel_side, listeners, memory, nvidia, system, tools
from llmops.probe.plain import plain
from llmops.probe.within import answer_of, beside


def examine(
    *,
    root: Path = Path("/"),
    runner: Runner,
    disk_paths: Sequence[Path],
    environment: Mapping[str, str],
    nvml_seconds: float = nvidia.ANSWER_SECONDS,
) -> HostFacts:
    """What is known of this host; whatever cannot be read is an `Unknown` with its reason.

    `root` is where /proc, /sys, /etc and /run are looked for; cards, programs and Python are those of this process.
    """
    cards = beside(lambda: nvidia.read(nvidia.ask(runner, environment, seconds=nvml_seconds)))
    programs = beside(lambda: tools.ask(runner))
    filesystems = beside(lambda: disks.disks(root, disk_paths))
    sockets = beside(lambda: listeners.read(listeners.ask(root)))
    operating = beside(lambda: system.read(system.ask(root, runner=runner, environment=environment)))
    host_memory = memory.read(memory.ask(root))
    known_disks, unread_disks = answer_of(filesystems)
    facts = HostFacts(
        system=answer_of(operating),
        cpu=cpu.read(cpu.ask(root, machine=platform.machine())),
        memory=host_memory,
        disks=known_disks,
        nvidia=nvidia.with_host_memory(answer_of(cards), host_memory),
        tools=answer_of(programs),
        listeners=answer_of(sockets),
        unread_disks=unread_disks,
        kernel_side=kernel_side.read(kernel_side.ask(root)),
    )
    return plain(facts)
