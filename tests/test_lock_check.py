"""`llmops lock --check`: the lock follows from profile and catalogue, or the differing values are named."""

import json
import re
from pathlib import Path

import hosts
import locks
import pytest
from fake_hub import FakeHub
from hub_models import REPOSITORY

from llmops.cli import lock, plan, planning
from llmops.cli.answer import Answer, Style, give
from llmops.cli.opened import Sources
from llmops.domain.errors import WrongUsage
from llmops.domain.finding import Status
from llmops.domain.forms import dump
from llmops.domain.reading import Known
from llmops.formats.lock import dump_lock, parse_lock
from llmops.formats.lock_differences import differences
from llmops.formats.tiny_model import tiny_model

PROFILE = """\
schema: llmops.profile/1
deployments:
  chat:
    model: "{model}"
    workload: {{context_tokens: 1024, parallel: 2}}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a model, its profile, and the lock of both for a named card."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.gguf").write_bytes(tiny_model())
    (tmp_path / "llmops.yaml").write_text(PROFILE.format(model="./tiny.gguf"))
    planned()
    return tmp_path


def planned(sources: Sources | None = None, **options: object) -> None:
    wish = planning.Options(out="llmops.lock", **({"gpus": ("RTX 4090",)} | options))  # type: ignore[arg-type]
    assert plan.run(wish, sources=sources or Sources()).ok


def checked(sources: Sources | None = None, **options: object) -> tuple[Answer, list[str]]:
    """The answer, and the keys that differ."""
    answer = lock.run(lock.Options(check=True, **options), sources=sources or Sources())  # type: ignore[arg-type]
    assert isinstance(answer.result, dict)
    rows = answer.result["differences"]
    assert isinstance(rows, list)
    return answer, [str(one["key"]) for one in rows if isinstance(one, dict)]


def edit(path: Path, pattern: str, new: str) -> None:
    text, count = re.subn(pattern, new, path.read_text())
    assert count, pattern
    path.write_text(text)


def test_a_lock_follows_from_the_profile_it_was_made_of(here: Path) -> None:
    answer, keys = checked()
    assert (answer.ok, keys, answer.findings) == (True, [], ())
    assert isinstance(answer.result, dict)
    assert answer.result["planned_again"] is True


@pytest.mark.parametrize(
    ("pattern", "new", "key"),
    [
        (r"slots: \{value: 2", "slots: {value: 3", "numbers.slots.value"),
        ("kv_cache_bytes: [1-9][0-9]*", "kv_cache_bytes: 1", "ledger"),
        ('"127.0.0.1:8443"', '"127.0.0.1:8444"', "serve.listen"),
        ("build: b[0-9]+", "build: b1", "engine.build"),
        ("retention_days: 90", "retention_days: 91", "observe.retention_days"),
    ],
)
def test_whatever_was_edited_in_the_lock_is_named(here: Path, pattern: str, new: str, key: str) -> None:
    if key == "ledger":  # a sum that does not hold is refused before
        text = (here / "llmops.lock").read_text()
        found = re.search(r"kv_cache_bytes: ([1-9][0-9]*)", text)
        total = re.search(r"total_bytes: ([0-9]+)", text)
        assert found is not None
        assert total is not None
        edit(here / "llmops.lock", f"total_bytes: {total[1]}", f"total_bytes: {int(total[1]) - int(found[1]) + 1}")
        edit(here / "llmops.lock", f"kv_cache_bytes: {found[1]}", new)
    else:
        edit(here / "llmops.lock", pattern, new)
    answer, keys = checked()
    assert not answer.ok
    assert any(key in one for one in keys), keys
    assert [one.code for one in answer.findings if one.status is Status.FAIL] == ["LOCK001"]


def test_a_wish_that_changed_is_named_with_all_that_follows_from_it(here: Path) -> None:
    edit(here / "llmops.yaml", "parallel: 2", "parallel: 4")
    answer, keys = checked()
    assert not answer.ok
    for key in ("profile_digest", "deployments.chat.settings.parallel", "deployments.chat.numbers.slots.value"):
        assert key in keys
    edit(here / "llmops.yaml", "parallel: 4(.*)", r"parallel: 2\1  # as before")
    assert checked()[0].ok


def test_what_was_typed_beside_the_profile_does_not_follow_from_it(here: Path) -> None:
    planned(context=512)
    answer, keys = checked()
    assert not answer.ok
    assert "deployments.chat.settings.context_size" in keys


@pytest.mark.usefixtures("here")
def test_on_the_host_it_was_planned_for_no_facts_are_asked_for() -> None:
    planned(gpus=())
    answer, keys = checked()
    assert (answer.ok, keys, answer.findings) == (True, [], ())


def test_the_cards_that_the_profile_names_are_those_of_the_plan(here: Path) -> None:
    gpus = (hosts.gpu(uuid=Known("GPU-0")), hosts.gpu(index=1, uuid=Known("GPU-1")))
    Path("two.json").write_text(json.dumps(dump(hosts.host(nvidia=hosts.nvidia(*gpus)))))
    text = PROFILE.format(model="./tiny.gguf")
    (here / "llmops.yaml").write_text(text.replace("deployments:", "host: {gpus: [1]}\ndeployments:", 1))
    planned(gpus=(), facts="two.json")
    answer, keys = checked(facts="two.json")
    assert (answer.ok, keys, answer.findings) == (True, [], ())


def test_without_the_hosts_facts_the_plan_is_not_made_again_and_that_is_said(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = here / "elsewhere.json"
    facts.write_text(json.dumps(dump(hosts.host())))
    planned(gpus=(), facts=str(facts))
    answer, keys = checked()
    assert (answer.ok, keys) == (True, [])
    assert [(one.code, one.status) for one in answer.findings] == [("LOCK003", Status.WARN)]
    assert "--facts FILE" in (answer.findings[0].fix or "")
    assert (give("lock", answer, Style()), give("lock", answer, Style(strict=True))) == (0, 1)
    assert capsys.readouterr().out.count("was NOT planned again") == 2
    answer, keys = checked(offline=True)
    assert [(one.code, one.status) for one in answer.findings] == [("LOCK003", Status.SKIP)]
    answer, keys = checked(facts=str(facts))
    assert (answer.ok, keys, answer.findings) == (True, [], ())
    edit(here / "llmops.lock", r" queue_length: \{value: [0-9]+", " queue_length: {value: 99")
    assert checked()[1] == ["deployments.chat.numbers.queue_length.value"]


def test_a_repository_that_went_on_is_no_drift_of_the_lock(here: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hub" / REPOSITORY
    folder.mkdir(parents=True)
    (folder / "tiny-F16.gguf").write_bytes(tiny_model())
    (here / "llmops.yaml").write_text(PROFILE.format(model=f"hf:{REPOSITORY}:F16"))
    with FakeHub(tmp_path / "hub") as hub:
        sources = Sources(endpoint=lambda: hub.url, token=lambda: None)
        planned(sources)
        hub.requests.clear()
        answer, keys = checked(sources)
        assert (answer.ok, keys, answer.findings) == (True, [], ())
        commit = parse_lock((here / "llmops.lock").read_text(), file="").deployments["chat"].model.commit
        assert any(str(commit) in str(one["path"]) for one in hub.requests)
        hub.requests.clear()
        answer, keys = checked(sources, offline=True)
        assert (answer.ok, keys, hub.requests) == (True, [], [])


def test_without_a_profile_the_numbers_are_held_against_the_locks_own_settings(here: Path) -> None:
    (here / "llmops.yaml").unlink()
    answer, keys = checked()
    assert (answer.ok, keys, [one.code for one in answer.findings]) == (True, [], ["LOCK003"])
    planning_alone = planning.Options(model="./tiny.gguf", out="llmops.lock", gpus=("24GiB",))
    assert plan.run(planning_alone, sources=Sources()).ok
    answer, keys = checked()
    assert (answer.ok, keys, answer.findings) == (True, [], ())


def test_an_older_schema_is_said(here: Path) -> None:
    edit(here / "llmops.lock", "llmops.lock/2", "llmops.lock/1")
    answer, _ = checked()
    assert "LOCK002" in [one.code for one in answer.findings if one.status is Status.WARN]


def test_without_check_it_says_what_to_type(here: Path) -> None:
    with pytest.raises(WrongUsage, match="what of the lock"):
        lock.run(lock.Options(), sources=Sources())


def test_a_lock_differs_from_itself_in_nothing() -> None:
    one = locks.lock({"chat": locks.llama_cpu()})
    assert differences(one, one) == ()
    assert differences(one, parse_lock(dump_lock(one), file="")) == ()


@pytest.mark.parametrize("name", ["notes", "rule", "basis", "confidence"])
def test_a_deployment_that_is_called_as_words_are_is_compared(name: str) -> None:
    one = locks.lock({name: locks.llama_cpu()})
    other = locks.lock({name: locks.llama_cpu(port=8081)})
    assert [row.key for row in differences(one, other) if row.key.startswith(f"deployments.{name}.numbers")]
