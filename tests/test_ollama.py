"""`plan --engine ollama` and `explain` of `ollama serve`: the same ledger, what the variables mean, and what is unwise."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from explaining import codes, document, text
from headers import measured_model

from llmops.domain.companions import Projector
from llmops.domain.engine import EngineName, Wishes
from llmops.domain.errors import WrongUsage
from llmops.domain.explained import Started
from llmops.domain.model import Companions
from llmops.domain.units import GIB
from llmops.engines import ENGINES
from llmops.engines.ollama_variables import GONE, NAMES, Server, read_server
from llmops.engines.process import engine_process
from llmops.formats import gguf
from llmops.formats.gguf_shape import model_shape
from llmops.formats.lock import dump_lock, parse_lock
from llmops.formats.tiny_model import TINY_NAME, tiny_model
from llmops.sizing.wishes import possible

ROOT = Path(__file__).resolve().parents[1]
FACTS = str(ROOT / "docs/examples/host.json")
PLANNED = (
    "OLLAMA_CONTEXT_LENGTH=8192 OLLAMA_HOST=127.0.0.1:11434 OLLAMA_KEEP_ALIVE=-1 OLLAMA_MAX_LOADED_MODELS=1 "
    "OLLAMA_FLASH_ATTENTION=1 LLAMA_ARG_CACHE_RAM=512"
)

CASES: dict[str, tuple[str, ...]] = {
    "dense": ("qwen3-8b:Q4_K_M", "--gpu", "24GiB"),
    "sliding window": ("gemma-3-12b-it:Q4_K_M", "--gpu", "24GB"),
    "experts": ("qwen3-30b-a3b:Q4_K_M", "--gpu", "24GiB", "--context", "16384", "--parallel", "2"),
    "q8_0 cache": ("qwen3-8b:Q6_K", "--gpu", "12GiB", "--kv-cache-type", "q8_0"),
    "partial offload": (
        "qwen3-8b:Q4_K_M",
        "--gpu",
        "8GiB",
        "--gpu-layers",
        "20",
        "--context",
        "8192",
        "--parallel",
        "1",
    ),
    "three cards": ("qwen3-30b-a3b:Q4_K_M", "--gpu", "10GiB:3", "--context", "16384", "--parallel", "2"),
    "does not fit": ("qwen3-8b:Q4_K_M", "--gpu", "4GiB", "--context", "40960", "--parallel", "8"),
    "CPU only": ("qwen3-4b:Q4_K_M", "--gpu", "none", "--facts", FACTS),
}


def hardware(arguments: tuple[str, ...]) -> list[str]:
    return [word for at, word in enumerate(arguments) if {word, arguments[at - 1]} & {"--gpu", "--facts"}]


@pytest.mark.parametrize("case", CASES)
def test_a_plans_environment_has_the_plans_ledger_and_nothing_to_criticise(case: str) -> None:
    arguments = CASES[case]
    _, planned = document("plan", *arguments, "--engine", "ollama")
    chosen = planned["result"]["plan"]
    model = ("--model", arguments[0].partition(":")[0], "--quantization", chosen["quantization"])

    code, explained = document("explain", *hardware(arguments), *model, "--", *chosen["argv"])

    assert chosen["engine"] == explained["result"]["engine"] == "ollama"
    assert explained["result"]["ledger"] == planned["result"]["ledger"]
    assert code == planned["exit_code"]
    assert codes(explained, "warn", "skip") == ({"EXP069"} if case == "partial offload" else set())
    assert codes(explained, "fail") == (set() if code == 0 else {"EXP010"})
    assert explained["result"]["request_tokens"] == chosen["context_tokens"]


def test_the_ledger_is_the_one_of_the_llama_server_that_is_started() -> None:
    _, ollama = document(
        "plan", "qwen3-8b:Q4_K_M", "--gpu", "24GiB", "--engine", "ollama", "--context", "8192", "--parallel", "2"
    )
    words = "llama-server -m x -c 16384 -np 2 --no-kv-unified -b 1024 -ub 1024 -fa on -fit off --cache-ram 0 -sm none"
    _, direct = document("explain", "--gpu", "24GiB", "--model", "qwen3-8b:Q4_K_M", "--", *shlex.split(words))
    assert (
        ollama["result"]["ledger"]["devices"][0]["total_bytes"]
        == direct["result"]["ledger"]["devices"][0]["total_bytes"]
    )
    assert ollama["result"]["ledger"]["confidence"] == "low"


def explained(words: str, *arguments: str) -> dict[str, Any]:
    return dict(
        document("explain", "--gpu", "24GiB", "--model", "qwen3-8b:Q4_K_M", *arguments, "--", *shlex.split(words))[1]
    )


def test_a_planned_environment_has_no_finding() -> None:
    assert codes(explained(f"{PLANNED} ollama serve")) == set()


def test_without_a_word_the_cards_choose_the_context() -> None:
    found = explained("ollama serve")
    assert found["result"]["request_tokens"] == 32768
    assert {"EXP048", "EXP065", "EXP066", "EXP068"} == codes(found, "warn")


@pytest.mark.parametrize(
    ("variables", "code", "message", "fix"),
    [
        ("OLLAMA_NUM_PARALEL=4", "EXP060", "does not read", "`OLLAMA_NUM_PARALLEL`"),
        ("OLLAMA_NEW_ENGINE=1", "EXP061", "no longer reads", "leave it out"),
        ("OLLAMA_NUM_GPU=20", "EXP061", "no longer reads", "num_gpu"),
        ("OLLAMA_CONTEXT_LENGTH=16k", "EXP062", "cannot be read", "`OLLAMA_CONTEXT_LENGTH=16384`"),
        ("OLLAMA_KEEP_ALIVE=soon", "EXP062", "cannot be read", "30m"),
        ("OLLAMA_HOST=0.0.0.0", "EXP020", "without a key", "127.0.0.1"),
        ("OLLAMA_ORIGINS=*", "EXP023", "every origin", "name the origins"),
        ("OLLAMA_AUTH=1", "EXP064", "protects nothing", "proxy"),
        ("OLLAMA_GPU_OVERHEAD=2147483648", "EXP067", "without regard", "LLAMA_ARG_FIT_TARGET=3072"),
        ("LLAMA_ARG_CTX_SIZE=4096", "EXP063", "no effect", "OLLAMA_CONTEXT_LENGTH"),
        ("OLLAMA_CONTEXT_LENGTH=100000", "EXP042", "40960 of the model", "OLLAMA_CONTEXT_LENGTH=40960"),
        ("OLLAMA_KV_CACHE_TYPE=q9_0", "EXP003", "no type of llama.cpp", "q8_0"),
        (
            "OLLAMA_FLASH_ATTENTION=0 OLLAMA_KV_CACHE_TYPE=q8_0",
            "EXP043",
            "no model would load",
            "OLLAMA_FLASH_ATTENTION=1",
        ),
        ("OLLAMA_DEBUG_LOG_REQUESTS=1", "EXP024", "every prompt", "leave it out"),
    ],
)
def test_a_mistake_is_named_with_its_fix(variables: str, code: str, message: str, fix: str) -> None:
    found = explained(f"{PLANNED} {variables} ollama serve")
    assert codes(found) - {"EXP065", "EXP068"} == {code}  # what cannot be read leaves the default, which is named too
    (one,) = [row for row in found["findings"] if row["code"] == code]
    assert message in one["message"]
    assert fix in one["fix"]


def test_what_has_no_room_is_said_with_the_layers_that_stay_in_ram() -> None:
    found = document(
        "explain", "--gpu", "6GiB", "--model", "qwen3-8b:Q4_K_M", "--", *shlex.split(f"{PLANNED} ollama serve")
    )[1]
    (one,) = [row for row in found["findings"] if row["code"] == "EXP069"]
    in_ram = 37 - found["result"]["settings"]["gpu_layers"]
    assert 0 < in_ram < 37
    assert f"{in_ram} of 37 layers" in one["message"]
    assert found["result"]["ledger"]["devices"][0]["total_bytes"] <= 5 * GIB


def test_experts_that_have_no_room_are_in_ram() -> None:
    found = document(
        "explain", "--gpu", "8GiB:2", "--model", "qwen3-30b-a3b:Q4_K_M", "--", *shlex.split(f"{PLANNED} ollama serve")
    )[1]
    (one,) = [row for row in found["findings"] if row["code"] == "EXP069"]
    assert "the experts (or a part) of" in one["message"]
    for card in found["result"]["ledger"]["devices"]:
        assert 6 * GIB < card["total_bytes"] <= 7 * GIB


def test_at_full_load_the_queue_and_a_second_model_are_explained() -> None:
    sentences = " ".join(
        explained(f"{PLANNED} OLLAMA_NUM_PARALLEL=4 OLLAMA_MAX_QUEUE=64 ollama serve")["result"]["full_load"]
    )
    assert "4 requests at a time, each with 8192 tokens" in sentences
    assert "64 at most; then HTTP 503" in sentences
    assert "waits until this one is idle" in sentences


UNIT = """[Service]
ExecStart=/usr/local/bin/ollama serve
Environment="PATH=/usr/bin" OLLAMA_HOST=0.0.0.0
[Install]
WantedBy=default.target
"""


def test_a_unit_is_read_with_its_drop_in(tmp_path: Path) -> None:
    unit = tmp_path / "ollama.service"
    unit.write_text(UNIT)
    drop_in = tmp_path / "ollama.service.d" / "override.conf"
    drop_in.parent.mkdir()
    drop_in.write_text(
        "[Service]\nEnvironment=OLLAMA_CONTEXT_LENGTH=4096 OLLAMA_NUM_PARALLEL=2 OLLAMA_HOST=127.0.0.1\n"
    )
    _, found = document("explain", "--gpu", "24GiB", "--model", "qwen3-8b:Q4_K_M", str(unit))
    assert found["result"]["settings"]["context_size"] == 8192
    assert found["result"]["settings"]["parallel"] == 2
    assert "EXP020" not in codes(found)


def test_a_compose_service_of_its_image_is_read(tmp_path: Path) -> None:
    compose = tmp_path / "compose.yaml"
    compose.write_text(
        "services:\n  llm:\n    image: ollama/ollama:0.33.0\n    environment:\n"
        "      OLLAMA_CONTEXT_LENGTH: 4096\n      OLLAMA_KV_CACHE_TYPE: q8_0\n      OLLAMA_HOST: 0.0.0.0\n"
    )
    _, found = document("explain", "--gpu", "24GiB", "--model", "qwen3-8b:Q4_K_M", str(compose))
    assert found["result"]["settings"]["kv_cache_type_k"] == "q8_0"
    assert {"EXP020"} <= codes(found)


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        ("ollama serve", {}),
        ("/usr/bin/ollama serve", {}),
        ("env OLLAMA_HOST=127.0.0.1 ollama serve", {"OLLAMA_HOST": "127.0.0.1"}),
        ("docker run --gpus all -e OLLAMA_NUM_PARALLEL=2 ollama/ollama:latest", {"OLLAMA_NUM_PARALLEL": "2"}),
        ("sh -c 'OLLAMA_NUM_PARALLEL=2 exec ollama serve'", {"OLLAMA_NUM_PARALLEL": "2"}),
    ],
)
def test_it_is_found_behind_wrappers(words: str, variables: dict[str, str]) -> None:
    found = engine_process(Started(name="x", argv=tuple(shlex.split(words))))
    assert found is not None
    assert found.engine is EngineName.OLLAMA
    assert found.environment == variables
    assert found.argv == ()


def test_its_other_commands_are_no_server() -> None:
    assert engine_process(Started(name="x", argv=("ollama", "run", "qwen3:8b"))) is None


def test_this_shells_variables_count_and_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_CONTEXT_LENGTH", "12288")
    found = explained("ollama serve")
    assert found["result"]["request_tokens"] == 12288
    assert "EXP006" in codes(found, "warn")


def test_a_lock_round_trips_and_is_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(TINY_NAME).write_bytes(tiny_model())
    code, _ = document("plan", f"./{TINY_NAME}", "--engine", "ollama", "--gpu", "8GiB", "--out", "llmops.lock")
    written = Path("llmops.lock").read_text()
    assert code == 0
    assert dump_lock(parse_lock(written, file="llmops.lock")) == written
    _, by_lock = document("explain", "--gpu", "8GiB", "--lock", "llmops.lock", "--", "ollama", "serve")
    assert by_lock["result"]["ledger"] is not None
    code, _ = document("render", "--out", "tree")
    assert code == 0
    (unit,) = Path("tree/etc/systemd/system").glob("llmops-tiny*.service")
    assert "ollama serve" in unit.read_text()


@pytest.mark.parametrize(
    ("edit", "key"),
    [(("127.0.0.1:8080", "0.0.0.0:8080"), "argv"), (("127.0.0.1:8080", "127.0.0.1:9090"), "numbers.engine_port")],
)
def test_a_lock_edited_in_one_place_is_refused(
    edit: tuple[str, str], key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(TINY_NAME).write_bytes(tiny_model())
    document("plan", f"./{TINY_NAME}", "--engine", "ollama", "--gpu", "8GiB", "--out", "llmops.lock")
    path = Path("llmops.lock")
    path.write_text(path.read_text().replace(*edit))
    code, refused = document("render", "--out", "tree")
    assert code == 3
    assert refused["error"]["where"]["key"].endswith(key)


@pytest.mark.parametrize("option", ["--batch=512", "--ubatch=512", "--kv-unified"])
def test_what_its_server_cannot_be_told_is_refused(option: str) -> None:
    code, refused = document("plan", "qwen3-8b:Q4_K_M", "--gpu", "24GiB", "--engine", "ollama", option)
    assert code == 2
    assert "not said to Ollama" in refused["error"]["message"]


def test_a_family_that_is_served_one_by_one_is_planned_so() -> None:
    file = measured_model("qwen3-8b")
    header = gguf.read_header(file.read, name="model", file_bytes=file.file_bytes)
    shape = replace(model_shape([header], name="model"), architecture="qwen3vl")
    assert possible(Wishes(), engine=ENGINES[EngineName.OLLAMA], shape=shape).parallel == 1
    with pytest.raises(WrongUsage, match="one request at a time"):
        possible(Wishes(parallel=4), engine=ENGINES[EngineName.OLLAMA], shape=shape)


def test_numbers_truth_words_and_durations_are_read_as_go_reads_them() -> None:
    server, _, findings = read_server(
        {
            "OLLAMA_NUM_PARALLEL": ' "3" ',
            "OLLAMA_SCHED_SPREAD": "yes",
            "OLLAMA_KEEP_ALIVE": "1h30m",
            "OLLAMA_MAX_QUEUE": "-1",
        }
    )
    assert (server.parallel, server.spread, server.keep_alive_seconds, server.max_queue) == (3, True, 5400.0, 512)
    assert [one.where.key for one in findings if one.where is not None] == ["OLLAMA_SCHED_SPREAD", "OLLAMA_MAX_QUEUE"]
    assert read_server({"OLLAMA_KEEP_ALIVE": "-1"})[0].keep_alive_seconds == float("inf")
    assert read_server({"OLLAMA_KEEP_ALIVE": "-5m"})[0].keep_alive_seconds == float("inf")


@pytest.mark.parametrize(
    ("value", "address", "port"),
    [
        ("", "127.0.0.1", 11434),
        ("0.0.0.0", "0.0.0.0", 11434),
        (":8080", "", 8080),
        ("https://llm.example", "llm.example", 443),
        ("http://10.0.0.1:99999/x", "10.0.0.1", 80),
        ("[::1]:9000", "::1", 9000),
    ],
)
def test_the_listen_address_is_read_with_scheme_and_port(value: str, address: str, port: int) -> None:
    server = read_server({"OLLAMA_HOST": value})[0]
    assert (server.address, server.port) == (address, port)


def test_no_variable_is_both_read_and_gone() -> None:
    assert not NAMES & GONE.keys()
    assert read_server({})[0] == Server()


def test_the_plan_for_people_shows_the_environment() -> None:
    code, out, _ = text("plan", "qwen3-8b:Q4_K_M", "--gpu", "24GiB", "--engine", "ollama")
    assert code == 0
    assert "OLLAMA_CONTEXT_LENGTH=16384" in out


def test_images_are_not_planned_for_it() -> None:
    file = measured_model("qwen3-8b")
    header = gguf.read_header(file.read, name="model", file_bytes=file.file_bytes)
    beside = Companions(projector=Projector(name="mmproj.gguf", towers=(), tensors=()))
    shape = replace(model_shape([header], name="model"), companions=beside)
    with pytest.raises(WrongUsage, match="not planned for Ollama"):
        possible(Wishes(), engine=ENGINES[EngineName.OLLAMA], shape=shape)
