"""What is told before the first byte: what the file system cannot hold, and how long it will take."""

from dataclasses import replace
from pathlib import Path

import hub_models
import pytest

from llmops.domain.durations import duration_text
from llmops.domain.errors import OutsideWorld
from llmops.domain.units import GIB, MIB
from llmops.hub import preflight
from llmops.hub.fetch import notice_size

MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:20 / {root} rw,nosuid shared:1 - ext4 /dev/vdb rw
31 30 8:17 / {root}/usb\\040stick rw master:2 - vfat /dev/sdb1 rw,fmask=0022
32 30 8:18 / {root}/card rw - exfat /dev/sdb2 rw
not a line of this file
"""


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mountinfo").write_text(MOUNTS.format(root=tmp_path))
    for name in ("usb stick", "card", "disk"):
        (tmp_path / name / "store").mkdir(parents=True)
    monkeypatch.setattr(preflight, "MOUNTS", tmp_path / "mountinfo")
    return tmp_path


@pytest.mark.parametrize(("folder", "kind"), [("usb stick", "vfat"), ("card", "exfat"), ("disk", "ext4")])
def test_the_file_system_is_that_of_the_nearest_mount_above(mounts: Path, folder: str, kind: str) -> None:
    assert preflight.file_system(mounts / folder / "store") == kind


def test_a_file_longer_than_fat_allows_is_named_before_it_is_fetched(mounts: Path) -> None:
    files = hub_models.listing({"small.json": 10, "large.gguf": 4 * GIB}).files
    with pytest.raises(OutsideWorld, match=r"`large.gguf` has 4.00 GiB: a file on vfat has at most") as stop:
        preflight.check_lengths(mounts / "usb stick" / "store", files)
    assert "ext4" in (stop.value.hint or "")
    preflight.check_lengths(mounts / "disk" / "store", files)


@pytest.mark.parametrize("folder", ["usb stick", "card"])
def test_a_file_system_without_links_is_no_place_for_a_store(mounts: Path, folder: str) -> None:
    with pytest.raises(OutsideWorld, match="has no links"):
        preflight.check_lengths(mounts / folder / "store", hub_models.listing({"a.gguf": 10}).files)


def test_the_speed_of_the_last_pull_says_how_long_the_next_one_takes(tmp_path: Path) -> None:
    (tmp_path / "incoming").mkdir()
    said: list[str] = []
    notice_size(tmp_path, 10 * GIB, notice=said.append)
    preflight.keep_speed(tmp_path, received_bytes=1000, seconds=0.1)  # too little to say anything
    assert preflight.last_speed(tmp_path) is None
    preflight.keep_speed(tmp_path, received_bytes=100 * MIB, seconds=2)
    notice_size(tmp_path, 10 * GIB, notice=said.append)
    notice_size(tmp_path, 1000, notice=said.append)
    assert said == ["10.00 GiB to fetch", "10.00 GiB to fetch, about 3 min at the 50.0 MiB/s of the last pull"]


@pytest.mark.parametrize("text", ["", "[]", '{"bytes_per_second": "x"}', '{"bytes_per_second": 0}', "\0\0"])
def test_a_kept_speed_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "incoming").mkdir()
    (tmp_path / "incoming" / preflight.SPEED_FILE).write_text(text)
    assert preflight.last_speed(tmp_path) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (99.4, "99 s"), (100, "2 min"), (5999, "100 min"), (7500, "2 h 05 min"), (864000, "10 days")],
)
def test_a_length_of_time_is_as_exact_as_an_estimate_deserves(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text.replace("100 min", "1 h 40 min")


def test_a_lock_that_names_a_pickle_is_refused_too() -> None:
    from llmops.hub.wanted import refuse_pickles

    files = replace(hub_models.listing({"config.json": 1, "sub/Model.BIN": 2})).files
    with pytest.raises(Exception, match=r"`sub/Model.BIN` is refused"):
        refuse_pickles(files, allow_pickle=False)
    refuse_pickles(files, allow_pickle=True)
