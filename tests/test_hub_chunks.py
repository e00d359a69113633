"""One file over several connections at once: whatever they bring in whatever order, the right bytes or none."""

import errno
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hub_models
import pytest
from fake_hub import FakeHub
from hub_models import GGUF, QUICK, content, repository
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmops.domain.errors import OutsideWorld
from llmops.domain.model import ModelFile, ModelRef
from llmops.domain.transfer import Fetched
from llmops.hub import journal
from llmops.hub.crew import Halt
from llmops.hub.fetch import fetch
from llmops.hub.partial import Lease, Partial
from llmops.hub.repository import list_files
from llmops.hub.store import Store, files_below
from llmops.hub.streams import Permits

SIZE = 1_000_000
CHUNK = 64_000
JOBS = 4


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", wait_seconds=0.3)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    repository(tmp_path / "hub", size=SIZE)
    with FakeHub(tmp_path / "hub") as server:
        yield server


def listed(hub: FakeHub) -> ModelRef:
    faults, hub.faults = hub.faults, {}
    ref = list_files(hub_models.source(), endpoint=hub.url, patience=QUICK)
    hub.faults, hub.hits, hub.requests = faults, {}, []
    return replace(ref, files=tuple(one for one in ref.files if one.name == GGUF))


def pull(hub: FakeHub, store: Store, *, jobs: int = JOBS) -> Fetched:
    return fetch(
        listed(hub), store=store, name="chat", endpoint=hub.url, token=None, patience=QUICK, jobs=jobs, chunk_bytes=CHUNK
    )  # fmt: skip


def ranges(hub: FakeHub) -> list[str]:
    """The parts the content was asked for in."""
    return [str(one["range"]) for one in hub.requests if str(one["path"]).startswith("/cdn/")]


def test_the_parts_of_a_file_are_asked_for_once_each_over_several_connections(store: Store, hub: FakeHub) -> None:
    answer, count, together = hub.fault, iter(range(1000)), threading.Barrier(3, timeout=10)

    def fault(key: str, *names: str) -> str | None:
        if "cdn-status" in names and 1 <= next(count) <= 3:
            together.wait()  # breaks, and fails the test, unless three requests are here at the same time
        return answer(key, *names)

    hub.fault = fault  # type: ignore[method-assign]
    fetched = pull(hub, store)
    assert Path(fetched.files[0].path).read_bytes() == content(SIZE)
    wanted = {f"bytes={at}-{min(at + CHUNK, SIZE) - 1}" for at in range(0, SIZE, CHUNK)}
    assert sorted(ranges(hub)) == sorted(wanted)
    assert fetched.transferred_bytes == SIZE
    assert not together.broken
    signed = [one for one in hub.requests if "/resolve/" in str(one["path"])]
    assert len(signed) == 1, "the signed address is asked for once"


def test_one_job_is_one_connection_at_a_time(store: Store, hub: FakeHub) -> None:
    fetched = pull(hub, store, jobs=1)
    starts = [int(one.removeprefix("bytes=").partition("-")[0]) for one in ranges(hub)]
    assert starts == sorted(starts)
    assert Path(fetched.files[0].path).read_bytes() == content(SIZE)


@pytest.mark.parametrize(
    "fault",
    ["truncate:30000*3", "truncate:0*2", "reset:20000*2", "short:10000*2", "hang:15000*1", "cdn-status:503*2",
     "status:503*1", "429:1*1", "cdn-429:1*1", "expired*1", "badrange*1", "norange", "norange*2", "noetag", "nocommit",
     "samehost", "redirect", "truncate:70000,norange*2"],
)  # fmt: skip
def test_the_file_is_right_in_spite_of(store: Store, hub: FakeHub, fault: str) -> None:
    hub.faults = {"*.gguf": fault}
    fetched = pull(hub, store)
    assert Path(fetched.files[0].path).read_bytes() == content(SIZE)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("truncate:0", "the connection ended"),
        ("reset:0", "broke the connection"),
        ("hang:0", "stopped sending"),
        ("cdn-status:503", r"not able to answer|refuses the signed address \(HTTP 503\)"),
        ("expired", "refuses the signed address"),
        ("cdn-html", "web page"),
        ("gated", "is gated"),
        ("short:100", "the connection ended|serves"),
        ("badrange", "were asked for"),
        ("wrong:777777", "wrong bytes were served"),
    ],
)
def test_a_fault_that_stays_is_the_outside_world_and_nothing_is_visible(
    store: Store, hub: FakeHub, fault: str, message: str
) -> None:
    hub.faults = {"*.gguf": fault}
    with pytest.raises(OutsideWorld, match=message) as stop:
        pull(hub, store)
    assert stop.value.hint
    assert files_below(store.root / "models") == files_below(store.root / "blobs") == ()


def test_a_server_that_ends_all_connections_but_one_is_fetched_from_over_that_one(store: Store, hub: FakeHub) -> None:
    gate = threading.Semaphore(1)
    answer = hub.fault

    def fault(key: str, *names: str) -> str | None:
        if "cdn-status" in names and not gate.acquire(blocking=False):
            return "503"
        if "slow" in names:
            gate.release()
        return answer(key, *names)

    hub.fault = fault  # type: ignore[method-assign]  # a limit on connections
    fetched = pull(hub, store)
    assert Path(fetched.files[0].path).read_bytes() == content(SIZE)


