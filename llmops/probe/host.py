"""All of the host: every source asked at the same time, none able to hold up the others for long."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from llmops.domain.host import HostFacts
from llmops.domain.programs import Runner
from llmops.domain.reading import NOT_ASKED, Unknown
from llmops.probe import (
    cpu,
    disk_speeds,
    disks,
    exposure,
    graphics,
    kernel_log,
    kernel_side,
    listeners,
    memory,
    network,
    nvidia,
    surroundings,
    system,
    tools,
)
from llmops.probe.plain import plain
from llmops.probe.wait import Waiting
from llmops.probe.within import answer_of, beside


def examine(
    *,
    root: Path = Path("/"),
    runner: Runner,
    disk_paths: Sequence[Path],
    environment: Mapping[str, str],
    nvml_seconds: float = nvidia.ANSWER_SECONDS,
    speed: disk_speeds.Told | Unknown = disk_speeds.NOT_WANTED,
    waiting: Waiting = lambda _: None,
    full: bool = False,
    software: bool = True,
    hub: Unknown | None = network.NOT_WANTED,
) -> HostFacts:
    """What is known of this host; whatever cannot be read is an `Unknown` with its reason.

    `root` is where /proc, /sys, /etc and /run are looked for; cards, programs and Python are those of this process.
    `speed` is told how far the measurement of the disks is, or says why there is none.
    `waiting` is told which source holds the answer up. `full` reads serial numbers, too. Without `software` only what a plan
    needs is asked: no engines, containers, CUDA, driver's files, kernel's log, nothing of exposure and surroundings. `hub`
    None asks the model hub, else it says why not.
    """
    log = beside(lambda: kernel_log.ask(runner)) if software else None
    cards = graphics.ask(root=root, runner=runner, environment=environment, seconds=nvml_seconds, full=full, log=log)
    programs = beside(lambda: tools.ask(runner))
    filesystems = beside(lambda: disks.disks(root, disk_paths))
    sockets = beside(lambda: listeners.read(listeners.ask(root)))
    operating = beside(lambda: system.read(system.ask(root, runner=runner, environment=environment)))
    reached = beside(lambda: network.ask_hub(environment)) if software and hub is None else None
    beside_it = (
        beside(lambda: surroundings.ask(root, runner=runner, environment=environment, hub=hub or network.NOT_WANTED))
        if software
        else None
    )
    wait = cards.wait(waiting)
    known_disks, unread_disks = wait.answer(filesystems, "the disks", lambda no: (no, ()))
    if isinstance(speed, Unknown):
        known_disks = disk_speeds.without(known_disks, speed)
    kernels = wait.answer(log, "the kernel's log", lambda no: no) if log is not None else NOT_ASKED
    host_memory = memory.read(memory.ask(root, kernels))
    waiting("the system's own programs")
    facts = HostFacts(
        system=answer_of(operating),
        cpu=cpu.read(cpu.ask(root, machine=platform.machine())),
        memory=host_memory,
        disks=known_disks,
        nvidia=nvidia.failed("not asked yet"),
        tools=answer_of(programs),
        listeners=wait.answer(sockets, "the ports", lambda no: no),
        unread_disks=unread_disks,
        kernel_side=kernel_side.read(kernel_side.ask(root)),
    )
    if beside_it is not None:
        waiting("engines that listen")
        facts = replace(facts, exposure=exposure.ask(root, facts.listeners))
    facts = graphics.answers(cards, facts, waiting=waiting)
    if beside_it is not None:
        waiting("clock, firewall and web servers")
        facts = replace(facts, surroundings=answer_of(beside_it))
    if reached is not None:
        answer = wait.answer(reached, "the model hub", lambda no: no)
        facts = replace(facts, surroundings=replace(facts.surroundings, hub=answer))
    waiting("")
    if not isinstance(speed, Unknown):
        # last and alone: everything else that runs here takes from what is measured
        facts = replace(facts, disks=disk_speeds.measured(facts.disks, speed))
    return plain(facts)
