"""What is rendered is what is read back, and what the real server accepts."""

import contextlib
import subprocess
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.domain.engine import EngineName, EngineSettings, FlashAttention
from llmops.domain.errors import WrongInput
from llmops.domain.units import MIB
from llmops.engines import ENGINES, llama_cpp
from llmops.formats.tiny_model import TINY_NAME, tiny_model

CPU = EngineSettings(engine=EngineName.LLAMA_CPP, context_size=2048, parallel=4, use_gpu=False, gpu_layers=0)
CACHE_TYPES = st.sampled_from(["f16", "q8_0", "q4_0", "bf16"])
SETTINGS = st.builds(
    EngineSettings,
    engine=st.just(EngineName.LLAMA_CPP),
    context_size=st.integers(256, 1 << 20),
    parallel=st.integers(1, 256),
    kv_unified=st.booleans(),
    kv_cache_type_k=CACHE_TYPES,
    kv_cache_type_v=CACHE_TYPES,
    batch_tokens=st.integers(32, 8192),
    ubatch_tokens=st.integers(32, 4096),
    flash_attention=st.sampled_from(FlashAttention),
    gpu_layers=st.none() | st.integers(1, 200),
    tensor_split=st.lists(st.integers(1, 99).map(float) | st.floats(0.01, 9), max_size=4).map(tuple),
    cache_ram_bytes=st.integers(0, 65536).map(lambda mebibytes: mebibytes * MIB),
    kv_offload=st.booleans(),
    cpu_moe_layers=st.integers(0, 99),
    swa_full=st.booleans(),
    load_mode=st.sampled_from(["none", "mmap", "mlock", "mmap+mlock", "dio"]),
    split_mode=st.sampled_from(["none", "layer"]),
)


@given(settings=SETTINGS)
def test_settings_read_back_from_their_command_line_are_the_same(settings: EngineSettings) -> None:
    assert llama_cpp.settings(llama_cpp.argv(settings, alias="chat", port=8080, threads=4)) == settings


def test_settings_of_a_cpu_plan_read_back() -> None:
    assert llama_cpp.settings(llama_cpp.argv(CPU, alias="chat", port=8080, threads=None)) == CPU


def test_the_command_line_states_everything_that_opens_a_door_or_takes_memory() -> None:
    line = llama_cpp.argv(replace(CPU, tensor_split=(3.0, 1.0)), alias="chat", port=8080, threads=8)
    text = " ".join(line)
    for part in (
        "-m {model}", "--alias chat", "--host 127.0.0.1", "--port 8080", "--api-key-file {credentials}/engine-key",
        "--no-ui", "--no-slots", "--metrics", "--offline", "-c 2048 -np 4 --no-kv-unified", "-b 2048 -ub 512", "-fit off",
        "-fa on", "-ctk f16 -ctv f16", "--cache-ram 0", "-lm mmap", "--timeout", "--threads 8", "--cors-origins",
        "--no-context-shift", "--device none",
    ):  # fmt: skip
        assert part in text
    assert "--api-key " not in text


def test_several_cards_get_their_split_and_one_card_none() -> None:
    on_cards = replace(CPU, use_gpu=True, gpu_layers=None)
    two = llama_cpp.argv(replace(on_cards, tensor_split=(17.0, 16.0)), alias="chat", port=8080, threads=None)
    one = llama_cpp.argv(replace(on_cards, split_mode="none"), alias="chat", port=8080, threads=None)
    assert "-ngl all -sm layer -ts 17,16" in " ".join(two)
    assert "-ngl all -sm none -fit" in " ".join(one)


def test_slots_left_to_the_server_are_four_in_one_pool() -> None:
    read = llama_cpp.settings(["llama-server", "-m", "x.gguf", "-c", "32768"])
    assert (read.parallel, read.kv_unified, read.request_tokens()) == (4, True, 32768)


def test_slots_that_are_given_split_the_pool() -> None:
    read = llama_cpp.settings(["llama-server", "-m", "x.gguf", "-c", "32768", "-np", "4"])
    assert (read.parallel, read.kv_unified, read.request_tokens()) == (4, False, 8192)


