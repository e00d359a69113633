"""The scripts a stranger runs first: what they say where something is missing, and that they install once."""

import os
import re
import shutil
import signal
import subprocess
import time
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
TOOLS = {
    "get-llama-server": ("llama-server",),
    "get-docker-compose": ("docker-compose",),
    "get-systemd": ("systemd-analyze-trixie", "systemd-analyze-forky"),
}
"""What fetches programs, and the names of those."""

SCRIPTS = ("quickstart", "test", "lock", *TOOLS, "get-box", "box", "try-fixes", "unpack-debian")
RELEASE = Path("/etc/os-release")
IS_DEBIAN = RELEASE.exists() and "ID=debian" in RELEASE.read_text().splitlines()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the scripts need of a checkout, in a directory with a blank in its name."""
    place = tmp_path / "a clone"
    place.mkdir()
    for name in ("scripts", "requirements"):
        shutil.copytree(ROOT / name, place / name)
    shutil.copy(ROOT / "pyproject.toml", place)
    (place / "tests").mkdir()
    return place


def ran(script: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [script, *arguments],
        check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120, cwd="/",
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment},
    )  # fmt: skip


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def prepared(checkout: Path, kind: str, **programs: str) -> None:
    """A virtual environment that counts as installed, with programs of ours in it."""
    for name, text in {"python": "exit 0", **programs}.items():
        program(checkout / ".venv" / "bin" / name, text)
    made = f'. "{checkout}/scripts/environment.sh"; stamp {kind} >"$venv/prepared-{kind}"'
    subprocess.run(["bash", "-ec", made], check=True)


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "quickstart"])
def test_every_script_says_what_it_is_for(name: str) -> None:
    done = ran(ROOT / "scripts" / name, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(name)
    assert "set -euo" not in done.stdout


def test_quickstart_hands_its_options_to_the_command_and_installs_nothing_the_second_time(checkout: Path) -> None:
    prepared(checkout, "run", llmops='printf "<%s>" "$@"')
    started = time.monotonic()
    done = ran(checkout / "scripts" / "quickstart", "--json", "--scratch", "a b")
    assert (done.returncode, done.stdout, done.stderr) == (0, "<quickstart><--json><--scratch><a b>", "")
    assert time.monotonic() - started < 5


def test_a_changed_lock_a_changed_project_and_another_place_are_installed_anew(checkout: Path) -> None:
    stamp = f'. "{checkout}/scripts/environment.sh"; stamp run'
    seen = {subprocess.check_output(["bash", "-ec", stamp])}
    for name in ("requirements/run.txt", "requirements/build.txt", "pyproject.toml"):
        with (checkout / name).open("a") as file:
            file.write("# changed\n")
        seen.add(subprocess.check_output(["bash", "-ec", stamp]))
    moved = checkout.rename(checkout.parent / "moved")
    seen.add(subprocess.check_output(["bash", "-ec", f'. "{moved}/scripts/environment.sh"; stamp run']))
    assert len(seen) == 5


def test_a_python_without_ensurepip_is_answered_with_the_package(checkout: Path, tmp_path: Path) -> None:
    python = program(tmp_path / "bin" / "python3", "case $2 in *ensurepip*) exit 1 ;; *) echo 3.11 ;; esac")
    done = ran(checkout / "scripts" / "quickstart", PYTHON=str(python))
    assert done.returncode == 4
    assert done.stdout == ""
    assert "ensurepip is missing" in done.stderr
    assert not IS_DEBIAN or "hint: apt-get install python3-venv" in done.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.skipif(not IS_DEBIAN, reason="the names of packages are Debian's")
def test_a_python_of_another_version_needs_the_package_of_that_version(checkout: Path, tmp_path: Path) -> None:
    python = program(tmp_path / "bin" / "python3.13", "case $2 in *ensurepip*) exit 1 ;; *) echo 3.13 ;; esac")
    done = ran(checkout / "scripts" / "quickstart", PYTHON=str(python))
    assert done.returncode == 4
    assert "apt-get install python3.13-venv" in done.stderr


def test_a_python_that_is_too_old_is_named_with_its_version(checkout: Path, tmp_path: Path) -> None:
    python = program(tmp_path / "bin" / "python3", 'case $2 in *"(3, 11)"*) exit 1 ;; *) echo 3.9 ;; esac')
    done = ran(checkout / "scripts" / "quickstart", PYTHON=str(python))
    assert done.returncode == 4
    assert f"Python 3.11 or newer is needed; `{python}` is 3.9" in done.stderr
    assert "hint: " in done.stderr


def test_a_python_that_does_not_exist_is_said(checkout: Path) -> None:
    done = ran(checkout / "scripts" / "quickstart", PYTHON="/nowhere/python3")
    assert done.returncode == 4
    assert "no such program" in done.stderr


def test_a_place_that_cannot_be_written_is_answered_with_the_way_out(checkout: Path) -> None:
    done = ran(checkout / "scripts" / "quickstart", LLMOPS_VENV="/proc/llmops/venv")
    assert done.returncode == 4
    assert "no permission to make /proc/llmops/venv" in done.stderr
    assert "hint: LLMOPS_VENV=DIRECTORY" in done.stderr


def test_a_directory_with_something_else_in_it_is_not_overwritten(checkout: Path, tmp_path: Path) -> None:
    precious = tmp_path / "mine" / "letters.txt"
    precious.parent.mkdir()
    precious.write_text("dear")
    done = ran(checkout / "scripts" / "quickstart", LLMOPS_VENV=str(precious.parent))
    assert done.returncode == 4
    assert "is not a virtual environment" in done.stderr
    assert precious.read_text() == "dear"


@pytest.mark.slow
def test_an_unreachable_package_index_is_said_in_words_and_tried_again_next_time(checkout: Path) -> None:
    offline = {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": "http://127.0.0.1:1/simple", "PIP_RETRIES": "0"}
    for _ in range(2):
        done = ran(checkout / "scripts" / "quickstart", **offline)
        assert done.returncode == 4
        assert "error: the locked packages could not be installed" in done.stderr
        assert "is the package index reachable from here?" in done.stderr
        assert "Traceback" not in done.stderr
    assert not list((checkout / ".venv").glob("prepared-*"))


FAKE_PYTHON = """
case $1 in
  -c) exit 0 ;;
  tests/consumers.py) [ "$2" = packages ] || printf '%s' "$FAKE_MISSING" ;;
  -m) shift 2; printf 'pytest <%s>\\n' "$@"; exit "$FAKE_EXIT" ;;
