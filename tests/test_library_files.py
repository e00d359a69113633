"""The user's files: whole or not at all, and a clear word when the disk says no."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from llmops.domain.errors import OutsideWorld, Stop, WrongInput
from llmops.library.files import LIMIT_BYTES, read_text, write_atomically, write_new

Writing = Callable[[Path, str], None]


def reason(stop: pytest.ExceptionInfo[Stop]) -> str:
    assert stop.value.where is not None
    assert stop.value.where.file
    return stop.value.message


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", "größe\n")
    write_new(tmp_path / "b", "größe\n")

    assert read_text(tmp_path / "a") == read_text(tmp_path / "b") == "größe\n"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a", "b"]


def test_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfa: 1\n")

    assert read_text(tmp_path / "a") == "a: 1\n"


def test_a_new_file_never_replaces_one_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")

    for name in ("there", "dangling"):
        with pytest.raises(OutsideWorld, match="there already"):
            write_new(tmp_path / name, "new")

    assert (tmp_path / "there").read_text() == "mine"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["dangling", "there"]


def test_a_new_file_appears_also_where_the_filesystem_has_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    write_new(tmp_path / "a", "text")

    assert (tmp_path / "a").read_text() == "text"
    with pytest.raises(OutsideWorld, match="there already"):
        write_new(tmp_path / "a", "other")
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_a_link_is_followed_when_a_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")

    write_atomically(tmp_path / "link", "new")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_secret_file_is_never_readable_for_others(tmp_path: Path) -> None:
    write_atomically(tmp_path / "key", "secret", mode=0o600)

    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


@pytest.mark.parametrize("writing", [write_new, write_atomically])
def test_a_full_disk_leaves_the_old_text_and_no_remains(
    writing: Writing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kept").write_text("old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutsideWorld) as stop:
        writing(tmp_path / ("kept" if writing is write_atomically else "new"), "new")

    assert reason(stop) == "no space left on the device"
    assert [one.name for one in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").read_text() == "old"


@pytest.mark.parametrize("writing", [write_new, write_atomically])
def test_an_interruption_leaves_no_remains(writing: Writing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        writing(tmp_path / "a", "text")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "no permission to write here"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EIO, "input/output error"),
    ],
)
def test_what_the_system_refuses_is_said_in_words(
    number: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    for writing in (write_new, write_atomically):
        with pytest.raises(OutsideWorld) as stop:
            writing(tmp_path / "a", "x")
        assert reason(stop) == words


def test_a_filesystem_that_takes_no_files_is_the_outside_world() -> None:
    for writing in (write_new, write_atomically):
        with pytest.raises(OutsideWorld):
            writing(Path("/proc/llmops-test"), "x")


@pytest.mark.parametrize("writing", [write_new, write_atomically])
def test_writing_into_nowhere_says_what_to_type(writing: Writing, tmp_path: Path) -> None:
    with pytest.raises(OutsideWorld) as stop:
        writing(tmp_path / "no" / "file", "x")

    assert reason(stop) == "the directory does not exist"
    assert stop.value.hint == f"`mkdir -p {tmp_path / 'no'}`"


def test_writing_over_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()

    with pytest.raises(OutsideWorld) as stop:
        write_atomically(tmp_path / "d", "x")

    assert reason(stop) == "a directory, where a file is expected"
    assert [one.name for one in tmp_path.iterdir()] == ["d"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere: run as a user")
def test_no_permission_is_the_outside_world(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0)

    with pytest.raises(OutsideWorld, match="no permission"):
        write_new(tmp_path / "closed" / "a", "x")
    with pytest.raises(OutsideWorld, match="cannot be read"):
        read_text(tmp_path / "secret")


def test_a_path_that_is_wrong_is_a_wrong_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    for path, words in (
        (tmp_path / "missing", "there is no such file"),
        (tmp_path, "a directory, where a file is expected"),
        (tmp_path / "file" / "below", "a part of the path is not a directory"),
        (tmp_path / ("x" * 300), "the path is too long"),
        (Path("a\0b"), "not a path"),
    ):
        with pytest.raises(WrongInput) as stop:
            read_text(path, hint="`llmops plan --out llmops.lock`")
        assert reason(stop) == words


def test_bytes_that_are_not_text_are_refused_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF\n\xff\xfe")

    with pytest.raises(WrongInput) as stop:
        read_text(tmp_path / "model.gguf")

    assert reason(stop) == "not text (UTF-8)"
    assert stop.value.where is not None
    assert stop.value.where.line == 2


def test_a_model_named_by_mistake_is_not_read_into_memory(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(LIMIT_BYTES + 1)

    with pytest.raises(WrongInput, match="larger than 64 MiB"):
        read_text(tmp_path / "big")
