"""SELinux labels of what is written: where they are on, what the target's policy says of each path.

Labels are asked for before anything is written and set on the staged file, so that no file is in place with another one.
Asked is `matchpathcon` (libselinux): of the policy that runs on this host, or of the one that lies in another root.
"""

from collections.abc import Sequence
from dataclasses import field
from pathlib import Path, PurePosixPath

from llmops.apply.root import Root
from llmops.domain.programs import Runner
from llmops.domain.reading import Known
from llmops.domain.records import dataclass

CONFIGURATION = PurePosixPath("/etc/selinux/config")
KERNEL = Path("/sys/fs/selinux/enforce")
"""There while a policy is loaded (selinuxfs, mounted by systemd before anything else)."""

NO_LABEL = "<<none>>"
PACKAGE = "libselinux-utils, on Debian selinux-utils"


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """By path, the label the policy has for it; `problem`: why there are none although SELinux is on."""

    by_path: dict[PurePosixPath, str] = field(default_factory=dict)
    problem: str = ""


def labels_of(paths: Sequence[PurePosixPath], *, root: Root, runner: Runner, kernel: Path = KERNEL) -> Labels:
    """The labels of `paths` below `root`; none where SELinux is off."""
    if not paths:
        return Labels()
    if root.is_host:
        return _asked((), paths, runner) if _is_on(runner, kernel) else Labels()
    policy = _policy(root)
    if policy is None:
        return Labels()
    contexts = PurePosixPath("/etc/selinux") / policy / "contexts/files/file_contexts"
    if root.read(contexts) is None:
        return Labels(problem=f"{root.shown(contexts)} is not there")
    return _asked(("-f", root.shown(contexts)), paths, runner)


def _is_on(runner: Runner, kernel: Path) -> bool:
    """As the kernel says; `selinuxenabled` also knows what a container is told."""
    if runner.find("selinuxenabled") is None:
        return kernel.exists()
    ran = runner.run(("selinuxenabled",), timeout_seconds=5)
    return isinstance(ran, Known) and ran.value.exit_code == 0


def _policy(root: Root) -> str | None:
    """The policy a tree will be booted with; None where that is none."""
    found = root.read(CONFIGURATION)
    lines = found.content.decode("utf-8", "replace").splitlines() if found is not None else []
    values = {key.strip(): value.strip() for key, equals, value in (line.partition("=") for line in lines) if equals}
    name = values.get("SELINUXTYPE", "targeted")
    is_on = values.get("SELINUX", "").lower() in ("enforcing", "permissive")
    return name if is_on and "/" not in name and not name.startswith(".") else None


def _asked(options: tuple[str, ...], paths: Sequence[PurePosixPath], runner: Runner) -> Labels:
    if runner.find("matchpathcon") is None:
        return Labels(problem=f"`matchpathcon` is not installed ({PACKAGE})")
    ran = runner.run(("matchpathcon", "-n", *options, *map(str, paths)), timeout_seconds=20)
    if not isinstance(ran, Known):
        return Labels(problem=ran.reason)
    said = ran.value.stdout.splitlines()
    if ran.value.exit_code != 0 or len(said) != len(paths):
        words = (ran.value.stderr or ran.value.stdout).strip()[:200]
        return Labels(problem=f"`matchpathcon` says: {words or f'exit code {ran.value.exit_code}'}")
    return Labels(by_path={path: one for path, one in zip(paths, said, strict=True) if one != NO_LABEL})
