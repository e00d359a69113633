"""The rows of known holes: what they say of versions, where they come from, and how a host's own are refused."""

import datetime
import json
from pathlib import Path

import hosts
import pytest
from explaining import document

from llmops.cli.references import references, today
from llmops.domain.engine import EngineName
from llmops.domain.errors import Exit, Stop, WrongInput
from llmops.domain.finding import Status
from llmops.domain.forms import dump
from llmops.formats.advisories import advisories

ROWS = hosts.references().advisories
TEXT = (hosts.CATALOGUE / "advisories.json").read_text()


@pytest.mark.parametrize(
    ("product", "version", "worst", "safe_from"),
    [
        ("vllm", "0.22.0", Status.FAIL, "0.33.0"),
        ("vllm", "0.22.1", Status.WARN, "0.33.0"),
        ("vllm", "0.32.0", Status.WARN, "0.33.0"),
        ("vllm", "0.33.0", None, None),
        ("sglang", "0.5.20", Status.FAIL, "0.5.21"),
        ("sglang", "0.5.21", None, None),
        ("llama.cpp", "b11392", Status.FAIL, "b11393"),
        ("llama.cpp", "b11669", None, None),
        ("ollama", "0.34.9", Status.FAIL, "0.35.0"),
        ("ollama", "0.35.0", None, None),
        ("nvidia-container-toolkit", "1.17.7", Status.FAIL, "1.19.1"),
        ("nvidia-container-toolkit", "1.17.8", Status.WARN, "1.19.1"),
        ("nvidia-container-toolkit", "1.19.1", None, None),
    ],
)
def test_the_gates_are_the_published_ones(
    product: str, version: str, worst: Status | None, safe_from: str | None
) -> None:
    rows = ROWS.of(product, version)
    assert (rows[0].severity if rows else None) is worst
    assert ROWS.safe_from(product, version) == safe_from


def test_a_hole_of_a_part_that_is_never_started_is_told_and_does_not_count() -> None:
    assert not ROWS.of("llama.cpp", "b11669")
    (aside,) = ROWS.aside("llama.cpp", "b11669")
    assert (aside.component, aside.fixed) == ("rpc-server", "b11865")


def test_maintained_branches_have_a_version_with_every_fix() -> None:
    assert [one.branch for one in ROWS.maintained()] == [580, 595, 615]
    assert all(one.fixed for one in ROWS.maintained())


def test_every_row_has_a_source_and_a_day() -> None:
    assert all(one.source for one in ROWS.advisories)
    assert all(one.source for one in ROWS.branches)
    datetime.date.fromisoformat(ROWS.as_of)


def changed(**changes: object) -> str:
    data = json.loads(TEXT)
    data["advisories"][0] |= changes
    return json.dumps(data)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", None),
        ("{", None),
        ("[" * 100_000, None),
        ("[]", None),
        ("{}", "as_of"),
        (TEXT.replace('"as_of": "2026-11-09"', '"as_of": "yesterday"'), "as_of"),
        (TEXT.replace('"fixed": "580.178.04"', '"fixed": "595.1"'), "branches[6].fixed"),
        (changed(product="vlm"), "advisories[0].product"),
        (changed(severity="ok"), "advisories[0].severity"),
        (changed(fixed="soon"), "advisories[0].fixed"),
        (changed(ids=[]), "advisories[0]"),
        (changed(fixd="0.1"), "advisories[0].fixd"),
        ('{"as_of": "2026-11-09", "branches": [], "advisories": []}', "branches"),
    ],
)
def test_rows_that_are_none_are_refused_with_the_key(text: str, key: str | None) -> None:
    with pytest.raises(WrongInput) as stop:
        advisories(text, file="/etc/llmops/data/advisories.json")
    assert stop.value.where is not None
    assert stop.value.where.file == "/etc/llmops/data/advisories.json"
    assert stop.value.hint
    if key is not None:
        assert stop.value.where.key is None or stop.value.where.key.startswith(key)


def test_a_hosts_own_rows_come_before_the_shipped_ones_and_the_environments_before_both(tmp_path: Path) -> None:
    etc, own = tmp_path / "etc", tmp_path / "own"
    etc.mkdir()
    own.mkdir()
    (etc / "advisories.json").write_text(TEXT.replace("2026-11-09", "2026-12-01"))
    (etc / "engines.json").write_text(json.dumps(dump(hosts.references().matrix)))
    (own / "advisories.json").write_text(TEXT.replace("2026-11-09", "2026-12-24"))

    shipped = references({}, host_directory=tmp_path / "nothing")
    host = references({}, host_directory=etc)
    given = references({"LLMOPS_DATA": str(own)}, host_directory=etc)

    assert [one.place for one in shipped.editions] == ["shipped", "shipped"]
    assert (host.editions[1].as_of, host.editions[1].place) == ("2026-12-01", str(etc / "advisories.json"))
    assert (given.advisories.as_of, given.editions[1].place) == ("2026-12-24", str(own / "advisories.json"))
    assert given.editions[0].place == str(etc / "engines.json")


def test_a_plan_and_the_catalogue_read_the_hosts_own_engine_matrix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file for all commands: what the doctor allows is what a plan names."""
    shipped, rows = (hosts.CATALOGUE / "engines.json").read_text(), hosts.references().matrix
    newest = rows.builds_of(EngineName.VLLM)[0].newest
    (tmp_path / "engines.json").write_text(
        shipped.replace(f'"newest":"{newest}"', '"newest":"0.33.77"').replace(rows.as_of, "2026-12-24")
    )
    monkeypatch.setenv("LLMOPS_DATA", str(tmp_path))

    asked = ("plan", "qwen3-8b", "--engine", "vllm", "--gpu", "h100")
    assert "pip install vllm==0.33.77" in json.dumps(document(*asked))
    told = document("catalog", "engines")[1]["result"]
    assert (told["as_of"], told["place"]) == ("2026-12-24", str(tmp_path / "engines.json"))

    (tmp_path / "engines.json").write_text("{")
    code, broken = document(*asked)
    assert (code, broken["error"]["where"]["file"]) == (Exit.WRONG_INPUT, str(tmp_path / "engines.json"))


@pytest.mark.parametrize("name", ["advisories.json", "engines.json"])
def test_a_hosts_own_rows_that_are_broken_stop_the_doctor_with_the_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(Stop) as stop:
        references({"LLMOPS_DATA": str(tmp_path)}, host_directory=tmp_path / "nothing")
    assert stop.value.exit_code is Exit.WRONG_INPUT
    assert stop.value.where is not None
    assert stop.value.where.file == str(tmp_path / name)


def test_the_day_can_be_given_for_answers_that_stay_the_same() -> None:
    assert today({"SOURCE_DATE_EPOCH": "1795219200"}) == datetime.date(2026, 11, 21)
    with pytest.raises(WrongInput):
        today({"SOURCE_DATE_EPOCH": "soon"})
