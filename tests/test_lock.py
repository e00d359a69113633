"""The lock: same decision, same bytes; and nothing in it that `render` or `pull` could not trust."""

import re

import pytest
import strategies
import yaml
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator
from locks import llama_cpu, llama_gpu, lock, vllm_gpu

from llmops.domain.errors import Exit, Stop, WrongInput
from llmops.domain.form_schema import schema
from llmops.domain.forms import dump
from llmops.domain.lock import Lock
from llmops.formats.lock import HEADER, dump_lock, parse_lock

LOCK = lock({"chat": llama_gpu(), "small": llama_cpu(alias="small", port=8081)})
TEXT = dump_lock(LOCK)


def refused(text: str) -> Stop:
    with pytest.raises(WrongInput) as stop:
        parse_lock(text, file="llmops.lock")
    assert stop.value.exit_code is Exit.WRONG_INPUT
    return stop.value


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(made=strategies.locks())
def test_a_lock_reads_back_the_same_and_writes_the_same_bytes(made: Lock) -> None:
    text = dump_lock(made)

    again = parse_lock(text, file="llmops.lock")

    assert again == made
    assert dump_lock(again) == text
    assert yaml.safe_load(text) == dump(made)


@pytest.mark.parametrize("made", [LOCK, lock({"chat": vllm_gpu()}), lock({"chat": llama_cpu()})])
def test_locks_of_real_plans_read_back_the_same_and_fit_the_schema(made: Lock) -> None:
    text = dump_lock(made)

    assert parse_lock(text, file="llmops.lock") == made
    assert Draft202012Validator(schema(Lock, title="lock")).is_valid(yaml.safe_load(text))


def test_a_lock_is_read_by_people_keys_in_fixed_order_and_words_of_the_command_line_together() -> None:
    lines = TEXT.splitlines()
    top = [line.partition(":")[0] for line in lines if line[0].isalpha()]

    assert TEXT.startswith(HEADER)
    assert top == [
        *("schema", "made_by", "profile_digest", "facts_digest", "host", "serve", "observe", "targets", "change"),
        "deployments",
    ]
    assert "      slots: {value: 2, rule: --parallel}" in lines
    assert any(line.strip().startswith('llama-server, -m, "{model}", --alias, chat') for line in lines)
    assert all(len(line) <= 120 for line in lines)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("body_limit_bytes", 0, "expected 1 or more"),  # to nginx: without a limit
        ("queue_timeout_seconds", 0, "expected 1 or more"),  # to HAProxy: for ever
        ("gateway_timeout_seconds", 2_147_484, "expected at most 2147483"),
        ("connections_per_key", 65_536, "expected at most 65535"),
    ],
)
def test_a_figure_that_a_consumer_takes_for_no_limit_or_refuses_is_refused(name: str, value: int, message: str) -> None:
    stop = refused(re.sub(rf"({name}: {{value: )\d+", rf"\g<1>{value}", TEXT, count=1))
    assert message in stop.message
    assert stop.where is not None
    assert name in (stop.where.key or "")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("llmops.lock/2", "llmops.lock/3", "made for a newer llmops"),
        ("llmops.lock/2", "llmops.profile/1", "not a llmops.lock document"),
        ("Qwen3-1.7B-Q8_0.gguf", "../../etc/passwd", "an unsafe file name"),
        ("Qwen3-1.7B-Q8_0.gguf", "/etc/passwd", "an unsafe file name"),
        ("Qwen3-1.7B-Q8_0.gguf", '"a\\\\b"', "an unsafe file name"),
        ("Qwen3-1.7B-Q8_0.gguf", "-rf", "an unsafe file name"),
        ("Qwen3-1.7B-Q8_0.gguf", "a//b", "an unsafe file name"),
        ("Qwen3-1.7B-Q8_0.gguf", "a" * 300, "an unsafe file name"),
        ("6" * 64, "6" * 63, "expected 64 lower-case hex digits"),
        ("6" * 64, "A" * 64, "expected 64 lower-case hex digits"),
        ("Qwen/Qwen3-1.7B-GGUF\n", "../x\n", "is not a repository"),
        ('"90862c4b9d2787eaed51d12237eafdfe7c5f6077"', '"a/b"', "is not a commit"),
        ("bytes: 1834426016", "bytes: -1", "a negative size"),
        ("--no-ui", '"a\\nExecStartPre=x"', "control character"),
        ("{value: 8081,", "{value: 8080,", "the port 8080 is also that of `chat`"),
        ("{value: 8081,", "{value: 99999,", "no port has the number 99999"),
        ("  small:\n", "  Small:\n", "cannot be a deployment's name"),
        ("fallback: []", "fallback: [nobody]", "no other deployment is called `nobody`"),
        ("total_bytes: ", "total_bytes: 1", "`total_bytes` is 1"),
        ("fits: true", "fits: false", "`fits` is False"),
        ("    argv:", "    agrv:", "unknown key `agrv`"),
        ("parallel: 2", "parallel: 0", "expected more than 0"),
        ('listen: "127.0.0.1:8443"', "listen: everywhere", "cannot be listened on"),
        ("      engine: llama.cpp", "      engine: vllm", "settings of `vllm`"),
    ],
)
def test_a_damaged_lock_is_refused_with_its_line(old: str, new: str, message: str) -> None:
    assert old in TEXT

    stop = refused(TEXT.replace(old, new, 1))

    assert message in stop.message
    assert stop.where is not None
    assert (stop.where.line or 0) > 1
    assert stop.hint is not None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("NVIDIA GeForce RTX 4090", "cuda"),
        ("80GiB", "cuda"),
        ("AMD Radeon RX 7900 XTX", "rocm"),
        ("MI300X Instinct", "rocm"),
        ("Apple M3 Ultra", "metal"),
        ("Intel Arc B580", "other"),
    ],
)
def test_a_lock_of_the_first_version_is_read_with_the_kind_of_its_cards(name: str, kind: str) -> None:
    first = TEXT.replace("llmops.lock/2", "llmops.lock/1").replace("NVIDIA GeForce RTX 4090", name)
    first = re.sub(r"kind: cuda,?\s+", "", first)
    first = re.sub(r"^    binding: null\n", "", first, flags=re.MULTILINE)
    assert "kind: cuda" not in first

    read = parse_lock(first, file="llmops.lock")

    assert [card.kind.value for card in read.deployments["chat"].devices] == [kind]
    assert read.schema == "llmops.lock/2"


@pytest.mark.parametrize("devices", ["3", "[3]", "[[]]", "null"])
def test_a_lock_of_the_first_version_with_cards_that_are_none_is_refused_as_any_other(devices: str) -> None:
    first = re.sub(r"    devices: \[\]", f"    devices: {devices}", TEXT.replace("llmops.lock/2", "llmops.lock/1"))
    assert first != TEXT
    assert "expected" in refused(first).message


def test_an_empty_command_line_is_refused() -> None:
    start = TEXT.index("    argv: [")
    end = TEXT.index("]", start) + 1

    assert refused(TEXT[:start] + "    argv: []" + TEXT[end:]).message == "an empty command line"


def test_a_half_written_lock_is_refused_wherever_it_ends() -> None:
    for share in range(1, 20):
        part = TEXT[: len(TEXT) * share // 20]
        assert refused(part).message


def test_a_lock_without_deployments_is_refused() -> None:
    start = TEXT.index("deployments:")

    assert refused(TEXT[:start] + "deployments: {}\n").message == "no deployment"
