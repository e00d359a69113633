"""`llmops schema`: what programs may rely on."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from locks import llama_gpu, lock

from llmops.cli.app import COMMANDS, run
from llmops.cli.schema import FILES
from llmops.domain.forms import dump


def schema_of(name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert run(["schema", name]) == 0
    made: dict[str, Any] = json.loads(capsys.readouterr().out)
    return made


@pytest.mark.parametrize("name", [*FILES, *COMMANDS])
def test_every_file_and_every_command_has_a_schema(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    made = schema_of(name, capsys)

    Draft202012Validator.check_schema(made)
    assert made["title"] == ("llmops.lock/2" if name == "lock" else f"llmops.{name}/1")
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize(
    "arguments",
    [
        ["catalog", "models", "qwen3"],
        ["catalog", "gpus", "h200"],
        ["catalog", "profiles"],
        ["catalog", "engines"],
        ["catalog", "nonsense"],
        ["catalog"],
        ["schema", "lock"],
        ["schema", "doctor"],
        ["schema", "nonsense"],
        ["init", "nonsense"],
        ["plan", "--gpu", "no such card", "qwen3-8b"],
    ],
)
def test_what_a_command_prints_fits_its_schema_also_on_errors(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = run([*arguments, "--json"])
    document = json.loads(capsys.readouterr().out)
    made = schema_of(arguments[0], capsys)

    Draft202012Validator(made).validate(document)
    assert document["exit_code"] == code


@pytest.mark.parametrize(
    "change",
    [
        {"exit_code": 2},
        {"error": {"message": "x", "hint": None, "where": None}},
        {"exit_code": 3, "ok": False, "result": None},
        {"schema": "llmops.plan/1"},
        {"more": 1},
        {"findings": [{"code": "X"}]},
        {"result": {"verdict": "perhaps"}},
        {"result": None},
    ],
)
def test_a_document_that_contradicts_itself_does_not_fit(
    change: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    good: dict[str, object] = {
        "schema": "llmops.doctor/1",
        "ok": True,
        "exit_code": 0,
        "result": {"verdict": "ready"},
        "findings": [],
        "error": None,
    }
    checker = Draft202012Validator(schema_of("doctor", capsys))

    assert checker.is_valid(good)
    assert not checker.is_valid(good | change)


def test_a_lock_fits_the_schema_of_locks(capsys: pytest.CaptureFixture[str]) -> None:
    checker = Draft202012Validator(schema_of("lock", capsys))
    form = dump(lock({"chat": llama_gpu()}))
    assert isinstance(form, dict)

    assert checker.is_valid(form)
    assert not checker.is_valid(form | {"made_by": 1})
    assert not checker.is_valid({key: value for key, value in form.items() if key != "deployments"})


def test_an_unknown_name_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", "lokc"]) == 2

    assert "did you mean `lock`?" in capsys.readouterr().err
