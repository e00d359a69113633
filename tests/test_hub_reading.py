"""Headers by ranges: few requests, every answer checked."""

import os
from pathlib import Path

import hub_models
import pytest
from fake_hub import FakeHub
from hub_models import GGUF, QUICK, repository

from llmops.cli.opening_elsewhere import HASTE
from llmops.domain.errors import OutsideWorld, WrongInput
from llmops.domain.model import ModelFile, ModelRef
from llmops.hub.reader import local_reader
from llmops.hub.reading import RemoteReader, open_file
from llmops.hub.repository import list_files
from llmops.hub.transport import Passing, patiently

SIZE = 6 << 20


def opened(hub: FakeHub, *, token: str | None = None) -> RemoteReader:
    faults, hub.faults = hub.faults, {}
    ref = list_files(hub_models.source(), endpoint=hub.url, patience=QUICK)
    hub.faults, hub.hits, hub.requests = faults, {}, []
    return open_file(ref, gguf(ref), endpoint=hub.url, token=token, patience=QUICK)


def gguf(ref: ModelRef) -> ModelFile:
    return next(one for one in ref.files if one.name == GGUF)


def test_a_header_costs_few_requests_and_never_the_whole_file(tmp_path: Path) -> None:
    data = repository(tmp_path, size=SIZE)[GGUF]
    with FakeHub(tmp_path) as hub:
        reader = opened(hub)
        assert reader.read(0, 24) == data[:24]
        assert reader.bytes == SIZE
        assert reader.read(4096, 100_000) == data[4096:104_096]
        assert reader.requests == 2  # the hub, and the signed address it leads to
        assert sum(int(str(one.get("sent", 0))) for one in hub.requests) == 4 << 20
        assert reader.read(5 << 20, 1 << 20) == data[5 << 20 :]
        assert reader.requests == 3  # the signed address is kept
        assert reader.read(SIZE, 10) == b""


def test_the_token_goes_to_the_hub_and_not_where_it_redirects(tmp_path: Path) -> None:
    repository(tmp_path)
    with FakeHub(tmp_path) as hub:
        opened(hub, token="hf_x").read(0, 4)
        assert [(str(one["path"]).split("/")[1], one["auth"]) for one in hub.requests] == [
            ("org", True),
            ("cdn", False),
        ]


@pytest.mark.parametrize(
    "fault", ["expired*1", "reset:1000*1", "truncate:100*1", "cdn-status:503*1", "cdn-429:1*1", "nocommit", "noetag",
              "samehost", "redirect", "norange"]
)  # fmt: skip
def test_the_bytes_are_right_in_spite_of(tmp_path: Path, fault: str) -> None:
    data = repository(tmp_path, size=SIZE)[GGUF]
    with FakeHub(tmp_path, faults={"*.gguf": fault}) as hub:
        reader = opened(hub)
        assert reader.read(0, 1000) == data[:1000]
        assert reader.read(5 << 20, 1000) == data[5 << 20 :][:1000]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("badrange", "where 4194304-5242979 were asked for"),
        ("html", "answers with a web page"),
        ("cdn-html", "answers with a web page"),
        ("expired", "refuses the signed address"),
        ("hang:10", "stopped sending"),
        ("status:404", "not on this hub"),
        ("gated", "is gated"),
    ],
)
def test_an_answer_that_cannot_be_trusted_is_the_outside_world(tmp_path: Path, fault: str, message: str) -> None:
    repository(tmp_path, size=SIZE)
    with FakeHub(tmp_path, faults={"*.gguf": fault}) as hub:
        reader = opened(hub)
        with pytest.raises(OutsideWorld, match=message):
            reader.read(5 << 20, 100) if reader.read(0, 100) else None


def test_a_server_without_ranges_is_not_read_to_the_end(tmp_path: Path) -> None:
    repository(tmp_path, size=64 << 20)
    with FakeHub(tmp_path, faults={"*.gguf": "norange,slow:40000000"}) as hub:
        assert len(opened(hub).read(0, 1000)) == 1000
        assert int(str(hub.requests[-1]["sent"])) < 32 << 20


def test_a_file_replaced_at_the_hub_between_two_parts_is_noticed(tmp_path: Path) -> None:
    repository(tmp_path, size=SIZE)
    with FakeHub(tmp_path) as hub:
        reader = opened(hub)
        reader.read(0, 10)
        (tmp_path / hub_models.REPOSITORY / GGUF).write_bytes(hub_models.content(SIZE, seed=2))
        with pytest.raises(OutsideWorld, match="replaced at the hub"):
            reader.read(5 << 20, 10)


def test_a_local_file_is_read_at_any_offset_and_a_missing_one_is_a_wrong_input(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"0123456789")
    with local_reader(tmp_path / "x.gguf") as reader:
        assert (reader.read(3, 4), reader.read(8, 10), reader.read(10, 1), reader.bytes) == (b"3456", b"89", b"", 10)
        assert reader.requests == 0
    os.mkfifo(tmp_path / "pipe.gguf")
    for path in (tmp_path / "no.gguf", tmp_path / "x.gguf" / "y", tmp_path, tmp_path / "pipe.gguf"):
        with pytest.raises(WrongInput):
            local_reader(path)


@pytest.mark.parametrize(
    ("stall", "retry_after", "tries"), [(15.0, None, 2), (6.0, None, 3), (0.1, 60.0, 1), (0.1, 3.0, 4)]
)
def test_who_waits_for_a_plan_waits_no_longer_than_said(stall: float, retry_after: float | None, tries: int) -> None:
    """A silent hub, and one that asks for more time than there is."""
    now = [0.0]
    made: list[float] = []

    def act() -> None:
        made.append(now[0])
        now[0] += stall
        raise Passing("silence", retry_after_seconds=retry_after)

    def wait(seconds: float) -> None:
        now[0] += seconds

    with pytest.raises(OutsideWorld, match="silence"):
        patiently(act, patience=HASTE, wait=wait, clock=lambda: now[0])
    assert len(made) == tries
    assert now[0] < 36
