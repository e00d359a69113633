"""An apply with nothing to do: no file is touched, no program asked, and it takes no time that anyone would notice."""

import os
import subprocess
import sys
from pathlib import Path

import locks
import pytest

from llmops.formats.lock import dump_lock

SECONDS = 0.3
"""Of a processor, after the command's module is imported: what the time of day says depends on who else is busy."""

MEASURED = """
import contextlib, io, os, time
import llmops.cli.render
from llmops.cli import app
begin = os.times()
with contextlib.redirect_stdout(io.StringIO()) as said:
    code = app.run(["render", "--apply", "--root", "root"])
end = os.times()
assert code == 0, code
own = end.user + end.system - begin.user - begin.system
print(own, end.children_user + end.children_system, "nothing to do" in said.getvalue())
"""

Seen = dict[str, tuple[int, int, int, int]]


def _seen(root: Path) -> Seen:
    """Every path with its inode, times of content and of the inode, and mode."""
    found = {str(path.relative_to(root)): path.lstat() for path in root.rglob("*")}
    return {name: (one.st_ino, one.st_mtime_ns, one.st_ctime_ns, one.st_mode) for name, one in found.items()}


def _apply(place: Path) -> tuple[float, float, bool]:
    ran = subprocess.run([sys.executable, "-c", MEASURED], cwd=place, capture_output=True, text=True, check=True)
    own, children, is_nothing = ran.stdout.split()
    return float(own), float(children), is_nothing == "True"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    targets = ("systemd", "env", "nginx", "haproxy", "prometheus")
    (tmp_path / "llmops.lock").write_text(dump_lock(locks.lock({"chat": locks.llama_cpu()}, targets=targets)))
    (tmp_path / "root").mkdir()
    return tmp_path


def test_an_unchanged_apply_touches_no_inode_asks_no_program_and_is_over_at_once(place: Path) -> None:
    assert not _apply(place)[2]
    before = _seen(place / "root")
    assert len(before) > 25
    runs = [_apply(place) for _ in range(3)]
    assert all(is_nothing for _, _, is_nothing in runs)
    assert _seen(place / "root") == before
    assert min(own for own, _, _ in runs) < SECONDS
    assert max(children for _, children, _ in runs) == 0.0, "the consumers read it when it was applied"


def test_one_byte_elsewhere_and_the_consumers_are_asked_again(place: Path) -> None:
    _apply(place)
    (place / "root/etc/nginx/conf.d/llmops.conf").unlink()
    _, children, is_nothing = _apply(place)
    assert not is_nothing
    assert children > 0.0 or not any(os.access(f"{path}/nginx", os.X_OK) for path in ("/usr/sbin", "/usr/bin"))
