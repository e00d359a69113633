"""What each reader understands of formats that are documented, and that no text makes one raise."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.domain.host import Container, SwapKind
from llmops.domain.programs import Ran
from llmops.domain.reading import Known, Unknown, known
from llmops.probe import cgroup, cpu, disks, kernel_side, listeners, memory, mounts, nvidia, system, tools
from llmops.probe.text import read_text, whole_number

ARM = """processor\t: 0
BogoMIPS\t: 50.00
Features\t: fp asimd evtstrm aes crc32 atomics fphp asimdhp cpuid asimdrdm asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0c

processor\t: 1
Features\t: fp asimd asimdhp asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0c
"""

SWAPS = """Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority
/dev/zram0                              partition\t8388604\t\t0\t\t100
/dev/nvme0n1p3                          partition\t16777212\t512\t\t-2
/swap\\040file                           file\t\t4194300\t\t0\t\t-3
"""

TCP_HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
TCP = (
    TCP_HEAD
    + "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 111 1 0 100 0 0 10 0\n"
    + "   1: 0100007F:1F90 0100007F:C000 01 00000000:00000000 00:00000000 00000000  1000        0 112 1 0 20 4 30 10 -1\n"
)
TCP6 = (
    TCP_HEAD
    + "   0: 00000000000000000000000001000000:20FB 00000000000000000000000000000000:0000 0A 00000000:00000000 "
    + "00:00000000 00000000     0        0 113 1 0 100 0 0 10 0\n"
)

CGROUP_2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
CGROUP_1 = "35 31 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
IN_DOCKER_1 = "35 31 0:31 /docker/0123 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"


def cpu_text(cpuinfo: str, *, machine: str = "x86_64", nodes: str = "0", quota: float | None = None) -> cpu.CpuText:
    return cpu.CpuText(
        machine=machine,
        cpuinfo=Known(cpuinfo),
        cores=(),
        nodes=Known(nodes),
        usable_threads=None,
        quota_threads=Known(quota),
    )


def signs(**changes: object) -> system.ContainerSigns:
    plain: dict[str, object] = {
        "manager": None,
        "containerenv": False,
        "dockerenv": False,
        "in_kubernetes": False,
        "init_environment": Unknown("permission denied"),
        "init_cgroup": None,
        "systemd_is_running": False,
    }
    return system.ContainerSigns(**(plain | changes))  # type: ignore[arg-type]  # each test spoils one field


def ran(stdout: str = "", *, stderr: str = "", exit_code: int = 0) -> Known[Ran]:
    return Known(Ran(argv=("x",), exit_code=exit_code, stdout=stdout, stderr=stderr))


def test_arm_cores_have_names_and_extensions() -> None:
    reading = cpu.read(cpu_text(ARM, machine="aarch64"))
    assert isinstance(reading, Known)
    assert reading.value.model == "ARM Neoverse N1"
    assert reading.value.threads == 2
    assert reading.value.vector_extensions == ("asimd", "asimdhp", "asimddp")
    assert isinstance(reading.value.physical_cores, Unknown)


@pytest.mark.parametrize(("text", "count"), [("0", 1), ("0-1", 2), ("0-3,8", 5), ("0\n", 1)])
def test_lists_of_numa_nodes_are_counted(text: str, count: int) -> None:
    reading = known(cpu.read(cpu_text(ARM, nodes=text)))
    assert reading is not None
    assert reading.numa_nodes == Known(count)


@pytest.mark.parametrize("text", ["", "zero", "3-1", "0-1-2", "²"])
def test_a_list_that_is_none_is_unknown(text: str) -> None:
    reading = known(cpu.read(cpu_text(ARM, nodes=text)))
    assert reading is not None
    assert isinstance(reading.numa_nodes, Unknown)


def test_swap_kinds_are_told_apart() -> None:
    swaps = known(memory.read_swaps(SWAPS))
    assert swaps is not None
    assert [(one.name, one.kind) for one in swaps] == [
        ("/dev/zram0", SwapKind.ZRAM),
        ("/dev/nvme0n1p3", SwapKind.PARTITION),
        ("/swap file", SwapKind.FILE),
    ]
    assert [one.used_bytes for one in swaps] == [0, 512 * 1024, 0]


def test_swaps_that_are_not_understood_are_unknown_not_none() -> None:
    assert isinstance(memory.read_swaps(""), Unknown)
    assert isinstance(memory.read_swaps(SWAPS + "half a line"), Unknown)


@pytest.mark.parametrize(
    ("own", "mountinfo", "directories"),
    [
        ("0::/user.slice/a.scope\n", CGROUP_2, ["user.slice/a.scope", "user.slice", ""]),
        ("0::/\n", CGROUP_2, [""]),
        ("0::/../../system.slice\n", CGROUP_2, [""]),
        ("5:memory:/a/b\n0::/x\n", CGROUP_1, ["memory/a/b", "memory/a", "memory"]),
        ("5:memory:/docker/0123\n", IN_DOCKER_1, ["memory"]),
        ("5:memory:/docker/0123/inner\n", IN_DOCKER_1, ["memory/inner", "memory"]),
        ("5:memory:/elsewhere\n", IN_DOCKER_1, ["memory"]),
    ],
)
def test_the_groups_that_bind_are_from_ones_own_up_to_the_mount(
    own: str, mountinfo: str, directories: list[str]
) -> None:
    place = cgroup.place(own, mountinfo, controller="memory")
    assert place is not None
    top = Path("/sys/fs/cgroup")
    assert [str(one) for one in place.directories] == [str(top / name) for name in directories]


def test_without_a_memory_controller_there_is_no_place() -> None:
    assert cgroup.place("0::/\n", "", controller="memory") is None


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_a_parents_limit_binds_in_version_2(tmp_path: Path) -> None:
    put(tmp_path, "proc/self/cgroup", "0::/a.slice/b.scope\n")
    put(tmp_path, "proc/self/mountinfo", CGROUP_2)
    put(tmp_path, "sys/fs/cgroup/a.slice/b.scope/memory.max", "max\n")
    put(tmp_path, "sys/fs/cgroup/a.slice/memory.max", "536870912\n")
    put(tmp_path, "sys/fs/cgroup/a.slice/cpu.max", "150000 100000\n")
    assert cgroup.ask_memory_limit(tmp_path) == Known(536870912)
    assert cgroup.ask_cpu_quota(tmp_path) == Known(1.5)


def test_a_container_of_version_1_has_its_limit_and_the_hidden_parents(tmp_path: Path) -> None:
    put(tmp_path, "proc/self/cgroup", "5:memory:/docker/0123\n")
    put(tmp_path, "proc/self/mountinfo", IN_DOCKER_1)
    put(tmp_path, "sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n")
    put(tmp_path, "sys/fs/cgroup/memory/memory.stat", "cache 1\nhierarchical_memory_limit 268435456\n")
    assert cgroup.ask_memory_limit(tmp_path) == Known(268435456)


@pytest.mark.parametrize(
    ("texts", "limit"), [(["max\n"], None), (["9223372036854771712\n"], None), ([], None), (["4096\n", "max"], 4096)]
)
def test_no_limit_is_known_to_be_none(texts: list[str], limit: int | None) -> None:
    assert cgroup.read_memory_limit(texts) == Known(limit)


def test_a_limit_that_is_no_number_is_unknown() -> None:
    assert isinstance(cgroup.read_memory_limit(["lots"]), Unknown)
    assert isinstance(cgroup.read_cpu_quota(["100000 0"]), Unknown)


def test_listening_sockets_only_with_their_programs() -> None:
    text = listeners.ListenersText(tcp=Known(TCP), tcp6=Known(TCP6), programs={"111": "llama-server"}, all_seen=False)
    found = known(listeners.read(text))
    assert found is not None
    assert [(one.address, one.port, known(one.program)) for one in found] == [
        ("127.0.0.1", 8080, "llama-server"),
        ("::1", 8443, None),
    ]


def test_without_ipv6_the_rest_is_known() -> None:
    text = listeners.ListenersText(tcp=Known(TCP), tcp6=Unknown("no such file"), programs={}, all_seen=True)
    assert [one.port for one in known(listeners.read(text)) or ()] == [8080]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.274.02  Fri Jan  3 2025\n", "535.274.02"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.95.05  Release Build\n", "580.95.05"),
        ("NVRM version: something else\n", None),
        ("", None),
    ],
)
def test_the_loaded_modules_version_is_found_in_both_forms(text: str, version: str | None) -> None:
    assert kernel_side.read_version(None, text) == version


@pytest.mark.parametrize(
    ("changes", "container"),
    [
        ({"in_kubernetes": True, "dockerenv": True}, Container.KUBERNETES),
        ({"manager": "systemd-nspawn\n"}, Container.SYSTEMD_NSPAWN),
        ({"manager": "lxc-libvirt"}, Container.LXC),
        ({"manager": "rkt"}, Container.OTHER),
        ({"containerenv": True}, Container.PODMAN),
        ({"dockerenv": True}, Container.DOCKER),
        ({"init_environment": Known("PATH=/bin\0container=podman\0")}, Container.PODMAN),
        ({"init_environment": Known("PATH=/bin\0")}, Container.NONE),
        ({"init_cgroup": "0::/kubepods.slice/pod1\n"}, Container.KUBERNETES),
        ({"systemd_is_running": True}, Container.NONE),
    ],
)
def test_containers_are_told_by_their_signs(changes: dict[str, object], container: Container) -> None:
    assert system.read_container(signs(**changes)) == Known(container)


def test_no_sign_and_no_right_to_look_is_unknown() -> None:
    assert isinstance(system.read_container(signs()), Unknown)


def test_os_release_is_read_with_its_quoting() -> None:
    text = '# comment\nNAME=\'Arch Linux\'\nID=arch\nPRETTY_NAME="A \\"B\\""\nBROKEN="open\n1BAD=x\n'
    assert system.read_os_release(text) == {"NAME": "Arch Linux", "ID": "arch", "PRETTY_NAME": 'A "B"'}


VERSIONS = {
    "llama-server": [
        ("", "version: 0.7.0 (build 11669, commit Debian)\nbuilt with GNU 16.2.0", "b11669"),
        ("", "version: 4500 (a1b2c3d)\nbuilt with cc", "b4500"),
    ],
    "ollama": [
        ("ollama version is 0.12.3\n", "", "0.12.3"),
        ("Warning: could not connect to a running Ollama instance\nWarning: client version is 0.35.0\n", "", "0.35.0"),
    ],
    "nginx": [("", "nginx version: nginx/1.22.1\n", "1.22.1")],
    "haproxy": [("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\n", "", "2.6.12")],
    "docker": [("Docker version 28.2.2, build e6534b4\n", "", "28.2.2")],
    "docker compose": [("Docker Compose version v2.40.3\n", "", "2.40.3")],
    "docker-compose": [
        ("Docker Compose version 2.40.3-3\n", "", "2.40.3"),
        ("docker-compose version 1.29.2, build unknown\n", "", "1.29.2"),
    ],
    "podman": [("podman version 4.3.1\n", "", "4.3.1")],
    "systemd-analyze": [("systemd 252 (252.38-1~deb12u1)\n", "", "252")],
    "promtool": [("promtool, version 2.42.0+ds (branch: debian/sid, revision: 2.42.0)\n", "", "2.42.0")],
    "openssl": [("OpenSSL 3.0.19 27 Jan 2026 (Library: OpenSSL 3.0.19 27 Jan 2026)\n", "", "3.0.19")],
    "curl": [("curl 7.88.1 (x86_64-pc-linux-gnu) libcurl/7.88.1 OpenSSL/3.0.19\n", "", "7.88.1")],
}
ANSWERS = [(name, *answer) for name, answers in VERSIONS.items() for answer in answers]


def row(name: str) -> tools.Row:
    return next(one for one in tools.ROWS if one.name == name)


def test_every_program_that_is_asked_has_a_recorded_answer() -> None:
    assert {one.name for one in tools.ROWS if one.arguments is not None} == set(VERSIONS)


@pytest.mark.parametrize(("name", "stdout", "stderr", "version"), ANSWERS)
def test_versions_are_read_from_what_programs_print(name: str, stdout: str, stderr: str, version: str) -> None:
    assert tools.read_version(ran(stdout, stderr=stderr), row(name)) == Known(version)


def test_a_program_that_says_something_else_is_unknown_with_its_words() -> None:
    reading = tools.read_version(ran("docker: unknown command: docker compose\n", exit_code=1), row("docker compose"))
    assert isinstance(reading, Unknown)
    assert "unknown command" in reading.reason


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Unknown("`python -m x` did not end within 10 s"), "did not answer within 10 s"),
        (ran(exit_code=-11, stderr="boom\n"), "signal 11: boom"),
        (ran(exit_code=1), "exit code 1"),
        (ran("noise without a document\n"), "not understood"),
        (ran(""), "not understood"),
        (ran('{"state": "ready"}\n'), "not understood"),
    ],
)
def test_an_nvml_child_that_fails_is_a_fault_never_no_card(answer: Known[Ran] | Unknown, words: str) -> None:
    read = nvidia.read(answer)
    assert read.state.is_fault()
    assert words in read.detail


def test_a_file_that_is_not_there_is_unknown_with_its_name(tmp_path: Path) -> None:
    assert read_text(tmp_path / "absent") == Unknown(f"{tmp_path}/absent: no such file or directory")


def test_whole_numbers_are_plain_digits() -> None:
    assert [whole_number(text) for text in ("12\n", "", None, "-1", "1.5", "²", "9" * 30)] == [12] + [None] * 6


LINES = st.text(st.sampled_from("abc0123456789AF:.,-=\"' \t\n()[]/\\\0\ud800é²"), max_size=200)
ANY = st.one_of(LINES, st.text(max_size=200))


@given(ANY, ANY)
def test_no_text_makes_a_reader_raise_or_a_size_negative(one: str, two: str) -> None:
    """Law: for any text there is a reading or an unknown."""
    cpu.read(cpu_text(one, nodes=two))
    host_memory = memory.read(memory.MemoryText(meminfo=Known(one), swaps=Known(two), limit_bytes=Known(None)))
    if isinstance(host_memory, Known):
        assert host_memory.value.total_bytes > 0
        assert host_memory.value.available_bytes >= 0
    limit = known(cgroup.read_memory_limit([one, two]))
    assert limit is None or limit >= 0
    quota = known(cgroup.read_cpu_quota([one, two]))
    assert quota is None or quota >= 0
    cgroup.place(one, two, controller="memory")
    mounts.read(one)
    listeners.read(listeners.ListenersText(tcp=Known(one), tcp6=Known(two), programs={}, all_seen=True))
    device = kernel_side.PciText(address=one, class_=one, vendor=two, device=one, driver=two)
    kernel_side.read(
        kernel_side.KernelText(modules=Known(one), module_version=one, driver_version=two, devices=(device,))
    )
    system.read_os_release(one)
    system.read_container(signs(manager=one, init_environment=Known(two)))
    system.read_systemd_version(ran(one))
    for name in VERSIONS:
        tools.read_version(ran(one, stderr=two), row(name))
    assert nvidia.read(ran(one)).state.is_fault()
    text = disks.DiskText(
        path=one, real=two, total_bytes=1, free_bytes=1, total_inodes=0, free_inodes=0, read_only=False
    )
    disks.read(mounts.read(one), text)


@given(st.integers(0, 10**15), st.integers(0, 10**15))
def test_meminfo_is_kibibytes(total: int, available: int) -> None:
    text = f"MemTotal:       {total} kB\nMemFree: 5 kB\nMemAvailable:   {available} kB\nHugePages_Total:       0\n"
    reading = memory.read(memory.MemoryText(meminfo=Known(text), swaps=Unknown("x"), limit_bytes=Unknown("x")))
    if total == 0:
        assert isinstance(reading, Unknown)
    else:
        assert isinstance(reading, Known)
        assert (reading.value.total_bytes, reading.value.available_bytes) == (total * 1024, available * 1024)
