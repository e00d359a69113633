"""Install lines run for real, as far as a machine without a card goes: in a throw-away copy of a fresh Debian 12, online.

What a run of all of them gave is in docs/install-lines.md. Where an archive is out of reach its lines are not tried here.
"""

import os
import subprocess
from pathlib import Path

import consumers
import pytest
from test_install_lines import ALL, bare, engine_fix

from llmops.domain.host import HostFacts

pytestmark = [
    pytest.mark.slow,
    pytest.mark.root,
    pytest.mark.network,
    pytest.mark.consumer("box", "mmdebstrap"),
]
SCRIPT = Path(__file__).resolve().parents[1] / "scripts/try-fixes"


def tried(lines: str, tmp_path: Path) -> dict[str, str]:
    """Each line, and `ok` or `failed`."""
    place = tmp_path / "lines.sh"
    place.write_text(lines + "\n")
    done = subprocess.run(
        [str(SCRIPT), str(consumers.tools_directory(dict(os.environ)) / "box"), str(place)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, "PIP_DRY_RUN": "1", "PIP_NO_DEPS": "1"},
    )
    assert done.returncode in (0, 1), done.stderr
    found = [line.split(None, 3) for line in done.stdout.splitlines() if line.startswith(("ok ", "failed "))]
    assert found, done.stdout + done.stderr
    return {words[3]: words[0] for words in found}


@pytest.mark.parametrize(("driver", "capability"), [("580.178.04", "9.0"), ("570.124.06", "8.0")])
def test_vllm_of_the_matrix_is_published_and_its_packages_are_in_debian(
    driver: str, capability: str, tmp_path: Path
) -> None:
    lines = engine_fix(bare(driver, capability)).split("# vLLM", 1)[1].split("# or Ollama")[0]
    said = tried(f"# vLLM{lines}", tmp_path)
    assert set(said.values()) == {"ok"}, said
    assert any(
        line.endswith(f"pip install vllm=={'0.33.0' if driver.startswith('580') else '0.19.1'}") for line in said
    )


def of_debian(facts: HostFacts) -> str:
    """The lines that need Debian's own archive only."""
    return "\n".join(
        line for line in engine_fix(facts).splitlines() if line.startswith("apt-get") and "cuda" not in line
    )


@pytest.mark.parametrize("vendor", ["none", "amd"])
def test_what_llama_cpp_is_built_with_is_in_debian(vendor: str, tmp_path: Path) -> None:
    said = tried(of_debian(ALL["no card" if vendor == "none" else "amd without ROCm"]), tmp_path)
    assert set(said.values()) == {"ok"}, said


def test_a_package_that_is_not_there_is_a_failure_and_the_rest_goes_on(tmp_path: Path) -> None:
    said = tried("apt-get update\napt-get install -y no-such-package-of-debian\ntrue\n", tmp_path)
    assert list(said.values()) == ["ok", "failed", "ok"]
