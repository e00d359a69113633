"""SYS: the operating system, and what the program sees of it."""

import re

from llmops.checks.check import Check, Judgement, ok, unknown, warn
from llmops.domain.host import Container, HostFacts
from llmops.domain.reading import Unknown

TESTED = ("debian", "12")
"""Where every rendered file was checked with its real consumers."""

PYTHON_FLOOR = (3, 11)
SYSTEMD_FLOOR = 250
"""Encrypted credentials came with 250; rendered units were checked with 252 (systemd, NEWS)."""

GLIBC_FLOOR = (2, 28)
"""What the wheels of vLLM 0.22 to 0.33 ask for (manylinux_2_28 in their names); prebuilt engines are not older."""


def os_is_one_the_files_were_checked_on(host: HostFacts) -> Judgement:
    """Debian 12; others work by version, untested."""
    system = host.system
    if not system.os_id:
        return unknown(Unknown("/etc/os-release names no system"), "operating system")
    if (system.os_id, system.os_version) == TESTED:
        return ok(system.os_name)
    return warn(f"{system.os_name or system.os_id}: rendered files were checked on Debian 12 only")


def python_is_new_enough(host: HostFacts) -> Judgement:
    """3.11 or newer."""
    match = re.match(r"(\d+)\.(\d+)", host.system.python_version, re.ASCII)
    if match is None:
        return unknown(Unknown(f"not a version: `{host.system.python_version}`"), "Python")
    if (int(match[1]), int(match[2])) < PYTHON_FLOOR:
        return warn(f"Python {host.system.python_version} is older than 3.11")
    return ok(f"Python {host.system.python_version}")


def systemd_runs_the_host(host: HostFacts) -> Judgement:
    """It is PID 1, and new enough for the rendered units."""
    system = host.system
    if not system.systemd_is_running:
        return warn("systemd does not run this host: rendered units cannot be started here")
    if isinstance(system.systemd_version, Unknown):
        return unknown(system.systemd_version, "systemd's version")
    version = system.systemd_version.value
    if version < SYSTEMD_FLOOR:
        return warn(f"systemd {version} is older than {SYSTEMD_FLOOR}: credentials of rendered units need that")
    return ok(f"systemd {version} is PID 1")


def what_is_seen_is_the_host_itself(host: HostFacts) -> Judgement:
    """No container and no WSL between this program and the host."""
    system = host.system
    if system.is_wsl:
        return warn("runs in WSL: cards, memory and systemd are what Windows lends")
    if isinstance(system.container, Unknown):
        return unknown(system.container, "container")
    if system.container.value is not Container.NONE:
        return warn(f"signs of a container ({system.container.value.value}): facts are the container's, not the host's")
    return ok("no container")


def glibc_fits_prebuilt_engines(host: HostFacts) -> Judgement:
    """2.28 or newer."""
    glibc = host.system.glibc
    if isinstance(glibc, Unknown):
        return unknown(glibc, "C library")
    match = re.match(r"(\d+)\.(\d+)", glibc.value or "", re.ASCII)
    if match is None:
        return warn("the C library is not glibc: prebuilt engines do not start")
    if (int(match[1]), int(match[2])) < GLIBC_FLOOR:
        return warn(f"glibc {glibc.value} is older than 2.28: prebuilt engines do not start")
    return ok(f"glibc {glibc.value}")


def changes_can_be_applied(host: HostFacts) -> Judgement:
    """The user is root."""
    if host.system.is_root:
        return ok("runs as root")
    return warn("not root: `llmops render --apply` to / and other users' processes are out of reach")


CHECKS = (
    Check(
        code="SYS001",
        title="The operating system is one the rendered files were checked on",
        judge=os_is_one_the_files_were_checked_on,
        why="Units, proxies and compose files are checked with the programs of Debian 12. Ubuntu and newer Debian are served by "
        "version, untested.",
        fix="read the diff of `llmops render` with care, and run the checks it prints",
        source="each target's own checker, run on Debian 12 (tests)",
    ),
    Check(
        code="SYS002",
        title="Python is 3.11 or newer",
        judge=python_is_new_enough,
        why="llmops itself needs it.",
        fix="apt-get install python3.11 python3.11-venv",
        source="pyproject.toml, requires-python",
    ),
    Check(
        code="SYS003",
        title="systemd runs the host",
        judge=systemd_runs_the_host,
        why="A rendered deployment is a hardened systemd unit with credentials. Without it, the compose target remains.",
        fix="apply on a host that is booted with systemd, or render with `--target compose`",
        source="systemd NEWS: LoadCredential= since 247, encrypted since 250",
    ),
    Check(
        code="SYS004",
        title="What is seen is the host itself",
        judge=what_is_seen_is_the_host_itself,
        why="In a container, memory limits, cards, disks and ports are those it was given; a deployment belongs on the host.",
        fix="run `llmops doctor` on the host too, or carry its facts: `llmops doctor --json > facts.json`",
        source="systemd, src/basic/virt.c; Linux, namespaces(7)",
    ),
    Check(
        code="SYS005",
        title="The C library fits prebuilt engines",
        judge=glibc_fits_prebuilt_engines,
        why="Engine wheels and binaries are linked against glibc 2.28 or newer; with an older one, or musl, they do not start.",
        fix="run the engine from its container image, or build it here",
        source="names of the wheels of vLLM 0.22 to 0.33 (manylinux_2_28)",
    ),
    Check(
        code="SYS006",
        title="Changes to this host can be applied",
        judge=changes_can_be_applied,
        why="Units, users and files under /etc need root. Sizing, pulling and `render --out` do not.",
        fix="sudo llmops doctor",
        source="systemd.unit(5), sysusers.d(5)",
    ),
)