esac
"""


def the_test_script(
    checkout: Path, *arguments: str, exit_code: str = "0", **environment: str
) -> subprocess.CompletedProcess[str]:
    prepared(checkout, "test", python=FAKE_PYTHON)
    settings = {"FAKE_EXIT": exit_code, "FAKE_MISSING": "", "LLMOPS_TEST_WORKERS": "2", **environment}
    return ran(checkout / "scripts" / "test", *arguments, **settings)


def test_ctrl_c_during_the_installation_is_an_interruption_and_no_failed_download(checkout: Path) -> None:
    started = checkout / "started"
    program(
        checkout / ".venv" / "bin" / "python",
        f"""case "$*" in *"pip install"*) trap 'exit 2' INT; : >"{started}"; sleep 30 & wait ;; esac""",
    )
    process = subprocess.Popen(
        [checkout / "scripts" / "quickstart"], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    until = time.monotonic() + 20
    while not started.exists() and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=20)[1]
    assert process.returncode == 130
    assert said.endswith("error: interrupted\nhint: run it again: it goes on where it stopped\n")
    assert "package index" not in said


def test_arguments_of_the_test_script_go_to_pytest(checkout: Path) -> None:
    done = the_test_script(checkout, "tests/test_x.py", "-k", "a b")
    assert done.returncode == 0
    assert re.findall("<(.*)>", done.stdout) == ["-n", "2", "--dist", "worksteal", "tests/test_x.py", "-k", "a b"]
    assert re.search(r"^scripts/test: passed, \d+ s in all$", done.stdout, re.MULTILINE)


def test_a_failed_suite_fails_and_an_empty_one_too(checkout: Path) -> None:
    failed, empty = the_test_script(checkout, exit_code="1"), the_test_script(checkout, exit_code="5")
    assert (failed.returncode, empty.returncode) == (1, 5)
    assert "scripts/test: FAILED (pytest's exit code 1)" in failed.stdout
    assert "error: these arguments select no test" in empty.stderr


def test_a_missing_consumer_is_named_and_fails_in_ci_only(checkout: Path) -> None:
    missing = {"FAKE_MISSING": "haproxy: apt-get install haproxy"}
    laptop, ci = the_test_script(checkout, **missing), the_test_script(checkout, **missing, CI="true")
    assert (laptop.returncode, ci.returncode) == (0, 1)
    for done in (laptop, ci):
        assert "haproxy: apt-get install haproxy" in done.stderr
        assert "consumers.py" not in done.stdout
        assert "pytest <-n>" in done.stdout
    assert "scripts/test: passed, without: haproxy" in laptop.stdout
    assert "FAILED: CI needs every consumer" in ci.stdout


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_that_cannot_be_fetched_says_why_and_leaves_nothing_half_done(name: str, tmp_path: Path) -> None:
    if shutil.which("apt-get") is None:
        pytest.skip("apt-get is not here: the tools come from Debian's packages")
    tools = tmp_path / "the tools"
    mirror = "http://127.0.0.1:1/debian"
    done = ran(ROOT / "scripts" / name, str(tools), LLMOPS_DEBIAN_MIRROR=mirror, TMPDIR=str(tmp_path))
    assert done.returncode == 4
    assert "could not be fetched" in done.stderr
    assert "hint: put a" in done.stderr
    assert [path.name for path in tools.rglob("*")] == ["bin"]
    assert [path.name for path in tmp_path.iterdir()] == ["the tools"]


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_that_is_there_is_not_fetched_again(name: str, tmp_path: Path) -> None:
    for one in TOOLS[name]:
        program(tmp_path / "bin" / one, "exit 0")
    done = ran(ROOT / "scripts" / name, str(tmp_path), LLMOPS_DEBIAN_MIRROR="http://127.0.0.1:1/debian")
    assert (done.returncode, done.stderr) == (0, "")


def pinned(name: str) -> dict[str, str]:
    """Package → version of a lock; every one with at least one sha256."""
    text = (ROOT / "requirements" / name).read_text().replace("\\\n", " ")
    rows = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", row) for row in rows)
    return {row.partition("==")[0]: re.split(r"[ ;]", row.partition("==")[2], maxsplit=1)[0] for row in rows}


def test_the_locks_hold_what_the_project_asks_for_in_one_version_each() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    run, build, test = pinned("run.txt"), pinned("build.txt"), pinned("test.txt")
    for lock, asked in (
        (run, project["project"]["dependencies"]),
        (build, project["build-system"]["requires"]),
        (test, project["dependency-groups"]["test"]),
    ):
        for requirement in map(Requirement, asked):
            version = lock[requirement.name.lower().replace("_", "-")]
            assert requirement.specifier.contains(version), f"scripts/lock was not run: {requirement}, locked {version}"
    assert run.items() <= test.items()
    assert {name: test.get(name, version) for name, version in build.items()} == build


def test_ci_runs_the_test_script_and_nothing_else() -> None:
    lines = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line and not line.startswith("#")]
    assert lines == ['exec "$(dirname "${BASH_SOURCE[0]}")/../scripts/test"']
