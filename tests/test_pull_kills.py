"""The worst moments, in real processes: killed anywhere, power cut at any step, disks that are full, two runs at once."""

import hashlib
import itertools
import json
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import fault_disk
import hub_models
import pytest
from fake_hub import FakeHub
from hub_models import GGUF, QUICK, REPOSITORY, content, repository
from pulling import CANARY, document, environment, run, start, until, write_lock

from llmops.domain.model import ModelRef
from llmops.domain.units import MIB
from llmops.hub.partial import resumable_bytes
from llmops.hub.repository import list_files
from llmops.hub.store import files_below

SECOND = "model-Q8_0.gguf"
JOBS = 4
KILLS = 20


def listed(hub: FakeHub) -> ModelRef:
    ref = list_files(hub_models.source(), endpoint=hub.url, patience=QUICK)
    return replace(ref, files=tuple(one for one in ref.files if one.name != "README.md"))


@contextmanager
def hub_with_lock(tmp_path: Path, *, first: int, second: int = 0) -> Iterator[tuple[FakeHub, ModelRef]]:
    """A hub of one or two large files and a small one, and the lock of all of them in `tmp_path`."""
    repository(tmp_path / "hub", size=first)
    if second:
        (tmp_path / "hub" / REPOSITORY / SECOND).write_bytes(content(second, seed=2))
    with FakeHub(tmp_path / "hub") as hub:
        ref = listed(hub)
        write_lock(tmp_path / "llmops.lock", ref)
        yield hub, ref


def with_faults(hub: FakeHub, tmp_path: Path, *arguments: str, **faults: str) -> int:
    """A pull on a disk with faults; its exit code."""
    env = environment(hub.url, tmp_path / "store", LD_PRELOAD=str(fault_disk.library()), **faults)
    return run(["pull", *arguments], env=env, cwd=tmp_path).returncode


def assert_only_verified_is_visible(tmp_path: Path, hub: FakeHub) -> None:
    """Every blob has the content its name says, and every file of a model is the hub's."""
    store = tmp_path / "store"
    for name in files_below(store / "blobs" / "sha256"):
        assert hashlib.sha256((store / "blobs" / "sha256" / name).read_bytes()).hexdigest() == name
    for name in files_below(store / "models"):
        path = store / "models" / name
        if path.is_file() and path.name != ".new":  # a link of ours that has not got its name yet
            assert path.read_bytes() == (hub.root / REPOSITORY / path.name).read_bytes()


def there(tmp_path: Path, ref: ModelRef) -> int:
    """Bytes that the next run will not ask for again: verified ones, and those on their way that will be trusted."""
    store = tmp_path / "store"
    blobs = {one.name for one in (store / "blobs" / "sha256").glob("*")}
    done = 0
    for file in ref.files:
        whole = file.digest is not None and file.digest.value in blobs
        done += file.bytes if whole else resumable_bytes(store / "incoming", file)
    return done


@pytest.mark.consumer("cc")
def test_after_each_of_twenty_kills_nothing_unverified_is_visible_and_a_block_of_each_stream_is_lost(
    tmp_path: Path,
) -> None:
    """Each run goes on where the last was killed, at random bytes; in the end all is there, bit for bit."""
    chance = random.Random(7)
    with hub_with_lock(tmp_path, first=40 * MIB, second=8 * MIB) as (hub, ref):
        cuts = [0, *sorted(chance.randrange(1, 47 * MIB) for _ in range(KILLS)), 0]
        before = 0
        for begin, end in itertools.pairwise(cuts[:-1]):
            written = max(1, end - begin)
            code = with_faults(hub, tmp_path, "--jobs", str(JOBS), FAULT_PATH=".partial", FAULT_WRITE=f"{written}:kill")
            assert code == -9
            assert_only_verified_is_visible(tmp_path, hub)
            assert not list((tmp_path / "store" / "models").glob("*/current"))
            after = there(tmp_path, ref)
            assert before + written - JOBS * MIB <= after <= before + written + 1000, "the small file may be whole, too"
            before = after
        last = document(run(["pull", "--json"], env=environment(hub.url, tmp_path / "store"), cwd=tmp_path))
        total = sum(one.bytes for one in ref.files)
        assert abs(last["result"]["bytes_transferred"] - (total - before)) <= 1000
        assert_only_verified_is_visible(tmp_path, hub)
        assert len(files_below(tmp_path / "store/models/chat" / str(ref.commit))) == len(ref.files)


