"""The one runner, against real programs: nothing outlives it, nothing fills memory, everything missing is data."""

import os
import sys
import time
from pathlib import Path

import pytest

from llmops.domain.errors import OutsideWorld
from llmops.domain.programs import Ran, Runner
from llmops.domain.reading import Known, Unknown
from llmops.probe.programs import LOG_LIMIT_BYTES, OUTPUT_LIMIT_BYTES, Programs


@pytest.fixture
def programs() -> Runner:
    return Programs({"PATH": os.environ["PATH"], "HOME": "/nonexistent", "HF_TOKEN": "hf_secret"})


def ran(reading: Known[Ran] | Unknown) -> Ran:
    assert isinstance(reading, Known), reading
    return reading.value


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def is_gone(pid: int, *, seconds: float = 5.0) -> bool:
    """A killed grandchild disappears when the kernel gets to it, not when the signal is sent."""
    deadline = time.monotonic() + seconds
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_alive(pid)


def wait_for(path: Path, *, seconds: float = 5.0) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if path.exists() and path.read_text().endswith("\n"):
            return path.read_text()
        time.sleep(0.02)
    raise AssertionError(f"{path} did not appear")


def test_output_and_exit_code_come_back(programs: Runner) -> None:
    answer = ran(programs.run(("sh", "-c", "echo out; echo err >&2; exit 3")))
    assert (answer.exit_code, answer.stdout, answer.stderr) == (3, "out\n", "err\n")


def test_no_shell_reads_the_arguments(programs: Runner) -> None:
    assert ran(programs.run(("echo", "$HOME; `id` *"))).stdout == "$HOME; `id` *\n"


def test_stdin_is_closed_so_a_program_that_asks_gets_an_end(programs: Runner) -> None:
    assert ran(programs.run(("cat",), timeout_seconds=5)).exit_code == 0


def test_the_environment_is_small_and_has_no_token(programs: Runner) -> None:
    names = dict(line.split("=", 1) for line in ran(programs.run(("env",))).stdout.splitlines())
    assert names["LC_ALL"] == "C.UTF-8"
    assert "HF_TOKEN" not in names


def test_the_caller_may_add_to_the_environment(programs: Runner) -> None:
    answer = ran(programs.run(("sh", "-c", 'echo "$ADDED"'), environment={"ADDED": "yes"}))
    assert answer.stdout == "yes\n"


def test_it_runs_where_it_is_told(programs: Runner, tmp_path: Path) -> None:
    assert ran(programs.run(("pwd",), directory=tmp_path)).stdout.strip() == str(tmp_path)


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (("no-such-program-here", "--version"), "not installed"),
        (("/etc/passwd",), "not executable"),
        (("sh", "-c", "no-such-program-here"), "127"),
        (("echo", "a\0b"), "null byte"),
    ],
)
def test_what_cannot_run_is_unknown_with_the_reason(programs: Runner, argv: tuple[str, ...], reason: str) -> None:
    answer = programs.run(argv)
    assert isinstance(answer, Unknown)
    assert reason in answer.reason


def test_a_missing_directory_is_unknown(programs: Runner, tmp_path: Path) -> None:
    assert isinstance(programs.run(("pwd",), directory=tmp_path / "absent"), Unknown)


def test_a_file_that_is_no_program_is_unknown(programs: Runner, tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"\x7fELF not really")
    junk.chmod(0o755)
    assert isinstance(programs.run((str(junk),)), Unknown)


def test_past_the_time_limit_the_whole_group_is_gone(programs: Runner, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    started = time.monotonic()
    answer = programs.run(("sh", "-c", f"sleep 60 & echo $! > {pid_file}; wait"), timeout_seconds=0.6)
    assert isinstance(answer, Unknown)
    assert "0.6 s" in answer.reason
    assert time.monotonic() - started < 5
    assert is_gone(int(pid_file.read_text()))


def test_a_grandchild_that_keeps_the_output_open_does_not_hold_up_the_answer(programs: Runner, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    started = time.monotonic()
    answer = ran(programs.run(("sh", "-c", f"sleep 60 & echo $! > {pid_file}; echo done"), timeout_seconds=30))
    assert answer.stdout == "done\n"
    assert time.monotonic() - started < 5
    assert is_gone(int(pid_file.read_text()))


def test_output_is_limited_and_a_flood_is_ended(programs: Runner) -> None:
    answer = ran(programs.run(("yes",), timeout_seconds=30))
    assert len(answer.stdout) == OUTPUT_LIMIT_BYTES
    assert answer.exit_code == -9


def test_hostile_bytes_become_text(programs: Runner) -> None:
    assert ran(programs.run(("printf", r"\xff\x00ok"))).stdout == "\ufffd\0ok"


def test_find_looks_in_sbin_too(tmp_path: Path) -> None:
    assert Programs({"PATH": str(tmp_path)}).find("ldconfig") in ("/usr/sbin/ldconfig", "/sbin/ldconfig")


def test_find_prefers_the_path_of_the_caller(tmp_path: Path) -> None:
    own = tmp_path / "sh"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    programs = Programs({"PATH": f"{tmp_path}:/bin"})
    assert programs.find("sh") == str(own)
    assert programs.find("no-such-program-here") is None


def test_a_server_runs_until_the_context_ends_and_its_log_is_kept(programs: Runner, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with programs.serve(("sh", "-c", f"echo up; sleep 60 & echo $! > {pid_file}; wait")) as server:
        grandchild = int(wait_for(pid_file))
        assert server.ended() is None
        assert is_alive(server.pid)
        assert server.log() == "up\n"
    assert is_gone(server.pid)
    assert is_gone(grandchild)


def test_a_server_that_ends_by_itself_says_so(programs: Runner) -> None:
    with programs.serve(("sh", "-c", "echo broken >&2; exit 7")) as server:
        deadline = time.monotonic() + 5
        while server.ended() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.ended() == 7
        assert server.log() == "broken\n"


def test_a_server_that_ignores_sigterm_is_killed(
    programs: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmops.probe.programs.STOP_SECONDS", 0.3)
    ready = tmp_path / "ready"
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        f"open({str(ready)!r}, 'w').write('yes\\n'); time.sleep(60)"
    )
    with programs.serve((sys.executable, "-c", stubborn)) as server:
        wait_for(ready)
    assert is_gone(server.pid)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_an_interruption_stops_the_server(programs: Runner, interruption: type[BaseException]) -> None:
    pids = []

    def interrupted() -> None:
        with programs.serve(("sleep", "60")) as server:
            pids.append(server.pid)
            raise interruption

    with pytest.raises(interruption):
        interrupted()
    assert is_gone(pids[0])


def test_a_long_log_keeps_its_end(programs: Runner) -> None:
    with programs.serve(("sh", "-c", "yes | head -c 3000000; echo the last words")) as server:
        deadline = time.monotonic() + 10
        while server.ended() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        log = server.log()
    assert log.endswith("the last words\n")
    assert len(log) == LOG_LIMIT_BYTES


def test_a_server_that_is_not_there_is_the_outside_world(programs: Runner) -> None:
    with (
        pytest.raises(OutsideWorld, match="no-such-server") as stopped,
        programs.serve(("no-such-server", "--port", "1")),
    ):
        raise AssertionError("it cannot have started")
    assert stopped.value.hint is not None
