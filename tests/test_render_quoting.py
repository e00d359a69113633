"""What is written is what the consumer reads, or it is refused: for any string."""

import http.client
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from edge import free_port
from gateway import wait
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmops.domain.errors import WrongInput
from llmops.domain.finding import Where
from llmops.formats.env_file import compose_value, env_problems, shell_value, systemd_values
from llmops.formats.unit import command_line
from llmops.formats.unit import settings as unit_settings
from llmops.probe.programs import Programs
from llmops.render.quoting import (
    compose_list,
    compose_string,
    dotenv_value,
    nginx_string,
    systemd_command,
    systemd_environment,
    systemd_word,
    yaml_string,
)

HOSTILE = (
    "",
    " ",
    "a b",
    "a$b",
    "${HOME}",
    "$$",
    "%i%%",
    '"',
    "'",
    "\\",
    "a\\",
    "\\x41",
    ";",
    "a;b",
    "#c",
    "a #c",
    "{{ 7 * 7 }}",
    "{credentials}",
    "-flag",
    "a\tb",
    "a\nb",
    "`id`",
    "$(id -u)",
    '{"a":"b c"}',
    "höß→",
    "\u2028",
    "\x7f",
    "😀",
    "*",
    "a=b",
    "~",
    "x" * 10_000,
)
ANY_TEXT = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(codec="utf-8", exclude_characters="\0")))


@given(st.lists(ANY_TEXT.filter(lambda word: "{credentials}" not in word), min_size=1))
def test_a_unit_reads_back_every_word_of_a_command_line(words: list[str]) -> None:
    unit = f"[Service]\nExecStart={systemd_command(['/bin/x', *words])}\n"
    [setting] = unit_settings(unit, file="x.service")
    assert command_line(setting.value, specifiers={}, where=Where()) == ("/bin/x", *words)


def test_the_credentials_directory_becomes_a_specifier() -> None:
    written = systemd_command(("/bin/x", "--key", "{credentials}/engine-key"))
    assert written == "/bin/x --key %d/engine-key"
    with pytest.raises(WrongInput):
        systemd_command(("/bin/x", '{credentials}/"key'))


@given(ANY_TEXT)
def test_a_units_environment_reads_back_the_value(value: str) -> None:
    written = systemd_environment("NAME", value)
    assert command_line(written.replace("$", "$$"), specifiers={}, where=Where()) == (f"NAME={value}",)


@given(ANY_TEXT)
def test_a_dotenv_value_means_the_same_to_its_three_readers_or_is_refused(value: str) -> None:
    try:
        written = dotenv_value(value)
    except WrongInput:
        assert any(char in value for char in "\r\n'\\")
        return
    assert systemd_values(f"NAME={written}\n") == {"NAME": value}
    assert compose_value(written) == value
    assert shell_value(written) == value
    assert env_problems(f"NAME={written}\n") == ()


@pytest.mark.parametrize(
    "line", ["K=a$b", "K=a #b", "K='a'\\''b'", 'K="a\\nb"', "K=a b", "export K=1", "K-x=1", "K='a\\'"]
)
def test_a_line_that_means_different_things_is_a_problem(line: str) -> None:
    assert [problem.line for problem in env_problems(f"# fine\n{line}\n")] == [2]


SYSTEMD_ROWS = {
    "a${HOME}b": "a${HOME}b",
    '"a\\$b"': "a$b",
    "a #b": "a #b",
    'a"b"c': 'a"b"c',
    "'a'\\''b'": "a''b'",
    "a\\b": "ab",
    '"a\\b"': "a\\b",
    "  ab  ": "ab",
    '"  ab  "': "  ab  ",
    "'a\nb'": "a\nb",
    "a\\\nb": "ab",
    "ab\r": "ab",
    '{"a":"b c"}': '{"a":"b c"}',
}


@pytest.mark.parametrize(("written", "meant"), SYSTEMD_ROWS.items(), ids=[repr(key) for key in SYSTEMD_ROWS])
def test_systemd_reads_an_environment_file_as_measured(written: str, meant: str) -> None:
    assert systemd_values(f"K={written}\nL=next\n") == {"K": meant, "L": "next"}


def _drawn() -> tuple[str, ...]:
    """The chosen values, and some that nobody chose: for the real programs, which are started once for all."""
    found: list[str] = []

    @settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(ANY_TEXT, st.text(st.sampled_from("\"'\\$`%{}; #=-!&|<>()*?~\t\x01aü"), max_size=12)))
    def collect(text: str) -> None:
        found.append(text)

    collect()
    return tuple(dict.fromkeys((*HOSTILE, *found)))


