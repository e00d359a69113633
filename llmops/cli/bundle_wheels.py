"""Engine wheels for a bundle: the files of a folder, each with its digest."""

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from llmops.domain.bundle import WHEELS, BundleFile
from llmops.domain.errors import OutsideWorld, WrongInput
from llmops.domain.finding import Finding, Status, Where
from llmops.domain.lock import Lock
from llmops.domain.model import DigestAlgorithm
from llmops.domain.records import dataclass
from llmops.formats.wheels import parse_wheel_name
from llmops.hub.hashing import file_digests


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheels:
    """The wheels, where each lies, and which distributions they are."""

    files: tuple[BundleFile, ...] = ()
    sources: Mapping[str, Path] = field(default_factory=dict)
    engines: frozenset[str] = frozenset()
    findings: tuple[Finding, ...] = ()


def wheels_in(folder: str, locks: Mapping[str, Lock]) -> Wheels:
    """All `*.whl` of a folder. Raises `WrongInput` where there is none; says so where an engine's build is another one."""
    place = Path(folder)
    if not place.is_dir():
        raise WrongInput(
            "there is no such directory", hint="`pip download -d DIR PACKAGE` fills one", where=_at(folder)
        )
    found = sorted(one for one in place.iterdir() if one.name.endswith(".whl") and one.is_file())
    if not found:
        raise WrongInput("no wheel (*.whl) in it", hint="`pip download -d DIR PACKAGE` fills one", where=_at(folder))
    rows: dict[str, BundleFile] = {}
    sources: dict[str, Path] = {}
    versions: dict[str, str] = {}
    for one in found:
        wheel = parse_wheel_name(one.name)
        if wheel is None:
            raise WrongInput(
                "not the name of a wheel", hint="NAME-VERSION-PYTHON-ABI-PLATFORM.whl", where=_at(str(one))
            )
        versions[wheel.name] = wheel.version
        path = f"{WHEELS}/{one.name}"
        try:
            (sha256,) = file_digests(one.resolve(), (DigestAlgorithm.SHA256,))
        except OSError as error:
            raise OutsideWorld((error.strerror or str(error)).lower(), where=_at(str(one))) from None
        rows[path] = BundleFile(path=path, bytes=one.stat().st_size, sha256=sha256)
        sources[path] = one.resolve()
    return Wheels(
        files=tuple(rows.values()),
        sources=sources,
        engines=frozenset(versions),
        findings=tuple(_other_builds(versions, locks, folder)),
    )


def _other_builds(versions: Mapping[str, str], locks: Mapping[str, Lock], folder: str) -> list[Finding]:
    wanted = {(one.engine.name.value, one.engine.build) for lock in locks.values() for one in lock.deployments.values()}
    found = []
    for name, build in sorted(wanted):
        version = versions.get(name, build)
        if version.partition("+")[0] != build:
            text = f"the wheel of {name} is {version}, and the lock's figures are for {build}"
            fix = f"`pip download -d {folder} {name}=={build}`"
            found.append(Finding(code="BND006", status=Status.WARN, message=text, fix=fix, where=_at(folder)))
    return found


def _at(path: str) -> Where:
    return Where(file=path)
