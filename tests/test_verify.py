"""`llmops verify`: every file is read again, and one wrong bit is an honest no."""

import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hub_models import content, sha256
from pulling import document, environment, run, write_lock

from llmops.cli import verify
from llmops.cli.answer import Answer
from llmops.domain.errors import WrongInput
from llmops.domain.model import ModelFile, ModelRef, SourceKind
from llmops.domain.transfer import FileStatus
from llmops.hub.adopt import adopt
from llmops.hub.audit import audit
from llmops.hub.linking import STAMP_NS
from llmops.hub.local import describe
from llmops.hub.store import Store

PARTS = [f"m-0000{number}-of-00003.gguf" for number in (1, 2, 3)]


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A store with one split model, its lock beside it; the folder the files are in."""
    origin = tmp_path / "origin"
    origin.mkdir()
    for number, name in enumerate(PARTS):
        (origin / name).write_bytes(content(50_000, seed=number))
    ref = describe(origin / PARTS[0])
    write_lock(tmp_path / "llmops.lock", ref)
    fetched = adopt(ref, folder=origin, store=Store(tmp_path / "store"), name="chat")
    return Path(fetched.directory)


def verified(tmp_path: Path) -> tuple[Answer, dict[str, str]]:
    """The answer, and the status of each file."""
    answer = verify.run(verify.Options(lock=str(tmp_path / "llmops.lock"), store=str(tmp_path / "store")))
    assert isinstance(answer.result, dict)
    files = answer.result["files"]
    assert isinstance(files, list)
    return answer, {str(one["name"]): str(one["status"]) for one in files if isinstance(one, dict)}


def edit(path: Path, change: Callable[[bytearray], None]) -> None:
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


def test_an_untouched_store_is_bit_for_bit_what_the_lock_says(tmp_path: Path, stored: Path) -> None:
    answer, status = verified(tmp_path)
    assert answer.ok
    assert status == dict.fromkeys(PARTS, "ok")
    assert answer.findings == ()


def test_one_flipped_bit_anywhere_is_found(tmp_path: Path, stored: Path) -> None:
    chosen = random.Random(7)
    for _ in range(40):
        path, at, bit = stored / chosen.choice(PARTS), chosen.randrange(50_000), 1 << chosen.randrange(8)

        def flip(data: bytearray, at: int = at, bit: int = bit) -> None:
            data[at] ^= bit

        edit(path, flip)
        answer, status = verified(tmp_path)
        assert not answer.ok
        assert [name for name, one in status.items() if one == "changed"] == [path.name]
        edit(path, flip)
    assert verified(tmp_path)[0].ok


def test_a_missing_a_truncated_and_an_extra_file_are_told_apart(tmp_path: Path, stored: Path) -> None:
    (stored / PARTS[0]).unlink()
    edit(stored / PARTS[1], lambda data: data.__delitem__(slice(-1, None)))
    (stored / "model.safetensors").write_bytes(b"from somewhere")
    answer, status = verified(tmp_path)
    assert not answer.ok
    assert status == {PARTS[0]: "missing", PARTS[1]: "changed", PARTS[2]: "ok", "model.safetensors": "extra"}
    assert [one.code for one in answer.findings] == ["VERIFY001", "VERIFY002"]


def test_a_link_out_of_the_store_is_not_the_file_even_with_the_right_bytes(tmp_path: Path, stored: Path) -> None:
    (stored / PARTS[0]).unlink()
    (stored / PARTS[0]).symlink_to(tmp_path / "origin" / PARTS[0])
    assert verified(tmp_path)[1][PARTS[0]] == "changed"


def test_current_that_points_elsewhere_is_a_warning(tmp_path: Path, stored: Path) -> None:
    current = stored.parent / "current"
    current.unlink()
    answer, _ = verified(tmp_path)
    assert answer.ok
    assert [one.code for one in answer.findings] == ["VERIFY003"]


def test_the_command_says_no_with_the_list_and_a_pull_repairs_even_silent_damage(tmp_path: Path, stored: Path) -> None:
    env = environment("http://127.0.0.1:1", tmp_path / "store")
    assert run(["verify"], env=env, cwd=tmp_path).returncode == 0
    path = stored / PARTS[2]
    stamp = path.stat().st_mtime_ns
    edit(path, lambda data: data.reverse())
    os.utime(path, ns=(stamp, stamp))  # as a failing disk would: no time stamp tells
    ran = run(["verify", "--json"], env=env, cwd=tmp_path)
    assert ran.returncode == 1
    result = document(ran)["result"]
    assert [(one["name"], one["status"]) for one in result["files"]][2] == (PARTS[2], "changed")
    assert run(["pull", "--from", "origin"], env=env, cwd=tmp_path).returncode == 0
    said = run(["verify"], env=env, cwd=tmp_path)
    assert said.returncode == 0
    assert "3 of 3 files are bit for bit what the lock says" in said.stdout


def damage(data: bytearray, chosen: random.Random) -> None:
    """A flipped bit, a cut end, or two swapped runs that differ."""
    match chosen.randrange(3):
        case 0:
            data[chosen.randrange(len(data))] ^= 1 << chosen.randrange(8)
        case 1:
            del data[chosen.randrange(len(data)) :]
        case _:
            while True:
                length = chosen.randrange(1, 64)
                first, second = sorted(chosen.sample(range(0, len(data) - 64, 64), 2))
                left, right = data[first : first + length], data[second : second + length]
                if left != right:
                    break
            data[first : first + length], data[second : second + length] = right, left


def test_none_of_10000_random_corruptions_is_missed(tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    origin.mkdir()
    names = [f"m-{number:05}-of-00100.gguf" for number in range(1, 101)]
    whole = {name: content(3_000, seed=at) for at, name in enumerate(names)}
    for name in names:
        (origin / name).write_bytes(whole[name])
    ref = describe(origin / names[0])
    store = Store(tmp_path / "store")
    fetched = adopt(ref, folder=origin, store=store, name="chat")
    for one in fetched.files:
        Path(one.path).chmod(0o644)
    chosen = random.Random(11)
    for _ in range(100):
        for one in fetched.files:
            data = bytearray(whole[one.name])
            damage(data, chosen)
            Path(one.path).write_bytes(data)
            os.utime(one.path, ns=(STAMP_NS, STAMP_NS))  # as a failing disk: no time stamp tells
        checks = audit(ref, store=store, name="chat", jobs=2)
        assert [one.status for one in checks] == [FileStatus.CHANGED] * 100
    for one in fetched.files:
        Path(one.path).write_bytes(whole[one.name])
    assert {one.status for one in audit(ref, store=store, name="chat")} == {FileStatus.OK}


def test_the_command_misses_none_of_20_corruptions_and_repairs_them(tmp_path: Path, stored: Path) -> None:
    env = environment("http://127.0.0.1:1", tmp_path / "store")
    chosen = random.Random(12)
    for at in range(20):
        path = stored / chosen.choice(PARTS)
        edit(path, lambda data: damage(data, chosen))
        os.utime(path, ns=(STAMP_NS, STAMP_NS))
        ran = run(
            ["verify", *(["--repair", "--from", "origin"] if at % 4 == 3 else []), "--json"], env=env, cwd=tmp_path
        )
        result = document(ran)["result"]
        if at % 4 == 3:
            assert ran.returncode == 0
            assert f"chat/{path.name}" in result["repaired"]
        else:
            assert ran.returncode == 1
            assert path.name in [one["name"] for one in result["files"] if one["status"] == "changed"]


def test_a_repair_that_cannot_get_the_file_says_why_and_changes_nothing(tmp_path: Path, stored: Path) -> None:
    (stored / PARTS[0]).unlink()
    (tmp_path / "store" / "blobs" / "sha256").chmod(0o755)
    for blob in (tmp_path / "store" / "blobs" / "sha256").iterdir():
        if blob.stat().st_nlink == 1:
            blob.unlink()
    env = environment("http://127.0.0.1:1", tmp_path / "store")
    ran = run(["verify", "--repair"], env=env, cwd=tmp_path)
    assert ran.returncode == 3
    assert "--from" in ran.stderr
    assert not (stored / PARTS[0]).exists()


def test_a_repair_leaves_files_that_the_lock_does_not_name_and_still_says_no(tmp_path: Path, stored: Path) -> None:
    (stored / PARTS[0]).unlink()
    (stored / "model.safetensors").write_bytes(b"from somewhere")
    options = verify.Options(
        lock=str(tmp_path / "llmops.lock"),
        store=str(tmp_path / "store"),
        repair=True,
        origin=str(tmp_path / "origin"),
    )
    answer = verify.run(options)
    assert not answer.ok
    assert [one.code for one in answer.findings] == ["VERIFY002"]
    assert (stored / PARTS[0]).is_file()


def test_quick_reads_little_says_so_and_finds_what_a_writer_leaves(tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    origin.mkdir()
    (origin / "m.gguf").write_bytes(b"GGUF" + content(50_000, seed=1))
    ref = describe(origin / "m.gguf")
    write_lock(tmp_path / "llmops.lock", ref)
    path = Path(adopt(ref, folder=origin, store=Store(tmp_path / "store"), name="chat").files[0].path)
    env = environment("http://127.0.0.1:1", tmp_path / "store")
    said = run(["verify", "--quick"], env=env, cwd=tmp_path)
    assert said.returncode == 0
    assert "quick: not every byte was read" in said.stdout

    def flip(data: bytearray) -> None:
        data[30_000] ^= 1

    edit(path, flip)
    assert run(["verify", "--quick"], env=env, cwd=tmp_path).returncode == 1
    edit(path, flip)
    os.utime(path, ns=(STAMP_NS, STAMP_NS))
    edit(path, lambda data: data.__setitem__(slice(0, 4), b"HTML"))
    os.utime(path, ns=(STAMP_NS, STAMP_NS))
    assert document(run(["verify", "--quick", "--json"], env=env, cwd=tmp_path))["result"]["quick"] is True
    assert run(["verify", "--quick"], env=env, cwd=tmp_path).returncode == 1


@pytest.mark.parametrize(("lock", "code"), [("none.lock", 3), ("empty.lock", 3), ("binary.lock", 3)])
def test_a_lock_that_cannot_be_read_is_a_wrong_input(tmp_path: Path, lock: str, code: int) -> None:
    (tmp_path / "empty.lock").write_text("")
    (tmp_path / "binary.lock").write_bytes(b"\xff\xfe\x00GGUF")
    ran = run(["verify", "--lock", lock], env=environment("http://127.0.0.1:1", tmp_path / "store"), cwd=tmp_path)
    assert ran.returncode == code
    assert "hint:" in ran.stderr


def test_without_a_store_every_file_is_missing(tmp_path: Path, stored: Path) -> None:
    answer = verify.run(verify.Options(lock=str(tmp_path / "llmops.lock"), store=str(tmp_path / "nowhere")))
    assert not answer.ok
    assert not (tmp_path / "nowhere").exists()


def test_repair_brings_pickles_only_where_that_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(content(2_000))
    file = ModelFile(name="weights.bin", bytes=2_000, digest=sha256(content(2_000)))
    ref = ModelRef(source="x", kind=SourceKind.LOCAL, repository=None, commit=None, licence=None, files=(file,))
    write_lock(tmp_path / "llmops.lock", ref)
    wish = verify.Options(lock=str(tmp_path / "llmops.lock"), store=str(tmp_path / "store"), repair=True)
    with pytest.raises(WrongInput, match="run code"):
        verify.run(wish)
    assert verify.run(replace(wish, allow_pickle=True)).ok
    assert verify.run(replace(wish, repair=False)).ok
