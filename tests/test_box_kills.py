"""`kill -9` among the commands of an apply, a rollback and an uninstall: the systemd of a booted Debian agrees after the next."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from box import Box, booted
from test_box import PLACES, PROFILE, SITE, UNITS, is_active, is_list_of_accounts, running, started

from llmops.formats.tiny_model import tiny_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.root,
    pytest.mark.consumer("box", "mmdebstrap", "llama-server"),
]

KILLING = "/opt/killing"
SYSTEMCTL = """#!/bin/sh
# Ends who called it before or after the command that the file names.
if [ "$*" = "$(cat /run/kill-before 2>/dev/null)" ]; then rm /run/kill-before; kill -9 $PPID; exit 1; fi
/usr/bin/systemctl "$@"; code=$?
if [ "$*" = "$(cat /run/kill-after 2>/dev/null)" ]; then rm /run/kill-after; kill -9 $PPID; fi
exit $code
"""


@pytest.fixture
def box(tmp_path: Path, shared: Path) -> Iterator[Box]:
    """A box with a plan for a model in its store, and a `systemctl` that can end its caller."""
    with booted(tmp_path, dict(os.environ), shared=shared) as one:
        place = tmp_path / "tiny.gguf"
        place.write_bytes(tiny_model())
        one.copy(place, to="/srv/models")
        one.write("/srv/site/llmops.yaml", PROFILE)
        one.write(f"{KILLING}/systemctl", SYSTEMCTL)
        one.shell(
            f"chmod 755 {KILLING}/systemctl; {SITE} llmops plan --out llmops.lock; llmops pull --from /srv/models"
        )
        yield one


def killed(box: Box, words: str, *, at: str, after: bool) -> None:
    """`llmops WORDS`, which does not survive the command `at`."""
    box.shell(f"echo '{at}' >/run/kill-{'after' if after else 'before'}")
    done = box.run("sh", "-c", f"cd /srv/site; PATH={KILLING}:$PATH; export PATH; llmops {words}", check=False)
    assert done.returncode == 137, f"{words} at {at}: {done.returncode} {done.stdout}{done.stderr}"


def enabled(box: Box) -> list[str]:
    return box.run("systemctl", "is-enabled", *UNITS, check=False).stdout.split()


def test_systemd_agrees_with_the_files_after_the_next_command(box: Box) -> None:
    before = box.snapshot(*PLACES)
    started(box)
    box.shell(f"{SITE} sed -i 's/parallel: 2/parallel: 3/' llmops.yaml; llmops plan --out llmops.lock")

    killed(box, "render --apply", at="daemon-reload", after=True)
    assert "-np 2" in running(box)
    said = box.run("sh", "-c", f"{SITE} llmops status", check=False)
    assert said.returncode == 1
    assert "systemctl restart llmops-chat.service" in " ".join(said.stdout.split())
    box.shell(f"{SITE} llmops render --apply")
    assert "-np 3" in running(box)
    assert box.run("sh", "-c", f"{SITE} llmops status").returncode == 0

    killed(box, "rollback", at="restart llmops-chat.service", after=False)
    assert "-np 3" in running(box)
    box.shell("llmops rollback 1")  # the killed one is finished, then there is nothing to do
    assert "-np 2" in running(box)

    stops = f"disable --quiet {' '.join(reversed(UNITS))}"
    killed(box, "uninstall", at=stops, after=True)
    assert enabled(box) == ["disabled"] * len(UNITS)
    box.shell("llmops rollback 3")
    assert enabled(box) == ["enabled"] * len(UNITS)
    assert is_active(box)

    killed(box, "uninstall", at="stop llmops-chat.service", after=True)
    said = box.run("llmops", "status", check=False)
    assert "llmops uninstall" in " ".join(said.stdout.split())
    box.shell("llmops uninstall")
    assert box.shell("systemctl list-units --all --no-legend 'llmops*'") == ""
    assert {line for line in box.snapshot(*PLACES) ^ before if not is_list_of_accounts(line)} == set()
    assert "llmops" not in box.shell("getent passwd; getent group")
