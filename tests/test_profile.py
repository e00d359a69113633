"""The profile: what a person writes, and every mistake with its line."""

from pathlib import Path

import pytest
import strategies
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmops.domain.errors import Exit, Stop, WrongInput, WrongUsage
from llmops.domain.forms import Json
from llmops.domain.profile import Auto, EngineChoice, Gateway, Intent, Profile, SelfSigned, WorkloadClass
from llmops.domain.units import GIB, size_bytes
from llmops.formats.profile import dump_profile, parse_profile, profile_digest, with_model
from llmops.formats.yaml_text import LIMIT_BYTES, read_yaml
from llmops.formats.yaml_writing import write_yaml

FULL = (Path(__file__).parent / "recorded" / "profile" / "full.yaml").read_text()
SHORT = 'schema: llmops.profile/1\ndeployments:\n  chat: {model: "hf:org/name-GGUF"}\n'


def refused(text: str) -> Stop:
    with pytest.raises(WrongInput) as stop:
        parse_profile(text, file="llmops.yaml")
    assert stop.value.exit_code is Exit.WRONG_INPUT
    assert stop.value.where is not None
    assert stop.value.where.file == "llmops.yaml"
    return stop.value


def changed(old: str, new: str) -> Stop:
    assert FULL.count(old) >= 1
    return refused(FULL.replace(old, new, 1))


def line_of(text: str) -> int:
    return next(at for at, line in enumerate(FULL.splitlines(), start=1) if text in line)


def test_the_shortest_profile_has_a_default_for_everything_else() -> None:
    profile = parse_profile(SHORT, file="llmops.yaml")

    assert profile == Profile(deployments={"chat": Intent(model="hf:org/name-GGUF")})


def test_the_full_profile_is_read_as_it_is_written() -> None:
    profile = parse_profile(FULL, file="llmops.yaml")

    chat = profile.deployments["chat"]
    assert chat.model == "hf:org/name-GGUF:Q4_K_M"
    assert chat.engine is EngineChoice.AUTO
    assert (chat.workload.context_tokens, chat.workload.parallel) == (16384, Auto.AUTO)
    assert chat.workload.class_ is WorkloadClass.INTERACTIVE
    assert chat.slo.tpot_p95_seconds == 0.05
    assert chat.fallback == ("small",)
    assert profile.serve.tls is SelfSigned.SELF_SIGNED
    assert profile.serve.gateway is Gateway.HAPROXY
    assert profile.targets == ("systemd", "env", "nginx", "haproxy", "prometheus")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(profile=strategies.profiles())
def test_a_written_profile_reads_back_the_same(profile: Profile) -> None:
    text = dump_profile(profile)

    again = parse_profile(text, file="llmops.yaml")

    assert again == profile
    assert dump_profile(again) == text
    assert profile_digest(again) == profile_digest(profile)


def test_what_equals_its_default_is_not_written() -> None:
    profile = parse_profile(SHORT, file="llmops.yaml")

    assert dump_profile(
        profile
    ) == "schema: llmops.profile/1\ndeployments: {chat: {model: hf:org/name-GGUF}}\n".replace(
        "deployments: {chat: {model: hf:org/name-GGUF}}", "deployments: {chat: {model: hf:org/name-GGUF}}"
    )


def test_the_digest_is_of_what_is_said_not_of_how() -> None:
    plain = profile_digest(parse_profile(SHORT, file="a"))
    spelt_out = SHORT + "serve: {listen: '127.0.0.1:8443'}  # as by default\n"
    other = SHORT.replace("name-GGUF", "other-GGUF")

    assert profile_digest(parse_profile(spelt_out, file="b")) == plain
    assert profile_digest(parse_profile(other, file="c")) != plain
    assert plain.startswith("sha256:")


def test_a_misspelt_key_has_its_line_and_the_likely_word() -> None:
    stop = changed("    workload:", "    wrokload:")

    assert stop.message == "unknown key `wrokload`"
    assert stop.where is not None
    assert (stop.where.line, stop.where.key) == (line_of("    workload:"), "deployments.chat.wrokload")
    assert stop.hint == "did you mean `workload`?"