@pytest.mark.consumer("cc")
def test_bytes_reach_the_disk_before_their_name_and_the_name_before_what_points_at_it(tmp_path: Path) -> None:
    with hub_with_lock(tmp_path, first=200_000) as (hub, ref):
        log = tmp_path / "calls"
        assert with_faults(hub, tmp_path, "--jobs", "1", FAULT_PATH="/store/", FAULT_LOG=str(log)) == 0
    store = str((tmp_path / "store").resolve())
    calls = [line.replace(store, "").replace(str(ref.commit), "COMMIT") for line in log.read_text().splitlines()]
    for file in ref.files:
        data = (tmp_path / "hub" / REPOSITORY / file.name).read_bytes()
        assert file.digest
        key = f"{file.digest.algorithm.value}-{file.digest.value}"
        blob = f"/blobs/sha256/{hashlib.sha256(data).hexdigest()}"
        wanted = [
            f"write /incoming/{key}.partial", f"fsync /incoming/{key}.partial", f"rename {blob}", "fsync /blobs/sha256",
            f"rename /models/chat/COMMIT/{file.name}", "fsync /models/chat/COMMIT", "rename /models/chat/current",
            "fsync /models/chat",
        ]  # fmt: skip
        places = [last(calls, one) if "COMMIT" not in one or "fsync" in one else calls.index(one) for one in wanted[:3]]
        assert places == sorted(places), (wanted, calls)
        at = -1
        for one in wanted:
            at = calls.index(one, at + 1)


def last(calls: list[str], call: str) -> int:
    return len(calls) - 1 - calls[::-1].index(call)


@pytest.mark.consumer("cc")
def test_killed_before_each_single_change_of_the_disk_nothing_wrong_is_visible_and_the_next_run_ends_it(
    tmp_path: Path,
) -> None:
    """One run for each write, sync and rename of a whole pull, and one more that goes on."""
    with hub_with_lock(tmp_path, first=100_000) as (hub, ref), forked_pulls(tmp_path, hub) as pull:
        log = tmp_path / "calls"
        assert pull({"FAULT_LOG": str(log)}) == 0
        calls = log.read_text().splitlines()
        assert 20 < len(calls) < 80
        for number in range(1, len(calls) + 1):
            shutil.rmtree(tmp_path / "store")
            assert pull({"FAULT_CALL": f"{number}:kill"}) == -9, calls[number - 1]
            assert_only_verified_is_visible(tmp_path, hub)
            assert pull({}) == 0, calls[number - 1]
            assert_only_verified_is_visible(tmp_path, hub)
            assert files_below(tmp_path / "store/models/chat/current") == tuple(sorted(one.name for one in ref.files))
            assert not list((tmp_path / "store").rglob(".*"))


