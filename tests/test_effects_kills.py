"""`kill -9` and Ctrl-C at every command of an apply, a rollback, an uninstall: files, boot and processes agree after the next."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import locks
import pytest
from killing import breaking, died
from killing import killed as killed_at_write
from rendering import NOW, with_number
from systemd_host import SystemdHost, as_the_host, die_at

from llmops.apply.root import Root
from llmops.apply.todo import is_unsettled
from llmops.cli import render, rollback, status, uninstall
from llmops.cli.applying import Applying, apply_changes
from llmops.cli.finishing import finish_earlier
from llmops.cli.past import changes_back_to, read_past
from llmops.domain.changes import ChangeSet
from llmops.domain.errors import ApplyFailed, BrokenOff, OutsideWorld, Stop, Terminated, WrongInput, WrongUsage
from llmops.domain.lock import Lock
from llmops.domain.profile import ChangePolicy
from llmops.formats.lock import dump_lock
from llmops.probe.programs import Programs

TARGETS = ("systemd", "env", "nginx", "haproxy")
TWO = locks.lock({"chat": locks.llama_cpu(), "other": locks.llama_cpu(alias="other", port=8081)}, targets=TARGETS)
ONE = locks.lock({"chat": with_number(locks.llama_cpu(), "start_timeout_seconds", 777)}, targets=TARGETS)
EMPTY = b'{"schema": "llmops.effects/1", "after": [{"argv": [], "why": ""}]}'
EVENTS = "var/lib/llmops/generations/audit.jsonl"
EVERY_NTH_WRITE = 19
"""At so many of its writes a command is ended; at each where `LLMOPS_TEST_EXHAUSTIVE` is set, which takes minutes."""


@pytest.fixture(autouse=True)
def _every_tree_is_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    as_the_host(monkeypatch)
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)  # no power is cut here


def changes(root: Path, lock: Lock) -> ChangeSet:
    """What an apply of the lock writes; secrets are made by the command itself."""
    file = root.parent / "llmops.lock"
    file.write_text(dump_lock(lock))
    made = render.wanted_changes(render.Options(lock=str(file), root=str(root)), runner=Programs({}), now=NOW)
    return ChangeSet(changes=tuple(one for one in made.changes if one.after is None or not one.after.secret))


def apply(host: SystemdHost, lock: Lock, made: ChangeSet | None = None, *, reason: str | None = None) -> None:
    how = Applying(root=host.root, now=NOW, reason=reason)
    apply_changes(made or changes(host.root, lock), how, lock=lock, file="llmops.lock", runner=host)


def back(host: SystemdHost) -> None:
    rollback.run(rollback.Options(root=str(host.root)), now=NOW, runner=host)


def away(host: SystemdHost) -> None:
    uninstall.run(uninstall.Options(root=str(host.root)), now=NOW, runner=host)


@dataclass(frozen=True)
class Way:
    """A command, on a host that is ready for it."""

    act: Callable[[SystemdHost], None]
    ready: Path


Seen = tuple[dict[str, bytes], dict[str, dict[str, str]]]


def seen(host: SystemdHost) -> Seen:
    """Every file but the records, and what systemd has."""
    files = {str(one.relative_to(host.root)): one for one in host.root.rglob("*") if one.is_file()}
    texts = {name: one.read_bytes() for name, one in files.items() if "generations" not in name}
    return texts, host.state()


def copied(ready: Path, place: Path) -> SystemdHost:
    shutil.copytree(ready, place)
    return SystemdHost(place / "root")


def killed(host: SystemdHost, way: Way, number: int, *, after: bool) -> None:
    dying = replace(host, at_call=die_at(number, after=after))
    assert died(partial(way.act, dying)), "it was to be killed"


def finish(host: SystemdHost) -> tuple[str, ...]:
    return finish_earlier(host.root, runner=host, now=NOW)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Way]:
    """Hosts on which everything of two deployments runs; for a way back, one of them went since."""
    place = tmp_path_factory.mktemp("ready")
    with pytest.MonkeyPatch.context() as patched:
        as_the_host(patched)
        first = SystemdHost(place / "first/root")
        first.root.mkdir(parents=True)
        apply(first, TWO)
        first.start_all()
        made = changes(first.root, ONE)
        second = copied(place / "first", place / "second")
        apply(second, ONE, made)
    ways = {
        "apply": Way(lambda host: apply(host, ONE, made), place / "first"),
        "rollback": Way(back, place / "second"),
        "uninstall": Way(away, place / "first"),
    }
    return ways.__getitem__


WAYS = ("apply", "rollback", "uninstall")


@pytest.mark.slow
@pytest.mark.parametrize("name", WAYS)
def test_killed_before_or_after_each_command_files_boot_and_processes_agree_after_the_next(
    tmp_path: Path, ready: Callable[[str], Way], name: str
) -> None:
    way = ready(name)
    whole = copied(way.ready, tmp_path / "whole")
    old = seen(whole)
    way.act(whole)
    new = seen(whole)
    assert whole.disagreements() == []
    assert len(whole.commands) > 4
    ends = set()
    for number, text in enumerate(whole.commands, start=1):
        for after in (False, True):
            host = copied(way.ready, tmp_path / f"{number}-{after}")
            killed(host, way, number, after=after)
            at = f"{text} ({'after' if after else 'before'})"
            assert is_unsettled(host.root), at
            said = finish(host)
            assert said, at
            assert not any("it broke" in one for one in said), at
            assert host.disagreements() == [], at
            files, system = seen(host)
            if name == "uninstall" and files != old[0]:
                away(host)  # the records are left
                files, system = seen(host)
            is_new = files == new[0]
            assert (files, system) == (new if is_new else old), at
            assert not is_unsettled(host.root), at
            assert finish(host) == (), at
            ends.add(is_new)
    assert ends == ({True} if name == "rollback" else {True, False}), "a rollback here takes no unit out of the boot"


@pytest.mark.slow
@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("signal", [KeyboardInterrupt, Terminated])
def test_broken_off_at_any_command_files_boot_and_processes_are_as_before(
    tmp_path: Path, ready: Callable[[str], Way], name: str, signal: type[BaseException]
) -> None:
    way = ready(name)
    whole = copied(way.ready, tmp_path / "whole")
    old = seen(whole)
    way.act(whole)
    for number, text in list(enumerate(whole.commands, start=1))[:: 1 if signal is KeyboardInterrupt else 4]:
        host = copied(way.ready, tmp_path / f"{number}")

        def end(now: int, is_after: bool, number: int = number) -> None:
            if (now, is_after) == (number, True):
                raise signal

        host.at_call = end
        with pytest.raises(BrokenOff, match="files and units are as they were") as stop:
            way.act(host)
        assert stop.value.exit_code == (130 if signal is KeyboardInterrupt else 143)
        files, system = seen(host)
        assert files == old[0], text
        assert {kind: system[kind] for kind in ("enabled", "running", "memory")} == {
            kind: old[1][kind] for kind in ("enabled", "running", "memory")
        }, text
        assert not is_unsettled(host.root)


def _fails(text: str) -> bool:
    return text.startswith("systemctl restart llmops-chat")


@pytest.mark.slow
def test_a_way_back_after_a_failure_that_is_killed_too_is_finished_by_the_next(
    tmp_path: Path, ready: Callable[[str], Way]
) -> None:
    way = ready("apply")
    host = copied(way.ready, tmp_path / "whole")
    old = seen(host)
    failed = {"count": 0}

    def once(text: str) -> bool:
        failed["count"] += _fails(text)
        return _fails(text) and failed["count"] == 1

    host.fails = once
    with pytest.raises(ApplyFailed, match="it broke; files and units are as they were"):
        way.act(host)
    assert seen(host)[0] == old[0]
    assert host.disagreements() == []
    broke = next(at for at, text in enumerate(host.commands, start=1) if _fails(text))
    total = len(host.commands)
    assert total > broke + 2
    for number in range(broke + 1, total + 1):
        failed["count"] = 0
        other = copied(way.ready, tmp_path / f"{number}")
        other.fails = once
        killed(other, way, number, after=False)
        other.fails = lambda _text: False
        assert finish(other)
        assert other.disagreements() == []
        assert seen(other)[0] == old[0]


def test_what_cannot_be_finished_is_taken_back(tmp_path: Path, ready: Callable[[str], Way]) -> None:
    way = ready("apply")
    host = copied(way.ready, tmp_path / "host")
    old = seen(host)
    killed(host, way, 2, after=True)
    failed = {"count": 0}

    def once(text: str) -> bool:
        failed["count"] += _fails(text)
        return _fails(text) and failed["count"] == 1

    host.fails = once
    with pytest.raises(ApplyFailed, match=r"cannot be finished.*files and units are as they were"):
        finish(host)
    assert seen(host)[0] == old[0]
    assert host.disagreements() == []
    assert finish(host) == ()


def test_units_that_do_not_come_back_either_are_named(tmp_path: Path, ready: Callable[[str], Way]) -> None:
    way = ready("apply")
    host = copied(way.ready, tmp_path / "host")
    host.fails = _fails
    with pytest.raises(
        ApplyFailed, match=r"files are as they were, but not every unit: .systemctl restart llmops-chat"
    ):
        way.act(host)
    assert finish(host) == (), "it was tried, and said"


def test_status_and_check_say_what_is_left_and_end_with_1_but_change_nothing(
    tmp_path: Path, ready: Callable[[str], Way]
) -> None:
    way = ready("apply")
    host = copied(way.ready, tmp_path / "host")
    killed(host, way, 2, after=False)
    before = seen(host)
    lock = tmp_path / "llmops.lock"
    lock.write_text(dump_lock(ONE))
    told = status.run(status.Options(root=str(host.root), lock=str(lock)), runner=host)
    assert not told.ok
    [finding] = [one for one in told.findings if one.code == "RND007"]
    assert "systemctl restart llmops-chat.service" in finding.message
    checked = render.run(render.Options(lock=str(lock), root=str(host.root), check=True), runner=host, now=NOW)
    assert not checked.ok
    assert finding.message in [one.message for one in checked.findings]
    assert seen(host) == before


def test_a_freeze_holds_the_commands_that_were_left_until_there_is_a_reason(
    tmp_path: Path, ready: Callable[[str], Way]
) -> None:
    way = ready("apply")
    host = copied(way.ready, tmp_path / "host")
    killed(host, way, 3, after=True)
    frozen = replace(ONE, change=ChangePolicy(freeze=(f"{NOW.date()}/{NOW.date()}",)))
    lock = tmp_path / "llmops.lock"
    lock.write_text(dump_lock(frozen))
    options = render.Options(lock=str(lock), root=str(host.root), apply=True)
    before = seen(host)
    with pytest.raises(ApplyFailed, match="changes are frozen"):
        render.run(options, runner=host, now=NOW)
    assert seen(host) == before
    finish_earlier(host.root, runner=host, now=NOW, reason="the half of it is worse")
    assert host.disagreements() == []
    lines = [json.loads(line) for line in (host.root / EVENTS).read_text().splitlines()]
    assert [(one["what"], one["reason"]) for one in lines][-1] == ("finish of apply", "the half of it is worse")


def test_a_new_freeze_alone_is_recorded_once_and_holds_an_uninstall(
    tmp_path: Path, ready: Callable[[str], Way]
) -> None:
    host = copied(ready("apply").ready, tmp_path / "host")
    frozen = replace(TWO, change=ChangePolicy(freeze=(f"{NOW.date()}/{NOW.date()}",)))
    none = ChangeSet(changes=())
    before = seen(host)
    apply(host, frozen, none)
    apply(host, frozen, none)
    assert len(read_past(str(host.root)).records) == 2
    assert seen(host) == before
    with pytest.raises(ApplyFailed, match="changes are frozen"):
        away(host)


def test_a_copy_of_a_host_elsewhere_has_no_command_run_on_this_one(
    tmp_path: Path, ready: Callable[[str], Way], monkeypatch: pytest.MonkeyPatch
) -> None:
    way = ready("apply")
    hosts = [copied(way.ready, tmp_path / f"host-{number}") for number in (1, 3)]
    for host, number in zip(hosts, (1, 3), strict=True):
        killed(host, way, number, after=True)
    original = Root.__init__

    def as_tree(self: Root, path: Path) -> None:
        original(self, path)
        self.is_host = False

    monkeypatch.setattr(Root, "__init__", as_tree)
    for host in hosts:
        said = finish(host)
        assert any("is not the system that runs: `systemctl" in one for one in said)
        assert host.commands == []
        assert finish(host) == ()


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[]", b"[" * 100_000, b'{"schema": "llmops.effects/9"}', b"{}", EMPTY]
)
def test_a_broken_record_of_commands_is_said_with_the_way_on(
    tmp_path: Path, ready: Callable[[str], Way], content: bytes
) -> None:
    way = ready("apply")
    host = copied(way.ready, tmp_path / "host")
    killed(host, way, 3, after=False)
    file = host.root / "var/lib/llmops/generations/2/effects.json"
    file.write_bytes(content)
    with pytest.raises(WrongInput, match="the commands of an apply") as stop:
        finish(host)
    assert str(stop.value.hint).startswith("`rm /var/lib/llmops/generations/2/effects.json`")
    file.unlink()
    assert finish(host) == ()


def test_a_rollback_that_cannot_be_says_what_it_has_brought_to_an_end(
    tmp_path: Path, ready: Callable[[str], Way]
) -> None:
    way = ready("apply")
    host = copied(way.ready, tmp_path / "host")
    killed(host, way, 3, after=False)
    with pytest.raises(WrongUsage, match=r"no generation 9; but generation 2 .apply. was interrupted"):
        rollback.run(rollback.Options(root=str(host.root), number=9), now=NOW, runner=host)
    assert host.disagreements() == []


def test_an_edit_made_after_the_kill_stays(tmp_path: Path, ready: Callable[[str], Way]) -> None:
    way = ready("apply")
    host = copied(way.ready, tmp_path / "host")
    killed(host, way, 3, after=False)
    edited = host.root / "etc/llmops/chat.env"
    edited.write_text("X=1\n")
    host.fails = _fails
    with pytest.raises(ApplyFailed):
        finish(host)
    assert edited.read_text() == "X=1\n"
    assert changes_back_to(read_past(str(host.root)), 1).changes


def test_while_commands_run_no_other_apply_begins_or_finishes_them(tmp_path: Path, ready: Callable[[str], Way]) -> None:
    way = ready("apply")
    host = copied(way.ready, tmp_path / "host")
    refused: list[str] = []

    def another(_number: int, is_after: bool) -> None:
        if is_after:
            other = SystemdHost(host.root)
            for act in (finish, away):
                with pytest.raises(Stop) as stop:
                    act(other)
                refused.append(stop.value.message)
            assert other.commands == []

    host.at_call = another
    way.act(host)
    assert set(refused) == {"another `llmops render --apply` is running"}
    assert host.disagreements() == []
    assert finish(host) == ()


def _disk_full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def killed_while_it_writes(host: SystemdHost, way: Way, at: int) -> None:
    assert killed_at_write(at, partial(way.act, host)), f"it was to be killed at its {at}th write"


def out_of_room(host: SystemdHost, way: Way, at: int) -> None:
    with breaking(at, _disk_full), suppress(ApplyFailed, OutsideWorld, OSError):
        way.act(host)


@pytest.mark.slow
@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("ended", [killed_while_it_writes, out_of_room])
def test_ended_at_a_write_among_commands_all_of_it_is_old_or_new_after_the_next(
    tmp_path: Path,
    ready: Callable[[str], Way],
    name: str,
    ended: Callable[[SystemdHost, Way, int], None],
) -> None:
    way = ready(name)
    old = seen(copied(way.ready, tmp_path / "old"))
    whole = copied(way.ready, tmp_path / "new")
    way.act(whole)
    new = seen(whole)
    counted = copied(way.ready, tmp_path / "count")
    with breaking(0, lambda: None) as calls:
        way.act(counted)
    assert len(calls) > 60
    for at in range(1, len(calls) + 1, 1 if os.environ.get("LLMOPS_TEST_EXHAUSTIVE") else EVERY_NTH_WRITE):
        host = copied(way.ready, tmp_path / f"{at}")
        ended(host, way, at)
        finish(host)
        assert not is_unsettled(host.root)
        if name == "uninstall" and seen(host)[0] != old[0] and (host.root / "var/lib/llmops").exists():
            away(host)
        assert host.disagreements() == [], at
        assert seen(host) in (old, new), at
