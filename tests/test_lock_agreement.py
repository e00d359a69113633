"""A lock whose command line, settings and numbers say different things is refused before anything is rendered from it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import locks
import pytest
from rendering import with_number

from llmops.cli.app import run as llmops
from llmops.domain.engine import EngineName, EngineSettings
from llmops.domain.errors import WrongInput
from llmops.domain.lock import Lock, LockedDeployment
from llmops.engines import ENGINES
from llmops.engines.agreement import refuse_disagreement
from llmops.formats.lock import dump_lock, parse_lock

Edit = Callable[[LockedDeployment], LockedDeployment]


def edited(edit: Edit, *, of: Callable[[], LockedDeployment] = locks.llama_gpu) -> Lock:
    return locks.lock({"chat": edit(of())})


def words(old: str, new: str) -> Edit:
    def edit(locked: LockedDeployment) -> LockedDeployment:
        assert old in locked.argv
        return replace(locked, argv=tuple(new if word == old else word for word in locked.argv))

    return edit


def settings(**changed: Any) -> Edit:  # noqa: ANN401 - any setting of the type
    return lambda locked: replace(locked, settings=replace(locked.settings, **changed))


def number(name: str, value: int) -> Edit:
    return lambda locked: with_number(locked, name, value)


@pytest.mark.parametrize("of", [locks.llama_cpu, locks.llama_gpu, locks.vllm_gpu])
def test_a_lock_as_a_plan_writes_it_agrees_with_itself(of: Callable[[], LockedDeployment]) -> None:
    refuse_disagreement(locks.lock({"chat": of()}), file="llmops.lock")


@pytest.mark.parametrize(
    ("edit", "key", "said"),
    [
        (words("65536", "32768"), "settings.context_size", "the settings say 65536, the command line"),
        (words("-np", "--parallel-sequences"), "argv", "--parallel-sequences"),
        (words("all", "3"), "settings.gpu_layers", "the command line starts the engine with 3"),
        (words("8080", "9090"), "numbers.engine_port", "the port is 8080, and the command line says 9090"),
        (words("127.0.0.1", "0.0.0.0"), "argv", "would listen on 0.0.0.0"),
        (words("--api-key-file", "--ssl-key-file"), "argv", "would ask for no key of ours"),
        (words("{credentials}/engine-key", "/tmp/key"), "argv", "would ask for no key of ours"),
        (settings(parallel=8), "settings.parallel", "the settings say 8, the command line starts the engine with 4"),
        (settings(kv_cache_type_k="q8_0"), "settings.kv_cache_type_k", "q8_0"),
        (number("slots", 9), "numbers.slots", "9 slots, and the command line has 4"),
        (number("engine_port", 9999), "numbers.engine_port", "the port is 9999, and the command line says 8080"),
    ],
)
def test_an_edit_in_one_place_is_refused_with_its_key(edit: Edit, key: str, said: str) -> None:
    with pytest.raises(WrongInput) as stop:
        refuse_disagreement(edited(edit), file="llmops.lock")
    assert said in stop.value.message
    assert stop.value.where is not None
    assert stop.value.where.key == f"deployments.chat.{key}"
    assert stop.value.hint


def test_the_last_place_of_an_option_counts_as_it_does_for_the_engine() -> None:
    twice = edited(lambda locked: replace(locked, argv=(*locked.argv, "--host", "0.0.0.0")))
    with pytest.raises(WrongInput, match=r"would listen on 0\.0\.0\.0"):
        refuse_disagreement(twice, file="llmops.lock")


def test_vllm_with_another_length_or_host_is_refused_too() -> None:
    for edit in (words("8192", "4096"), words("127.0.0.1", "::"), number("slots", 2)):
        with pytest.raises(WrongInput):
            refuse_disagreement(edited(edit, of=locks.vllm_gpu), file="llmops.lock")


@pytest.mark.parametrize(
    "given",
    [
        EngineSettings(engine=EngineName.LLAMA_CPP, context_size=4096, parallel=1, gpu_layers=12, cpu_moe_layers=3),
        EngineSettings(
            engine=EngineName.LLAMA_CPP, context_size=8192, parallel=2, kv_unified=True, tensor_split=(1.0, 2.5)
        ),
        EngineSettings(engine=EngineName.LLAMA_CPP, context_size=512, parallel=1, gpu_layers=0, use_gpu=False),
        EngineSettings(
            engine=EngineName.VLLM, context_size=4096, parallel=8, kv_unified=True, kv_cache_type_k="fp8",
            kv_cache_type_v="fp8", tensor_parallel=2, gpu_memory_utilization=0.85,
        ),
    ],
)  # fmt: skip
def test_every_command_line_the_engines_write_agrees_with_its_settings(given: EngineSettings) -> None:
    engine = ENGINES[given.engine]
    of = locks.vllm_gpu if given.engine is EngineName.VLLM else locks.llama_gpu
    made = replace(of(), settings=given, argv=engine.argv(given, alias="chat", port=8080, threads=None))
    for edit in (number("slots", given.parallel), number("engine_port", 8080)):
        made = edit(made)
    refuse_disagreement(locks.lock({"chat": made}), file="llmops.lock")


def test_render_refuses_it_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("root").mkdir()
    Path("llmops.lock").write_text(dump_lock(edited(words("8080", "9090"))))
    assert llmops(["render", "--root", "root", "--apply"]) == 3
    assert "  --> llmops.lock, deployments.chat.numbers.engine_port\n" in capsys.readouterr().err
    assert list(Path("root").iterdir()) == []


def test_a_figure_below_zero_is_no_figure() -> None:
    text = dump_lock(locks.lock({"chat": with_number(locks.llama_gpu(), "queue_length", -4)}))
    with pytest.raises(WrongInput, match="expected 0 or more, found -4") as stop:
        parse_lock(text, file="llmops.lock")
    assert stop.value.where is not None
    assert stop.value.where.key == "deployments.chat.numbers.queue_length.value"


def test_a_lock_of_a_plan_that_does_not_fit_is_rendered_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    made = locks.llama_cpu()
    tight = replace(made, ledger=replace(made.ledger, host=replace(made.ledger.host, limit_bytes=1)))
    Path("llmops.lock").write_text(dump_lock(locks.lock({"chat": tight})))
    assert llmops(["render", "--out", "tree"]) == 0
    assert "warn  RND010  `chat` was locked although its plan does not fit" in capsys.readouterr().out
