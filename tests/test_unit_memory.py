"""What runs against what is on disk: by systemd's times, and by the workers of a server that was reloaded."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import locks
import pytest
from rendering import NOW

from llmops.apply.root import Root
from llmops.cli import render
from llmops.cli.past import read_past
from llmops.cli.unit_files import changed_by_unit
from llmops.domain.drift import Changed, UnitState
from llmops.formats.lock import dump_lock
from llmops.probe.programs import Programs
from llmops.probe.units import read_unit_states
from llmops.probe.workers import loaded_at, read_youngest

STARTED = NOW.replace(year=2026, month=11, day=21, hour=12)
SYSTEMCTL = """\
Id=llmops-chat.service
ActiveState=active
UnitFileState=enabled
NeedDaemonReload=no
MainPID=77
ActiveEnterTimestamp=@1795262400
StateChangeTimestamp=@1795266000

Id=llmops-small.service
ActiveState=failed
UnitFileState=disabled
NeedDaemonReload=yes
MainPID=0
ActiveEnterTimestamp=
StateChangeTimestamp=@1795262400
"""
"""As `systemctl show --timestamp=unix` of systemd 252 prints it."""


def _chat(changed: Changed, loaded: datetime | None = None) -> UnitState:
    asked: list[int] = []

    def at(pid: int) -> datetime | None:
        asked.append(pid)
        return loaded

    [chat, small] = read_unit_states(SYSTEMCTL, {"llmops-chat.service": changed}, loaded=at)
    assert set(asked) <= {77}, "no process of what does not run is looked at"
    assert (small.active, small.needs_reload, small.runs_older, small.config_older) == ("failed", True, False, False)
    return chat


def test_a_process_older_than_what_it_reads_at_its_start_is_seen() -> None:
    assert int(STARTED.timestamp()) == 1795262400
    assert _chat(Changed(at_start=STARTED + timedelta(hours=1))).runs_older
    assert not _chat(Changed(at_start=STARTED - timedelta(hours=1))).runs_older
    assert not _chat(Changed(at_start=STARTED + timedelta(seconds=1))).runs_older, "systemd tells whole seconds"


def test_a_configuration_that_changed_since_it_was_loaded_is_seen() -> None:
    changed = Changed(on_reload=STARTED + timedelta(minutes=30))
    assert not _chat(changed).config_older, "its state changed an hour after its start: it was reloaded"
    older = _chat(changed, loaded=STARTED)
    assert (older.config_older, older.runs_older) == (True, False), "a reload that was refused starts no worker"
    assert older.mended_by() == "systemctl reload llmops-chat.service"
    assert not _chat(changed, loaded=STARTED + timedelta(minutes=31)).config_older


@pytest.mark.parametrize("uptime", ["", "x y", "-1 2"])
def test_times_that_cannot_be_read_are_no_times(uptime: str) -> None:
    stat = f"9 (a b) c) S {' '.join('0' for _ in range(18))} 500 0"
    assert read_youngest([stat], uptime, ticks=100, now=NOW) is None
    assert read_youngest(["", "9 (x) S 1"], "10.0 1", ticks=100, now=NOW) is None
    assert read_youngest([stat], "10.00 1.0", ticks=100, now=NOW) == NOW - timedelta(seconds=5)
    assert loaded_at(0) is None
    assert loaded_at(1, proc=Path("/nowhere")) is None


@contextmanager
def _running(argv: list[str]) -> Iterator[int]:
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            yield server.pid
        finally:
            server.terminate()


def _comes(pid: int, is_so: Callable[[datetime], bool]) -> bool:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        found = loaded_at(pid)
        if found is not None and is_so(found):
            return True
        time.sleep(0.1)
    return False


def _nginx(place: Path) -> tuple[list[str], int, Path]:
    file = place / "nginx.conf"
    file.write_text(f"daemon off; pid {place}/pid; error_log {place}/log; events {{}} http {{ access_log off; }}\n")
    return ["nginx", "-p", str(place), "-c", str(file), "-e", str(place / "log")], signal.SIGHUP, file


def _haproxy(place: Path) -> tuple[list[str], int, Path]:
    file = place / "haproxy.cfg"
    file.write_text(f"defaults\n  mode http\n  timeout client 1s\nfrontend x\n  bind unix@{place}/socket\n")
    return ["haproxy", "-W", "-f", str(file)], signal.SIGUSR2, file


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(_nginx, marks=pytest.mark.consumer("nginx")),
        pytest.param(_haproxy, marks=pytest.mark.consumer("haproxy")),
    ],
)
def test_a_real_server_says_when_it_was_reloaded_and_that_it_refused_to(
    tmp_path: Path, server: Callable[[Path], tuple[list[str], int, Path]]
) -> None:
    argv, reload, file = server(tmp_path)
    program = Programs(os.environ).find(argv[0])
    assert program is not None
    begin = datetime.now(UTC)
    with _running([program, *argv[1:]]) as pid:
        assert _comes(pid, lambda found: found >= begin - timedelta(seconds=1))
        time.sleep(1.2)
        changed = datetime.now(UTC)
        os.kill(pid, reload)
        assert _comes(pid, lambda found: found >= changed - timedelta(seconds=0.5))
        good = file.read_text()
        file.write_text("no configuration at all {")
        time.sleep(1.2)
        refused = datetime.now(UTC)
        os.kill(pid, reload)
        time.sleep(1.0)
        found = loaded_at(pid)
        assert found is None or found < refused - timedelta(seconds=0.5)
        file.write_text(good)


def test_each_unit_is_judged_by_the_files_that_it_reads(tmp_path: Path) -> None:
    root, lock = tmp_path / "root", tmp_path / "llmops.lock"
    root.mkdir()
    lock.write_text(
        dump_lock(locks.lock({"chat": locks.llama_cpu()}, targets=("systemd", "env", "nginx", "haproxy", "prometheus")))
    )
    options = render.Options(lock=str(lock), root=str(root), apply=True)
    assert render.run(options, runner=Programs(os.environ)).ok
    later = datetime.now(UTC) + timedelta(hours=1)
    reads = {
        "etc/nginx/llmops/keys.map": ("nginx.service", "on_reload"),
        "etc/prometheus/llmops.yml": ("prometheus.service", "on_reload"),
        "etc/llmops/haproxy.cfg": ("llmops-gateway.service", "on_reload"),
        "usr/lib/llmops/start-gateway": ("llmops-gateway.service", "at_start"),
        "etc/llmops/chat.env": ("llmops-chat.service", "at_start"),
        "etc/systemd/system/llmops-chat.service": ("llmops-chat.service", "at_start"),
    }
    before = changed_by_unit(read_past(str(root)))
    for path, (unit, when) in reads.items():
        assert (root / path).is_file(), path
        stat = (root / path).stat()
        os.utime(root / path, (later.timestamp(), later.timestamp()))
        now = changed_by_unit(read_past(str(root)))
        assert getattr(now[unit], when) == later, path
        assert {name for name in now if now[name] != before[name]} == {unit}, path
        os.utime(root / path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (root / "etc/llmops/haproxy.cfg").unlink()
    assert Root(root).changed_at(PurePosixPath("/etc/llmops/haproxy.cfg")) is None
    assert changed_by_unit(read_past(str(root)))["llmops-gateway.service"].on_reload is not None
