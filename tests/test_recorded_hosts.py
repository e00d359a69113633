"""Recorded hosts, read by the real probes and judged: exactly the expected codes, and no host called ready that is not."""

import subprocess
from pathlib import Path

import host_archives
import hosts
import pytest

from llmops.checks import judge, verdict
from llmops.domain.finding import Status
from llmops.domain.forms import dump, load
from llmops.domain.host import HostFacts, NvidiaState, Verdict
from llmops.domain.reading import Known, Unknown
from llmops.domain.units import GIB

NAMES = host_archives.names()
STUB = Path(__file__).parent / "nvml"


@pytest.fixture(scope="session")
def nvml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the stand-in as libnvidia-ml.so.1."""
    folder = tmp_path_factory.mktemp("nvml-hosts")
    flags = ["-shared", "-fPIC", "-O1", "-Wl,-soname,libnvidia-ml.so.1"]
    subprocess.run(["cc", *flags, "-o", str(folder / "libnvidia-ml.so.1"), str(STUB / "fake_nvml.c")], check=True)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_host_gets_exactly_its_codes(name: str, tmp_path: Path, nvml: Path) -> None:
    host = host_archives.archive(name)
    facts = host_archives.facts(host, tmp_path / "root", nvml)
    assert load(HostFacts, dump(facts)) == facts
    if "storage" in host.head:
        assert isinstance(facts.disks, Known)
        (disk,) = facts.disks.value
        assert isinstance(disk.storage, Known)
        words = [
            disk.storage.value.kind.value,
            *(("through", *disk.storage.value.through) if disk.storage.value.through else ()),
        ]
        assert " ".join(words) == host.head["storage"]
    findings = judge(facts, hosts.references())
    wrong = {one.code: one.status.value for one in findings if one.status in (Status.WARN, Status.FAIL)}
    messages = {one.code: one.message for one in findings if one.status is not Status.OK}
    assert wrong == host.codes(), messages
    assert verdict(findings).value == host.head["verdict"], messages


def test_a_mac_is_judged_by_its_facts() -> None:
    """Apple's cards share the host's memory; the facts of such a host come from `--facts`."""
    chip = hosts.gpu(
        vendor="apple",
        name=Known("Apple M4 Max"),
        memory_bytes=Known(96 * GIB),
        free_bytes=Known(96 * GIB),
        compute_capability=Unknown("not an NVIDIA card"),
        unified_memory=True,
    )
    facts = hosts.host(
        system=hosts.system(
            os_id="macos",
            os_version="26.1",
            os_name="macOS 26.1",
            kernel="25.1.0",
            systemd_is_running=False,
            glibc=Known(None),
        ),
        nvidia=hosts.without_nvml(NvidiaState.LIBRARY_ABSENT),
        kernel_side=Unknown("no /proc"),
        other_gpus=Known((chip,)),
    )
    findings = judge(facts, hosts.references())
    wrong = {one.code for one in findings if one.status in (Status.WARN, Status.FAIL)}
    assert wrong == {"SYS001", "SYS003", "SYS005", "GPU001"}
    assert verdict(findings) is Verdict.READY_WITH_WARNINGS


def test_there_are_thirty_hosts_of_which_eight_are_ready() -> None:
    heads = [host_archives.archive(name).head for name in NAMES]
    assert len(heads) >= 30
    assert sum(head["verdict"] == Verdict.READY.value for head in heads) >= 8
    assert all(head["composed"] in ("true", "false") and head["source"] for head in heads)


def test_ten_hosts_hold_outputs_word_for_word_and_say_which_and_from_where() -> None:
    """`quoted` names the parts that stand in the source as they are here; what is read from them is the probes' to show."""
    quoted = {name: host for name in NAMES if "quoted" in (host := host_archives.archive(name)).head}
    assert len(quoted) >= 10
    for name, host in quoted.items():
        assert host.head["source"].startswith("https://"), name
        for part in host.head["quoted"].split("; "):
            title = next(one for one in host.parts if one.partition(" [exit")[0] == part)
            assert host.parts[title].strip(), (name, part)
            assert host.parts[title] != host_archives.archive("_server").parts.get(title), (name, part)


def test_every_kind_of_disk_is_told_on_a_recorded_host() -> None:
    kinds = {
        host.head["storage"].split()[0] for name in NAMES if "storage" in (host := host_archives.archive(name)).head
    }
    assert {"hdd", "sata_ssd", "nvme", "network", "overlay"} <= kinds


def test_a_host_that_is_ready_has_nothing_wrong() -> None:
    for name in NAMES:
        host = host_archives.archive(name)
        failing = [code for code, status in host.codes().items() if status == "fail"]
        assert (host.head["verdict"] == Verdict.NOT_READY.value) is bool(failing), name
        assert host.head["verdict"] != Verdict.READY.value or not host.codes(), name
