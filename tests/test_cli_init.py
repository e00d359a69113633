"""`llmops init`: the file a person keeps; what is there stays."""

import json
from pathlib import Path

import pytest

from llmops.cli.app import run
from llmops.formats.profile import parse_profile
from llmops.library import shipped


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("LLMOPS_MODEL", "LLMOPS_PROFILE", "LLMOPS_QUIET", "LLMOPS_VERBOSE"):
        monkeypatch.delenv(name, raising=False)


def test_the_shipped_profile_is_written_with_its_comments(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init"]) == 0

    assert Path("llmops.yaml").read_text() == shipped.text("profiles", "chat.yaml")
    assert "wrote llmops.yaml from the profile `chat`" in capsys.readouterr().out


def test_a_file_that_is_there_stays_and_the_hint_is_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    Path("llmops.yaml").write_text("mine")

    assert run(["init", "cpu-small"]) == 4

    assert Path("llmops.yaml").read_text() == "mine"
    error = capsys.readouterr().err
    assert "the file is there already" in error
    assert "`llmops init cpu-small --out other.yaml`" in error
    assert [one.name for one in Path().iterdir()] == ["llmops.yaml"]


def test_another_model_and_another_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "cpu-small", "--model", "./my model.gguf", "--out", "small.yaml", "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert document["result"] == {"path": "small.yaml", "profile": "cpu-small", "models": {"small": "./my model.gguf"}}
    profile = parse_profile(Path("small.yaml").read_text(), file="small.yaml")
    assert profile.deployments["small"].model == "./my model.gguf"


def test_an_unknown_profile_is_a_usage_error_with_the_likely_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "cht", "--json"]) == 2

    document = json.loads(capsys.readouterr().out)
    assert document["error"]["hint"] == "did you mean `chat`?"
    assert list(Path().iterdir()) == []


def test_a_model_with_a_line_end_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "--model", "a\nb"]) == 3

    assert "control character" in capsys.readouterr().err
    assert list(Path().iterdir()) == []


def test_a_folder_that_is_not_there_is_the_outside_world(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "--out", "no/such/file.yaml"]) == 4

    assert "`mkdir -p no/such`" in capsys.readouterr().err
