"""Smoke asks a server what its lock says it is for: vectors of texts, figures of texts; never a chat."""

from dataclasses import replace
from pathlib import Path

import locks
import pytest
from stub_engine import KEY, MODEL, StubEngine

from llmops.cli.smoke import Options, run
from llmops.domain.finding import Status
from llmops.domain.lock import LockedDeployment
from llmops.domain.role import Role
from llmops.formats.lock import dump_lock
from llmops.serve.codes import ANSWERED, SMOKE_CHECKS
from llmops.serve.smoke import smoke

OTHERS = {one.code for one in SMOKE_CHECKS} - {one.code for checks in ANSWERED.values() for one in checks}
AT_ONCE = (Role.EMBEDDINGS, Role.RERANK)


@pytest.mark.parametrize("role", AT_ONCE)
def test_a_good_server_of_vectors_or_figures_gets_ok_and_is_asked_nothing_else(role: Role) -> None:
    with StubEngine(role=role) as stub:
        measurement = smoke(stub.url, model=MODEL, key=KEY, timeout_seconds=5, role=role)
    found = {one.code: one.status for one in measurement.findings}
    assert found == dict.fromkeys(OTHERS | {one.code for one in ANSWERED[role]}, Status.OK)
    assert {path for _, path, _ in stub.seen} == {"/health", "/v1/models", f"/v1/{role.value}"}
    assert measurement.time_to_first_token_seconds is None
    assert measurement.total_seconds is not None
    assert 0 < measurement.total_seconds < 5


@pytest.mark.parametrize(
    ("role", "fault", "words"),
    [
        (Role.EMBEDDINGS, "one-answer", "1 vectors came for 2 texts"),
        (Role.EMBEDDINGS, "same", "the same vector"),
        (Role.EMBEDDINGS, "lengths", "not of one length"),
        (Role.EMBEDDINGS, "no-numbers", "does not hold numbers alone"),
        (Role.RERANK, "one-answer", "1 figures came for 2 texts"),
        (Role.RERANK, "no-numbers", "a figure is no number"),
    ],
)
def test_an_answer_that_is_of_no_use_is_a_no(role: Role, fault: str, words: str) -> None:
    with StubEngine(role=role, fault=fault) as stub:
        measurement = smoke(stub.url, model=MODEL, key=KEY, timeout_seconds=5, role=role)
    [failed] = [one for one in measurement.findings if one.status is not Status.OK]
    assert failed.status is Status.FAIL
    assert failed.code == ANSWERED[role][0].code
    assert words in failed.message
    assert measurement.total_seconds is None


@pytest.mark.parametrize(("asked", "there"), [(Role.EMBEDDINGS, Role.CHAT), (Role.CHAT, Role.EMBEDDINGS)])
def test_a_server_that_is_for_something_else_is_a_no_with_what_it_answered(asked: Role, there: Role) -> None:
    with StubEngine(role=there) as stub:
        measurement = smoke(stub.url, model=MODEL, key=KEY, timeout_seconds=5, role=asked)
    [failed] = [one for one in measurement.findings if one.status is Status.FAIL]
    assert failed.code == ANSWERED[asked][0].code
    assert f"/v1/{asked.question()} answers 404" in failed.message


def test_the_usage_of_vectors_is_wanted_too() -> None:
    with StubEngine(role=Role.EMBEDDINGS, fault="no-usage") as stub:
        measurement = smoke(stub.url, model=MODEL, key=KEY, timeout_seconds=5, role=Role.EMBEDDINGS)
    assert {one.code for one in measurement.findings if one.status is Status.WARN} == {"SMK009"}


def _embeds(chat: LockedDeployment) -> LockedDeployment:
    return replace(chat, features=replace(chat.features, embeddings=True))


def _ranks(chat: LockedDeployment) -> LockedDeployment:
    return replace(chat, settings=replace(chat.settings, embeddings=True, pooling="rank"))


def test_the_lock_says_what_a_server_is_for(tmp_path: Path) -> None:
    chat = locks.llama_cpu(alias=MODEL)
    assert [one.role() for one in (chat, _embeds(chat), _ranks(chat))] == [Role.CHAT, *AT_ONCE]
    file, key = tmp_path / "llmops.lock", tmp_path / "key"
    key.write_text(KEY + "\n")
    for deployment in (chat, _embeds(chat)):
        file.write_text(dump_lock(locks.lock({"chat": deployment})))
        with StubEngine(role=deployment.role()) as stub:
            answer = run(
                Options(url=stub.url, lock=file, key_file=key, timeout_seconds=5, store=str(tmp_path / "store")),
                environment={},
            )
        assert {one.status for one in answer.findings} == {Status.OK}
