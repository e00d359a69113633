"""Smoke against a server that does one thing wrong, and against none."""

import json
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import locks
import pytest
from stub_engine import KEY, MODEL, StubEngine, seconds_of

from llmops.cli.smoke import Options, run
from llmops.domain.errors import OutsideWorld, WrongInput, WrongUsage
from llmops.domain.finding import Status
from llmops.domain.measurement import Measurement
from llmops.formats.lock import dump_lock
from llmops.serve.address import parse
from llmops.serve.codes import SCORES, SMOKE_CHECKS, VECTORS
from llmops.serve.smoke import smoke

ALL = {check.code for check in SMOKE_CHECKS} - {VECTORS.code, SCORES.code}
"""Of a chat."""


def asked(
    fault: str = "", *, key: str | None = KEY, model: str | None = MODEL, server_key: str | None = KEY
) -> Measurement:
    with StubEngine(key=server_key, fault=fault) as stub:
        return smoke(stub.url, model=model, key=key, timeout_seconds=5)


def statuses(measurement: Measurement) -> dict[str, Status]:
    found = {finding.code: finding.status for finding in measurement.findings}
    assert len(found) == len(measurement.findings), "a code occurs twice"
    return found


def message(measurement: Measurement, code: str) -> str:
    return next(finding.message for finding in measurement.findings if finding.code == code)


def test_a_good_server_gets_nine_times_ok_and_its_times() -> None:
    measurement = asked()
    assert statuses(measurement) == dict.fromkeys(ALL, Status.OK)
    assert measurement.model == MODEL
    assert measurement.streamed_chunks == 16
    assert measurement.time_to_first_token_seconds is not None
    assert measurement.total_seconds is not None
    assert 0 < measurement.time_to_first_token_seconds <= measurement.total_seconds < 5


def test_the_key_is_sent_in_two_of_six_requests_and_never_followed_by_a_redirect() -> None:
    with StubEngine() as stub:
        smoke(stub.url, model=MODEL, key=KEY, timeout_seconds=5)
        with_key = [(method, path) for method, path, authorization in stub.seen if authorization == f"Bearer {KEY}"]
    assert with_key == [("GET", "/v1/models"), ("POST", "/v1/chat/completions")]
    assert len(stub.seen) == 6


@pytest.mark.parametrize(
    ("fault", "code", "status", "words"),
    [
        ("loading", "SMK001", Status.FAIL, "still being loaded"),
        ("open", "SMK003", Status.FAIL, "served without the key"),
        ("models-open", "SMK003", Status.WARN, "the list of models is not"),
        ("any-key", "SMK004", Status.FAIL, "a wrong key is accepted"),
        ("bad-gateway", "SMK005", Status.FAIL, "answers 502"),
        ("rate-limit", "SMK005", Status.FAIL, "answers 429: rate limit"),
        ("not-found", "SMK005", Status.FAIL, "answers 404"),
        ("html", "SMK005", Status.FAIL, "text/html, and it holds no list"),
        ("no-list", "SMK005", Status.FAIL, "holds no list"),
        ("redirect", "SMK005", Status.FAIL, "not followed"),
        ("silent", "SMK003", Status.FAIL, "without an answer"),
        ("garbage", "SMK003", Status.FAIL, "does not answer in HTTP"),
        ("one-event", "SMK007", Status.FAIL, "in one event"),
        ("not-a-stream", "SMK007", Status.FAIL, "application/json instead of text/event-stream"),
        ("no-text", "SMK007", Status.FAIL, "holds no text"),
        ("bad-json", "SMK007", Status.FAIL, "not JSON"),
        ("error-event", "SMK007", Status.FAIL, "context shift is disabled"),
        ("endless-event", "SMK007", Status.FAIL, "does not end"),
        ("cut", "SMK007", Status.FAIL, "in the middle"),
        ("buffered", "SMK007", Status.WARN, "holds it back"),
        ("no-done", "SMK008", Status.FAIL, "without [DONE]"),
        ("no-finish", "SMK008", Status.FAIL, "without a finish reason"),
        ("no-usage", "SMK009", Status.WARN, "no token counts"),
    ],
)
def test_each_fault_is_found_by_its_own_question(fault: str, code: str, status: Status, words: str) -> None:
    measurement = asked(fault)
    found = statuses(measurement)
    assert found[code] is status
    assert words in message(measurement, code)
    others = {other for other, judged in found.items() if judged is not Status.OK} - {code}
    assert others <= {"SMK004"} if fault == "open" else not others


@pytest.mark.parametrize("harmless", ["keep-alives", "thinking"])
def test_keep_alives_and_a_model_that_thinks_are_fine(harmless: str) -> None:
    assert set(statuses(asked(harmless)).values()) == {Status.OK}