def test_a_file_replaced_between_two_ranges_is_noticed(store: Store, hub: FakeHub) -> None:
    hub.faults = {"*.gguf": "slow:400000"}
    ref = listed(hub)
    path = hub.root / hub_models.REPOSITORY / GGUF
    changed = threading.Timer(0.4, lambda: path.write_bytes(content(SIZE, seed=2)))
    changed.start()
    with pytest.raises(OutsideWorld, match=r"replaced|another file|for commit|wrong bytes|revision"):
        fetch(ref, store=store, name="chat", endpoint=hub.url, token=None, patience=QUICK, jobs=2, chunk_bytes=CHUNK)
    assert files_below(store.root / "blobs") == ()


def test_what_broken_connections_brought_is_not_asked_for_again(store: Store, hub: FakeHub) -> None:
    hub.faults = {"*.gguf": "truncate:40000*4,cdn-status:404"}
    with pytest.raises(OutsideWorld):
        pull(hub, store)
    there = sum(int(str(one.get("sent", 0))) for one in hub.requests)
    hub.faults = {}
    fetched = pull(hub, store)
    assert fetched.transferred_bytes == SIZE - there
    assert Path(fetched.files[0].path).read_bytes() == content(SIZE)


FILE = ModelFile(name="x", bytes=1000, digest=hub_models.sha256(content(1000)))


def opened(folder: Path) -> Partial:
    assert FILE.digest
    return Partial(folder, FILE, FILE.digest, chunk_bytes=90)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 1 << 32), cuts=st.integers(0, 3), power_cut=st.booleans())
def test_any_order_of_pieces_over_any_number_of_runs_ends_in_the_digest(
    tmp_path_factory: pytest.TempPathFactory, seed: int, cuts: int, power_cut: bool
) -> None:
    chance, data, folder = random.Random(seed), content(1000), tmp_path_factory.mktemp("incoming")
    for _ in range(cuts):
        with opened(folder) as partial:
            leases = [partial.lease() for _ in range(chance.randint(1, 12))]
            for _ in range(chance.randint(0, 40)):
                fill(partial, chance.choice(leases), data, chance.randint(1, 60))
                if chance.random() < 0.05:
                    partial.sync()
            for lease in leases:
                if lease is not None:
                    partial.give_back(lease)
        if power_cut:
            text = next(folder.glob("*.journal"))
            text.write_text(text.read_text().replace('"boot": "', '"boot": "x', 1).replace(" \n", "\n", 1))
    with opened(folder) as partial:
        while (lease := partial.lease(rest=chance.random() < 0.1)) is not None:
            while lease.missing_bytes:
                fill(partial, lease, data, 77)
            partial.give_back(lease)
        buffer = memoryview(bytearray(64))
        while partial.hash_some(buffer):
            pass
        assert partial.is_whole
        assert partial.digest_now() == hub_models.sha256(data).value
        assert partial.path.read_bytes() == data


def fill(partial: Partial, lease: Lease | None, data: bytes, length: int) -> None:
    if lease is not None:
        partial.write(lease, memoryview(data[lease.at : min(lease.at + length, lease.end)]))


@pytest.mark.parametrize(
    "text", ["", "{}", "\0" * 600, "[1]", '{"schema": "llmops.incoming/2"}', "x" * 4000, '{"a":' * 300]
)
def test_a_journal_that_cannot_be_read_is_no_trust_and_no_error(tmp_path: Path, text: str) -> None:
    with opened(tmp_path) as partial:
        partial.append(memoryview(content(1000)[:500]))
    next(tmp_path.glob("*.journal")).write_text(text)
    with opened(tmp_path) as partial:
        assert partial.done_bytes == 0


def test_without_an_id_of_the_machines_start_only_synced_bytes_are_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "BOOT_ID", tmp_path / "none")
    with opened(tmp_path) as partial:
        partial.append(memoryview(content(1000)[:300]))
        partial.sync()
        partial.append(memoryview(content(1000)[300:600]))
    with opened(tmp_path) as partial:
        assert partial.done_bytes == 300


def test_a_journal_longer_than_its_file_is_believed_only_as_far_as_the_file_goes(tmp_path: Path) -> None:
    with opened(tmp_path) as partial:
        partial.append(memoryview(content(1000)[:600]))
    with next(tmp_path.glob("*.partial")).open("r+b") as file:
        file.truncate(200)
    with opened(tmp_path) as partial:
        assert partial.done_bytes == 200


def test_the_first_connection_of_a_file_goes_before_further_ones_of_another() -> None:
    permits, halt = Permits(1), Halt()
    permits.take(halt)
    assert not permits.take_spare()
    waiting = threading.Thread(target=permits.take, args=(halt,))
    waiting.start()
    while not permits.are_wanted:
        pass
    permits.give()
    waiting.join(5)
    assert not waiting.is_alive()


def test_without_hard_links_a_model_is_made_of_links_to_the_verified_bytes(
    store: Store, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that shares the blob's blocks where the file system has that (btrfs, XFS), else a relative link."""

    def refuse(_self: Path, _target: Path) -> None:
        raise OSError(errno.EMLINK, "too many links")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    pull(hub, store)
    path = Path(pull(hub, store).files[0].path)
    assert path.read_bytes() == content(SIZE)
    assert path.is_symlink() or path.stat().st_mode & 0o777 == 0o444
    assert path.resolve().is_relative_to(store.root)
