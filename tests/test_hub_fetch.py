"""Transfers that go wrong in every way a network can: right bytes or none, and nothing transferred twice."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import hub_models
import pytest
from fake_hub import FakeHub
from hub_models import CONFIG, GGUF, QUICK, REPOSITORY, repository

from llmops.domain.errors import OutsideWorld, WrongInput
from llmops.domain.model import ModelFile, ModelRef
from llmops.domain.transfer import Fetched, Moved, Progress, silent
from llmops.hub import disk, journal, partial
from llmops.hub.fetch import fetch
from llmops.hub.repository import list_files
from llmops.hub.store import Store, files_below
from llmops.hub.transport import Patience

SIZE = 300_000


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", wait_seconds=0.3)


def pull(
    hub: FakeHub, store: Store, *, progress: Progress = silent, patience: Patience = QUICK, files: tuple[str, ...] = ()
) -> Fetched:
    """List without faults, then fetch with them."""
    return fetch(
        listed(hub, *files),
        store=store,
        name="chat",
        endpoint=hub.url,
        token=None,
        progress=progress,
        patience=patience,
    )


def listed(hub: FakeHub, *files: str) -> ModelRef:
    faults, hub.faults = hub.faults, {}
    ref = list_files(hub_models.source(), endpoint=hub.url, patience=QUICK)
    hub.faults, hub.hits, hub.requests = faults, {}, []
    return replace(ref, files=tuple(one for one in ref.files if one.name in (files or (GGUF, CONFIG))))


def sent(hub: FakeHub) -> int:
    """Bytes of content the hub sent."""
    return sum(int(str(one.get("sent", 0))) for one in hub.requests)


def visible(store: Store) -> list[str]:
    """All that anyone could open as a model or a verified blob."""
    return [*files_below(store.root / "models"), *files_below(store.root / "blobs")]


def test_a_pull_leaves_verified_files_under_their_names_and_points_current_at_them(
    tmp_path: Path, store: Store
) -> None:
    files = repository(tmp_path / "hub")
    with FakeHub(tmp_path / "hub") as hub:
        fetched = pull(hub, store)
        commit = hub.commit(REPOSITORY)
    assert fetched.transferred_bytes == SIZE + len(files[CONFIG])
    assert Path(fetched.directory) == store.root / "models" / "chat" / commit
    current = store.current("chat")
    assert str(current.readlink()) == commit
    for one in fetched.files:
        assert Path(one.path).read_bytes() == files[one.name] == (current / one.name).read_bytes()
        assert one.sha256 == hub_models.sha256(files[one.name]).value
        assert Path(one.path).samefile(store.blob(one.sha256))
        assert Path(one.path).stat().st_mode & 0o777 == 0o444
    assert [one.name for one in store.incoming.iterdir()] == ["landing"]


def test_a_second_pull_transfers_nothing_and_asks_no_one(tmp_path: Path, store: Store) -> None:
    repository(tmp_path / "hub")
    with FakeHub(tmp_path / "hub") as hub:
        pull(hub, store)
        again = pull(hub, store)
        assert again.transferred_bytes == 0
        assert hub.requests == []


@pytest.mark.parametrize(
    "fault",
    ["truncate:100000*1", "truncate:0*2", "reset:70000*2", "short:100000*1", "hang:150000*1", "cdn-status:503*2",
     "status:503*1", "429:1*1", "cdn-429:1*1", "expired*1", "badrange", "norange", "noetag", "nocommit", "samehost",
     "redirect", "truncate:100000", "truncate:100000*1,norange"],
)  # fmt: skip
def test_the_file_is_right_in_spite_of(tmp_path: Path, store: Store, fault: str) -> None:
    files = repository(tmp_path / "hub")
    with FakeHub(tmp_path / "hub", faults={"*.gguf": fault}) as hub:
        fetched = pull(hub, store)
    assert {one.name: Path(one.path).read_bytes() for one in fetched.files} == {
        one: files[one] for one in (GGUF, CONFIG)
    }


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("truncate:1000", "the connection ended after 3000 of 300000 bytes"),
        ("reset:0", "broke the connection"),
        ("hang:0", "stopped sending"),
        ("cdn-status:503", r"not able to answer|refuses the signed address \(HTTP 503\)"),
        ("429:7200", "limits the rate"),
        ("expired", "refuses the signed address"),
        ("html", "web page"),
        ("cdn-html", "web page"),
        ("gated", "is gated"),
        ("status:401", "private or does not exist"),
        ("status:404", "not on this hub"),
        ("truncate:100000*1,badrange", "where 100000-299999 were asked for"),
        ("wrong:1234", "wrong bytes were served"),
        ("wrong:0,truncate:100000", "wrong bytes were served"),
    ],
)
def test_a_fault_that_stays_is_the_outside_world_and_nothing_is_visible(
    tmp_path: Path, store: Store, fault: str, message: str
) -> None:
    repository(tmp_path / "hub")
    with FakeHub(tmp_path / "hub", faults={"*.gguf": fault}) as hub, pytest.raises(OutsideWorld, match=message) as stop:
        pull(hub, store, files=(GGUF,))
    assert stop.value.hint
    assert visible(store) == []


def test_wrong_bytes_are_thrown_away_so_that_the_next_run_begins_anew(tmp_path: Path, store: Store) -> None:
    files = repository(tmp_path / "hub")
    with FakeHub(tmp_path / "hub", faults={"*.gguf": "wrong:5*1"}) as hub:
        with pytest.raises(OutsideWorld, match="wrong bytes"):
            pull(hub, store)
        hub.faults = {}
        fetched = pull(hub, store)
    assert Path(fetched.files[1].path).read_bytes() == files[GGUF]


def test_wrong_bytes_of_a_small_file_are_noticed_by_gits_sha1(tmp_path: Path, store: Store) -> None:
    repository(tmp_path / "hub")
    with FakeHub(tmp_path / "hub", faults={"*.json": "wrong:3"}) as hub, pytest.raises(OutsideWorld, match="git-sha1"):
        pull(hub, store)
    assert not [one for one in visible(store) if one.endswith(CONFIG)]


def test_a_broken_transfer_goes_on_at_the_very_byte(tmp_path: Path, store: Store) -> None:
    files = repository(tmp_path / "hub")
    with FakeHub(tmp_path / "hub", faults={"*.gguf": "truncate:123457"}) as hub:
        with pytest.raises(OutsideWorld):
            pull(hub, store, patience=replace(QUICK, attempts=1), files=(GGUF,))
        [there] = [one.stat().st_size for one in store.incoming.glob("*.partial")]
        assert there in (123_457, 2 * 123_457), (
            "what one answer brought, or two when the second came before the end was seen"
        )
        hub.faults = {}
        fetched = pull(hub, store, files=(GGUF,))
        assert [one["range"] for one in hub.requests] == [f"bytes={there}-299999"] * 2
        assert fetched.transferred_bytes == sent(hub) == SIZE - there
    assert Path(fetched.files[0].path).read_bytes() == files[GGUF]


def test_a_part_left_by_an_earlier_run_that_is_wrong_costs_one_more_transfer_and_no_error(
    tmp_path: Path, store: Store
) -> None:
    files = repository(tmp_path / "hub")
    store.prepare()
    with FakeHub(tmp_path / "hub") as hub:
        ref = listed(hub, GGUF)
        with partial.Partial(store.incoming, ref.files[0], hub_models.sha256(files[GGUF])) as left:
            left.append(memoryview(b"\0" * 200_000))
        fetched = fetch(ref, store=store, name="chat", endpoint=hub.url, token=None, patience=QUICK)
    assert fetched.transferred_bytes == 100_000 + SIZE
    assert Path(fetched.files[0].path).read_bytes() == files[GGUF]


def test_after_a_power_cut_only_synced_bytes_are_trusted(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = repository(tmp_path / "hub")[GGUF]
    store.prepare()
    with FakeHub(tmp_path / "hub") as hub:
        ref = listed(hub, GGUF)
        with partial.Partial(store.incoming, ref.files[0], hub_models.sha256(data), chunk_bytes=50_000) as left:
            left.append(memoryview(data[:90_000]))
            left.sync()
            left.append(memoryview(b"\0" * 60_000))  # what a file system may show of writes that were lost
        monkeypatch.setattr(journal, "BOOT_ID", tmp_path / "another start")
        (tmp_path / "another start").write_text("7e0d")
        fetched = fetch(ref, store=store, name="chat", endpoint=hub.url, token=None, patience=QUICK)
    assert fetched.transferred_bytes == SIZE - 90_000


def test_a_hub_that_answers_for_another_commit_or_size_is_not_believed(tmp_path: Path, store: Store) -> None:
    repository(tmp_path / "hub")
    with FakeHub(tmp_path / "hub") as hub:
        ref = listed(hub, GGUF)
        longer = replace(ref, files=tuple(replace(one, bytes=one.bytes + 1) for one in ref.files))
        with pytest.raises(OutsideWorld, match="300000 bytes under this name, not 300001"):
            fetch(longer, store=store, name="chat", endpoint=hub.url, token=None, patience=QUICK)
        other = replace(ref, files=(replace(ref.files[0], digest=hub_models.sha256(b"other")),))
        with pytest.raises(OutsideWorld, match="another file under this name"):
            fetch(other, store=store, name="chat", endpoint=hub.url, token=None, patience=QUICK)


def test_too_little_room_is_said_before_anything_is_written(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository(tmp_path / "hub")
    monkeypatch.setattr(disk, "reserve_bytes", lambda _path: 1 << 60)
    with FakeHub(tmp_path / "hub") as hub, pytest.raises(OutsideWorld, match="not enough space") as stop:
        pull(hub, store)
    assert "of room" in (stop.value.hint or "")
    assert hub.requests == []
    assert list(store.incoming.iterdir()) == []


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "a\\b"])
def test_a_hostile_name_in_a_lock_is_refused(tmp_path: Path, store: Store, name: str) -> None:
    ref = hub_models.listing({name: 1})
    with pytest.raises(WrongInput, match="refused"):
        fetch(ref, store=store, name="chat", endpoint="http://127.0.0.1:1", token=None, patience=QUICK)


def test_a_file_without_a_digest_is_not_fetched(store: Store) -> None:
    ref = replace(hub_models.listing({}), files=(ModelFile(name="a", bytes=1, digest=None),))
    with pytest.raises(OutsideWorld, match="no digest is known"):
        fetch(ref, store=store, name="chat", endpoint="http://127.0.0.1:1", token=None, patience=QUICK)


def test_the_first_error_stops_the_other_files(tmp_path: Path, store: Store) -> None:
    repository(tmp_path / "hub")
    started = time.monotonic()
    faults = {"*.gguf": "slow:10000", "*.json": "status:404"}
    with FakeHub(tmp_path / "hub", faults=faults) as hub, pytest.raises(OutsideWorld, match="not on this hub"):
        pull(hub, store)
    assert time.monotonic() - started < 5


def test_two_pulls_of_the_same_file_at_once_transfer_it_once(tmp_path: Path, store: Store) -> None:
    repository(tmp_path / "hub")
    with FakeHub(tmp_path / "hub", faults={"*.gguf": "slow:1000000"}) as hub:
        ref = listed(hub, GGUF)
        done: list[Fetched] = []

        def one() -> None:
            patient = Store(store.root, wait_seconds=20)
            done.append(fetch(ref, store=patient, name="chat", endpoint=hub.url, token=None, patience=QUICK))

        threads = [threading.Thread(target=one) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(each.transferred_bytes for each in done) == [0, SIZE]
        assert sent(hub) == SIZE


def test_a_file_held_by_another_run_is_named_with_its_process(tmp_path: Path, store: Store) -> None:
    files = repository(tmp_path / "hub")
    store.prepare()
    key = partial.partial_key(hub_models.sha256(files[GGUF]))
    with FakeHub(tmp_path / "hub") as hub, store.hold(key, what="it"), pytest.raises(OutsideWorld) as stop:
        pull(hub, store)
    assert "is held by another run (pid " in stop.value.message


def test_bytes_edited_in_the_store_are_fetched_again(tmp_path: Path, store: Store) -> None:
    files = repository(tmp_path / "hub")
    with FakeHub(tmp_path / "hub") as hub:
        fetched = pull(hub, store, files=(GGUF,))
        path = Path(fetched.files[0].path)
        path.chmod(0o644)
        with path.open("r+b") as file:
            file.write(b"edited")
        again = pull(hub, store, files=(GGUF,))
    assert again.transferred_bytes == SIZE
    assert path.read_bytes() == files[GGUF]


def test_a_pull_of_another_file_of_the_same_commit_leaves_exactly_that(tmp_path: Path, store: Store) -> None:
    repository(tmp_path / "hub")
    with FakeHub(tmp_path / "hub") as hub:
        pull(hub, store, files=(GGUF,))
        (Path(store.current("chat")) / "mine.txt").write_text("a note of mine")
        second = pull(hub, store, files=(CONFIG,))
    assert second.unlinked == (GGUF,)
    assert files_below(Path(second.directory)) == (CONFIG, "mine.txt")


def test_progress_only_grows_and_ends_at_the_whole(tmp_path: Path, store: Store) -> None:
    repository(tmp_path / "hub", size=SIZE)
    seen: list[Moved] = []
    with FakeHub(tmp_path / "hub", faults={"*.gguf": "truncate:100000"}) as hub:
        pull(hub, store, progress=seen.append, files=(GGUF,))
    counts = [one.done_bytes for one in seen]
    assert counts == sorted(counts)
    assert counts[-1] == SIZE


def test_a_pause_that_a_person_would_notice_is_said(tmp_path: Path, store: Store) -> None:
    repository(tmp_path / "hub")
    events: list[Moved] = []
    patience = replace(QUICK, first_wait_seconds=1.0, longest_wait_seconds=1.0)
    with FakeHub(tmp_path / "hub", faults={"*.gguf": "status:503*1"}) as hub:
        pull(hub, store, progress=events.append, patience=patience, files=(GGUF,))
    assert [one.trouble.partition(": ")[2] for one in events if one.trouble] == ["tried again in 1 s"]
    assert events[-1].done_bytes == SIZE


def break_with_a_file(store: Store) -> Path:
    store.root.write_text("in the way")
    return store.root


def break_with_a_link(store: Store) -> Path:
    store.root.mkdir()
    elsewhere = store.root.parent / "elsewhere"
    elsewhere.mkdir()
    (store.root / "blobs").symlink_to(elsewhere)
    return elsewhere


@pytest.mark.parametrize("spoil", [break_with_a_file, break_with_a_link])
def test_a_store_that_cannot_be_used_is_refused_before_anything_is_sent(
    tmp_path: Path, store: Store, spoil: Callable[[Store], Path]
) -> None:
    repository(tmp_path / "hub")
    spoiled = spoil(store)
    with FakeHub(tmp_path / "hub") as hub, pytest.raises(OutsideWorld):
        pull(hub, store)
    assert hub.requests == []
    assert spoiled.is_file() or list(spoiled.iterdir()) == []


def test_the_root_of_the_store_may_be_a_link(tmp_path: Path) -> None:
    repository(tmp_path / "hub")
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    with FakeHub(tmp_path / "hub") as hub:
        fetched = pull(hub, Store(tmp_path / "link"))
    assert str(fetched.directory).startswith(str(tmp_path / "disk"))


def test_a_partial_file_that_is_a_link_is_not_followed(tmp_path: Path, store: Store) -> None:
    files = repository(tmp_path / "hub")
    store.prepare()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (store.incoming / f"{partial.partial_key(hub_models.sha256(files[GGUF]))}.partial").symlink_to(victim)
    with FakeHub(tmp_path / "hub") as hub, pytest.raises(OutsideWorld):
        pull(hub, store)
    assert victim.read_text() == "precious"
