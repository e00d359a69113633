"""Disks, tools and the whole examination, on real files and with stand-in programs on the PATH."""

import os
import time
from pathlib import Path

import pytest

from llmops.domain.forms import dump, load
from llmops.domain.host import HostFacts, NvidiaState, Tool
from llmops.domain.reading import Known, Unknown, known
from llmops.probe import disks, examine, mounts, tools
from llmops.probe.plain import plain
from llmops.probe.programs import Programs
from llmops.probe.within import within


def program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_path_that_is_not_there_yet_is_its_nearest_parents_disk(tmp_path: Path) -> None:
    here, unread = disks.disks(Path("/"), [tmp_path, tmp_path / "not" / "yet" / "there"])
    assert unread == ()
    assert isinstance(here, Known)
    there, later = here.value
    assert later.path == str(tmp_path / "not/yet/there")
    assert (later.mount, later.filesystem, later.total_bytes) == (there.mount, there.filesystem, there.total_bytes)


def test_free_space_agrees_with_the_system(tmp_path: Path) -> None:
    reading, _ = disks.disks(Path("/"), [tmp_path])
    assert isinstance(reading, Known)
    (disk,) = reading.value
    numbers = os.statvfs(tmp_path)
    assert disk.total_bytes == numbers.f_blocks * numbers.f_frsize
    assert abs(disk.free_bytes - numbers.f_bavail * numbers.f_frsize) < 0.1 * disk.total_bytes


def test_memory_filesystems_are_told_by_the_mounts() -> None:
    if not Path("/dev/shm").is_dir():
        pytest.skip("no /dev/shm")
    reading, _ = disks.disks(Path("/"), [Path("/dev/shm/a/b")])
    assert isinstance(reading, Known)
    assert (reading.value[0].mount, reading.value[0].filesystem) == ("/dev/shm", "tmpfs")


def test_links_are_followed_to_the_disk_they_lead_to(tmp_path: Path) -> None:
    (tmp_path / "store").symlink_to("/dev/shm")
    reading, _ = disks.disks(Path("/"), [tmp_path / "store"])
    assert isinstance(reading, Known)
    assert reading.value[0].mount == "/dev/shm"


def test_a_path_that_is_none_is_named_with_the_reason() -> None:
    reading, unread = disks.disks(Path("/"), [Path("/a\0b"), Path("/")])
    assert isinstance(reading, Known)
    assert [one.path for one in reading.value] == ["/"]
    assert len(unread) == 1
    assert unread[0].reason


def test_a_mount_on_top_hides_the_one_below() -> None:
    text = (
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "2 1 0:1 / /data\\040one rw - xfs /dev/sdb1 rw\n"
        "3 2 0:2 / /data\\040one ro - tmpfs tmpfs ro\n"
    )
    sizes = disks.DiskText(
        path="/data one/x",
        real="/data one/x",
        total_bytes=9,
        free_bytes=3,
        total_inodes=0,
        free_inodes=0,
        read_only=False,
    )
    disk = disks.read(mounts.read(text), sizes)
    assert (disk.mount, disk.filesystem, disk.read_only, disk.free_inodes) == ("/data one", "tmpfs", True, None)


def test_a_call_that_never_comes_back_is_left_behind() -> None:
    def dead() -> Known[int] | Unknown:
        time.sleep(30)
        return Known(1)

    started = time.monotonic()
    assert within(0.1, dead, what="the filesystem of /mnt") == Unknown(
        "the filesystem of /mnt did not answer within 0.1 s"
    )
    assert time.monotonic() - started < 2


def test_a_mistake_of_ours_is_not_hidden_as_unknown() -> None:
    def broken() -> Known[int] | Unknown:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        within(5, broken, what="x")


def ask(path: Path) -> dict[str, Tool]:
    return {tool.name: tool for tool in tools.ask(Programs({"PATH": str(path)}))}


def test_absent_programs_have_no_path(tmp_path: Path) -> None:
    vllm = ask(tmp_path)["vllm"]
    assert (vllm.path, vllm.version) == (None, Unknown("not installed"))


