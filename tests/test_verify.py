"""`llmops verify`: every file is read again, and one wrong bit is an honest no."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hub_models import content
from pulling import document, environment, run, write_lock

from llmops.cli import verify
from llmops.cli.answer import Answer
from llmops.hub.adopt import adopt
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
