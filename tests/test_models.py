"""`llmops models`: what is current switches in one step, and nothing in use is removed."""

import os
from pathlib import Path

import pytest
from hub_models import content
from killing import killed
from pulling import document, environment, run

from llmops.domain.errors import OutsideWorld, WrongInput
from llmops.hub import registry
from llmops.hub.adopt import adopt
from llmops.hub.local import describe
from llmops.hub.store import Store


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
    with store.hold("sha256-abc", what="a file"), pytest.raises(OutsideWorld, match="a pull runs"):
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
