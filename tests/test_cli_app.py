"""The command line as a whole: help, mistakes, exit codes, signals, and pipes that close."""

import fcntl
import inspect
import json
import os
import re
import signal
import socket
import subprocess
import sys
import termios
import time
from array import array
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from stub_engine import KEY, MODEL, StubEngine

from llmops import __version__
from llmops.cli.app import COMMANDS, load
from llmops.domain.errors import Exit

LLMOPS = [sys.executable, "-m", "llmops"]


def llmops(*arguments: str, directory: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LLMOPS, *arguments],
        check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment},
    )  # fmt: skip


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_command_with_its_line(flag: str) -> None:
    done = llmops(flag)
    text = " ".join(done.stdout.split())
    assert done.returncode == Exit.FINE
    assert done.stderr == ""
    for name, line in COMMANDS.items():
        assert f" {name} {line}" in text


def test_version_is_the_package_s_own() -> None:
    done = llmops("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"llmops {__version__}\n", "")


def test_without_a_command_it_prints_the_help_and_says_that_this_was_no_command() -> None:
    done = llmops()
    assert done.returncode == Exit.USAGE
    assert "smoke" in done.stdout + done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_exists_and_its_line_is_the_first_of_its_docstring(name: str) -> None:
    function = import_module(f"llmops.cli.{name}").command
    first = (inspect.getdoc(function) or "").split("\n")[0]
    assert first == COMMANDS[name]
    assert len(first) <= 90


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_answers_in_json(name: str) -> None:
    command = load(name)
    options = {spelling for parameter in command.params for spelling in parameter.opts}
    assert "--json" in options
    assert all(getattr(parameter, "help", "") for parameter in command.params), "an option without a help text"


@pytest.mark.parametrize("name", COMMANDS)
def test_variables_of_the_environment_are_ours_and_belong_to_one_option_of_a_command(name: str) -> None:
    variables = [str(parameter.envvar) for parameter in load(name).params if parameter.envvar]
    assert all(re.fullmatch(r"LLMOPS_[A-Z_]+", variable) for variable in variables)
    assert len(variables) == len(set(variables))


def test_there_is_no_module_of_a_command_that_is_not_in_the_table() -> None:
    here = Path(inspect.getfile(import_module("llmops.cli"))).parent
    with_command = {
        path.stem for path in here.glob("*.py") if re.search(r"^def command\(", path.read_text(), re.MULTILINE)
    }
    assert with_command == set(COMMANDS)


@pytest.mark.parametrize(
    ("typed", "meant"), [("docter", "doctor"), ("plna", "plan"), ("smoek", "smoke"), ("catalogue", "catalog")]
)
def test_a_misspelt_command_is_answered_with_the_one_that_was_meant(typed: str, meant: str) -> None:
    done = llmops(typed)
    assert done.returncode == Exit.USAGE
    assert done.stdout == ""
    assert typed in done.stderr
    assert "did you mean" in done.stderr.lower()
    assert meant in done.stderr


def test_a_misspelt_option_is_answered_with_the_one_that_was_meant() -> None:
    done = llmops("smoke", "http://127.0.0.1:1", "--modle", "x")
    assert done.returncode == Exit.USAGE
    assert "--model" in done.stderr
    assert "hint: `llmops smoke --help` lists the options" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing-like-this", "--json"),
        ("smoke", "--json"),
        ("smoke", "http://127.0.0.1:1", "--no-such-option", "--json"),
        ("smoke", "not a url", "--json"),
        ("smoke", "http://127.0.0.1:1", "--timeout", "soon", "--json"),
        ("plan", "--context", "-5", "--json"),
        ("schema", "nothing-like-this", "--json"),
        ("--json",),
    ],
    ids=" ".join,
)
def test_a_usage_error_with_json_is_one_document_on_stdout(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = llmops(*arguments, directory=tmp_path)
    assert done.returncode == Exit.USAGE
    document = json.loads(done.stdout)
    assert set(document) == {"schema", "ok", "exit_code", "result", "findings", "error"}
    assert (document["ok"], document["exit_code"], document["result"]) == (False, 2, None)
    assert document["error"]["message"]
    name = arguments[0] if arguments[0] in COMMANDS else "llmops"
    assert document["schema"] == f"llmops.{name}/1"


def test_json_after_two_dashes_is_an_argument_and_asks_for_no_document() -> None:
    done = llmops("smoke", "--", "not a url", "--json")
    assert done.returncode == Exit.USAGE
    assert done.stdout == ""


def test_a_bad_value_in_the_environment_is_a_usage_error_that_names_the_option() -> None:
    done = llmops("smoke", "http://127.0.0.1:1", LLMOPS_TIMEOUT="soon")
    assert done.returncode == Exit.USAGE
    assert "--timeout" in done.stderr


def test_a_usage_error_is_three_lines_at_most_and_no_traceback() -> None:
    done = llmops("smoke", "ftp://127.0.0.1")
    assert done.stderr.startswith("error: ")
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 3


@pytest.fixture
def mute() -> Iterator[str]:
    """A server that takes the connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_signal_ends_it_with_the_code_of_the_table_and_no_traceback(
    number: signal.Signals, code: int, word: str, form: str, mute: str
) -> None:
    arguments = ["--json"] if form == "json" else []
    process = subprocess.Popen(
        [*LLMOPS, "smoke", mute, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    _wait_until_connected(process.pid)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == code
    assert "Traceback" not in stderr
    if form == "json":
        assert json.loads(stdout)["error"]["message"] == word
    else:
        assert stderr == f"error: {word}\n"


def _wait_until_connected(pid: int) -> None:
    """Until the process holds a socket: then it is past its imports and waits for the server."""
    until = time.monotonic() + 20
    descriptors = Path(f"/proc/{pid}/fd")
    while time.monotonic() < until:
        try:
            if any(str(one.readlink()).startswith("socket:") for one in descriptors.iterdir()):
                return
        except FileNotFoundError:
            pass
        time.sleep(0.02)
    pytest.fail("it never connected")


@pytest.mark.parametrize(
    "arguments", [("--help",), ("catalog", "models"), ("schema", "lock"), ("--version",)], ids=" ".join
)
def test_a_pipe_that_closes_early_is_no_error(arguments: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*LLMOPS, *arguments], check=False, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60
    )
    os.close(writer)
    assert done.stderr == ""
    assert done.returncode == Exit.FINE


@pytest.mark.parametrize(
    "arguments", [("--version",), ("catalog", "models"), ("catalog", "models", "--json")], ids=" ".join
)
def test_a_full_disk_under_stdout_is_the_outside_world(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*LLMOPS, *arguments], check=False, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert done.returncode == Exit.OUTSIDE_WORLD
    assert "no space left" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("catalog models qwen3-8b", Exit.FINE),
        ("catalog models --json", Exit.FINE),
        ("--version", Exit.FINE),
        ("catalog modles", Exit.USAGE),
        ("schema nothing --json", Exit.USAGE),
    ],
)
def test_a_standard_stream_that_is_closed_changes_no_exit_code(words: str, code: Exit, closed: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"$0" -m llmops {words} {closed}', sys.executable],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    if closed in ("<&-", "2>&-"):
        assert bool(done.stdout) is (code == Exit.FINE or "--json" in words)


def test_facts_from_a_closed_stdin_are_no_facts() -> None:
    for command in ("doctor --facts -", "plan qwen3-8b --facts -"):
        done = subprocess.run(
            ["sh", "-c", f'"$0" -m llmops {command} <&-', sys.executable],
            check=False, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == Exit.WRONG_INPUT
        assert "  --> <stdin>:1" in done.stderr


def test_a_directory_that_is_gone_is_said_to_be_gone(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", 'mkdir gone && cd gone && rmdir ../gone && "$0" -m llmops doctor', sys.executable],
        check=False, capture_output=True, text=True, timeout=60, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == Exit.OUTSIDE_WORLD
    assert done.stderr.startswith("error: the current directory is gone\nhint: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "qwen3-8b", "--gpu", "none", "--context", "99999999999"),
        ("smoke", "http://127.0.0.1:1", "--timeout", "-1"),
        ("smoke", "http://127.0.0.1:1", "--key-file", "/nonexistent"),
        ("smoke", "https://127.0.0.1:1", "--ca", "/nonexistent"),
        ("plan", "qwen3-8b", "--facts", "/nonexistent"),
        ("plan", "--profile", "/nonexistent"),
        ("plan", "/"),
        ("init", "--out", "/proc/llmops.yaml"),
        ("render", "--lock", "/dev/null"),
    ],
    ids=" ".join,
)
def test_every_refusal_says_what_to_do_next(arguments: tuple[str, ...]) -> None:
    done = llmops(*arguments)
    assert done.returncode in (Exit.USAGE, Exit.WRONG_INPUT, Exit.OUTSIDE_WORLD)
    assert "\nhint: " in done.stderr


def test_a_terminal_that_knows_ascii_only_gets_question_marks_and_a_document_stays_utf_8() -> None:
    with StubEngine() as stub:
        shown = llmops("smoke", stub.url, PYTHONIOENCODING="ascii", LLMOPS_API_KEY=KEY)
        stub.fault = "error-event"
        stub.error = "zu groß"
        document = llmops("smoke", stub.url, "--json", PYTHONIOENCODING="ascii", LLMOPS_API_KEY=KEY)
    assert shown.stdout.startswith(f"{stub.url} ? {MODEL}\n")
    assert shown.returncode == Exit.FINE
    assert "zu groß" in json.loads(document.stdout)["findings"][-1]["message"]


def test_ctrl_c_in_the_middle_of_a_document_adds_no_second_one() -> None:
    """Nobody reads yet, and the list is longer than a pipe holds: the first document is stuck half-way."""
    process = subprocess.Popen(
        [*LLMOPS, "catalog", "models", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    full, until = fcntl.fcntl(process.stdout, fcntl.F_GETPIPE_SZ), time.monotonic() + 20
    waiting = array("i", [0])
    while waiting[0] < full and time.monotonic() < until:
        time.sleep(0.02)
        fcntl.ioctl(process.stdout, termios.FIONREAD, waiting)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == Exit.INTERRUPTED
    assert stdout.count('"exit_code"') == 1
    assert stderr == "error: interrupted\n"


@pytest.mark.parametrize("form", ["text", "json"])
def test_ctrl_c_while_modules_are_loaded_is_an_interruption_too(form: str, tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text(
        f"import sys\nsys.path.remove({str(tmp_path)!r})\ndel sys.modules['typer']\nraise KeyboardInterrupt\n"
    )
    done = llmops(
        "--version", *(["--json"] if form == "json" else []), PYTHONPATH=f"{tmp_path}:{Path(__file__).parents[1]}"
    )
    assert done.returncode == Exit.INTERRUPTED
    assert "Traceback" not in done.stderr
    if form == "json":
        assert json.loads(done.stdout)["error"]["message"] == "interrupted"
    else:
        assert done.stderr == "error: interrupted\n"


@pytest.mark.parametrize(("command", "first"), [("bundle", "create"), ("keys", "add")])
def test_a_missing_action_is_named_with_its_choices_in_one_line(command: str, first: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "llmops", command], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 2
    said, hint = done.stderr.splitlines()
    assert said.startswith(f"error: Missing argument 'action'. Choose from: {first}, ")
    assert hint.startswith("hint: ")
