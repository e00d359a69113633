"""Every `console` block of the README is run, and its output is what the block says.

A line `…` stands for any lines, a `…` inside a line for any text. Numbers that a machine decides (times, ports, free
memory) are compared as numbers only where a command looks at this host (`scripts/quickstart`); all other blocks are
compared to the letter. `LLMOPS_RECORD=1` writes these anew.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BLOCK = re.compile(r"^```console\n\$ (?P<command>[^\n]+)\n(?P<output>.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(match["command"], match["output"]) for match in BLOCK.finditer(README.read_text())]
LOOKS_AT_THIS_HOST = "scripts/quickstart"


def output_of(command: str, temporary: Path) -> str:
    """What the command prints; `scripts/quickstart` is here `llmops quickstart` (its installation is tested apart)."""
    words = f'"{sys.executable}" -m llmops'
    shell = re.sub(r"^(scripts/quickstart)", f"{words} quickstart", command)
    shell = re.sub(r"^llmops\b", words, shell)
    environment = {
        "PATH": os.environ["PATH"],
        "SOURCE_DATE_EPOCH": "1795219200",  # the day in the printed ages of the rows
        "LANG": "C.UTF-8",
        "HOME": os.environ.get("HOME", "/"),
        "TMPDIR": str(temporary),
    }
    done = subprocess.run(
        ["bash", "-c", shell], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, timeout=60, check=False,
        env=environment,
    )  # fmt: skip
    assert "Traceback" not in done.stdout
    return done.stdout


def without_numbers(text: str) -> str:
    text = re.sub(r"\S*/llmops-quickstart-\w+", "/tmp/llmops-quickstart-N", text)
    text = text.replace(f"{sys.executable} -m llmops", "llmops")
    return re.sub(r" {2,}", "  ", re.sub(r"\d+(\.\d+)?", "N", text))


def pattern_of(expected: str) -> str:
    lines = expected.splitlines(keepends=True)
    texts = [".*".join(re.escape(part) for part in line.split("…")) for line in lines]
    return "".join(r"(?:.*\n)*?" if line.strip() == "…" else text for line, text in zip(lines, texts, strict=True))


def test_the_readme_shows_the_commands_a_new_user_types_first() -> None:
    shown = " ".join(command for command, _ in BLOCKS)
    assert LOOKS_AT_THIS_HOST in shown
    assert "llmops doctor" in shown
    assert "llmops plan" in shown


@pytest.mark.slow
@pytest.mark.consumer("nginx", "nginx-njs", "systemd-analyze", "docker-compose", "llama-server")
@pytest.mark.parametrize(("command", "expected"), BLOCKS, ids=[command for command, _ in BLOCKS])
def test_a_block_shows_what_its_command_prints(command: str, expected: str, tmp_path: Path) -> None:
    printed = output_of(command, tmp_path)
    if command.startswith(LOOKS_AT_THIS_HOST):
        printed, expected = without_numbers(printed), without_numbers(expected)
    if "…" not in expected and os.environ.get("LLMOPS_RECORD"):
        README.write_text(README.read_text().replace(f"$ {command}\n{expected}```", f"$ {command}\n{printed}```"))
        return
    assert re.fullmatch(pattern_of(expected), printed), f"the README says\n{expected}\nthe command prints\n{printed}"
