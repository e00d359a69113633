"""The swap file of the target host-tuning: made only where that is right, sized as doctor says, gone with its unit."""

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import locks
import pytest
from rendering import CASES, rendered, site_of, text_of

from llmops.changes.effects import before, effects
from llmops.checks.lock_swap import FILESYSTEMS
from llmops.domain.changes import Action, Change, ChangeSet, FileState
from llmops.domain.host_memory import SWAP_LIMIT_BYTES, swap_bytes
from llmops.domain.places import SWAP_FILE, SWAP_UNIT
from llmops.domain.profile import HostWish, SwapWish
from llmops.domain.units import GIB, MIB
from llmops.formats.lock import dump_lock, parse_lock
from llmops.formats.unit_reads import service_unit
from llmops.render.findings import findings

HEAD = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
RAM_KIB = 65_539  # no whole number of pages in a quarter of it


class Machine:
    """A directory with the script, a /proc of its own, and programs that stand in for the host's."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.file = place / "state/file"
        self.file.parent.mkdir()
        (place / "bin").mkdir()
        (place / "proc").mkdir()
        text = text_of(rendered(CASES["fallback_api"]), "/usr/lib/llmops/make-swap")
        self.script = place / "make-swap"
        self.script.write_text(text.replace("/proc/", f"{place}/proc/"))
        self.script.chmod(0o755)
        self.swaps("")
        self.proc("meminfo", f"MemTotal:       {RAM_KIB} kB\nMemFree:  1 kB\n")
        self.program("stat", "echo ext2/ext3")

    def proc(self, name: str, text: str) -> None:
        (self.place / "proc" / name).write_text(text)

    def swaps(self, rows: str) -> None:
        self.proc("swaps", HEAD + rows)

    def program(self, name: str, text: str) -> None:
        one = self.place / "bin" / name
        one.write_text(f"#!/bin/sh\n{text}\n")
        one.chmod(0o755)

    def run(self) -> "subprocess.CompletedProcess[str]":
        path = f"{self.place}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        argv = [str(self.script), str(self.file)]
        return subprocess.run(argv, env={"PATH": path}, capture_output=True, text=True, check=False)

    def refused(self) -> str:
        ran = self.run()
        assert ran.returncode == 1
        assert ran.stderr.startswith("make-swap: ")
        assert list(self.file.parent.iterdir()) == []
        return ran.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_check_of_a_lock_takes_what_the_script_takes(machine: Machine) -> None:
    (kinds,) = re.findall(r"^    (\S+(?: \| \S+)*)\) ;;", machine.script.read_text(), re.MULTILINE)
    assert {*re.split(r" \| |/", kinds), "ext4"} == FILESYSTEMS  # stat(1) calls ext4 as it calls ext2 and ext3


@pytest.mark.consumer("mkswap")
def test_a_file_is_as_large_as_doctor_says_and_nobody_elses(machine: Machine) -> None:
    assert (machine.run().stderr, machine.run().returncode) == ("", 0)
    page = os.sysconf("SC_PAGE_SIZE")
    right = swap_bytes(RAM_KIB * 1024)
    assert machine.file.stat().st_size == right // page * page
    assert machine.file.stat().st_blocks * 512 >= machine.file.stat().st_size  # no holes
    assert machine.file.stat().st_mode & 0o7777 == 0o600
    assert machine.file.read_bytes()[page - 10 : page] == b"SWAPSPACE2"
    assert [one.name for one in machine.file.parent.iterdir()] == ["file"]


@pytest.mark.consumer("mkswap")
def test_a_file_that_is_there_stays_and_one_that_a_power_cut_left_is_made_anew(machine: Machine) -> None:
    machine.run()
    made = machine.file.stat()
    machine.swaps(f"{machine.file}  file  1  0  -2\n")
    assert machine.run().returncode == 0
    assert (machine.file.stat().st_ino, machine.file.stat().st_mtime_ns) == (made.st_ino, made.st_mtime_ns)
    machine.swaps("")
    machine.file.write_bytes(bytes(100_000))
    machine.file.with_name("file.new").write_bytes(b"half")
    assert machine.run().returncode == 0
    assert machine.file.stat().st_size == made.st_size
    assert [one.name for one in machine.file.parent.iterdir()] == ["file"]


@pytest.mark.consumer("mkswap")
def test_more_ram_is_not_more_swap_than_the_limit(machine: Machine) -> None:
    machine.proc("meminfo", f"MemTotal: {1024 * GIB // 1024} kB\n")
    machine.program("fallocate", 'echo "$2" >&2; exit 0')
    machine.program("mkswap", "exit 0")
    machine.program("df", f"echo Avail; echo {3 * SWAP_LIMIT_BYTES}")
    machine.program("sync", f'echo "$0" > {machine.place}/synced')
    text = machine.script.read_text().replace("fallocate -l", f"echo >{machine.place}/asked")
    machine.script.write_text(text)
    assert machine.run().returncode == 0
    assert (machine.place / "asked").read_text().split()[0] == str(SWAP_LIMIT_BYTES)


@pytest.mark.consumer("mkswap")
@pytest.mark.parametrize("row", ["/dev/zram0 partition 8388604 0 100\n", "/swap.img file 2097148 0 -2\n"])
def test_a_host_with_swap_gets_no_second_one(machine: Machine, row: str) -> None:
    machine.swaps(row)
    assert f"there is swap already ({row.split(maxsplit=1)[0]})" in machine.refused()


@pytest.mark.consumer("mkswap")
@pytest.mark.parametrize("kind", ["overlayfs", "tmpfs", "zfs", "nfs", "fuseblk"])
def test_a_file_system_the_kernel_cannot_swap_to_is_refused_by_name(machine: Machine, kind: str) -> None:
    machine.program("stat", f"echo {kind}")
    assert f"no swap file on {kind}" in machine.refused()


@pytest.mark.consumer("mkswap")
def test_a_disk_without_room_is_left_alone(machine: Machine) -> None:
    machine.program("df", f"echo Avail; echo {RAM_KIB * 1024 // 4 * 2 - 8192}")
    assert "more than half" in machine.refused()


@pytest.mark.consumer("mkswap")
def test_on_btrfs_nothing_is_copied_on_write(machine: Machine) -> None:
    machine.program("stat", "echo btrfs")
    machine.program("chattr", f'[ ! -s "$2" ] || exit 1; echo "$1 ${{2##*/}}" > {machine.place}/asked')
    assert machine.run().returncode == 0
    assert (machine.place / "asked").read_text() == "+C file.new\n"


@pytest.mark.consumer("mkswap")
def test_where_no_space_can_be_set_aside_every_byte_is_written(machine: Machine) -> None:
    machine.program("fallocate", "exit 1")
    assert machine.run().returncode == 0
    assert machine.file.stat().st_blocks * 512 >= machine.file.stat().st_size > 0
    machine.file.unlink()
    machine.program("stat", "echo xfs")
    assert "cannot be set aside on xfs" in machine.refused()


@pytest.mark.consumer("mkswap")
def test_a_mkswap_that_fails_leaves_nothing(machine: Machine) -> None:
    machine.program("mkswap", "exit 1")
    assert machine.run().returncode == 1
    assert list(machine.file.parent.iterdir()) == []


@pytest.mark.parametrize("wish", SwapWish)
def test_the_profile_chooses_what_is_rendered(wish: SwapWish) -> None:
    lock = locks.lock(targets=("systemd", "host-tuning"), host=HostWish(swap=wish))
    assert parse_lock(dump_lock(lock), file="x").host.swap is wish
    paths = {str(one.path) for one in rendered(lock) if "swap" in str(one.path) or "zram" in str(one.path)}
    assert (
        paths
        == {
            SwapWish.ZRAM: {"/etc/systemd/zram-generator.conf.d/llmops.conf"},
            SwapWish.NONE: set(),
            SwapWish.FILE: {
                "/etc/systemd/system/llmops-swap.service",
                f"/etc/systemd/system/{SWAP_UNIT}",
                "/usr/lib/llmops/make-swap",
            },
        }[wish]
    )


@pytest.mark.parametrize(("targets", "codes"), [(("env",), ["RND024"]), (("env", "host-tuning"), [])])
def test_a_file_that_is_asked_for_and_not_rendered_is_said(targets: tuple[str, ...], codes: list[str]) -> None:
    lock = locks.lock(targets=targets, host=HostWish(swap=SwapWish.FILE))
    found = findings(lock, site_of(lock), targets=targets, file="llmops.lock", missing_models=(), store="x")
    assert [one.code for one in found if one.code == "RND024"] == codes


def test_a_lock_of_before_means_zram() -> None:
    lock = locks.lock(targets=("host-tuning",))
    text = dump_lock(lock).replace(", swap: zram", "")
    assert "swap" not in text
    assert parse_lock(text, file="x").host == HostWish()


def test_zram_and_doctor_have_the_same_rule() -> None:
    files = rendered(locks.lock(targets=("host-tuning",)))
    text = text_of(files, "/etc/systemd/zram-generator.conf.d/llmops.conf")
    assert f"zram-size = min(ram / 4, {SWAP_LIMIT_BYTES // MIB})" in text
    assert [swap_bytes(ram * GIB) for ram in (4, 32, 512)] == [1 * GIB, 8 * GIB, 8 * GIB]


@pytest.mark.consumer("systemd-analyze")
def test_the_unit_is_named_after_its_file_as_systemd_does_it() -> None:
    argv = ["systemd-escape", "--path", "--suffix=swap", str(SWAP_FILE)]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip() == SWAP_UNIT


def test_swap_goes_before_its_file_and_what_made_it() -> None:
    files = [one for one in rendered(CASES["fallback_api"]) if one.path.suffix in (".service", ".swap")]
    units = [service_unit(one.path.name, one.text) for one in files if one.path.suffix == ".service"]
    state = FileState(content=b"", mode=0o644, owner="root:root")
    gone = ChangeSet(
        changes=tuple(
            Change(path=one.path, target=one.target, action=Action.DELETE, before=state, after=None) for one in files
        )
    )
    names = [one.path.name for one in files]
    [disable] = before(gone, enabled=names)
    assert {SWAP_UNIT, "llmops-swap.service"} <= set(disable.argv)
    commands = [one.text() for one in effects(gone, [], active=names, gone=units)]
    assert commands[0] == f"systemctl stop {SWAP_UNIT}"
    assert commands.index(f"rm -f -- {SWAP_FILE}") > commands.index("systemctl stop llmops-swap.service")
    [maker] = [one for one in units if one.name == "llmops-swap.service"]
    assert SWAP_FILE.parent in maker.directories
    kept = ChangeSet(changes=tuple(replace(one, action=Action.KEEP, after=state) for one in gone.changes))
    assert effects(kept, units, active=names) == ()