@contextmanager
def forked_pulls(tmp_path: Path, hub: FakeHub) -> Iterator[Callable[[dict[str, str]], int]]:
    """Pulls of the lock on a disk with faults, each in a process of its own that is quick to start."""
    library = str(fault_disk.library())
    env = environment(hub.url, tmp_path / "store", LD_PRELOAD=library, FAULT_PATH="/store/")
    script = Path(__file__).with_name("forked_pulls.py")
    program = [sys.executable, str(script), str(tmp_path / "llmops.lock"), hub.url]
    with subprocess.Popen(program, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def pull(faults: dict[str, str]) -> int:
            assert process.stdin
            assert process.stdout
            process.stdin.write(f"{json.dumps(faults)}\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield pull


@contextmanager
def small_disk(path: Path, options: str) -> Iterator[Path]:
    """A file system of its own in memory, where this process may mount one."""
    path.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=False, capture_output=True
    ).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


@pytest.mark.root
@pytest.mark.parametrize(
    ("options", "said"),
    [("size=3m", "not enough space: "), ("size=30m,nr_inodes=12", "not enough inodes: ")],
)
def test_a_disk_that_is_too_small_is_told_before_the_first_byte(tmp_path: Path, options: str, said: str) -> None:
    with hub_with_lock(tmp_path, first=4_000_000) as (hub, _), small_disk(tmp_path / "disk", options) as disk:
        hub.requests.clear()
        ran = run(["pull", "--store", str(disk)], env=environment(hub.url, tmp_path / "store"), cwd=tmp_path)
        assert ran.returncode == 4
        assert said in ran.stderr
        assert "--store DIR" in ran.stderr
        assert hub.requests == []


@pytest.mark.root
def test_a_disk_that_others_fill_meanwhile_ends_the_pull_and_room_made_lets_it_go_on(tmp_path: Path) -> None:
    with hub_with_lock(tmp_path, first=4_000_000) as (hub, _), small_disk(tmp_path / "disk", "size=6m") as disk:
        hub.faults = {"*.gguf": "slow:3000000"}
        env = environment(hub.url, tmp_path / "store", LLMOPS_STORE=str(disk))
        process = start(["pull"], env=env, cwd=tmp_path)
        until(lambda: any(one.stat().st_size > 400_000 for one in (disk / "incoming").glob("*.partial")))
        with pytest.raises(OSError, match="No space"):
            (disk / "log").write_bytes(bytes(8_000_000))
        _, err = process.communicate(timeout=60)
        assert (process.returncode, "the disk is full" in err) == (4, True), err
        assert "make room, then run the same command again" in err
        assert files_below(disk / "models") == ()
        (disk / "log").unlink()
        hub.faults = {}
        again = document(run(["pull", "--json"], env=env, cwd=tmp_path))
        assert again["result"]["bytes_transferred"] < 4_000_000


@pytest.mark.root
def test_a_store_that_is_read_only_is_told_as_that(tmp_path: Path) -> None:
    with hub_with_lock(tmp_path, first=100_000) as (hub, _), small_disk(tmp_path / "disk", "size=30m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        ran = run(["pull", "--store", str(disk)], env=environment(hub.url, tmp_path / "store"), cwd=tmp_path)
        assert ran.returncode == 4
        assert "read-only" in ran.stderr
        assert "--store DIR" in ran.stderr


def test_a_limit_on_the_length_of_files_is_told_before_the_first_byte(tmp_path: Path) -> None:
    with hub_with_lock(tmp_path, first=3 * MIB) as (hub, _):
        ran = subprocess.run(
            ["sh", "-c", 'ulimit -f 2048; exec "$0" -m llmops pull', sys.executable],
            env=environment(hub.url, tmp_path / "store"), cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (ran.returncode, "`ulimit -f` allows" in ran.stderr) == (4, True), ran.stderr


def test_two_pulls_of_one_model_at_once_both_end_well_and_transfer_it_once(tmp_path: Path) -> None:
    with hub_with_lock(tmp_path, first=3_000_000) as (hub, ref):
        hub.faults = {"*.gguf": "slow:3000000"}
        env = environment(hub.url, tmp_path / "store")
        pulls = [start(["pull", "--json"], env=env, cwd=tmp_path) for _ in range(2)]
        told = [json.loads(one.communicate(timeout=60)[0]) for one in pulls]
        assert [one.returncode for one in pulls] == [0, 0]
        moved = sum(one["result"]["bytes_transferred"] for one in told)
        whole = sum(one.bytes for one in ref.files)
        assert moved == whole, "also the small file, whose sha256 nobody knows before it was read"
        assert_only_verified_is_visible(tmp_path, hub)


@pytest.mark.consumer("cc", "faketime")
def test_a_clock_that_was_set_back_changes_nothing(tmp_path: Path) -> None:
    with hub_with_lock(tmp_path, first=400_000) as (hub, _):
        env = environment(hub.url, tmp_path / "store", NO_FAKE_STAT="1", FAKETIME_DONT_FAKE_MONOTONIC="1")
        assert with_faults(hub, tmp_path, FAULT_PATH=".partial", FAULT_WRITE="150023:kill") == -9
        hub.faults = {"*.gguf": "cdn-429:1*1"}
        command = ["faketime", "2004-02-29 12:00:00", sys.executable, "-m", "llmops", "pull", "--json"]
        ran = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stderr
        assert json.loads(ran.stdout)["result"]["bytes_transferred"] in range(250_000, 250_024)
        again = document(run(["pull", "--json"], env=env, cwd=tmp_path))
        assert again["result"]["bytes_transferred"] == 0


def test_a_store_behind_a_link_is_used_and_links_inside_it_are_refused(tmp_path: Path) -> None:
    with hub_with_lock(tmp_path, first=100_000) as (hub, _):
        (tmp_path / "disk").mkdir()
        (tmp_path / "store").symlink_to(tmp_path / "disk")
        env = environment(hub.url, tmp_path / "store")
        assert run(["pull"], env=env, cwd=tmp_path).returncode == 0
        assert (tmp_path / "disk/models/chat/current" / GGUF).stat().st_size == 100_000
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "bad").mkdir()
        (tmp_path / "bad" / "models").symlink_to(tmp_path / "elsewhere")
        ran = run(["pull", "--store", "bad"], env=env, cwd=tmp_path)
        assert (ran.returncode, "symbolic link inside the store" in ran.stderr) == (4, True)
        assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_token_is_in_no_file_no_output_and_no_process_list_however_it_is_given(tmp_path: Path) -> None:
    """The environment of the process holds it where that is how it was given; nothing else may."""
    with hub_with_lock(tmp_path, first=300_000) as (hub, _):
        hub.faults = {"*.gguf": "slow:400000", "*.json": "status:503*1"}
        hub.token = CANARY
        hub.requests.clear()
        env = environment(hub.url, tmp_path / "store")
        (tmp_path / "home" / "token").write_text(env.pop("HF_TOKEN"))
        words = ["pull", "--token-file", str(tmp_path / "home" / "token"), "--verbose", "--progress", "json", "--json"]
        process = start(words, env=env, cwd=tmp_path)
        seen = 0
        while process.poll() is None:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    assert CANARY.encode() not in path.read_bytes()
                    seen += 1
                except OSError:
                    continue
            time.sleep(0.05)
        out, err = process.communicate()
        assert process.returncode == 0, err
        assert seen > 10
        (tmp_path / "home" / "token").unlink()
        assert CANARY not in out + err
        assert not [one for one in tmp_path.rglob("*") if one.is_file() and CANARY.encode() in one.read_bytes()]
        assert all(one["auth"] for one in hub.requests if "/cdn/" not in str(one["path"]))
        assert not any(one["auth"] for one in hub.requests if "/cdn/" in str(one["path"]))


def test_a_complete_model_costs_no_request_and_little_time(tmp_path: Path) -> None:
    with hub_with_lock(tmp_path, first=20 * MIB) as (hub, _):
        env = environment("http://127.0.0.1:1", tmp_path / "store")
        ran = run(["pull"], env=environment(hub.url, tmp_path / "store"), cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert run(["pull"], env=env, cwd=tmp_path).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


@pytest.mark.consumer("nginx", "curl")
def test_a_pull_keeps_up_with_curl_and_sha256sum_in_little_memory() -> None:
    """A short run of the benchmark: the memory is held to, the speed reported (`docs/benchmarks.md` has a long one)."""
    benchmark = Path(__file__).parents[1] / "benchmarks" / "pull_time.py"
    ran = subprocess.run(
        [sys.executable, benchmark, "--mib", "64", "--rounds", "1"], capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    sys.stderr.write(ran.stdout)
    peak = int(ran.stdout.rpartition("memory is ")[2].partition(" MiB")[0])
    assert 10 < peak < 150
