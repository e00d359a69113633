"""The NVIDIA driver as the system has it: library, module for this kernel, Secure Boot, services, device files."""

import os
import re
from dataclasses import replace
from pathlib import Path

from llmops.domain.gpu_software import DeviceNode, DriverFiles, Service
from llmops.domain.programs import Ran, Runner
from llmops.domain.reading import Known, Unknown, mapped
from llmops.domain.records import dataclass
from llmops.probe.text import read_text, text_or_none

LIBRARY = "libnvidia-ml.so"
LIBRARY_PLACES = (
    "usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib64", "usr/lib", "usr/lib/x86_64-linux-gnu/nvidia/current",
    "usr/local/nvidia/lib64", "usr/lib64-nvidia", "run/opengl-driver/lib",
)  # fmt: skip
SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
"""Four bytes of attributes, then 1 where it is on (UEFI specification, global variables)."""

BLACKLISTS = ("etc/modprobe.d", "run/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d")
FABRIC, PERSISTENCE = "nvidia-fabricmanager.service", "nvidia-persistenced.service"
ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverText:
    """As read: `module_lists` are the lines of each kernel's modules.dep that name nvidia.ko."""

    libraries: tuple[str, ...]
    driver_version: Known[str] | Unknown
    kernel: str
    module_lists: tuple[tuple[str, str], ...]
    module_version: Known[Ran] | Unknown
    module_signer: Known[Ran] | Unknown
    secure_boot: Known[bytes | None] | Unknown
    mokutil: Known[Ran] | Unknown
    modprobe: str
    command_line: str
    services: Known[Ran] | Unknown
    fabric_version: Known[Ran] | Unknown
    nodes: tuple[DeviceNode, ...]


def ask(root: Path, runner: Runner) -> DriverText:
    """Read the files below `root`, and ask the programs of its modules and services."""
    kernel = text_or_none(root / "proc/sys/kernel/osrelease") or ""

    def run(*argv: str) -> Known[Ran] | Unknown:
        return runner.run(argv, timeout_seconds=ANSWER_SECONDS)

    lists = module_lists(root)
    has_module = any(name == kernel and text for name, text in lists)
    return DriverText(
        libraries=_libraries(root),
        driver_version=read_text(root / "proc/driver/nvidia/version"),
        kernel=kernel,
        module_lists=lists,
        module_version=run("modinfo", "-F", "version", "nvidia") if has_module else Unknown("no module"),
        module_signer=run("modinfo", "-F", "signer", "nvidia") if has_module else Unknown("no module"),
        secure_boot=_secure_boot(root),
        mokutil=run("mokutil", "--sb-state") if runner.find("mokutil") else Unknown("`mokutil` is not installed"),
        modprobe="\n".join(
            text_or_none(path) or "" for place in BLACKLISTS for path in sorted((root / place).glob("*.conf"))
        ),
        command_line=text_or_none(root / "proc/cmdline") or "",
        services=run("systemctl", "show", FABRIC, PERSISTENCE, "--property=Id,LoadState,ActiveState"),
        fabric_version=run("nv-fabricmanager", "--version")
        if runner.find("nv-fabricmanager")
        else Unknown("not installed"),
        nodes=device_nodes(root, ("nvidia*", "nvidia-caps/*", "dxg")),
    )


def read(text: DriverText) -> DriverFiles:
    """What they mean."""
    version = mapped(text.fabric_version, _fabric_version)
    fabric = read_service(text.services, FABRIC)
    if isinstance(fabric, Known) and fabric.value is not None:
        fabric = Known(replace(fabric.value, version=_some(version)))
    return DriverFiles(
        library_version=read_library(text.libraries),
        open_module=mapped(text.driver_version, lambda words: "Open Kernel Module" in words),
        module_for_this_kernel=read_module(text),
        module_is_signed=mapped(text.module_signer, lambda ran: bool(ran.stdout.strip())),
        other_kernels=_other_kernels(text),
        secure_boot=read_secure_boot(text.secure_boot, text.mokutil),
        nouveau_is_blocked=Known(blocks_nouveau(text.modprobe, text.command_line)),
        fabric_manager=fabric,
        persistence_daemon=read_service(text.services, PERSISTENCE),
        device_nodes=Known(text.nodes),
    )


def module_lists(root: Path) -> tuple[tuple[str, str], ...]:
    """Each kernel below /lib/modules, with the lines of its modules.dep that begin with an nvidia.ko."""
    found: list[tuple[str, str]] = []
    for folder in sorted((root / "lib/modules").glob("*")):
        text = text_or_none(folder / "modules.dep")
        if text is not None:
            lines = [line for line in text.split("\n") if re.match(r"\S*/nvidia\.ko(\.\w+)?:", line)]
            found.append((folder.name, "\n".join(lines)))
    return tuple(found)


CAPS = "nvidia-caps"
"""A node of a right, such as to use a MIG instance, is opened for reading (mode 0444; MIG user guide, device nodes)."""


def device_nodes(root: Path, patterns: tuple[str, ...]) -> tuple[DeviceNode, ...]:
    """Device files, with who may open them."""
    found: list[DeviceNode] = []
    for pattern in patterns:
        for path in sorted((root / "dev").glob(pattern)):
            try:
                status = path.stat()
            except OSError:
                continue
            if path.is_dir():
                continue
            found.append(
                DeviceNode(
                    path="/" + str(path.relative_to(root)),
                    mode=f"{status.st_mode & 0o777:04o}",
                    group=_group(path, status.st_gid),
                    usable=os.access(path, os.R_OK if path.parent.name == CAPS else os.R_OK | os.W_OK),
                )
            )
    return tuple(found)


