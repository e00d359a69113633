"""The operating system: os-release, kernel, systemd, container or WSL, the C library and Python of this process."""

import os
import platform
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from llmops.domain.host import Container, System
from llmops.domain.programs import Ran, Runner
from llmops.domain.reading import NOT_ASKED, Known, Unknown
from llmops.domain.records import dataclass
from llmops.domain.systemd import DIRECTIVES
from llmops.probe.text import read_text, text_or_none


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSigns:
    """What tells a container, in the order systemd-detect-virt trusts it (systemd, src/basic/virt.c).

    `manager` is /run/host/container-manager or /run/systemd/container; `init_environment` /proc/1/environ.
    """

    manager: str | None
    containerenv: bool
    dockerenv: bool
    in_kubernetes: bool
    init_environment: Known[str] | Unknown
    init_cgroup: str | None
    systemd_is_running: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemText:
    """The files and answers as read."""

    os_release: str
    kernel: str
    systemctl: Known[Ran] | Unknown
    systemd_is_running: bool
    container: ContainerSigns
    is_root: bool
    python_version: str
    glibc: Known[str | None] | Unknown
    directives: Known[Ran] | Unknown = NOT_ASKED


def ask(root: Path, *, runner: Runner, environment: Mapping[str, str]) -> SystemText:
    """Read the files below `root`, and ask systemctl for its version."""
    running = (root / "run/systemd/system").is_dir()  # sd_booted(3)
    release = text_or_none(root / "etc/os-release")
    return SystemText(
        os_release=(release if release is not None else text_or_none(root / "usr/lib/os-release")) or "",
        kernel=text_or_none(root / "proc/sys/kernel/osrelease") or "",
        systemctl=runner.run(("systemctl", "--version"), timeout_seconds=5),
        systemd_is_running=running,
        container=ContainerSigns(
            manager=text_or_none(root / "run/host/container-manager") or text_or_none(root / "run/systemd/container"),
            containerenv=(root / "run/.containerenv").exists(),
            dockerenv=(root / ".dockerenv").exists(),
            in_kubernetes="KUBERNETES_SERVICE_HOST" in environment,
            init_environment=read_text(root / "proc/1/environ"),
            init_cgroup=text_or_none(root / "proc/1/cgroup"),
            systemd_is_running=running,
        ),
        is_root=os.geteuid() == 0,
        python_version=platform.python_version(),
        glibc=_ask_glibc(),
        directives=_ask_directives(root, runner),
    )


def read(text: SystemText) -> System:
    """The system; a missing os-release leaves its three fields empty."""
    release = read_os_release(text.os_release)
    return System(
        os_id=release.get("ID", ""),
        os_version=release.get("VERSION_ID", ""),
        os_name=release.get("PRETTY_NAME", release.get("NAME", "")),
        kernel=text.kernel,
        systemd_version=read_systemd_version(text.systemctl),
        systemd_is_running=text.systemd_is_running,
        container=read_container(text.container),
        is_wsl="microsoft" in text.kernel.lower(),
        is_root=text.is_root,
        python_version=text.python_version,
        glibc=text.glibc,
        unknown_directives=read_directives(text.directives),
    )


def read_os_release(text: str) -> dict[str, str]:
    """The assignments of os-release(5), shell quoting undone; a line that is not one is left out."""
    values: dict[str, str] = {}
    for line in text.split("\n"):
        name, equals, value = line.strip().partition("=")
        if not equals or not re.fullmatch(r"[A-Z][A-Z0-9_]*", name, re.ASCII):
            continue
        try:
            words = shlex.split(value)
        except ValueError:  # an open quote
            continue
        values[name] = " ".join(words)
    return values


def read_systemd_version(ran: Known[Ran] | Unknown) -> Known[int] | Unknown:
    """252 of `systemd 252 (252.38-1~deb12u1)`."""
    if isinstance(ran, Unknown):
        return ran
    match = re.match(r"systemd (\d{1,5})\b", ran.value.stdout, re.ASCII)
    return Known(int(match[1])) if match is not None else Unknown("`systemctl --version` names no version")


def read_directives(ran: Known[Ran] | Unknown) -> Known[tuple[str, ...]] | Unknown:
    """The directives of rendered units that are not in `systemd --dump-configuration-items` (systemd(1)): `Name=TYPE` lines."""
    if isinstance(ran, Unknown):
        return ran
    names = {line.partition("=")[0] for line in ran.value.stdout.split("\n") if "=" in line}
    if "ExecStart" not in names:
        return Unknown("`systemd --dump-configuration-items` lists no directives")
    return Known(tuple(name for name in DIRECTIVES if name not in names))


def read_container(signs: ContainerSigns) -> Known[Container] | Unknown:
    """The innermost kind of container, none, or unknown where PID 1 cannot be looked at and no file tells."""
    if signs.in_kubernetes:
        return Known(Container.KUBERNETES)
    if signs.manager:
        return Known(_container(signs.manager))
    if signs.containerenv:
        return Known(Container.PODMAN)
    if signs.dockerenv:
        return Known(Container.DOCKER)
    kind = _container_of_init(signs)
    if kind is not None:
        return Known(kind)
    # systemd as PID 1 writes /run/systemd/container itself, so its absence is an answer
    if isinstance(signs.init_environment, Known) or signs.systemd_is_running:
        return Known(Container.NONE)
    return Unknown(f"no sign of one, but {signs.init_environment.reason}")


def _container_of_init(signs: ContainerSigns) -> Container | None:
    """What PID 1's environment or control group says."""
    if isinstance(signs.init_environment, Known):
        for assignment in signs.init_environment.value.split("\0"):
            name, _, value = assignment.partition("=")
            if name == "container" and value:
                return _container(value)
    words = (("kubepods", Container.KUBERNETES), ("docker", Container.DOCKER), ("lxc", Container.LXC))
    return next((kind for word, kind in words if word in (signs.init_cgroup or "")), None)


def _container(word: str) -> Container:
    name = word.strip().lower()
    if name.startswith("lxc"):
        return Container.LXC
    return Container(name) if name in list(Container) and name != Container.NONE else Container.OTHER


def _ask_directives(root: Path, runner: Runner) -> Known[Ran] | Unknown:
    """Its own program lists what it understands without being PID 1; it is not on the PATH."""
    place = next(
        (one for one in ("/lib/systemd/systemd", "/usr/lib/systemd/systemd") if (root / one[1:]).exists()), None
    )
    if place is None or root != Path("/"):
        return Unknown("systemd's program is not here")
    return runner.run((place, "--dump-configuration-items"), timeout_seconds=5)


def _ask_glibc() -> Known[str | None] | Unknown:
    """`2.36` of this process; None where the C library is not glibc."""
    try:
        words = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()
    except (ValueError, OSError):
        return Known(None)
    return Known(words[1]) if len(words) == 2 and words[0] == "glibc" else Known(None)
