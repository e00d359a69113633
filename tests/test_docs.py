"""Pages written from the code say what the code says."""

import re
import subprocess
import sys
from pathlib import Path

from llmops.cli.app import COMMANDS
from llmops.domain.errors import Exit

ROOT = Path(__file__).resolve().parents[1]


def test_the_reference_pages_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/docs.py", "check"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_reference_has_every_command_and_every_exit_code() -> None:
    commands = (ROOT / "docs/reference/commands.md").read_text()
    codes = (ROOT / "docs/reference/exit-codes.md").read_text()
    assert re.findall(r"^## (\S+)$", commands, re.MULTILINE) == list(COMMANDS)
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", codes, re.MULTILINE)] == [int(code) for code in Exit]


def test_every_link_of_our_pages_to_a_file_leads_to_one() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert {"CONTRIBUTING.md", "CHANGELOG.md", "README.md"} <= {page.name for page in pages}
    assert broken == []
