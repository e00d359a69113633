"""A bundle's worst moments, in real processes: killed at any change of the disk, full disks, no network, two runs at once."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import fault_disk
import pytest
from bundling import Site, pull_into, site, tree, verify, visible
from conftest import in_ci
from hub_models import GGUF
from pulling import document, environment, start
from pulling import run as run_llmops
from test_pull_kills import small_disk

from llmops.domain.units import MIB

Faults = dict[str, str]
Run = Callable[[Faults, Mapping[str, object]], int]


@contextmanager
def forked(watched: str) -> Iterator[Run]:
    """Runs of `bundle` on a disk with faults, each in a process of its own that is quick to start."""
    env = dict(os.environ) | {"LD_PRELOAD": str(fault_disk.library()), "FAULT_PATH": watched}
    script = Path(__file__).with_name("forked_installs.py")
    with subprocess.Popen(
        [sys.executable, str(script)], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:

        def run(faults: Faults, options: Mapping[str, object]) -> int:
            assert program.stdin
            assert program.stdout
            program.stdin.write(json.dumps({"faults": faults, "options": dict(options)}) + "\n")
            program.stdin.flush()
            return int(program.stdout.readline())

        yield run


def target(made: Site) -> tuple[Path, dict[str, str]]:
    folder = made.folder / "target"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder, {"store": str(folder / "store"), "out": str(folder / "out")}


def assert_nothing_wrong(folder: Path, made: Site) -> None:
    """What has a name is whole: blobs by their digest, models by their source, the rest all there or not at all."""
    for blob in (folder / "store/blobs/sha256").glob("*"):
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    for path in (folder / "store/models").glob("chat/*/*"):
        if path.is_file():
            assert path.read_bytes() == (made.folder / "src" / path.name).read_bytes()
    if (folder / "out").exists():
        assert (folder / "out/locks/chat/llmops.lock").read_bytes() == Path(made.lock).read_bytes()
        assert (folder / "store/models/chat/current" / GGUF).is_file(), (
            "the models come before the lock that names them"
        )


@pytest.mark.consumer("cc")
def test_killed_before_each_single_change_of_the_disk_nothing_wrong_is_visible_and_the_next_run_ends_it(
    tmp_path: Path,
) -> None:
    made = site(tmp_path / "site", size=50_000)
    path = made.create("b.tar.zst", tar=True)
    pull_into(made.folder, made.folder / "pulled")
    with forked("/target/") as run:
        folder, places = target(made)
        options = {"action": "install", "paths": [str(path)], **places}
        log = tmp_path / "calls"
        assert run({"FAULT_LOG": str(log)}, options) == 0
        calls = log.read_text().splitlines()
        assert 30 < len(calls) < 120
        for number in range(1, len(calls) + 1):
            target(made)
            assert run({"FAULT_CALL": f"{number}:kill"}, options) == -9, calls[number - 1]
            assert_nothing_wrong(folder, made)
            assert run({}, options) == 0, calls[number - 1]
            assert_nothing_wrong(folder, made)
            assert tree(folder / "store") == tree(made.folder / "pulled"), calls[number - 1]
            assert sorted(one.name for one in folder.iterdir()) == ["out", "store"]


@pytest.mark.consumer("cc")
@pytest.mark.parametrize("tar", [False, True])
def test_killed_at_each_change_while_it_is_made_no_bundle_has_the_name_and_the_next_run_makes_it(
    tmp_path: Path, tar: bool
) -> None:
    made = site(tmp_path / "site", size=50_000)
    with forked("/made/") as run:
        place = made.folder / "made"
        place.mkdir()
        options: dict[str, object] = {
            "action": "create", "paths": [made.lock], "store": made.store, "output": str(place / "b"), "tar": tar,
            "split": "40KiB" if tar else None,
        }  # fmt: skip
        log = tmp_path / "calls"
        assert run({"FAULT_LOG": str(log)}, options) == 0
        right = tree(place)
        calls = log.read_text().splitlines()
        assert len(calls) >= 6
        last = range(max(1, len(calls) - 6), len(calls) + 1)  # where names are given; before that every few calls
        for number in sorted({*range(1, len(calls), max(1, len(calls) // 6)), *last}):
            shutil.rmtree(place)
            place.mkdir()
            assert run({"FAULT_CALL": f"{number}:kill"}, options) == -9
            first = place / ("b.001" if tar else "b")
            if first.exists():
                assert verify(first)["checksums_sha256"], calls[number - 1]
                continue
            for left in place.glob("b.0*"):  # volumes without the first one: nobody takes them for a bundle
                left.unlink()
            assert run({}, options) == 0, calls[number - 1]
            assert tree(place) == right


@pytest.mark.consumer("cc")
def test_after_a_kill_it_goes_on_where_it_was_and_a_full_disk_says_so(tmp_path: Path) -> None:
    made = site(tmp_path / "site", size=24 * MIB)
    path = made.create("b.tar.zst", tar=True, split="10MiB")
    with forked("/target/") as run:
        folder, places = target(made)
        options = {"action": "install", "paths": [str(path)], **places}
        # Watched alone, so that offsets are those of the model: 10 MiB are written, then it is killed; then the disk is full.
        partial = {"FAULT_PATH": ".partial"}
        assert run(partial | {"FAULT_WRITE": f"{10 * MIB}:kill"}, options) == -9
        (left,) = [one for one in (folder / "store/incoming").glob("*.partial") if one.stat().st_size > MIB]
        assert left.stat().st_size >= 10 * MIB - 4096
        assert visible(folder / "store") == []
        assert run(partial | {"FAULT_WRITE": f"{6 * MIB}:ENOSPC"}, options) == 4
        assert left.stat().st_size >= 16 * MIB - 4096, "the second run went on behind the first"
        assert visible(folder / "store") == []
        assert not (folder / "out").exists()
        # The rest is 8 MiB: a run that began again would write more, and end here.
        assert run(partial | {"FAULT_WRITE": f"{9 * MIB}:EIO"}, options) == 0
        assert_nothing_wrong(folder, made)


@pytest.mark.root
def test_a_target_that_is_too_small_is_told_before_the_first_byte(tmp_path: Path) -> None:
    made = site(tmp_path / "site", size=6_000_000)
    path = made.create()
    with small_disk(tmp_path / "disk", "size=4m") as disk:
        env = environment("http://127.0.0.1:9", tmp_path / "unused")
        ran = run_llmops(["bundle", "install", str(path), "--store", str(disk), "--out", "out"], env=env, cwd=tmp_path)
        assert (ran.returncode, "not enough space" in ran.stderr) == (4, True), ran.stderr
        assert visible(disk) == []
        ran = run_llmops(
            ["bundle", "create", made.lock, "--store", made.store, "-o", str(disk / "b")], env=env, cwd=tmp_path
        )
        assert (ran.returncode, "not enough space" in ran.stderr) == (4, True), ran.stderr
        assert not (disk / "b").exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.root
def test_installed_without_any_network_it_ends_as_a_pull_ends_and_models_list_agrees(tmp_path: Path) -> None:
    """In a network namespace of its own there is not even a loopback device that is up."""
    made = site(tmp_path / "site")
    path = made.create("b.tar.zst", tar=True, split="100KiB")
    env = environment("http://127.0.0.1:9", tmp_path / "target")
    argv = ["unshare", "-n", sys.executable, "-m", "llmops", "bundle", "install", str(path), "--json"]
    apart = subprocess.run(["unshare", "-n", "true"], capture_output=True, text=True, check=False)
    if apart.returncode != 0 and not in_ci():
        pytest.skip(f"no network namespace can be made here: {apart.stderr.strip()}")
    ran = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    answer = document(ran)
    pull_into(made.folder, tmp_path / "pulled")
    assert tree(tmp_path / "target") == tree(tmp_path / "pulled")
    lists = []
    for store in ("target", "pulled"):
        listed = document(run_llmops(["models", "--json", "--store", str(tmp_path / store)], env=env, cwd=tmp_path))[
            "result"
        ]
        for one in listed["models"]:
            del one["pulled_at"], one["directory"], one["lock"], one["measured"]
        lists.append(listed["models"])
    assert lists[0] == lists[1]
    for command in answer["result"]["next"]:
        if command.startswith("llmops verify"):
            assert run_llmops(command.split()[1:], env=env, cwd=tmp_path).returncode == 0
        else:
            assert command == "llmops render --apply --lock llmops-bundle/locks/chat/llmops.lock"


def test_no_socket_is_opened_by_any_of_the_three_actions(tmp_path: Path) -> None:
    made = site(tmp_path / "site")
    code = (
        "import socket, sys\n"
        "def refuse(*_a, **_k): raise SystemExit('a socket was opened')\n"
        "socket.socket.__init__ = refuse\nsocket.create_connection = refuse\nsocket.getaddrinfo = refuse\n"
        "from llmops.cli.app import run\nsys.exit(run(sys.argv[1:]))\n"
    )
    env = environment("http://127.0.0.1:9", tmp_path / "unused")
    for words in (
        ["create", made.lock, "--store", made.store, "-o", "b"], ["verify", "b"], ["install", "b", "--store", "s"],
    ):  # fmt: skip
        ran = subprocess.run(
            [sys.executable, "-c", code, "bundle", *words],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr


def test_two_installations_at_once_both_end_well(tmp_path: Path) -> None:
    made = site(tmp_path / "site", size=8 * MIB)
    path = made.create()
    env = environment("http://127.0.0.1:9", tmp_path / "target")
    runs = [start(["bundle", "install", str(path), "--out", f"out{at}"], env=env, cwd=tmp_path) for at in range(2)]
    said = [one.communicate(timeout=60)[1] for one in runs]
    assert [one.returncode for one in runs] == [0, 0], said
    pull_into(made.folder, tmp_path / "pulled")
    assert tree(tmp_path / "target") == tree(tmp_path / "pulled")


def test_memory_stays_small_whatever_the_size_of_a_model(tmp_path: Path) -> None:
    made = site(tmp_path / "site", files={GGUF: bytes(160 * MIB)})
    env = environment("http://127.0.0.1:9", tmp_path / "target")
    code = (
        "import sys\nfrom llmops.cli.app import run\ncode = run(sys.argv[1:])\n"
        "status = open('/proc/self/status').read()\n"
        "sys.stderr.write('peak ' + status.partition('VmHWM:')[2].split()[0])\nsys.exit(code)\n"
    )
    for words in (
        ["create", made.lock, "--store", made.store, "-o", "b", "--tar"], ["verify", "b"], ["install", "b"],
    ):  # fmt: skip
        ran = subprocess.run(
            [sys.executable, "-c", code, "bundle", *words, "--progress", "none"],
            env=env, cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        assert int(ran.stderr.rpartition("peak ")[2]) < 150 << 10, "KiB"


def test_interrupted_it_ends_with_130_and_leaves_nothing_half_made(tmp_path: Path) -> None:
    made = site(tmp_path / "site", size=2 * MIB)
    env = environment("http://127.0.0.1:9", tmp_path / "target", LD_PRELOAD=str(fault_disk.library()))
    env |= {"FAULT_PATH": ".b.part", "FAULT_WRITE": f"{MIB}:int"}
    ran = run_llmops(["bundle", "create", made.lock, "--store", made.store, "-o", "b"], env=env, cwd=tmp_path)
    assert ran.returncode == 130, ran.stderr
    assert not [one for one in tmp_path.iterdir() if "b" in one.name.split(".")]


def test_the_folder_form_is_what_python_tarfile_takes_apart(tmp_path: Path) -> None:
    """A third reader beside GNU tar: the members' order is text first, checksums before all."""
    import zstandard

    made = site(tmp_path / "site")
    path = made.create("b", tar=True)
    with (
        path.open("rb") as packed,
        zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as plain,
        tarfile.open(fileobj=plain, mode="r|") as tar,
    ):
        names = [one.name for one in tar]
    assert names[:2] == ["llmops-bundle/SHA256SUMS", "llmops-bundle/bundle.json"]
    assert [one for one in names if "/blobs/" in one] == names[-2:]
