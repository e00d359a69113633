"""The walls of the house, the types and the style, checked by the tools that know them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import in_ci

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted(
    path
    for path in [*ROOT.glob("scripts/*"), ROOT / ".ci" / "run"]
    if path.is_file() and path.suffix in ("", ".sh") and "python" not in path.read_text().partition("\n")[0]
)


def tool(name: str) -> str:
    """A program of the environment the tests run in. Missing: skipped on a laptop, a failure in CI."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        reason = f"{name} is not here; install with: scripts/test"
        if in_ci():
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return found


def passes(*argv: str) -> None:
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        pytest.fail(f"$ {' '.join(argv)}\n{done.stdout}{done.stderr}", pytrace=False)


def test_rooms_import_the_dictionary_and_never_each_other() -> None:
    passes(tool("lint-imports"), "--no-cache")


def test_ruff_finds_nothing() -> None:
    passes(tool("ruff"), "check", "--no-cache", "llmops", "tests", "scripts", "benchmarks")


def test_every_file_is_formatted() -> None:
    passes(tool("ruff"), "format", "--no-cache", "--check", "llmops", "tests", "scripts", "benchmarks")


@pytest.mark.slow
def test_the_types_hold_in_the_package_and_in_its_tests() -> None:
    passes(tool("mypy"))


@pytest.mark.consumer("shellcheck")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing_in(script: Path) -> None:
    passes("shellcheck", "--external-sources", "--source-path=SCRIPTDIR", str(script))


def test_there_are_scripts_to_check() -> None:
    assert {"quickstart", "test", "lock", "environment.sh", "run"} <= {path.name for path in SCRIPTS}


def test_no_file_is_called_after_nothing() -> None:
    """A file is a noun of the field; these names collect whatever has no home."""
    homeless = {"utils", "util", "helpers", "helper", "common", "misc", "base", "core", "manager"}
    found = [path for path in (ROOT / "llmops").rglob("*.py") if path.stem in homeless or path.parent.name in homeless]
    assert found == []


def test_no_committed_file_names_a_package_registry() -> None:
    """Where packages come from is the machine's own setting; a host in the tree would go around it."""
    hosts = [
        "pypi" + ".org",
        "python" + "hosted.org",
        "npmjs" + ".org",
        "deb.debian" + ".org",
        "snapshot.debian" + ".org",
    ]
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    paths = [ROOT / name.decode() for name in listed.stdout.split(b"\0") if name]
    found = [
        str(path.relative_to(ROOT))
        for path in paths
        if path.is_file() and any(host.encode() in path.read_bytes() for host in hosts)
    ]
    assert len(paths) > 50
    assert found == []