@pytest.mark.parametrize("fault", ["stall", "drip"])
def test_a_stream_that_never_ends_is_left_after_the_time_limit(fault: str) -> None:
    with StubEngine(fault=fault) as stub:
        made: list[Measurement] = []
        seconds = seconds_of(lambda: made.append(smoke(stub.url, model=MODEL, key=KEY, timeout_seconds=0.6)))
    assert statuses(made[0])["SMK007"] is Status.FAIL
    assert "within 0.6 s" in message(made[0], "SMK007")
    assert seconds < 5


def test_another_model_than_the_expected_one_is_an_honest_no() -> None:
    measurement = asked(model="llama-3.1-8b")
    assert statuses(measurement)["SMK006"] is Status.FAIL
    assert message(measurement, "SMK006") == f"it serves {MODEL}, not llama-3.1-8b"


def test_without_an_expected_model_it_says_what_is_served_and_does_not_judge() -> None:
    measurement = asked(model=None)
    assert statuses(measurement)["SMK006"] is Status.SKIP
    assert MODEL in message(measurement, "SMK006")


def test_a_server_that_asks_for_no_key_is_warned_of() -> None:
    found = statuses(asked(key=None, server_key=None))
    assert found["SMK003"] is Status.WARN
    assert found["SMK007"] is Status.OK
    assert "SMK004" not in found


def test_a_wrong_key_of_ours_is_a_finding_with_the_way_out() -> None:
    with StubEngine() as stub:
        measurement = smoke(stub.url, model=MODEL, key="sk-not-this-one", timeout_seconds=5)
        without = smoke(stub.url, model=MODEL, key=None, timeout_seconds=5)
    assert statuses(measurement)["SMK005"] is Status.FAIL
    assert measurement.findings[-1].fix == "is it the right key?"
    assert without.findings[-1].fix == "it asks for a key: --key-file FILE, or LLMOPS_API_KEY"


def test_the_key_is_in_no_finding_even_where_the_server_repeats_it() -> None:
    measurement = asked("echo-key")
    assert statuses(measurement)["SMK005"] is Status.FAIL
    assert "[the key]" in message(measurement, "SMK005")
    assert KEY not in repr(measurement)
    assert "\x1b" not in repr(measurement).encode().decode("unicode_escape", "ignore")


def test_nothing_that_listens_is_the_outside_world() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(OutsideWorld, match=f"nothing listens on 127.0.0.1:{port}"):
            smoke(f"http://127.0.0.1:{port}", model=None, key=None, timeout_seconds=5)


def test_a_port_that_never_answers_is_the_outside_world_within_the_time_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        with pytest.raises(OutsideWorld, match=r"within 0\.3 s"):
            smoke(f"http://127.0.0.1:{port}", model=None, key=None, timeout_seconds=0.3)


def test_a_host_name_that_does_not_exist_is_the_outside_world() -> None:
    with pytest.raises(OutsideWorld, match=r"`nowhere\.invalid` cannot be resolved"):
        smoke("http://nowhere.invalid:1", model=None, key=None, timeout_seconds=5)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    directory = tmp_path_factory.mktemp("tls")
    certificate, key = directory / "tls.crt", directory / "tls.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


@pytest.mark.consumer("openssl")
def test_an_edge_with_its_own_authority_is_trusted_with_ca_only(certificate: tuple[Path, Path]) -> None:
    with StubEngine(certificate=certificate) as stub:
        measurement = smoke(f"{stub.url}/v1/", model=MODEL, key=KEY, ca=certificate[0], timeout_seconds=5)
        with pytest.raises(OutsideWorld, match="is not trusted") as untrusted:
            smoke(stub.url, model=MODEL, key=KEY, timeout_seconds=5)
        with pytest.raises(OutsideWorld, match="is not trusted"):
            smoke(
                stub.url.replace("127.0.0.1", "localhost"), model=MODEL, key=KEY, ca=certificate[0], timeout_seconds=5
            )
    assert set(statuses(measurement).values()) == {Status.OK}
    assert message(measurement, "SMK002") == "the key travels encrypted"
    assert "--ca FILE" in str(untrusted.value.hint)


@pytest.mark.consumer("openssl")
def test_http_spoken_to_tls_and_tls_to_http_say_which_to_type(certificate: tuple[Path, Path]) -> None:
    with StubEngine(certificate=certificate) as tls, StubEngine() as plain:
        with pytest.raises(OutsideWorld) as spoken:
            smoke(tls.url.replace("https", "http"), model=None, key=None, timeout_seconds=5)
        with pytest.raises(OutsideWorld, match="no TLS with") as answered:
            smoke(plain.url.replace("http", "https"), model=None, key=None, timeout_seconds=5)
    assert f"https://127.0.0.1:{tls.port}" in str(spoken.value.hint)
    assert f"http://127.0.0.1:{plain.port}" in str(answered.value.hint)


def test_a_file_that_is_no_certificate_is_a_wrong_input(tmp_path: Path) -> None:
    text = tmp_path / "ca.crt"
    text.write_text("not a certificate")
    for ca in (text, tmp_path / "absent.crt"):
        with pytest.raises(WrongInput):
            smoke("https://127.0.0.1:1", model=None, key=None, ca=ca, timeout_seconds=1)