def _dotenv_values() -> dict[str, str]:
    values: dict[str, str] = {}
    for at, text in enumerate(_drawn()):
        try:
            dotenv_value(text)
        except WrongInput:
            continue
        values[f"V{at}"] = text
    return values


@pytest.mark.parametrize("shell", ["sh", "bash", "dash"])
def test_a_real_shell_reads_back_every_dotenv_value(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not here; install with: apt-get install {shell}")
    values = _dotenv_values()
    file, script = tmp_path / "x.env", tmp_path / "script"
    file.write_text("".join(f"{name}={dotenv_value(text)}\n" for name, text in values.items()))
    script.write_text(f". {file}; " + "".join(f"printf '%s\\0' \"${name}\"; " for name in values))
    run = subprocess.run([program, script], capture_output=True, check=True)
    assert run.stdout.decode().split("\0")[:-1] == list(values.values())
    assert len(values) > 60


@pytest.mark.consumer("docker-compose")
def test_a_real_compose_reads_back_every_value(tmp_path: Path) -> None:
    values = _dotenv_values()
    file = tmp_path / "x.env"
    file.write_text("".join(f"{name}={dotenv_value(text)}\n" for name, text in values.items()))
    words = [text for text in _drawn() if text]
    compose = tmp_path / "compose.yaml"
    compose.write_text(
        f"name: x\nservices:\n  x:\n    image: {compose_string('i')}\n"
        f"    env_file: [{file}]\n    command: {compose_list(words)}\n"
    )
    program = shutil.which("docker-compose")
    assert program is not None
    run = subprocess.run([program, "-f", compose, "config", "--format", "json"], capture_output=True, check=True)
    service = json.loads(run.stdout)["services"]["x"]
    assert {name: text.replace("$$", "$") for name, text in service["environment"].items()} == values
    assert [word.replace("$$", "$") for word in service["command"]] == words, "config prints a `$` doubled"


def _nginx_token(written: str) -> str:
    """A quoted parameter as `ngx_conf_read_token` copies it (nginx 1.22, src/core/ngx_conf_file.c)."""
    assert written[0] == written[-1] == '"'
    text, out, at = written[1:-1], "", 0
    escapes = {'"': '"', "'": "'", "\\": "\\", "t": "\t", "r": "\r", "n": "\n"}
    while at < len(text):
        assert text[at] != '"', "the quote would end here"
        if text[at] == "\\" and text[at + 1] in escapes:
            out, at = out + escapes[text[at + 1]], at + 2
        else:
            out, at = out + text[at], at + 1
    return out


@given(ANY_TEXT)
def test_an_nginx_string_reads_back_or_is_refused(text: str) -> None:
    if "$" in text:
        with pytest.raises(WrongInput):
            nginx_string(text)
    else:
        assert _nginx_token(nginx_string(text)) == text


@pytest.mark.consumer("nginx")
def test_a_real_nginx_reads_back_every_string(tmp_path: Path) -> None:
    texts = [text for text in _drawn() if "$" not in text and len(text.encode()) < 4000]
    port = free_port()
    places = "".join(f"location = /{at} {{ return 200 {nginx_string(text)}; }}\n" for at, text in enumerate(texts))
    conf = tmp_path / "nginx.conf"
    conf.write_text(
        f"daemon off; pid {tmp_path}/nginx.pid; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {tmp_path}/t; proxy_temp_path {tmp_path}/t;\n"
        f"fastcgi_temp_path {tmp_path}/t; uwsgi_temp_path {tmp_path}/t; scgi_temp_path {tmp_path}/t;\n"
        f"server {{ listen 127.0.0.1:{port};\n{places} }} }}\n"
    )
    command = ["nginx", "-e", "stderr", "-p", str(tmp_path), "-c", str(conf)]
    with Programs(os.environ).serve(command) as server:
        wait(port, server)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for at, text in enumerate(texts):
            connection.request("GET", f"/{at}")
            assert connection.getresponse().read() == text.encode(), text
        connection.close()
    assert len(texts) > 60


@given(ANY_TEXT)
def test_a_yaml_string_reads_back(text: str) -> None:
    assert yaml.safe_load(f"key: {yaml_string(text)}") == {"key": text}


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_what_no_file_can_carry_is_refused(text: str) -> None:
    for quote in (systemd_word, dotenv_value, nginx_string):
        with pytest.raises(WrongInput):
            quote(text)
