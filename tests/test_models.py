"""`llmops models`: what is current switches in one step, and nothing in use is removed."""

import json
import os
import random
import threading
import time
from pathlib import Path

import pytest
from hub_models import content
from killing import killed
from pulling import document, environment, run, until, write_lock

from llmops.domain.errors import OutsideWorld, WrongInput
from llmops.domain.places import model_version
from llmops.domain.stored import MeasuredBy, VersionRecord
from llmops.domain.transfer import FileStatus
from llmops.hub import registry
from llmops.hub.adopt import adopt
from llmops.hub.audit import audit
from llmops.hub.local import describe
from llmops.hub.store import Store
from llmops.hub.version_record import parse_record, read_record


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two versions of `chat`, that share no file; the second one is current."""
    made = Store(tmp_path / "store", wait_seconds=0.2)
    for seed in (1, 2):
        origin = tmp_path / f"origin{seed}"
        origin.mkdir()
        (origin / "m.gguf").write_bytes(content(5_000, seed=seed))
        adopt(describe(origin / "m.gguf"), folder=origin, store=made, name="chat")
    return made


def pair(store: Store) -> tuple[str, str]:
    """The current version and the other one."""
    found = registry.versions(store)
    (current,) = [one.version for one in found if one.is_current]
    (other,) = [one.version for one in found if not one.is_current]
    return current, other


def test_the_list_has_size_digest_time_and_what_is_current_and_previous(tmp_path: Path, store: Store) -> None:
    result = document(run(["models", "--json"], env=environment("http://x", store.root), cwd=tmp_path))["result"]
    assert [(one["name"], one["bytes"]) for one in result["models"]] == [("chat", 5_000)] * 2
    assert sorted((one["current"], one["previous"]) for one in result["models"]) == [(False, True), (True, False)]
    assert all(len(one["files"][0]["sha256"]) == 64 and one["pulled_at"] for one in result["models"])
    assert result["disk_bytes"] >= 10_000


def test_activate_and_rollback_switch_and_a_second_rollback_switches_back(tmp_path: Path, store: Store) -> None:
    new, old = pair(store)
    env = environment("http://x", store.root)
    assert run(["models", "rollback", "chat"], env=env, cwd=tmp_path).returncode == 0
    assert (store.current_version("chat"), store.previous_version("chat")) == (old, new)
    assert run(["models", "rollback", "chat"], env=env, cwd=tmp_path).returncode == 0
    assert run(["models", "activate", "chat", old[:12]], env=env, cwd=tmp_path).returncode == 0
    assert store.current_version("chat") == old
    assert run(["models", "activate", "chat", "nope"], env=env, cwd=tmp_path).returncode == 2
    assert run(["models", "activate", "caht", old], env=env, cwd=tmp_path).returncode == 2


@pytest.mark.parametrize("at", range(1, 12))
def test_killed_at_any_call_current_leads_to_a_whole_version(store: Store, at: int) -> None:
    new, old = pair(store)
    killed(at, lambda: store.activate("chat", old))
    assert store.current_version("chat") in (new, old)
    assert (store.current("chat") / "m.gguf").stat().st_size == 5_000
    store.activate("chat", new)
    store.activate("chat", old)
    assert store.previous_version("chat") == new


def test_what_is_current_or_open_is_not_removed(store: Store) -> None:
    new, old = pair(store)
    with pytest.raises(OutsideWorld, match="current"):
        registry.remove(store, "chat", new)
    with (store.directory("chat", old) / "m.gguf").open("rb"), pytest.raises(OutsideWorld, match=str(os.getpid())):
        registry.remove(store, "chat", old)
    registry.remove(store, "chat", old)
    assert [one.version for one in registry.versions(store)] == [new]
    assert store.previous_version("chat") is None


def test_gc_removes_only_what_no_version_names_and_a_dry_run_nothing(store: Store) -> None:
    _, old = pair(store)
    assert registry.collect(store).blobs == ()
    registry.remove(store, "chat", old)
    would = registry.collect(store, dry_run=True)
    assert len(would.blobs) == 1
    assert store.blob(would.blobs[0]).is_file()
    assert registry.collect(store).blobs == would.blobs
    assert registry.collect(store).blobs == ()
    (left,) = registry.versions(store)
    assert left.files[0].sha256 is not None
    assert store.blob(left.files[0].sha256).is_file()


def test_gc_does_nothing_while_a_pull_holds_a_lock_and_ignores_what_a_killed_one_left(store: Store) -> None:
    _, old = pair(store)
    registry.remove(store, "chat", old)
    with store.landing(), pytest.raises(OutsideWorld, match="a pull runs"):
        registry.collect(store)
    (store.incoming / "sha256-def.lock").write_text("1\n")
    assert len(registry.collect(store).blobs) == 1


@pytest.mark.parametrize("at", range(1, 8))
def test_a_removal_killed_anywhere_is_finished_by_the_next_runs(store: Store, at: int) -> None:
    new, old = pair(store)
    killed(at, lambda: registry.remove(store, "chat", old))
    if old in [one.version for one in registry.versions(store)]:
        registry.remove(store, "chat", old)
    registry.collect(store)
    assert [one.version for one in registry.versions(store)] == [new]
    assert len(list((store.root / "blobs" / "sha256").iterdir())) == 1
    assert not list((store.root / "models" / "chat").glob(f"{registry.GOING}*"))


@pytest.mark.parametrize("name", ["../x", "current", "previous", ".x", "a/b"])
def test_a_name_that_would_lead_elsewhere_is_refused(store: Store, name: str) -> None:
    with pytest.raises(WrongInput):
        registry.remove(store, "chat", name)


def test_an_empty_store_is_no_error(tmp_path: Path) -> None:
    ran = run(["models", "list"], env=environment("http://x", tmp_path / "none"), cwd=tmp_path)
    assert ran.returncode == 0
    assert "llmops pull" in ran.stdout
    assert not (tmp_path / "none").exists()


def test_gc_in_a_loop_beside_pulls_never_takes_what_a_pull_has_found_or_brought(tmp_path: Path) -> None:
    """Two versions in turn, the other one removed each time: a pull finds bytes that nothing names just now."""
    refs = []
    for seed in (1, 2):
        origin = tmp_path / f"origin{seed}"
        origin.mkdir()
        for part in range(1, 7):
            (origin / f"m-0000{part}-of-00006.gguf").write_bytes(content(3_000, seed=10 * seed + part))
        refs.append((describe(origin / "m-00001-of-00006.gguf"), origin))
    store, done = Store(tmp_path / "store"), threading.Event()
    freed, refused, faults = 0, 0, []
    chance = random.Random(3)

    def collect() -> None:
        nonlocal freed, refused
        while not done.is_set():
            try:
                freed += len(registry.collect(store).blobs)
            except OutsideWorld:
                refused += 1
            except Exception as error:  # noqa: BLE001 - shown by the test's own thread
                faults.append(error)
            time.sleep(chance.random() / 100)

    beside = threading.Thread(target=collect)
    beside.start()
    try:
        for number in range(16):
            ref, origin = refs[number % 2]
            adopt(ref, folder=origin, store=store, name="chat")
            assert {one.status for one in audit(ref, store=store, name="chat")} == {FileStatus.OK}
            if number:
                registry.remove(store, "chat", model_version(refs[(number + 1) % 2][0]))
            if number == 1:
                until(lambda: freed > 0)  # it has its turn at least once, whatever the machine does besides
    finally:
        done.set()
        beside.join()
    assert faults == []


def test_bytes_with_a_name_outside_the_store_are_not_counted_as_freed_and_stay(tmp_path: Path, store: Store) -> None:
    new, old = pair(store)
    outside = tmp_path / "mine.gguf"
    outside.hardlink_to(store.directory("chat", old) / "m.gguf")
    registry.remove(store, "chat", old)
    would, did = registry.collect(store, dry_run=True), registry.collect(store)
    assert (would.blobs, would.bytes, len(would.kept)) == (did.blobs, did.bytes, len(did.kept)) == ((), 0, 1)
    outside.unlink()
    assert registry.collect(store, dry_run=True).blobs == registry.collect(store).blobs == would.kept
    assert [one.version for one in registry.versions(store)] == [new]


def test_a_name_that_a_killed_run_was_about_to_give_is_cleared_away_and_holds_nothing_back(store: Store) -> None:
    _, old = pair(store)
    for folder in (store.root / "models" / "chat", store.root / "records" / "chat"):
        (folder / ".new").hardlink_to(store.directory("chat", old) / "m.gguf")
    registry.remove(store, "chat", old)
    assert len(registry.collect(store, dry_run=True).blobs) == len(registry.collect(store).blobs) == 1
    assert not list(store.root.rglob(".new"))


def test_a_version_says_its_licence_its_lock_and_the_last_results(tmp_path: Path, store: Store) -> None:
    ref = describe(tmp_path / "origin2" / "m.gguf")
    write_lock(tmp_path / "llmops.lock", ref)
    env = environment("http://x", store.root)
    pulled = run(["pull", "--from", str(tmp_path / "origin2")], env=env, cwd=tmp_path)
    assert pulled.returncode == 0, pulled.stderr
    assert run(["verify"], env=env, cwd=tmp_path).returncode == 0
    listed = document(run(["models", "show", "chat", model_version(ref), "--json"], env=env, cwd=tmp_path))
    (one,) = listed["result"]["models"]
    assert one["lock"]["path"] == str(tmp_path / "llmops.lock")
    (result,) = one["measured"]
    assert (result["by"], result["ok"], result["figures"]["bytes"]) == ("verify", True, 5_000)
    path = store.directory("chat", model_version(ref)) / "m.gguf"
    path.chmod(0o644)
    path.write_bytes(bytes(5_000))
    assert run(["verify"], env=env, cwd=tmp_path).returncode == 1
    shown = run(["models", "show", "chat"], env=env, cwd=tmp_path).stdout
    assert f"by the lock {tmp_path / 'llmops.lock'}" in shown
    assert "not what the lock says" in shown


def test_an_older_record_is_read_and_a_newer_one_is_left_as_it_is(store: Store) -> None:
    current, _ = pair(store)
    path = store.record_path("chat", current)
    files = json.loads(path.read_text())["files"]
    first = {"schema": "llmops.version/1", "pulled_at": "2026-01-02T03:04:05+00:00", "files": files}
    path.write_text(json.dumps(first))
    assert read_record(path) == VersionRecord(pulled_at="2026-01-02T03:04:05+00:00", files=files)
    path.write_text(json.dumps(first | {"schema": "llmops.version/3", "tags": ["x"]}))
    before = path.read_bytes()
    store.publish("chat", current, VersionRecord(licence="mit", files=files))
    assert path.read_bytes() == before
    assert read_record(path) == VersionRecord()
    assert [one.record.licence for one in registry.versions(store)] == [None, None]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"schema": 1}',
        b'{"schema": "llmops.version/2", "measured": 3}',
        b"\xff",
        b"[" * 9999,
    ],
)
def test_what_is_no_record_is_none(raw: bytes) -> None:
    assert parse_record(raw) is None


def test_a_result_replaces_the_one_before_of_the_same_command_only(store: Store) -> None:
    from llmops.cli.noting import measured

    current, _ = pair(store)
    for by, ok in ((MeasuredBy.VERIFY, False), (MeasuredBy.PULL, True), (MeasuredBy.VERIFY, True)):
        store.note("chat", current, measured=measured(by, ok=ok, figures={"seconds": 1.23456}))
    found = store.record("chat", current).measured
    assert [(one.by.value, one.ok) for one in found] == [("pull", True), ("verify", True)]
    assert found[0].figures == {"seconds": 1.235}
