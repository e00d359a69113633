"""Which directives of rendered units a host's systemd knows, by its own list."""

import os
import re
from pathlib import Path

import pytest

from llmops.domain.programs import Ran
from llmops.domain.reading import Known, Unknown, known
from llmops.domain.systemd import DIRECTIVES
from llmops.probe import system
from llmops.probe.programs import Programs
from llmops.render import directives

GOLDEN = Path(__file__).parent / "golden"


def dump(text: str) -> Known[Ran]:
    return Known(Ran(argv=("systemd",), exit_code=0, stdout=text, stderr=""))


def test_the_list_is_what_rendered_units_hold_and_may_hold() -> None:
    units = [path.read_text() for path in GOLDEN.rglob("*") if path.suffix in (".service", ".slice") and path.is_file()]
    assert units
    rendered = {name for text in units for name in re.findall(r"^([A-Z][A-Za-z]+)=", text, re.MULTILINE)}
    assert rendered | {one.key for one in directives.DIRECTIVES} <= set(DIRECTIVES)


def test_what_an_older_systemd_does_not_list_is_named() -> None:
    lines = "".join(f"{name}=OTHER\n" for name in DIRECTIVES if name not in ("PrivateIPC", "ProtectProc"))
    assert system.read_directives(dump(f"[Service]\n{lines}")) == Known(("PrivateIPC", "ProtectProc"))


@pytest.mark.parametrize("reading", [dump(""), dump("Unknown option\n"), Unknown("systemd's program is not here")])
def test_no_list_is_unknown_not_everything_missing(reading: Known[Ran] | Unknown) -> None:
    assert isinstance(system.read_directives(reading), Unknown)


@pytest.mark.consumer("systemd-analyze")
def test_the_systemd_here_knows_all_but_those_newer_than_itself() -> None:
    told = system.read(system.ask(Path("/"), runner=Programs(os.environ), environment={}))
    version = known(told.systemd_version)
    assert version is not None
    # systemd NEWS: both came with 254; the unit's template leaves them out before
    newer = ("RestartMaxDelaySec", "RestartSteps") if version < 254 else ()
    assert told.unknown_directives == Known(newer)
