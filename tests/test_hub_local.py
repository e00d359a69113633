"""Models that are on this disk already."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hub_models import content, sha256

from llmops.domain.errors import WrongInput, WrongUsage
from llmops.domain.model import SourceKind
from llmops.hub.adopt import adopt
from llmops.hub.local import describe, list_local
from llmops.hub.store import Store, files_below


def write(folder: Path, *names: str) -> dict[str, bytes]:
    files = {name: content(5000 + at, seed=at) for at, name in enumerate(names)}
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return files


def test_a_local_file_is_its_name_size_and_sha256_without_a_path(tmp_path: Path) -> None:
    files = write(tmp_path, "tiny.gguf")
    ref = describe(tmp_path / "tiny.gguf")
    assert (ref.source, ref.kind, ref.repository, ref.commit) == ("tiny.gguf", SourceKind.LOCAL, None, None)
    assert [(one.name, one.bytes, one.digest) for one in ref.files] == [("tiny.gguf", 5000, sha256(files["tiny.gguf"]))]


def test_any_part_of_a_split_means_all_parts_in_order(tmp_path: Path) -> None:
    parts = [f"big-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    files = write(tmp_path, *parts, "other.gguf")
    ref = describe(tmp_path / parts[1])
    assert [(one.name, one.digest) for one in ref.files] == [(part, sha256(files[part])) for part in parts]


def test_a_missing_part_is_a_wrong_input_that_names_it(tmp_path: Path) -> None:
    write(tmp_path, "big-00001-of-00002.gguf")
    with pytest.raises(WrongInput) as stop:
        list_local(tmp_path / "big-00001-of-00002.gguf")
    assert stop.value.where is not None
    assert str(stop.value.where.file).endswith("big-00002-of-00002.gguf")


def test_a_directory_is_what_would_be_served_of_it(tmp_path: Path) -> None:
    write(tmp_path, "config.json", "model.safetensors", "tokenizer.json", "pytorch_model.bin", ".hidden", "sub/x.txt")
    assert [one.name for one in describe(tmp_path).files] == ["config.json", "model.safetensors", "tokenizer.json"]


def test_a_directory_with_a_configuration_only_can_be_described(tmp_path: Path) -> None:
    write(tmp_path, "config.json", "notes.txt")
    assert [one.name for one in describe(tmp_path).files] == ["config.json"]


def test_a_directory_with_several_gguf_models_asks_which(tmp_path: Path) -> None:
    write(tmp_path, "a-Q4_K_M.gguf", "a-Q8_0.gguf")
    with pytest.raises(WrongUsage, match="which one"):
        describe(tmp_path)
    assert [one.name for one in describe(tmp_path, selector="q8_0").files] == ["a-Q8_0.gguf"]


def test_a_path_that_is_not_there_is_a_wrong_input(tmp_path: Path) -> None:
    with pytest.raises(WrongInput, match="no such file"):
        describe(tmp_path / "no.gguf")


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(WrongInput, match="not a regular file"):
        describe(tmp_path / "pipe.gguf")


def test_local_files_are_copied_into_the_store_and_verified(tmp_path: Path) -> None:
    files = write(tmp_path / "from", "tiny.gguf")
    store = Store(tmp_path / "store")
    fetched = adopt(describe(tmp_path / "from" / "tiny.gguf"), folder=tmp_path / "from", store=store, name="tiny")
    assert fetched.version.startswith("files-")
    assert fetched.transferred_bytes == 0
    (tmp_path / "from" / "tiny.gguf").write_bytes(b"edited later")
    assert (store.current("tiny") / "tiny.gguf").read_bytes() == files["tiny.gguf"]
    again = adopt(describe(tmp_path / "from" / "tiny.gguf"), folder=tmp_path / "from", store=store, name="tiny")
    assert again.version != fetched.version
    assert store.current_version("tiny") == again.version


def test_a_local_file_that_is_not_the_planned_one_is_a_wrong_input_and_stays_out(tmp_path: Path) -> None:
    write(tmp_path / "from", "tiny.gguf")
    ref = describe(tmp_path / "from" / "tiny.gguf")
    store = Store(tmp_path / "store")
    other = replace(ref, files=(replace(ref.files[0], digest=sha256(b"another")),))
    with pytest.raises(WrongInput, match="not the file of the lock: its sha256"):
        adopt(other, folder=tmp_path / "from", store=store, name="tiny")
    shorter = replace(ref, files=(replace(ref.files[0], bytes=1),))
    with pytest.raises(WrongInput, match="5000 bytes, not 1"):
        adopt(shorter, folder=tmp_path / "from", store=store, name="tiny")
    assert files_below(store.root / "blobs") == ()
    assert [one.name for one in store.incoming.iterdir()] == ["landing"]  # the lock that pulls share
