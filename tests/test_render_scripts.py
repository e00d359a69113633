"""The three scripts a unit calls, run for real: the readiness gate, the check of the key file, the key into the environment."""

import http.server
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rendering import CASES, rendered, text_of


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    for name in ("wait-ready", "check-key", "with-key"):
        place = tmp_path / name
        place.write_text(text_of(rendered(CASES["vllm_gpu"]), f"/usr/lib/llmops/{name}"))
        place.chmod(0o755)
    return tmp_path


@contextmanager
def _server(statuses: list[int]) -> Iterator[int]:
    """Answers each request with the next status, the last one from then on."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            return

        def do_GET(self) -> None:
            status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()

    server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _gate(scripts: Path, port: int, *, seconds: int, main: int) -> tuple[int, str, float]:
    start = time.monotonic()
    run = subprocess.run(
        [scripts / "wait-ready", str(port), "/health", str(seconds)],
        env={"MAINPID": str(main), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return run.returncode, run.stderr, time.monotonic() - start


def test_the_gate_opens_when_the_model_is_loaded_not_when_the_port_is_open(scripts: Path) -> None:
    with _server([503, 503, 200]) as port:
        code, said, seconds = _gate(scripts, port, seconds=25, main=os.getpid())
    assert (code, said) == (0, "")
    assert seconds > 0.9, "two rounds of half a second were waited"


def test_the_gate_notices_a_dead_server_at_once(scripts: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    code, said, seconds = _gate(scripts, 1, seconds=600, main=ended.pid)
    assert code == 1
    assert "has ended" in said
    assert seconds < 3


def test_the_gate_gives_up_before_systemd_does_and_says_why(scripts: Path) -> None:
    with _server([503]) as port:
        code, said, seconds = _gate(scripts, port, seconds=11, main=os.getpid())
    assert code == 1
    assert "no 200 from http://127.0.0.1:" in said
    assert seconds < 5


KEYS = {
    "a good key": (b"abcdefghijklmnop0123\n", 0),
    "empty": (b"", 78),
    "only a newline": (b"\n", 78),
    "short": (b"abc\n", 78),
    "no newline": (b"abcdefghijklmnop0123", 78),
    "carriage return": (b"abcdefghijklmnop0123\r\n", 78),
    "a blank": (b"abcdefgh ijklmnop0123\n", 78),
    "a comment": (b"#abcdefghijklmnop0123\n", 78),
    "not ascii": ("äöüabcdefghijklmnop\n".encode(), 78),
}


@pytest.mark.parametrize("case", KEYS)
def test_a_key_file_that_would_leave_the_engine_open_stops_the_start(scripts: Path, case: str) -> None:
    content, code = KEYS[case]
    key = scripts / "key"
    key.write_bytes(content)
    run = subprocess.run([scripts / "check-key", key], capture_output=True, text=True, check=False)
    assert run.returncode == code
    assert bool(run.stderr) == (code != 0)
    assert content.decode().strip() == "" or content.decode().strip() not in run.stderr


def test_a_missing_key_file_stops_the_start(scripts: Path) -> None:
    assert subprocess.run([scripts / "check-key", scripts / "none"], capture_output=True, check=False).returncode == 78


def test_the_key_is_in_the_environment_and_in_no_argument(scripts: Path) -> None:
    key = scripts / "key"
    key.write_text("""a$b"c'd#e\\f`g\n""")
    show = 'printf "%s|" "$VLLM_API_KEY" "$@"; tr "\\0" " " < /proc/$$/cmdline'
    run = subprocess.run(
        [scripts / "with-key", "VLLM_API_KEY", key, "/bin/sh", "-c", show, "x", "an argument"],
        capture_output=True,
        text=True,
        check=False,
    )
    value, argument, arguments = run.stdout.split("|", 2)
    assert (value, argument) == ("""a$b"c'd#e\\f`g""", "an argument")
    assert "a$b" not in arguments


@pytest.mark.consumer("shellcheck")
def test_the_scripts_are_clean(scripts: Path) -> None:
    run = subprocess.run(
        ["shellcheck", *[scripts / name for name in ("wait-ready", "check-key", "with-key")]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout == ""
