"""Out-of-memory kills as kernels write them, limits of control groups, and settings that are not there."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.domain.reading import Known, Unknown, known
from llmops.probe import cgroup, memory, memory_settings, oom

HOST_KILL = """\
[ 1034.120001] python3 invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO), order=0, oom_score_adj=0
[ 1034.120455] oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/user.slice/\
user-1000.slice/session-2.scope,task=llama-server,pid=4242,uid=1000
[ 1034.120470] Out of memory: Killed process 4242 (llama-server) total-vm:68123456kB, anon-rss:61234567kB, file-rss:128kB, \
shmem-rss:0kB, UID:1000 pgtables:120456kB oom_score_adj:0
"""
GROUP_KILL = """\
[   77.000001] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=docker-0123.scope,mems_allowed=0,\
oom_memcg=/system.slice/docker-0123.scope,task_memcg=/system.slice/docker-0123.scope,task=VLLM::EngineCor,pid=77,uid=0
[   77.000100] Memory cgroup out of memory: Killed process 77 (VLLM::EngineCor) total-vm:1024kB, anon-rss:512kB, file-rss:0kB, \
shmem-rss:0kB, UID:0 pgtables:44kB oom_score_adj:0
"""
OLD_KILL = "[ 5.5] Killed process 9 (a (b)) total-vm:100kB, anon-rss:50kB, file-rss:4kB, shmem-rss:0kB\n"
JOURNAL = (
    "[  99.123456] host kernel: Out of memory: Killed process 12 (mysqld) total-vm:9kB, anon-rss:8kB, file-rss:0kB\n"
)


def test_a_kill_for_want_of_host_memory_is_told_from_one_of_a_group() -> None:
    kills = known(oom.read_kills(Known(GROUP_KILL + HOST_KILL)))
    assert kills is not None
    assert [(one.program, one.pid, one.in_control_group) for one in kills] == [
        ("llama-server", 4242, False),
        ("VLLM::EngineCor", 77, True),
    ]
    assert kills[0].resident_bytes == (61234567 + 128) * 1024
    assert kills[1].group == "/system.slice/docker-0123.scope"
    assert kills[0].seconds_after_boot == pytest.approx(1034.12047)


@pytest.mark.parametrize(("text", "program"), [(OLD_KILL, "a (b)"), (JOURNAL, "mysqld")])
def test_kills_of_older_kernels_and_of_the_journal_are_read(text: str, program: str) -> None:
    assert [one.program for one in known(oom.read_kills(Known(text))) or ()] == [program]


def test_only_the_last_kills_are_kept_the_newest_first() -> None:
    log = "".join(JOURNAL.replace("process 12", f"process {pid}") for pid in range(100))
    kills = known(oom.read_kills(Known(log))) or ()
    assert [one.pid for one in kills] == list(range(99, 99 - oom.KILLS_LIMIT, -1))


def test_a_log_that_may_not_be_read_leaves_the_count() -> None:
    assert oom.read_kills(Unknown("operation not permitted")) == Unknown("operation not permitted")
    assert oom.read_count(Known("nr_free_pages 1\noom_kill 3\n")) == Known(3)
    assert isinstance(oom.read_count(Known("nr_free_pages 1\n")), Unknown)


@given(st.text())
def test_no_text_makes_a_reader_raise(text: str) -> None:
    oom.read_kills(Known(text))
    oom.read_count(Known(text))
    memory.read_limit(Known(text))
    memory_settings.read_choice(text)
    memory_settings.read_node(text, text, text)
    memory_settings.read_zram("zram0", algorithms=text, disksize=text, statistics=text)


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_in_version_1_swap_is_what_both_may_take_beyond_memory(tmp_path: Path) -> None:
    put(tmp_path, "proc/self/cgroup", "5:memory:/\n")
    put(tmp_path, "proc/self/mountinfo", "35 31 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n")
    put(tmp_path, "sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n")
    put(tmp_path, "sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", "1610612736\n")
    assert cgroup.ask_swap_limit(tmp_path) == Known(536870912)
    assert cgroup.ask_throttle(tmp_path) == Known(None)


@pytest.mark.parametrize(
    ("mounts", "version"),
    [
        ("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", 2),
        ("31 23 0:26 / /c rw - cgroup2 cgroup2 rw\n32 23 0:27 / /m rw - cgroup cgroup rw,memory\n", 1),
        ("31 23 0:26 / /c rw - cgroup2 cgroup2 rw\n32 23 0:27 / /m rw - cgroup cgroup rw,xattr,name=systemd\n", 2),
        ("27 1 254:0 / / rw - ext4 /dev/vda rw\n", None),
    ],
)
def test_the_version_that_binds_the_controllers_counts(mounts: str, version: int | None, tmp_path: Path) -> None:
    put(tmp_path, "proc/self/mountinfo", mounts)
    assert cgroup.version(tmp_path) == Known(version)


def test_a_kernel_without_huge_pages_or_balancing_has_none_and_a_missing_sys_is_unknown(tmp_path: Path) -> None:
    put(tmp_path, "proc/sys/vm/swappiness", "60\n")
    (tmp_path / "sys/kernel/mm").mkdir(parents=True)
    told = memory_settings.ask_tuning(tmp_path, Known(""))
    assert (told.transparent_huge_pages, told.numa_balancing, told.huge_pages) == (Known(None), Known(None), Known(()))
    nothing = memory_settings.ask_tuning(tmp_path / "absent", Unknown("x"))
    assert isinstance(nothing.transparent_huge_pages, Unknown)
    assert isinstance(nothing.huge_pages, Unknown)
    assert isinstance(nothing.swappiness, Unknown)
