"""Rendered trees, whole: reviewed in diffs, and read by the programs they are for.

`LLMOPS_RECORD=1 python -m pytest tests/test_render_golden.py` writes the trees anew.
"""

import difflib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from rendering import CASES, NOW, rendered, site_of, text_of

from llmops.apply.consumers import check
from llmops.domain.finding import Status
from llmops.domain.reading import Known
from llmops.formats.env_file import env_problems
from llmops.probe.programs import Programs

GOLDEN = Path(__file__).parent / "golden"
RECORD = "LLMOPS_RECORD=1 python -m pytest tests/test_render_golden.py"
MODES = "modes.txt"


def _tree(case: str) -> dict[str, str]:
    """Every file by its place in the golden tree, and one list of modes and owners."""
    files = rendered(CASES[case])
    modes = "".join(f"{file.mode:04o} {file.owner} {file.target} {file.path}\n" for file in files)
    return {str(file.path).lstrip("/"): file.text for file in files} | {MODES: modes}


def _recorded(case: str) -> dict[str, str]:
    top = GOLDEN / case
    return {str(path.relative_to(top)): path.read_text() for path in sorted(top.rglob("*")) if path.is_file()}


def _record(case: str, tree: Mapping[str, str]) -> None:
    shutil.rmtree(GOLDEN / case, ignore_errors=True)
    for name, text in tree.items():
        place = GOLDEN / case / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


@pytest.mark.parametrize("case", CASES)
def test_a_rendered_tree_is_as_reviewed(case: str) -> None:
    tree = _tree(case)
    if os.environ.get("LLMOPS_RECORD"):
        _record(case, tree)
    recorded = _recorded(case)
    diff = ""
    for name in sorted({*tree, *recorded}):
        before, after = recorded.get(name, "").splitlines(keepends=True), tree.get(name, "").splitlines(keepends=True)
        diff += "".join(difflib.unified_diff(before, after, f"golden/{case}/{name}", f"rendered/{case}/{name}"))
    assert tree == recorded, f"{diff}\nif that is right: {RECORD}"


@pytest.mark.parametrize("case", CASES)
def test_rendering_twice_gives_the_same_bytes(case: str) -> None:
    assert rendered(CASES[case]) == rendered(CASES[case])


@pytest.mark.consumer("systemd-analyze", "nginx-njs", "docker-compose", "haproxy", "promtool", "logrotate")
@pytest.mark.parametrize("case", CASES)
def test_the_real_consumers_accept_a_rendered_tree(case: str) -> None:
    consumed = check(
        rendered(CASES[case]),
        site=site_of(CASES[case]),
        runner=Programs(os.environ),
        env_problems=lambda text: [problem.why for problem in env_problems(text)],
        is_there=lambda _: False,
        now=NOW,
    )
    assert {one.program.split()[0]: (one.status, one.said) for one in consumed} == dict.fromkeys(
        ("systemd-analyze", "nginx", "logrotate", "haproxy", "promtool", "docker-compose", "llmops'"), (Status.OK, "")
    )


SCORES = {
    "llama_cpp_cpu": 1.0,
    "llama_cpp_gpu": 1.2,
    "llama_cpp_amd": 1.2,
    "ollama_gpu": 1.2,
    "vllm_gpu": 1.3,
    "vllm_amd": 1.3,
    "sglang_gpu": 1.3,
}
"""Measured with systemd-analyze 252; 10 is no sandbox at all. Newer versions judge a few directives more."""


@pytest.mark.consumer("systemd-analyze")
@pytest.mark.parametrize("case", SCORES)
def test_the_sandbox_is_scored_as_measured(case: str, tmp_path: Path) -> None:
    unit = tmp_path / "llmops-chat.service"
    unit.write_text(text_of(rendered(CASES[case]), "/etc/systemd/system/llmops-chat.service"))
    score = _score(unit)
    assert score <= (1.8 if case.startswith(("vllm", "sglang")) else 1.3)
    if _systemd_version() == 252:
        assert score == SCORES[case]


@pytest.mark.consumer("systemd-analyze")
@pytest.mark.parametrize("case", ["vllm_gpu", "llama_cpp_amd"])
def test_the_helper_that_loads_device_nodes_is_confined(case: str, tmp_path: Path) -> None:
    unit = tmp_path / "llmops-gpu.service"
    unit.write_text(text_of(rendered(CASES[case]), "/etc/systemd/system/llmops-gpu.service"))
    assert _score(unit) <= 2.5


@pytest.mark.consumer("systemd-analyze")
@pytest.mark.parametrize(
    ("case", "name"), [("vllm_gpu", "llmops-persistence.service"), ("fallback_api", "llmops-swap.service")]
)
def test_the_helpers_of_the_host_are_confined(case: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text_of(rendered(CASES[case]), f"/etc/systemd/system/{name}"))
    assert _score(tmp_path / name) <= 2.5


def test_the_engines_of_nvidias_cards_alone_want_them_to_stay_initialised() -> None:
    for case in CASES:
        files = {file.path.name: file.text for file in rendered(CASES[case]) if file.path.suffix == ".service"}
        wanting = {name for name, text in files.items() if "Wants=llmops-persistence.service" in text}
        uses = {f"{one.unit}.service" for one in site_of(CASES[case]).deployments if one.uses_nvidia() and one.program}
        assert wanting == uses
        assert ("llmops-persistence.service" in files) is any(
            one.uses_nvidia() for one in site_of(CASES[case]).deployments
        )


@pytest.mark.consumer("sysctl")
def test_every_kernel_setting_is_one_the_kernel_knows(tmp_path: Path) -> None:
    place = tmp_path / "60-llmops.conf"
    place.write_text(text_of(rendered(CASES["llama_cpp_gpu"]), "/etc/sysctl.d/60-llmops.conf"))
    ran = Programs(os.environ).run(["sysctl", "--dry-run", f"--load={place}"])
    assert isinstance(ran, Known)
    assert (ran.value.exit_code, ran.value.stderr) == (0, "")
    assert ran.value.stdout == "vm.swappiness = 10\nnet.core.somaxconn = 4096\n"


@pytest.mark.consumer("systemd-analyze")
def test_the_gateway_is_confined(tmp_path: Path) -> None:
    unit = tmp_path / "llmops-gateway.service"
    unit.write_text(text_of(rendered(CASES["vllm_gpu"]), "/etc/systemd/system/llmops-gateway.service"))
    assert _score(unit) <= 1.5


def _score(unit: Path) -> float:
    ran = Programs(os.environ).run(["systemd-analyze", "security", "--offline=yes", "--no-pager", str(unit)])
    assert isinstance(ran, Known)
    found = re.search(r"Overall exposure level for .*: ([0-9.]+)", ran.value.stdout)
    assert found is not None, ran.value.stdout + ran.value.stderr
    return float(found[1])


def _systemd_version() -> int:
    ran = Programs(os.environ).run(["systemd-analyze", "--version"])
    assert isinstance(ran, Known)
    return int(ran.value.stdout.split()[1])