def test_the_defaults_are_the_servers() -> None:
    read = llama_cpp.settings(["llama-server", "-m", "x.gguf"])
    assert (read.context_size, read.batch_tokens, read.ubatch_tokens, read.gpu_layers) == (0, 2048, 512, None)
    assert (read.flash_attention, read.cache_ram_bytes, read.load_mode) == (FlashAttention.AUTO, 8192 * MIB, "mmap")


def test_slots_left_to_the_server_share_one_pool_whatever_is_asked() -> None:
    assert llama_cpp.settings(["llama-server", "-m", "x.gguf", "--no-kv-unified"]).kv_unified is True


def test_a_number_is_what_its_first_digits_say() -> None:
    assert llama_cpp.settings(["llama-server", "-m", "x.gguf", "-c", "16k"]).context_size == 16


def test_a_pool_by_slot_is_multiplied() -> None:
    read = llama_cpp.settings(["llama-server", "-m", "x.gguf", "-np", "3", "--kv-unified-per-slot", "4096"])
    assert (read.context_size, read.kv_unified) == (12288, False)


def test_underscores_are_dashes_and_the_last_one_counts() -> None:
    assert llama_cpp.settings(["llama-server", "--ctx_size", "512", "-c", "1024"]).context_size == 1024


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        (["--mlock"], "no longer has `--mlock`", "`--load-mode mlock`"),
        (["--no-mmap"], "no longer has `--no-mmap`", "`--load-mode none`"),
        (["--draft-max", "4"], "no longer has `--draft-max`", "--spec-draft-n-max"),
        (["--sliding-window"], "no longer has", "leave it out"),
        (["--ctx-sise", "4096"], "does not know `--ctx-sise`", "`--ctx-size`"),
        (["--ctx-size=4096"], "has no `--ctx-size=…` form", "`--ctx-size 4096`"),
        (["-c"], "`-c` needs a value", None),
        (["-c", "many"], "takes a whole number, not `many`", None),
        (["-fa", "-c", "4096"], "swallows the next word `-c`", "`-fa on`"),
        (["-np", "0"], "not within 1 to 256", None),
        (["-np", "300"], "not within 1 to 256", None),
        (["-ctk", "q3_0"], "does not take `q3_0`", "one of"),
        (["-ts", "1,x"], "takes numbers", None),
        (["-ts", "1,inf"], "without bound", None),
        (["-ts", "0x1p99999,1"], "without bound", None),
        (["-ts", "1e-99999,1"], "takes numbers", None),
    ],
)
def test_a_line_that_would_not_start_says_what_and_todays_form(line: list[str], message: str, hint: str | None) -> None:
    with pytest.raises(WrongInput) as stopped:
        llama_cpp.settings(["llama-server", "-m", "x.gguf", *line])
    assert message in stopped.value.message
    if hint is not None:
        assert hint in (stopped.value.hint or "")


@given(words=st.lists(st.text(max_size=12), max_size=6))
def test_any_words_are_settings_or_a_wrong_input(words: list[str]) -> None:
    slots = 4
    with contextlib.suppress(WrongInput):
        slots = llama_cpp.settings(["llama-server", *words]).parallel
    assert 1 <= slots <= 256


def test_every_engine_is_in_the_table_under_its_name() -> None:
    assert all(name is engine.NAME for name, engine in ENGINES.items())


@pytest.mark.consumer("llama-server")
def test_the_real_server_starts_with_exactly_this_line(llama_server: Path, tmp_path: Path) -> None:
    model = tmp_path / TINY_NAME
    model.write_bytes(tiny_model())
    (tmp_path / "engine-key").write_text("a-key-for-this-test\n")
    port = 18437
    places = {"{model}": str(model), "{credentials}": str(tmp_path)}
    line = list(llama_cpp.argv(CPU, alias="tiny", port=port, threads=2))
    for mark, place in places.items():
        line = [word.replace(mark, place) for word in line]
    with subprocess.Popen([llama_server, *line[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
        try:
            assert wait_for(f"http://127.0.0.1:{port}/health") == b'{"status":"ok"}'
        finally:
            server.terminate()
            said, _ = server.communicate(timeout=20)
    assert server.returncode == 0, said.decode(errors="replace")[-2000:]


def wait_for(url: str) -> bytes:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bytes(answer.read())
        except OSError:
            time.sleep(0.05)
    return b"no answer in 30 s"