def test_docker_without_its_plug_in_has_no_compose(tmp_path: Path) -> None:
    program(
        tmp_path,
        "docker",
        '[ "$1" = compose ] && { echo "unknown command" >&2; exit 1; }; echo "Docker version 28.2.2,"',
    )
    found = ask(tmp_path)
    assert known(found["docker"].version) == "28.2.2"
    assert found["docker compose"].path is None


def test_an_engine_that_does_not_start_is_found_and_its_version_unknown(tmp_path: Path) -> None:
    program(tmp_path, "llama-server", "echo 'error while loading shared libraries: libcuda.so.1' >&2; exit 127")
    found = ask(tmp_path)["llama-server"]
    assert found.path == str(tmp_path / "llama-server")
    assert isinstance(found.version, Unknown)


def test_vllm_is_not_started_its_package_is_read(tmp_path: Path) -> None:
    """Importing torch for `--version` takes many seconds."""
    environment = tmp_path / "venv"
    program(environment / "bin", "vllm", "touch started; echo 9.9.9")
    metadata = environment / "lib/python3.12/site-packages/vllm-0.33.0.dist-info/METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.4\nName: vllm\nVersion: 0.33.0+cu130\n\nVersion: 1\n")
    linked = tmp_path / "bin"
    linked.mkdir()
    (linked / "vllm").symlink_to(environment / "bin/vllm")
    assert ask(linked)["vllm"].version == Known("0.33.0+cu130")


def test_a_script_elsewhere_is_read_through_its_interpreter(tmp_path: Path) -> None:
    metadata = tmp_path / "venv/lib/python3.11/site-packages/sglang-0.5.23.dist-info/METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Name: sglang\nVersion: 0.5.23\n")
    script = program(tmp_path / "tools/bin", "sglang", "")
    script.write_text(f"#!{tmp_path}/venv/bin/python3 -sE\n")
    assert ask(script.parent)["sglang"].version == Known("0.5.23")


def test_a_vllm_without_metadata_is_unknown(tmp_path: Path) -> None:
    program(tmp_path / "bin", "vllm", "")
    assert isinstance(ask(tmp_path / "bin")["vllm"].version, Unknown)


def test_nvidia_smi_is_never_started(tmp_path: Path) -> None:
    program(tmp_path, "nvidia-smi", f"touch {tmp_path}/started; sleep 60")
    assert ask(tmp_path)["nvidia-smi"].path == str(tmp_path / "nvidia-smi")
    assert not (tmp_path / "started").exists()


def test_this_host_is_examined_in_two_seconds_and_its_facts_survive_json() -> None:
    def examined() -> tuple[float, HostFacts]:
        started = time.monotonic()
        facts = examine(runner=Programs(os.environ), disk_paths=[Path("/")], environment=os.environ)
        return time.monotonic() - started, facts

    # the best of three: other work on the machine is not the examination's
    seconds, facts = min((examined() for _ in range(3)), key=lambda one: one[0])
    assert seconds < 2
    assert load(HostFacts, dump(facts)) == facts
    assert facts.system.kernel == os.uname().release
    assert isinstance(facts.memory, Known)
    assert facts.memory.value.total_bytes == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_an_empty_host_is_unknown_throughout_and_does_not_raise(tmp_path: Path) -> None:
    facts = examine(root=tmp_path, runner=Programs({"PATH": str(tmp_path)}), disk_paths=[Path("/x")], environment={})
    assert isinstance(facts.cpu, Unknown)
    assert isinstance(facts.memory, Unknown)
    assert isinstance(facts.listeners, Unknown)
    assert isinstance(facts.kernel_side, Unknown)
    assert facts.system.os_id == ""
    assert facts.nvidia.state in (NvidiaState.LIBRARY_ABSENT, NvidiaState.READY)


def test_control_characters_never_get_into_facts(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('ID=debian\nPRETTY_NAME="De\x1b[31mbian\u2028"\n')
    facts = examine(root=tmp_path, runner=Programs({"PATH": str(tmp_path)}), disk_paths=[], environment={})
    assert facts.system.os_name == "De\ufffd[31mbian\ufffd"
    assert plain(facts) == facts
