"""A shell script of the fixes, to be read before it is run: it says what each step is for, and can be run again."""

from collections.abc import Sequence
from dataclasses import dataclass

from llmops.domain.finding import Status

REFRESH = "apt-get update"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One finding's way out: `commands` a script may run, else `fix` in words."""

    code: str
    status: Status
    message: str
    fix: str | None
    commands: tuple[str, ...]


def fix_script(steps: Sequence[Step], *, host: str) -> str:
    """The whole script. Steps without commands are remarks; a command is there once, where it is first needed."""
    able = [step for step in steps if step.commands]
    lines = [
        "#!/bin/sh",
        f"# Fixes for {_remark(host)}, printed by `llmops doctor --fix-script`. Nothing has been done yet.",
        "# Read it, take out what you do not want, then run it as root. It may be run again: what is done stays as it is.",
        "set -eu",
    ]
    if able:
        lines += [
            'if [ "$(id -u)" -ne 0 ]; then',
            "    echo 'run this as root, after reading it' >&2",
            "    exit 1",
            "fi",
            "export DEBIAN_FRONTEND=noninteractive",
        ]
    done: set[str] = set()
    for step in steps:
        lines += ["", f"# {step.code} ({step.status.value}): {_remark(step.message)}"]
        new = _not_done(step.commands, done)
        if step.commands:
            done |= set(new)
            lines += [f"echo '== {step.code}'", *new] if new else ["# done above"]
        else:
            lines += [f"#   by hand: {_remark(line)}" for line in (step.fix or "see the message").splitlines()]
    if any("nvidia-open" in one or "nvidia-headless" in one or "cuda-drivers" in one for one in done):
        lines += ["", "echo 'restart the host to load the new driver: systemctl reboot'"]
    if not steps:
        lines += ["", "# nothing is to be fixed"]
    return "\n".join(lines) + "\n"


def _not_done(commands: Sequence[str], done: set[str]) -> list[str]:
    """Those that are new; where there is more to do the package lists are read again: an archive may have come in between."""
    new = [command for command in commands if command not in done]
    return [command for command in commands if command in new or command == REFRESH] if set(new) - {REFRESH} else []


def _remark(text: str) -> str:
    """One line, whatever is in it: what comes from a host must never become a command."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
