"""The call to try, for what the deployment is for: each form is run against a server that answers nothing else."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import locks
import pytest
from consumers import search_path
from rendering import three_models, with_number
from stub_engine import KEY, MODEL, StubEngine

from llmops.cli import render
from llmops.domain.role import Role
from llmops.formats.lock import dump_lock
from llmops.probe.programs import Programs
from llmops.views.call import Call
from llmops.views.screen import PlainScreen

AT_ONCE = [Role.EMBEDDINGS, Role.RERANK]
WORDS = {Role.EMBEDDINGS: "8 [", Role.RERANK: "relevance_score"}
"""Of the SDKs' forms: how long a vector is, and its beginning; the figures."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A call, and the server it is for."""

    call: Call
    stub: StubEngine

    def seen(self) -> None:
        """It was asked its own question, with the key."""
        path = f"/v1/{self.call.role.question()}"
        assert [(one, auth) for _, one, auth in self.stub.seen] == [(path, f"Bearer {KEY}")]


@pytest.fixture(params=AT_ONCE)
def asked(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Asked]:
    key = tmp_path / "key"
    key.write_text(KEY + "\n")
    with StubEngine(role=request.param) as stub:
        call = Call(
            endpoint=f"{stub.url}/v1",
            model=MODEL,
            key_file=str(key),
            ca_file=None,
            timeout_seconds=20,
            retries=1,
            role=request.param,
        )
        yield Asked(call, stub)


def _ran(argv: list[str]) -> str:
    run = subprocess.run(
        argv, env={"PATH": search_path(os.environ)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.consumer("curl")
def test_the_curl_form_works(asked: Asked) -> None:
    said = _ran(["/bin/bash", "-c", asked.call.curl()])
    assert '"embedding": [' in said or '"relevance_score": ' in said
    asked.seen()


def test_the_form_for_the_sdk_works(asked: Asked) -> None:
    pytest.importorskip("openai")
    assert WORDS[asked.call.role] in _ran([sys.executable, "-c", asked.call.python()])
    asked.seen()


@pytest.mark.consumer("openai-node")
def test_the_typescript_form_works(asked: Asked, tmp_path: Path) -> None:
    program = tmp_path / "try.mjs"
    program.write_text(asked.call.typescript())
    assert WORDS[asked.call.role] in _ran(["openai-node", str(program)])
    asked.seen()


@pytest.mark.parametrize(("names", "path"), [(("embed",), "/embeddings"), (("embed", "small"), "/chat/completions")])
def test_render_ends_with_a_chat_where_there_is_one(names: tuple[str, ...], path: str, tmp_path: Path) -> None:
    models = {name: three_models()[name] for name in names}
    models["embed"] = replace(models["embed"], starts_after=())
    file = tmp_path / "llmops.lock"
    file.write_text(dump_lock(locks.lock(models, targets=("nginx",))))
    options = render.Options(lock=str(file), root=str(tmp_path), targets=("nginx",))
    answer = render.run(options, runner=Programs(os.environ))
    assert isinstance(answer.result, dict)
    call = answer.result["call"]
    assert isinstance(call, dict)
    assert f"/v1{path} " in str(call["curl"])


def test_every_deployment_has_its_call_with_its_own_path_name_and_timeout(tmp_path: Path) -> None:
    models = three_models()
    models["embed"] = with_number(models["embed"], "client_timeout_seconds", 777)
    file = tmp_path / "llmops.lock"
    file.write_text(dump_lock(locks.lock(models, targets=("nginx",))))
    options = render.Options(lock=str(file), root=str(tmp_path), targets=("nginx",))
    answer = render.run(options, runner=Programs(os.environ))
    assert isinstance(answer.result, dict)
    calls = answer.result["calls"]
    assert isinstance(calls, dict)
    assert list(calls) == ["chat", "small", "embed"], "chats first"
    assert calls["chat"] == answer.result["call"]
    text = StringIO()
    answer.show(PlainScreen(text))
    for name, call in calls.items():
        assert isinstance(call, dict)
        assert str(call["curl"]) in text.getvalue()
        assert f'"model": "{name}"' in str(call["curl"])
        assert (" --max-time 777 " in str(call["curl"])) is (name == "embed")
    assert len({str(one["endpoint"]) for one in calls.values() if isinstance(one, dict)}) == len(calls)
