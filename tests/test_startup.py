"""What a start costs is felt on every call: help imports nothing heavy."""

import subprocess
import sys
from pathlib import Path

import pytest
from headers import measured_model

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {
    "rich",
    "pydantic",
    "jinja2",
    "yaml",
    "psutil",
    "pynvml",
    "huggingface_hub",
    "cryptography",
    "httpx",
    "httpx2",
    "asyncio",
}


def imported(*arguments: str) -> set[str]:
    """The top-level modules a start imports, as Python's own -X importtime tells them."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "llmops", *arguments],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    rows = [line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {name.partition(".")[0] for name in rows}


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("doctor", "--help"), ("plan", "--help"), ("pull", "--help")]
)
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    modules = imported(*arguments)
    assert {"llmops", "typer"} <= modules
    assert modules & HEAVY == set()


def test_help_of_the_table_imports_no_command_and_no_room() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "llmops", "--help"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    ours = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if "| " in line and "llmops" in line}
    assert {name for name in ours if name.startswith("llmops.cli.")} == {"llmops.cli.app"}
    assert {name.split(".")[1] for name in ours if name.count(".") > 1} <= {"cli", "domain"}


@pytest.mark.slow
def test_help_takes_less_than_half_the_time_of_the_hubs_own_command() -> None:
    """The ratio of two medians of one run; `docs/benchmarks.md` has the figures of a longer one."""
    benchmark = ROOT / "benchmarks" / "help_time.py"
    done = subprocess.run(
        [sys.executable, benchmark, "--rounds", "7", "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| `llmops --help` |" in done.stdout


def test_a_plan_of_a_local_file_reads_no_catalogue_and_loads_nothing_of_the_hub_the_host_or_the_lock(
    tmp_path: Path,
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(measured_model("llama3-8b").header)
    with path.open("r+b") as file:
        file.truncate(measured_model("llama3-8b").file_bytes)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "llmops", "plan", str(path), "--gpu", "24GB", "--json"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    modules = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert {name.partition(".")[0] for name in modules} & (HEAVY | {"ssl", "http", "email"}) == set()
    assert {name for name in modules if name.startswith(("llmops.hub.", "llmops.probe."))} <= {
        "llmops.hub.account", "llmops.hub.headers", "llmops.hub.reader",
    }  # fmt: skip
    unneeded = ("catalogue", "config_json", "facts", "lock", "profile", "projector", "safetensors", "yaml_text")
    assert not modules & {f"llmops.formats.{name}" for name in unneeded}
    assert not modules & {"llmops.domain.catalogue", "llmops.domain.host", "llmops.domain.lock"}
    assert not modules & {"fractions", "decimal", "hashlib", "importlib.resources", "llmops.domain.transfer"}
    assert "llmops.engines.llama_cpp_projector" not in modules