@pytest.mark.parametrize(
    ("old", "new", "message", "key"),
    [
        ("engine: auto", "engine: lama.cpp", "`lama.cpp` is not one of", "deployments.chat.engine"),
        (
            "parallel: auto",
            "parallel: autoo",
            "expected a whole number or `auto`",
            "deployments.chat.workload.parallel",
        ),
        ("context_tokens: 16384", "context_tokens: 0", "more than 0", "deployments.chat.workload.context_tokens"),
        ("1GiB", "1G", "`1G` is not a size", "deployments.chat.limits.gpu_memory_reserve"),
        ("[f16, q8_0]", "[]", "no kind of KV cache", "deployments.chat.limits.kv_cache_type"),
        ("fallback: [small]", "fallback: [smal]", "no deployment is called `smal`", "deployments.chat.fallback[0]"),
        ("fallback: [small]", "fallback: [chat]", "its own fallback", "deployments.chat.fallback[0]"),
        ('"127.0.0.1:8443"', '"0.0.0.0"', "cannot be listened on", "serve.listen"),
        ('"127.0.0.1:8443"', '"127.0.0.1:99999"', "cannot be listened on", "serve.listen"),
        ('"127.0.0.1:8443"', '"a b:1"', "cannot be listened on", "serve.listen"),
        ('"127.0.0.1:8443"', '"::1:8443"', "cannot be listened on", "serve.listen"),
        ("llm.example.internal", '"a;b"', "not a host name", "serve.hostname"),
        ("tls: self_signed", "tls: {certificate: x, key: /y}", "not a full path", "serve.tls.certificate"),
        ("max_waiting: auto", "max_waiting: 70000", "expected at most 10000", "serve.queue.max_waiting"),
        ("burst: 20", "burst: -1", "expected 0 or more", "serve.rate_limit.burst"),
        ("freeze: []", "freeze: [2026-02-30/2026-03-01]", "not a span of days", "change.freeze[0]"),
        ("freeze: []", "freeze: [2026-03-02/2026-03-01]", "not a span of days", "change.freeze[0]"),
        ("nginx, haproxy", "ngnix, haproxy", "no target `ngnix`", "targets[2]"),
        ("nginx, haproxy", "nginx, nginx", "listed twice", "targets[3]"),
        ("gpus: all", "gpus: [0, 0]", "listed twice", "host.gpus[1]"),
        ("gpus: all", "gpus: [-1]", "no card has the number -1", "host.gpus[0]"),
        ("gpus: all", "gpus: [first]", "not a card's UUID", "host.gpus[0]"),
        ("profile/1", "profile/2", "made for a newer llmops", "schema"),
        ("llmops.profile/1", "llmops.lock/1", "not a llmops.profile document", "schema"),
        ("  chat:", "  Chat_1:", "cannot be a deployment's name", "deployments.Chat_1"),
        ("  chat:", "  gateway:", "cannot be a deployment's name", "deployments.gateway"),
        ("  chat:", "  metrics:", "cannot be a deployment's name", "deployments.metrics"),
        ("  chat:", f"  {'c' * 25}:", "cannot be a deployment's name", f"deployments.{'c' * 25}"),
        ('"hf:org/name-GGUF:Q4_K_M"', '"a\\nb"', "control character (U+000A)", "deployments.chat.model"),
        ('"hf:org/name-GGUF:Q4_K_M"', "[]", "no model is named", "deployments.chat.model"),
        ("prometheus: true", "prometheus: yes", "expected true or false", "observe.prometheus"),
        (
            "fallback_api: null",
            "fallback_api: {url: x, model: y, key_credential: z}",
            "not the address of an API",
            "serve.fallback_api.url",
        ),
        (
            "fallback_api: null",
            "fallback_api: {url: 'http://api.example/v1', model: y, key_credential: z}",
            "not the address of an API",
            "serve.fallback_api.url",
        ),
        (
            "fallback_api: null",
            "fallback_api: {url: 'https://api.example/../v1', model: y, key_credential: z}",
            "not the address of an API",
            "serve.fallback_api.url",
        ),
        (
            "fallback_api: null",
            "fallback_api: {url: 'https://api.example/v1', model: y, key_credential: ../ca.key}",
            "not a credential's name",
            "serve.fallback_api.key_credential",
        ),
        (
            "fallback_api: null",
            "fallback_api: {url: 'https://api.example/v1', model: '', key_credential: z}",
            "cannot be a model's name",
            "serve.fallback_api.model",
        ),
        ("fallback_api: null", "client_ca: relative.crt", "not a full path", "serve.client_ca"),
    ],
)
def test_a_wrong_value_has_line_and_key(old: str, new: str, message: str, key: str) -> None:
    stop = changed(old, new)

    assert message in stop.message
    assert stop.where is not None
    assert (stop.where.line, stop.where.key) == (line_of(old), key)


def test_prompt_and_output_are_given_together_and_instead_of_the_context() -> None:
    half = SHORT.replace('name-GGUF"', 'name-GGUF", workload: {prompt_tokens_p95: 10}')
    both = SHORT.replace(
        'name-GGUF"', 'name-GGUF", workload: {prompt_tokens_p95: 10, output_tokens_p95: 10, context_tokens: 99}'
    )

    assert "`output_tokens_p95` is missing" in refused(half).message
    assert "not both" in refused(both).message


