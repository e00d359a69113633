"""How fast a disk reads: held against fio, not fooled by memory, and nothing left behind however it ends."""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
import zlib
from contextlib import suppress
from pathlib import Path

import hosts
import pytest

from llmops.domain.reading import Known, Unknown
from llmops.domain.storage import DiskSpeed, Storage, StorageKind
from llmops.domain.units import GIB, MIB
from llmops.probe import disk_speeds, read_speed

SMALL = read_speed.Trial(file_bytes=32 * MIB, rounds=3, round_seconds=0.05)

LONG = """
import sys
from pathlib import Path
from llmops.probe import read_speed
trial = read_speed.Trial(file_bytes=128 << 20, round_seconds=0.1, rounds=200, read_seconds=20.0)
told = lambda share: print(share, flush=True)
print(read_speed.ask([Path(sys.argv[1])], filesystem="ext4", free_bytes=1 << 40, told=told, trial=trial))
"""


def is_memory(folder: Path) -> bool:
    words = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    mount = max((one for one in words if folder.is_relative_to(one[1])), key=lambda one: len(one[1]))
    return mount[2] in read_speed.IN_MEMORY


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A directory that is not in memory."""
    if is_memory(tmp_path):
        pytest.skip("the temporary directory is in memory: `--basetemp` names another")
    return tmp_path


def ask(folder: Path, *, trial: read_speed.Trial = SMALL, filesystem: str = "ext4") -> Known[DiskSpeed] | Unknown:
    return read_speed.ask([folder], filesystem=filesystem, free_bytes=1 << 40, trial=trial)


def test_a_disk_is_measured_in_rounds_and_nothing_is_left_on_it(disk: Path) -> None:
    shares: list[float] = []
    reading = read_speed.ask([disk], filesystem="ext4", free_bytes=1 << 40, told=shares.append, trial=SMALL)
    assert isinstance(reading, Known), reading
    speed = reading.value
    assert 0 < speed.low_bytes_per_second <= speed.median_bytes_per_second <= speed.high_bytes_per_second
    assert (speed.rounds, speed.file_bytes, speed.direct) == (3, 32 * MIB, True)
    assert list(disk.iterdir()) == []
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_memory_is_not_a_disk_by_its_name() -> None:
    reading = ask(Path("/dev/shm"), filesystem="tmpfs")
    assert reading == Unknown("tmpfs is memory: there is no disk to read")


@pytest.mark.skipif(not is_memory(Path("/dev/shm")), reason="/dev/shm is not in memory here")
def test_memory_under_another_name_is_found_out_by_where_the_bytes_came_from() -> None:
    """As an overlay whose upper directory is in memory: Linux before 6.6 refuses O_DIRECT there, later ones take it."""
    reading = ask(Path("/dev/shm"), filesystem="overlay")
    assert isinstance(reading, Unknown)
    assert "from memory" in reading.reason or "O_DIRECT" in reading.reason
    assert not list(Path("/dev/shm").glob(f"{read_speed.PREFIX}*"))


def test_too_little_space_is_the_reason_and_nothing_is_written(tmp_path: Path) -> None:
    reading = read_speed.ask([tmp_path], filesystem="ext4", free_bytes=100 * MIB)
    assert reading == Unknown("no space to write a file for it: 100.0 MiB free, 288.0 MiB are needed")


@pytest.mark.parametrize(
    ("free_bytes", "size"),
    [(10 * GIB, 256 * MIB), (300 * MIB, 44 * MIB), (288 * MIB, 32 * MIB), (287 * MIB, None), (0, None)],
)
def test_the_spare_space_stays_free(free_bytes: int, size: int | None) -> None:
    assert read_speed.affordable_bytes(free_bytes, read_speed.Trial()) == size


def test_a_place_that_takes_no_file_is_named() -> None:
    reading = ask(Path("/proc/self"))
    assert isinstance(reading, Unknown)
    assert reading.reason.endswith(": /proc/self")


def test_the_next_place_is_taken_where_the_first_may_not_be_written(disk: Path) -> None:
    reading = read_speed.ask([Path("/proc/self"), disk], filesystem="ext4", free_bytes=1 << 40, trial=SMALL)
    assert isinstance(reading, Known)


@pytest.mark.parametrize(
    ("version", "is_direct"),
    [
        (Known("2.3.0-1\n"), True),
        (Known("2.4.1"), True),
        (Known("2.2.7"), False),
        (Known("?"), False),
        (Unknown("x"), False),
    ],
)
def test_zfs_is_believed_from_2_3_on(version: Known[str] | Unknown, is_direct: bool) -> None:
    assert (read_speed._zfs_reason(version) is None) is is_direct


def test_what_is_written_can_neither_be_compressed_nor_deduplicated(tmp_path: Path) -> None:
    import threading

    path = tmp_path / "noise"
    file = os.open(path, os.O_CREAT | os.O_RDWR)
    trial = read_speed.Trial(file_bytes=32 * MIB)
    assert read_speed._write(file, 32 * MIB, trial, lambda _: None, threading.Event()) == 32 * MIB
    os.close(file)
    data = path.read_bytes()
    assert len(zlib.compress(data[: 9 * MIB], 1)) > 9 * MIB
    assert len({data[at : at + 512] for at in range(0, len(data), 512)}) == len(data) // 512


def _open_below(directory: Path) -> list[str]:
    """Files there that a process holds open, those without a name too: their space is not free until it lets go."""
    found: list[str] = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            found += [target for target in [str(link.readlink())] if target.startswith(f"{directory}/")]
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("share", [0.05, 0.356], ids=["writing", "reading"])
def test_however_it_ends_the_space_is_free_again(disk: Path, number: signal.Signals, share: float) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LONG, str(disk)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if float(line) >= share:
                break
        assert list(disk.iterdir()) == []
        assert len(_open_below(disk)) == 1, "it has no name, and is there"
        begun = time.monotonic()
        process.send_signal(number)
        assert process.wait(timeout=10) != 0
        assert time.monotonic() - begun < 3
    assert list(disk.iterdir()) == []
    assert _open_below(disk) == []


def test_a_filesystem_asked_for_twice_is_measured_once(disk: Path) -> None:
    told: list[str] = []
    one, two = (hosts.disk(path=str(path)) for path in (disk / "a" / "b", disk))
    reading = disk_speeds.measured(Known((one, two)), lambda path, _: told.append(path), trial=SMALL)
    assert isinstance(reading, Known)
    first, second = reading.value
    assert isinstance(first.speed, Known)
    assert first.speed == second.speed
    assert set(told) == {str(disk / "a" / "b")}


@pytest.mark.parametrize(("through", "is_measured"), [("loop", False), ("loop (direct)", True)])
def test_a_file_as_a_disk_is_not_measured_where_the_page_cache_lies_below_it(
    through: str, is_measured: bool, disk: Path
) -> None:
    storage = Storage(kind=StorageKind.NVME, name="nvme0n1", through=(through,))
    one = hosts.disk(path=str(disk), storage=Known(storage))
    reading = disk_speeds.measured(Known((one,)), lambda _path, _share: None, trial=SMALL)
    assert isinstance(reading, Known)
    assert isinstance(reading.value[0].speed, Known) is is_measured


def fio_bytes_per_second(file: Path, *, seconds: float) -> float:
    """Blocks of 4 MiB in sequence, four on their way at a time, around the file's end."""
    done = subprocess.run(
        ["fio", "--name=read", f"--filename={file}", "--rw=read", "--bs=4M", "--direct=1", "--ioengine=libaio", "--iodepth=4",
         f"--size={file.stat().st_size}", "--time_based", f"--runtime={seconds}", "--output-format=json"],
        capture_output=True, check=True, text=True, timeout=60,
    )  # fmt: skip
    return float(json.loads(done.stdout)["jobs"][0]["read"]["bw_bytes"])


@pytest.mark.consumer("fio")
def test_the_figure_is_the_one_of_fio(disk: Path) -> None:
    """Five pairs in turn, because a shared disk varies: medians within 15 %, or ours inside fio's own spread."""
    noise = disk / "noise"
    with noise.open("wb") as file:
        for _ in range(64):
            file.write(os.urandom(1 << 16) * 64)
        os.fsync(file.fileno())
    assert agree(disk, noise) or agree(disk, noise), "twice apart: see above"


def agree(disk: Path, noise: Path) -> bool:
    ours: list[float] = []
    fio: list[float] = []
    for _ in range(5):
        reading = ask(disk, trial=read_speed.Trial(rounds=3, round_seconds=0.3))
        assert isinstance(reading, Known), reading
        ours.append(reading.value.median_bytes_per_second)
        fio.append(fio_bytes_per_second(noise, seconds=1))
    figure = statistics.median(ours)
    return abs(figure - statistics.median(fio)) <= 0.15 * statistics.median(fio) or min(fio) <= figure <= max(fio)
