"""Units for each systemd, judged by that systemd: 252 is this machine's (test_render_golden.py), 257 and 262 are unpacked."""

import os
import re
from pathlib import Path

import pytest
from conftest import require
from rendering import CASES, NOW, rendered, site_of, text_of

from llmops.apply.consumers import check
from llmops.domain.finding import Status
from llmops.domain.reading import Known
from llmops.probe.programs import Programs

RELEASES = {"trixie": 257, "forky": 262}
"""Debian's releases and the least version of their systemd."""

HELPERS = 2.5
"""What the gateway, and the unit that loads device nodes, may score."""

UNIT = "/etc/systemd/system/llmops-chat.service"


def newer(release: str, tmp_path: Path) -> tuple[Programs, int]:
    """Programs of which `systemd-analyze` is that of the release, and its version."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/systemd-analyze").symlink_to(require(f"systemd-analyze-{release}"))
    programs = Programs({**os.environ, "PATH": f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}"})
    ran = programs.run(["systemd-analyze", "--version"])
    assert isinstance(ran, Known)
    version = int(ran.value.stdout.split()[1])
    assert version >= RELEASES[release]
    return programs, version


@pytest.mark.consumer("systemd-analyze-trixie", "systemd-analyze-forky")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("release", RELEASES)
def test_the_systemd_a_unit_is_for_has_nothing_to_say_of_it(release: str, case: str, tmp_path: Path) -> None:
    programs, version = newer(release, tmp_path)
    consumed = check(
        rendered(CASES[case], systemd_version=version),
        site=site_of(CASES[case], systemd_version=version),
        runner=programs,
        env_problems=lambda _: [],
        is_there=lambda _: False,
        now=NOW,
    )
    of_units = [(one.status, one.said) for one in consumed if one.program.startswith("systemd-analyze")]
    assert of_units == [(Status.OK, "")]


@pytest.mark.consumer("systemd-analyze-trixie", "systemd-analyze-forky")
@pytest.mark.parametrize("release", RELEASES)
def test_a_key_no_systemd_knows_is_refused_by_each(release: str, tmp_path: Path) -> None:
    """The check above can fail: `verify` of these versions is loud on stderr, too."""
    programs, _ = newer(release, tmp_path)
    unit = tmp_path / "wrong.service"
    unit.write_text("[Service]\nExecStart=/bin/true\nProtectEverything=yes\n")
    ran = programs.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=yes", str(unit)])
    assert isinstance(ran, Known)
    assert "ProtectEverything" in ran.value.stderr


@pytest.mark.consumer("systemd-analyze-trixie", "systemd-analyze-forky")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("release", RELEASES)
def test_a_newer_systemd_scores_the_sandbox_no_worse_than_is_promised(release: str, case: str, tmp_path: Path) -> None:
    programs, version = newer(release, tmp_path)
    engine = CASES[case].deployments["chat"].engine.name
    promised = {"llmops-chat.service": 1.3 if engine.runs_llama_cpp() else 1.8}
    units = [file for file in rendered(CASES[case], systemd_version=version) if file.path.suffix == ".service"]
    assert units
    for file in units:
        unit = tmp_path / file.path.name
        unit.write_text(file.text)
        ran = programs.run(["systemd-analyze", "security", "--offline=yes", "--no-pager", str(unit)])
        assert isinstance(ran, Known)
        found = re.search(r"Overall exposure level for .*: ([0-9.]+)", ran.value.stdout)
        assert found is not None, ran.value.stdout + ran.value.stderr
        assert float(found[1]) <= promised.get(file.path.name, HELPERS), file.path


def test_what_only_a_newer_systemd_knows_is_in_its_units_only() -> None:
    before, after = (
        set(text_of(rendered(CASES["llama_cpp_gpu"], systemd_version=version), UNIT).splitlines())
        for version in (252, min(RELEASES.values()))
    )
    assert before < after
    assert {line.partition("=")[0] for line in after - before} == {"RestartSteps", "RestartMaxDelaySec"}