def test_a_profile_without_deployments_says_what_to_write() -> None:
    stop = refused("schema: llmops.profile/1\ndeployments: {}\n")

    assert stop.message == "no deployment"
    assert "model" in (stop.hint or "")


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("", "the file is empty", None),
        ("# nothing\n", "the file is empty", None),
        ("- 1\n", "expected a table of keys", 1),
        ("a: 1\n", "the key `schema` is missing", 1),
        ("a: b: c\n", "mapping values are not allowed", 1),
        ("a:\n\tb: 1\n", "cannot start any token", 2),
        ("a: 1\nb: [\n", "not YAML", 3),
        ("a: 1\na: 2\n", "the key `a` is here a second time, first on line 1", 2),
        ("1: a\n", "a key must be text", 1),
        ("~: a\n", "a key must be text", 1),
        ("? [a]\n: b\n", "a key must be plain text", 1),
        ("a: !!python/object/apply:os.system [id]\n", "the tag", 1),
        ("a: !secret x\n", "the tag", 1),
        ("<<: {a: 1}\n", "merge keys", 1),
        ("a: *b\n", "names nothing above it", 1),
        ("a: &b [*b]\n", "inside of what it names", 1),
        ("a: 1\n---\nb: 1\n", "a second document", 2),
        ("a: 1e999\n", "a number out of range", 1),
        ("a: 99999999999999999999999\n", "a number out of range", 1),
        ("a: .nan\n", "a number out of range", 1),
        ("a: x\x00y\n", "a character that YAML does not allow: U+0000", 1),
        ("a: 1\nb: \x1b[31m\n", "a character that YAML does not allow: U+001B", 2),
        ("a: " + "[" * 100_000, "nested more than", 1),
        ("%YAML 9.0\n---\na: 1\n", "incompatible YAML document", 1),
        ("a: x\n" + "#" * LIMIT_BYTES, "larger than 1 MiB", None),
    ],
)
def test_hostile_or_broken_yaml_is_refused_with_its_line(text: str, message: str, line: int | None) -> None:
    stop = refused(text)

    assert message in stop.message
    assert stop.where is not None
    assert stop.where.line == line


def test_aliases_are_read_but_not_multiplied() -> None:
    shared = (
        "schema: llmops.profile/1\ndeployments:\n"
        "  a: {model: x, workload: &w {context_tokens: 4096}}\n  b: {model: y, workload: *w}\n"
    )
    bomb = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcde", "bcdef", strict=True)
    )

    profile = parse_profile(shared, file="llmops.yaml")

    assert profile.deployments["b"].workload.context_tokens == 4096
    assert "aliases expanded" in refused(bomb).message


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=60) | st.text("ab:-[]{}#&*!|>'\"%@\n ,?~01.", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    reason = "read"
    try:
        parse_profile(text, file="llmops.yaml")
    except WrongInput as stop:
        reason = stop.message

    assert reason.isprintable()


@settings(max_examples=200, deadline=None)
@given(data=strategies.DOCUMENTS)
def test_what_is_written_reads_back_here_and_in_a_reader_of_yaml_1_1(data: dict[str, Json]) -> None:
    text = write_yaml(data) if data else "{}\n"

    assert read_yaml(text, file="x").data == data
    assert yaml.safe_load(text) == data
    assert write_yaml(data or {}) == write_yaml(data or {})


@pytest.mark.parametrize(
    "word",
    [
        *("on", "No", "y", "null", "~", "1_000", "1:30", "2026-01-01", "1e5", "0x1f", ".5", "007", "0o7", "+1", ".inf"),
        *(
            "- a",
            "a: b",
            "a #b",
            "",
            " a",
            "=",
            "<<",
            "{model}",
            "&a",
            "*a",
            "!a",
            "%a",
            "@a",
            "`a",
            "a:",
            "'a'",
            "-",
            "--",
        ),
    ],
)
def test_text_that_looks_like_something_else_stays_text(word: str) -> None:
    data: dict[str, Json] = {"block": word, "flow": [word, {"key": word}], word or "empty": 1}

    text = write_yaml(data)

    assert read_yaml(text, file="x").data == data
    assert yaml.safe_load(text) == data


def test_the_model_of_a_profile_is_replaced_and_the_comments_stay() -> None:
    text = '# why\nschema: llmops.profile/1\ndeployments:\n  chat:\n    model: "a/b"   # the model\n    engine: auto\n'

    made = with_model(text, 'odd "name" #1', file="chat.yaml")

    assert parse_profile(made, file="x").deployments["chat"].model == 'odd "name" #1'
    assert made.startswith("# why\n")
    assert "   # the model\n" in made


def test_one_model_for_two_deployments_is_a_contradiction() -> None:
    with pytest.raises(WrongUsage, match="several deployments"):
        with_model(FULL, "x", file="full.yaml")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("24GiB", 24 * GIB),
        ("24 GB", 24_000_000_000),
        ("24000mib", 24000 << 20),
        ("1.5GiB", 3 * GIB // 2),
        ("0.1GB", 100_000_000),
        ("999999999999TiB", 999_999_999_999 << 40),
        ("24", None),
        ("24G", None),
        ("24ib", None),
        ("-1GiB", None),
        ("٣GiB", None),
        ("1e3GiB", None),
        ("9" * 400 + "GiB", None),
    ],
)
def test_a_size_has_a_unit_that_means_one_thing(text: str, size: int | None) -> None:
    assert size_bytes(text) == size
