"""Every source, read from hosts as they were recorded."""

from pathlib import Path

import pytest
import recordings

from llmops.domain.forms import Json, dump
from llmops.domain.programs import Ran
from llmops.domain.reading import Known, Unknown
from llmops.probe import cpu, kernel_side, listeners, memory, mounts, system
from llmops.probe.programs import Programs


def read_os(root: Path) -> Json:
    """The files only: what this process and this machine's systemctl say is not of the recorded host."""
    text = system.ask(root, runner=Programs({"PATH": "/nonexistent"}), environment={})
    facts = dump(system.read(text))
    assert isinstance(facts, dict)
    return {name: facts[name] for name in ("os_id", "os_version", "os_name", "kernel", "container", "is_wsl")}


READERS = {
    "cpu": lambda root: dump(cpu.read(cpu.ask(root, machine="x86_64"))),
    "memory": lambda root: dump(memory.read(memory.ask(root))),
    "kernel": lambda root: dump(kernel_side.read(kernel_side.ask(root))),
    "mounts": lambda root: dump(mounts.read((root / "proc/self/mountinfo").read_text())[-12:]),
    "listeners": lambda root: dump(listeners.read(listeners.ask(root))),
    "os": read_os,
}

CASES = [(source, case) for source in READERS for case in recordings.cases(source)]


def without_place(data: Json, root: Path) -> Json:
    """Reasons name the file that could not be read: without the place of the checkout."""
    match data:
        case dict():
            return {key: without_place(item, root) for key, item in data.items()}
        case list():
            return [without_place(item, root) for item in data]
        case str():
            return data.replace(str(root), "")
        case _:
            return data


@pytest.mark.parametrize(("source", "case"), CASES, ids=[f"{source}/{case}" for source, case in CASES])
def test_a_recorded_host_reads_as_it_was_understood(source: str, case: str) -> None:
    root = recordings.root(source, case)
    assert without_place(READERS[source](root), root) == recordings.reading(source, case)


@pytest.mark.parametrize("source", ["cpu", "memory", "kernel", "listeners"])
def test_a_host_without_proc_is_unknown_with_the_file_that_is_missing(source: str, tmp_path: Path) -> None:
    data = READERS[source](tmp_path)
    assert isinstance(data, dict)
    assert f"{tmp_path}/proc/" in str(data["unknown"])
    assert "no such file" in str(data["unknown"])


def test_an_absent_os_release_leaves_names_empty_not_wrong(tmp_path: Path) -> None:
    facts = read_os(tmp_path)
    assert isinstance(facts, dict)
    assert (facts["os_id"], facts["os_name"]) == ("", "")


def test_systemctl_that_is_absent_is_an_unknown_version() -> None:
    assert system.read_systemd_version(Unknown("`systemctl`: not installed")) == Unknown("`systemctl`: not installed")


def test_systemctl_of_debian_12_is_252() -> None:
    said = "systemd 252 (252.38-1~deb12u1)\n+PAM +AUDIT +SELINUX\n"
    ran = Ran(argv=("systemctl", "--version"), exit_code=0, stdout=said, stderr="")
    assert system.read_systemd_version(Known(ran)) == Known(252)
