"""Kills and failing disks at an exact byte, in real processes: nothing unverified is visible, and the next run goes on."""

from collections.abc import Iterator
from pathlib import Path

import fault_disk
import pytest
from fake_hub import FakeHub
from hub_models import GGUF, REPOSITORY, content, repository
from pulling import document, environment, run

from llmops.hub.store import files_below

pytestmark = [pytest.mark.consumer("cc")]
SIZE = 4_000_000
MODEL = f"hf:{REPOSITORY}"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    repository(tmp_path / "hub", size=SIZE)
    with FakeHub(tmp_path / "hub") as server:
        yield server


def broken(hub: FakeHub, tmp_path: Path, **faults: str) -> tuple[int, str]:
    """A pull on a disk with faults: its exit code and what it says."""
    env = environment(hub.url, tmp_path / "store", LD_PRELOAD=str(fault_disk.library()), **faults)
    ran = run(["pull", MODEL], env=env, cwd=tmp_path)
    return ran.returncode, ran.stderr


@pytest.mark.parametrize("at", [0, SIZE - 1])
def test_after_kill_9_the_next_run_transfers_the_rest_and_no_more(tmp_path: Path, hub: FakeHub, at: int) -> None:
    code, _ = broken(hub, tmp_path, FAULT_PATH=".partial", FAULT_WRITE=f"{at}:kill")
    assert code == -9
    assert files_below(tmp_path / "store" / "blobs") == ()
    assert [one.stat().st_size for one in (tmp_path / "store/incoming").glob("*.partial")] == [at]
    ran = document(run(["pull", MODEL, "--json"], env=environment(hub.url, tmp_path / "store"), cwd=tmp_path))
    assert ran["result"]["bytes_transferred"] == SIZE - at
    assert (tmp_path / "store/models/model-gguf/current" / GGUF).read_bytes() == content(SIZE)


@pytest.mark.parametrize(
    ("fault", "said"),
    [("ENOSPC", "the disk is full"), ("EDQUOT", "the quota is used up"), ("EIO", "input/output error")],
)
def test_a_disk_that_fails_in_the_middle_is_the_outside_world_and_resumable(
    tmp_path: Path, hub: FakeHub, fault: str, said: str
) -> None:
    code, err = broken(hub, tmp_path, FAULT_PATH=".partial", FAULT_WRITE=f"2500000:{fault}")
    assert code == 4
    assert said in err
    assert "run the same command again" in err
    assert files_below(tmp_path / "store" / "blobs") == ()
    ran = document(run(["pull", MODEL, "--json"], env=environment(hub.url, tmp_path / "store"), cwd=tmp_path))
    assert ran["result"]["bytes_transferred"] == SIZE - 2_500_000


def test_a_full_disk_at_the_very_end_makes_nothing_visible(tmp_path: Path, hub: FakeHub) -> None:
    code, err = broken(hub, tmp_path, FAULT_PATH=".partial", FAULT_FSYNC="ENOSPC")
    assert (code, "the disk is full" in err) == (4, True)
    assert files_below(tmp_path / "store" / "blobs") == ()


def test_ctrl_c_in_the_middle_of_a_write_is_130_and_resumable(tmp_path: Path, hub: FakeHub) -> None:
    code, err = broken(hub, tmp_path, FAULT_PATH=".partial", FAULT_WRITE="1500000:int")
    assert code == 130
    assert "interrupted" in err
    left = [one.stat().st_size for one in (tmp_path / "store/incoming").glob("*.partial")]
    if left:  # the signal may have come with the last byte
        ran = document(run(["pull", MODEL, "--json"], env=environment(hub.url, tmp_path / "store"), cwd=tmp_path))
        assert ran["result"]["bytes_transferred"] == SIZE - left[0]


def test_a_local_file_on_a_failing_disk_is_the_outside_world(tmp_path: Path, hub: FakeHub) -> None:
    env = environment(hub.url, tmp_path / "store")
    (tmp_path / "x.gguf").write_bytes(b"GGUF" + content(SIZE))
    preload = env | {"LD_PRELOAD": str(fault_disk.library()), "FAULT_PATH": "x.gguf", "FAULT_READ": "1000000:EIO"}
    ran = run(["pull", "./x.gguf"], env=preload, cwd=tmp_path)
    assert ran.returncode == 4
    assert "cannot be read: input/output error" in ran.stderr