def test_an_address_is_read_with_and_without_v1() -> None:
    texts = {
        "http://h:80/v1": "http://h",
        "https://H/chat/v1/": "https://h/chat",
        "http://[::1]:8080": "http://[::1]:8080",
    }
    assert {url: parse(url).text() for url in texts} == texts


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8080", "ftp://h", "http://", "http://h:0x1", "http://h:99999", "http://user:secret@h", "http://h/?a=b",
     "http://h/#x", "http://h/\r\nX: y", "http://[::1", "http://höst", "http://h/ a"],
)  # fmt: skip
def test_what_is_no_base_address_is_a_usage_error_that_repeats_no_secret(url: str) -> None:
    with pytest.raises(WrongUsage) as stop:
        parse(url)
    assert "secret" not in f"{stop.value.message} {stop.value.hint}"


def test_a_key_that_would_leave_this_machine_unencrypted_is_warned_of() -> None:
    assert parse("http://127.0.0.1:1").is_loopback()
    assert parse("http://localhost").is_loopback()
    assert not parse("http://192.0.2.1").is_loopback()
    assert not parse("http://localhost.example.org").is_loopback()
    assert not parse("http://127.example.org").is_loopback()


def test_the_key_comes_from_a_file_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"\n{KEY}\n")
    with StubEngine() as stub:
        options = Options(url=stub.url, model=MODEL, key_file=file, timeout_seconds=5)
        answer = run(options, environment={"LLMOPS_API_KEY": "sk-another"})
    assert {finding.status for finding in answer.findings} == {Status.OK}


@pytest.mark.parametrize("text", ["", "one-key\nand-another", "a key with blanks", "schlüssel", "bad\x00key"])
def test_a_key_file_without_one_usable_key_is_a_wrong_input(text: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(text)
    with pytest.raises(WrongInput) as stop:
        run(Options(url="http://127.0.0.1:1", key_file=file), environment={})
    words = {"one-key", "blanks", "schlüssel", "bad"}
    assert not words & set(stop.value.message.split())


def test_options_that_contradict_each_other_are_usage_errors(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1"
    for options in (
        Options(url=url, model="a", lock=tmp_path / "l"),
        Options(url=url, deployment="chat"),
        Options(url=url, timeout_seconds=0),
        Options(url=url, timeout_seconds=float("nan")),
    ):
        with pytest.raises(WrongUsage):
            run(options, environment={})


def test_the_expected_model_comes_from_the_lock(tmp_path: Path) -> None:
    one, two = tmp_path / "one.lock", tmp_path / "two.lock"
    one.write_text(dump_lock(locks.lock({"chat": locks.llama_cpu(alias=MODEL)})))
    both = {"chat": locks.llama_cpu(alias=MODEL), "code": locks.llama_cpu(alias="coder", port=8081)}
    two.write_text(dump_lock(locks.lock(both)))
    with StubEngine() as stub:
        options = Options(url=stub.url, lock=one, timeout_seconds=5)
        good = run(options, environment={"LLMOPS_API_KEY": KEY})
        named = replace(options, lock=two, deployment="code")
        other = run(named, environment={"LLMOPS_API_KEY": KEY})
    assert {finding.status for finding in good.findings} == {Status.OK}
    assert [finding.message for finding in other.findings if finding.status is Status.FAIL] == [
        f"it serves {MODEL}, not coder"
    ]
    for deployment, words in ((None, "several deployments: chat, code"), ("chta", "no deployment `chta`")):
        with pytest.raises(WrongUsage, match=words):
            run(replace(options, lock=two, deployment=deployment), environment={})


def program(*arguments: str, key: str = KEY) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "llmops", "smoke", *arguments],
        check=False, capture_output=True, text=True, timeout=30, env={"LLMOPS_API_KEY": key, "PATH": "/usr/bin"},
    )  # fmt: skip


def test_the_program_is_a_gate_0_for_good_1_for_wrong_4_for_nothing_there() -> None:
    with StubEngine() as stub:
        good = program(stub.url, "--model", MODEL, "--json")
        stub.fault = "no-done"
        bad = program(stub.url, "--model", MODEL)
        url = stub.url
    gone = program(url, "--json")
    assert (good.returncode, bad.returncode, gone.returncode) == (0, 1, 4)
    document = json.loads(good.stdout)
    assert document["schema"] == "llmops.smoke/1"
    assert document["ok"] is True
    assert document["result"]["streamed_chunks"] == 16
    assert {finding["code"] for finding in document["findings"]} == ALL
    assert bad.stdout.splitlines()[1].startswith("fail  SMK008")
    assert "it fails 1 of 9 questions" in bad.stdout
    assert json.loads(gone.stdout)["error"]["where"]["file"] == url
    assert all(KEY not in out for one in (good, bad, gone) for out in (one.stdout, one.stderr))