def read_library(names: tuple[str, ...]) -> Known[str | None] | Unknown:
    """The version in the library's file name; None without a library, unknown where several lie about."""
    versions = {match[1] for name in names if (match := re.search(r"\.so\.(\d+\.\d+(?:\.\d+)?)$", name, re.ASCII))}
    if len(versions) > 1:
        return Unknown(f"several are installed: {', '.join(sorted(versions))}")
    if not versions and names:
        return Unknown("its file name says no version")
    return Known(versions.pop() if versions else None)


def read_module(text: DriverText) -> Known[str | None] | Unknown:
    """The version of the module on disk for the running kernel; "" where it does not say, None where there is no module."""
    if not text.kernel or text.kernel not in {name for name, _ in text.module_lists}:
        return Unknown(f"/lib/modules/{text.kernel} is not here")
    if not any(lines for name, lines in text.module_lists if name == text.kernel):
        return Known(None)
    match = (
        re.search(r"^\d+\.\d+(?:\.\d+)?$", text.module_version.value.stdout, re.ASCII | re.MULTILINE)
        if isinstance(text.module_version, Known)
        else None
    )
    return Known(match[0] if match is not None else "")


def _other_kernels(text: DriverText) -> Known[tuple[str, ...]] | Unknown:
    if not text.module_lists:
        return Unknown("/lib/modules is not here")
    return Known(tuple(name for name, lines in text.module_lists if lines and name != text.kernel))


def read_secure_boot(variable: Known[bytes | None] | Unknown, mokutil: Known[Ran] | Unknown) -> Known[bool] | Unknown:
    """On or off, by the firmware's variable, else by mokutil. A machine without UEFI has none."""
    if isinstance(variable, Known):
        if variable.value is None:
            return Known(False)  # noqa: FBT003 - a reading, not a switch
        if len(variable.value) == 5:
            return Known(variable.value[-1] == 1)
    if isinstance(mokutil, Known):
        words = f"{mokutil.value.stdout}\n{mokutil.value.stderr}".lower()
        for word, is_on in (("secureboot enabled", True), ("secureboot disabled", False), ("not supported", False)):
            if word in words:
                return Known(is_on)
    return variable if isinstance(variable, Unknown) else Unknown("the firmware's variable is not understood")


def blocks_nouveau(modprobe: str, command_line: str) -> bool:
    """Whether a file of modprobe.d or the kernel's command line keeps nouveau from loading."""
    is_listed = re.search(r"^\s*(blacklist\s+nouveau|install\s+nouveau\s+/bin/(false|true))\b", modprobe, re.MULTILINE)
    at_boot = re.search(
        r"(?:^|\s)(?:modprobe\.blacklist|rd\.driver\.blacklist|module_blacklist)=\S*\bnouveau\b", command_line
    )
    return is_listed is not None or at_boot is not None


def read_service(ran: Known[Ran] | Unknown, name: str) -> Known[Service | None] | Unknown:
    """One unit of `systemctl show`; None where it is not installed."""
    if isinstance(ran, Unknown):
        return ran
    for block in ran.value.stdout.split("\n\n"):
        pairs = dict(line.partition("=")[::2] for line in block.strip().split("\n"))
        if pairs.get("Id") == name:
            is_there = pairs.get("LoadState") not in ("not-found", None)
            return Known(Service(name=name, state=pairs.get("ActiveState", "")) if is_there else None)
    words = (ran.value.stderr.strip() or "nothing").splitlines()[-1]
    return Unknown(f"`systemctl show` said: {words[:120]}")


def _fabric_version(ran: Ran) -> str | None:
    match = re.search(r"\d+\.\d+(?:\.\d+)?", f"{ran.stdout}\n{ran.stderr}", re.ASCII)
    return match[0] if match is not None else None


def _some(reading: Known[str | None] | Unknown) -> Known[str] | Unknown:
    if isinstance(reading, Unknown):
        return reading
    return Known(reading.value) if reading.value else Unknown("`nv-fabricmanager --version` names none")


def _libraries(root: Path) -> tuple[str, ...]:
    """What `libnvidia-ml.so.1` leads to, in the first place that has one."""
    for place in LIBRARY_PLACES:
        folder = root / place
        link = folder / f"{LIBRARY}.1"
        if link.is_symlink():
            return (link.readlink().name,)
        found = tuple(path.name for path in sorted(folder.glob(f"{LIBRARY}.[0-9]*")))
        if found:
            return found
    return ()


def _secure_boot(root: Path) -> Known[bytes | None] | Unknown:
    firmware = root / "sys/firmware"
    try:
        if (firmware / "efi").is_dir():
            return Known((root / SECURE_BOOT).read_bytes()[:16])
        # a container hides all of it: only a folder with something else in it says that there is no UEFI
        return Known(None) if any(firmware.iterdir()) else Unknown("/sys/firmware is hidden")
    except OSError as error:
        return Unknown(f"the firmware's variables cannot be read: {str(error.strerror).lower()}")


def _group(path: Path, number: int) -> str:
    try:
        return path.group()
    except (KeyError, OSError):
        return str(number)
