"""`llmops catalog`: what is known, for people and programs."""

import json

import pytest

from llmops.cli.app import run
from llmops.engines import ENGINES
from llmops.library import shipped


def rows(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    assert run(["catalog", *arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "llmops.catalog/1"
    found: list[dict[str, object]] = document["result"][arguments[0]]
    return found


def test_every_row_is_listed_without_a_filter(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(rows(capsys, "models")) == 298
    assert len(rows(capsys, "gpus")) == 179
    assert len(rows(capsys, "profiles")) == len(shipped.names("profiles"))
    assert len(rows(capsys, "engines")) == len(ENGINES)


def test_every_word_of_the_filter_must_be_there_in_any_case(capsys: pytest.CaptureFixture[str]) -> None:
    both = rows(capsys, "models", "QWEN3", "8b")
    one = rows(capsys, "models", "qwen3")

    assert {"qwen3-8b"} <= {str(row["id"]) for row in both}
    assert 0 < len(both) < len(one) < 298


def test_nothing_found_is_an_empty_list_not_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert rows(capsys, "gpus", "no-such-card") == []
    assert run(["catalog", "gpus", "no-such-card"]) == 0
    assert "0 of 179 cards" in capsys.readouterr().out


def test_a_card_whose_memory_nobody_read_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["catalog", "gpus", "rtx", "4080"]) == 0

    text = capsys.readouterr().out
    assert "~15.99 GiB" in text
    assert "not read from a driver" in text


@pytest.mark.parametrize("what", ["models", "gpus", "profiles", "engines"])
def test_a_pipe_gets_plain_text(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["catalog", what]) == 0

    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert len(text.splitlines()) >= 2


def test_an_unknown_list_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["catalog", "gpu"]) == 2

    assert "did you mean `gpus`?" in capsys.readouterr().err
