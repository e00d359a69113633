"""Running `llmops pull` and `verify` as a person does, against a loopback hub."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import locks

from llmops.domain.model import ModelRef
from llmops.formats.lock import dump_lock

CANARY = "hf_canaryCANARYcanary"


def environment(hub_url: str, store: Path, **more: str) -> dict[str, str]:
    """A person's environment with the canary as token; nothing of this machine's own hub settings."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "LLMOPS_", "FAULT_"))}
    home = store.parent / "home"
    home.mkdir(exist_ok=True)
    return {
        **kept, "HF_ENDPOINT": hub_url, "HF_TOKEN": CANARY, "HF_HOME": str(home / "hf"), "HOME": str(home),
        "LLMOPS_STORE": str(store), **more,
    }  # fmt: skip


def start(arguments: list[str], *, env: dict[str, str], cwd: Path) -> "subprocess.Popen[str]":
    """Start `llmops …`; `PYTHON…` warnings are errors here as everywhere."""
    command = [sys.executable, "-W", "error", "-m", "llmops", *arguments]
    return subprocess.Popen(command, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(arguments: list[str], *, env: dict[str, str], cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run `llmops …` to its end."""
    process = start(arguments, env=env, cwd=cwd)
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err, err
    assert CANARY not in out + err
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def until(condition: Callable[[], bool], *, seconds: float = 30) -> None:
    """Wait for something another process does; a test that waits in vain fails."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.01)


def document(ran: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """The one JSON document on stdout."""
    parsed: dict[str, Any] = json.loads(ran.stdout)
    assert parsed["exit_code"] == ran.returncode
    assert parsed["ok"] is (ran.returncode == 0)
    return parsed


def write_lock(path: Path, *refs: ModelRef) -> None:
    """A lock of deployments `chat`, `chat2` … for these models."""
    names = ["chat", *(f"chat{number}" for number in range(2, len(refs) + 1))]
    deployments = {
        name: replace(locks.llama_cpu(port=8080 + at), model=ref)
        for at, (name, ref) in enumerate(zip(names, refs, strict=True))
    }
    path.write_text(dump_lock(locks.lock(deployments)), encoding="utf-8")
