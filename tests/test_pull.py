"""`llmops pull` as a person runs it: what comes out, what is on disk, what the exit code says."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hub_models
import pytest
from fake_hub import FakeHub
from hub_models import CONFIG, GGUF, QUICK, REPOSITORY, repository
from pulling import CANARY, document, environment, run, start, until, write_lock
from users import AS_USER

from llmops.cli import pull
from llmops.domain.model import DigestAlgorithm, ModelRef
from llmops.formats.lock import parse_lock
from llmops.hub.local import describe
from llmops.hub.repository import list_files


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    repository(tmp_path / "hub")
    with FakeHub(tmp_path / "hub") as server:
        yield server


def listed(hub: FakeHub, *names: str) -> ModelRef:
    ref = list_files(hub_models.source(), endpoint=hub.url, patience=QUICK)
    return replace(ref, files=tuple(one for one in ref.files if one.name in names))


def everything_below(folder: Path) -> bytes:
    return b"\n".join(str(one).encode() + (one.read_bytes() if one.is_file() else b"") for one in folder.rglob("*"))


def test_a_model_is_pulled_by_its_quantization_and_the_document_says_where_it_is(tmp_path: Path, hub: FakeHub) -> None:
    env = environment(hub.url, tmp_path / "store")
    first = document(run(["pull", f"hf:{REPOSITORY}:q4_k_m", "--json"], env=env, cwd=tmp_path))
    data = (tmp_path / "hub" / REPOSITORY / GGUF).read_bytes()
    (row,) = first["result"]["files"]
    assert (row["name"], row["bytes"]) == (GGUF, len(data))
    assert row["digest"] == {"algorithm": "sha256", "value": hub_models.sha256(data).value}
    assert Path(row["path"]).read_bytes() == data
    assert first["result"]["commit"] == hub.commit(REPOSITORY)
    assert first["result"]["bytes_transferred"] == len(data)
    again = document(run(["pull", f"hf:{REPOSITORY}", "--json"], env=env, cwd=tmp_path))
    assert again["result"]["bytes_transferred"] == 0


def test_the_token_is_nowhere_to_be_found_afterwards(tmp_path: Path, hub: FakeHub) -> None:
    env = environment(hub.url, tmp_path / "store")
    run(["pull", f"hf:{REPOSITORY}", "--verbose"], env=env, cwd=tmp_path)
    hub.faults = {"api": "gated"}
    assert run(["pull", f"hf:{REPOSITORY}", "--json"], env=env, cwd=tmp_path).returncode == 4
    assert any(one["auth"] for one in hub.requests)
    assert CANARY.encode() not in everything_below(tmp_path)


def test_the_token_is_not_in_the_process_list_while_it_runs(tmp_path: Path, hub: FakeHub) -> None:
    hub.faults = {"*.gguf": "slow:400000"}
    env = environment(hub.url, tmp_path / "store")
    process = start(["pull", f"hf:{REPOSITORY}"], env=env, cwd=tmp_path)
    until(lambda: any((tmp_path / "store" / "incoming").glob("*.partial")))
    shown = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    process.communicate(timeout=60)
    assert b"pull" in shown
    assert CANARY.encode() not in shown


def test_the_lock_gains_the_sha256_of_small_files_once(tmp_path: Path, hub: FakeHub) -> None:
    lock = tmp_path / "llmops.lock"
    write_lock(lock, listed(hub, GGUF, CONFIG))
    env = environment(hub.url, tmp_path / "store")
    first = run(["pull"], env=env, cwd=tmp_path)
    assert first.returncode == 0
    assert f"the sha256 of `{CONFIG}` is now in the lock" in first.stdout
    text = lock.read_text()
    files = parse_lock(text, file="llmops.lock").deployments["chat"].model.files
    assert {one.digest.algorithm for one in files if one.digest} == {DigestAlgorithm.SHA256}
    assert files[0].digest == hub_models.sha256((tmp_path / "hub" / REPOSITORY / CONFIG).read_bytes())
    assert "is now in the lock" not in run(["pull"], env=env, cwd=tmp_path).stdout
    assert lock.read_text() == text
    assert str(tmp_path) not in text


def test_a_lock_that_cannot_be_written_is_a_warning_after_a_good_pull(
    tmp_path: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "llmops.lock"
    write_lock(lock, listed(hub, CONFIG))

    def change(*_: object, **__: object) -> None:
        lock.write_text(lock.read_text() + "# planned anew\n")

    monkeypatch.setattr(pull, "adopt", change)
    options = pull.Options(lock=str(lock), store=str(tmp_path / "store"))

    def watch(_refs: object) -> object:
        change()
        return pull.unwatched(())

    answer = pull.run(options, endpoint=hub.url, token=None, watch=watch)  # type: ignore[arg-type]  # changes the lock meanwhile
    assert [one.code for one in answer.findings] == ["PULL001"]
    assert lock.read_text().endswith("# planned anew\n")


def test_several_deployments_of_one_lock_are_all_pulled(tmp_path: Path, hub: FakeHub) -> None:
    write_lock(tmp_path / "llmops.lock", listed(hub, GGUF), listed(hub, GGUF, CONFIG))
    ran = document(run(["pull", "--json"], env=environment(hub.url, tmp_path / "store"), cwd=tmp_path))
    assert set(ran["result"]["deployments"]) == {"chat", "chat2"}
    assert [one["name"] for one in ran["result"]["files"]] == [GGUF, CONFIG, GGUF]
    sizes = [ran["result"]["deployments"][name]["bytes_transferred"] for name in ("chat", "chat2")]
    assert sizes == [300_000, 23]  # the same bytes are transferred once


def test_a_local_model_of_a_lock_is_found_beside_it_or_where_from_says(tmp_path: Path) -> None:
    write = tmp_path / "models" / "tiny.gguf"
    write.parent.mkdir()
    write.write_bytes(hub_models.content(9000))
    write_lock(tmp_path / "llmops.lock", describe(write))
    env = environment("http://127.0.0.1:1", tmp_path / "store")
    missing = run(["pull"], env=env, cwd=tmp_path)
    assert missing.returncode == 3
    assert "llmops pull --from PATH" in missing.stderr
    assert run(["pull", "--from", "models/tiny.gguf"], env=env, cwd=tmp_path).returncode == 0
    write.unlink()
    assert run(["pull"], env=env, cwd=tmp_path).returncode == 0  # it is in the store
    write.write_bytes(b"GGUF something else")
    other = environment("http://127.0.0.1:1", tmp_path / "another")
    ran = run(["pull", "--from", "models"], env=other, cwd=tmp_path)
    assert ran.returncode == 3
    assert "not the file of the lock" in ran.stderr


def test_a_hub_model_carried_here_by_hand_needs_no_hub(tmp_path: Path, hub: FakeHub) -> None:
    write_lock(tmp_path / "llmops.lock", listed(hub, GGUF, CONFIG))
    env = environment("http://127.0.0.1:1", tmp_path / "store")
    ran = run(["pull", "--from", str(tmp_path / "hub" / REPOSITORY), "--json"], env=env, cwd=tmp_path)
    assert document(ran)["result"]["bytes_transferred"] == 0
    assert (tmp_path / "store/models/chat/current" / GGUF).stat().st_size == 300_000


def test_a_local_file_is_pulled_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "Tiny Model.gguf").write_bytes(b"GGUF")
    ran = run(["pull", "./Tiny Model.gguf"], env=environment("http://127.0.0.1:1", tmp_path / "store"), cwd=tmp_path)
    assert ran.returncode == 0
    assert (tmp_path / "store/models/tiny-model/current/Tiny Model.gguf").read_bytes() == b"GGUF"


@pytest.mark.parametrize("text", ["", "root:x:0:0:root:/root:/bin/bash\n", "<!doctype html><title>Sign in</title>"])
def test_a_local_file_that_is_no_model_is_not_taken_in_as_one(text: str, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_text(text)
    ran = run(["pull", "./m.gguf"], env=environment("http://127.0.0.1:1", tmp_path / "store"), cwd=tmp_path)
    assert ran.returncode == 3
    assert "not a GGUF file; it looks like" in ran.stderr
    assert not (tmp_path / "store" / "blobs").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["pull"], 3, "llmops plan MODEL --out llmops.lock"),
        (["pull", "--lock", "a.lock", "hf:a/b"], 2, "together"),
        (["pull", f"hf:{REPOSITORY}:Q9_X"], 2, "Q4_K_M"),
        (["pull", "no-such-model-at-all"], 2, "hint:"),
        (["pull", "./none.gguf"], 3, "hint:"),
        (["pull", "hf:org/none"], 4, "not on this hub"),
        (["pull", f"hf:{REPOSITORY}@v9"], 4, "revision"),
        (["pull", "https://example.org/x.gguf"], 2, "no digest"),
        (["pull", f"hf:{REPOSITORY}", "--jobs", "0"], 2, "--help"),
        (["pull", f"hf:{REPOSITORY}", "--from", "nowhere"], 3, "no such file"),
    ],
)
def test_what_cannot_be_pulled_says_why(
    tmp_path: Path, hub: FakeHub, arguments: list[str], code: int, said: str
) -> None:
    ran = run(arguments, env=environment(hub.url, tmp_path / "store"), cwd=tmp_path)
    assert ran.returncode == code
    assert said in ran.stderr
    assert not (tmp_path / "store" / "models").exists()


def test_progress_is_lines_without_a_terminal_json_when_asked_and_never_on_stdout(tmp_path: Path, hub: FakeHub) -> None:
    hub.faults = {"*.gguf": "slow:2000000"}
    lines = run(["pull", f"hf:{REPOSITORY}"], env=environment(hub.url, tmp_path / "one"), cwd=tmp_path)
    assert "%" in lines.stderr
    assert len(lines.stderr.splitlines()) <= 21
    assert "%" not in lines.stdout
    ran = run(
        ["pull", f"hf:{REPOSITORY}", "--progress", "json"], env=environment(hub.url, tmp_path / "two"), cwd=tmp_path
    )
    events = [json.loads(line) for line in ran.stderr.splitlines()]
    last = {"event": "progress", "file": GGUF, "done_bytes": 300_000, "total_bytes": 300_000, "all_done_bytes": 300_000}
    assert last.items() <= events[-1].items()
    quiet = run(["pull", f"hf:{REPOSITORY}", "--quiet"], env=environment(hub.url, tmp_path / "three"), cwd=tmp_path)
    assert (quiet.stdout, quiet.stderr) == ("", "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_pull_ends_at_once_and_goes_on_where_it_stopped(
    tmp_path: Path, hub: FakeHub, number: signal.Signals, code: int
) -> None:
    hub.faults = {"*.gguf": "truncate:100000*1,hang:0*1"}  # the second connection says nothing more
    env = environment(hub.url, tmp_path / "store")
    process = start(["pull", f"hf:{REPOSITORY}"], env=env, cwd=tmp_path)
    incoming = tmp_path / "store" / "incoming"
    until(lambda: sum(one.stat().st_size for one in incoming.glob("*.partial")) >= 100_000 and len(hub.requests) >= 4)
    time.sleep(0.2)
    began = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert time.monotonic() - began < 3
    assert "Traceback" not in err
    assert "hint: run the same command again: it goes on where it stopped" in err
    assert not (tmp_path / "store" / "models" / "model-gguf").exists()
    ran = document(run(["pull", f"hf:{REPOSITORY}", "--json"], env=env, cwd=tmp_path))
    assert ran["result"]["bytes_transferred"] == 200_000


@pytest.mark.root
def test_a_store_another_user_owns_is_no_permission_not_a_traceback(tmp_path: Path, hub: FakeHub) -> None:
    """As user 1000, without the rights of root over what others own."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    os.chown(shelf, 65534, 65534)
    ran = subprocess.run(
        [*AS_USER, sys.executable, "-m", "llmops", "pull",
         f"hf:{REPOSITORY}", "--store", str(shelf / "store")],
        env=environment(hub.url, tmp_path / "unused"), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 4, ran.stderr
    assert "no permission to write here" in ran.stderr
    assert "--store DIR" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert list(shelf.iterdir()) == []
