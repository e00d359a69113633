"""SIGKILL before every write, sync and rename that libc sees of an apply with an edit in its way."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import fault_disk
import pytest
from test_three_way import CLASHING, EDITED, FIRST, JOINED, SECOND, Host

from llmops.apply.undoing import has_pending, recover
from llmops.domain.changes import Ways

Run = Callable[[dict[str, str], Path, Ways], int]


@contextmanager
def _forked() -> Iterator[Run]:
    env = dict(os.environ) | {"LD_PRELOAD": str(fault_disk.library())}
    script = Path(__file__).with_name("forked_applies.py")
    with subprocess.Popen(
        [sys.executable, str(script)], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:

        def run(faults: dict[str, str], root: Path, ways: Ways) -> int:
            assert program.stdin
            assert program.stdout
            asked = {"faults": faults, "root": str(root), "text": SECOND, "ways": ways.value}
            program.stdin.write(json.dumps(asked) + "\n")
            program.stdin.flush()
            return int(program.stdout.readline())

        yield run


def _ready(root: Path, edit: str) -> Host:
    root.mkdir()
    host = Host(root)
    host.render(FIRST)
    host.edit(edit)
    return host


CASES = {
    "kept": (Ways.KEEP, EDITED, EDITED),
    "merged": (Ways.MERGE, EDITED, JOINED),
    "replaced": (Ways.OVERWRITE, CLASHING, SECOND),
}


@pytest.mark.consumer("cc")
@pytest.mark.parametrize("case", CASES)
def test_killed_before_each_write_sync_and_rename_the_edit_is_there_or_what_was_asked_for(
    tmp_path: Path, case: str
) -> None:
    ways, edit, goal = CASES[case]
    with _forked() as run:
        log = tmp_path / "calls"
        assert run({"FAULT_LOG": str(log)}, _ready(tmp_path / "count", edit).root, ways) == 0
        calls = log.read_text().splitlines()
        kinds = {line.split()[0] for line in calls}
        assert kinds == {"write", "fsync", "rename"}
        assert 10 < len(calls) < 80
        ends = set()
        for number, call in enumerate(calls, start=1):
            host = _ready(tmp_path / f"{case}-{number}", edit)
            assert run({"FAULT_CALL": f"{number}:kill"}, host.root, ways) == -9, call
            recover(host.root)
            assert not has_pending(host.root)
            is_done = (host.root / "var/lib/llmops/generations/2").exists()
            assert host.file.read_text() == (goal if is_done else edit), call
            assert run({}, host.root, ways) == 0, call
            assert host.file.read_text() == goal, call
            assert not list(host.root.rglob("*.llmops-new")), call
            lines = (host.root / "var/lib/llmops/generations/audit.jsonl").read_text().splitlines()
            assert [json.loads(line)["generation"] for line in lines] == [1, 2], call
            ends.add(is_done)
        assert ends == {True, False}
