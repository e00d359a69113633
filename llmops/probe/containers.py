"""How a container gets a card here: NVIDIA's toolkit, CDI specifications, Docker and Podman."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from llmops.domain.gpu_software import CdiSpec, ContainerEngine, Containers
from llmops.domain.programs import Ran, Runner
from llmops.domain.reading import Known, Unknown
from llmops.domain.records import dataclass
from llmops.probe.text import read_text
from llmops.probe.within import answer_of, beside

CDI_PLACES = ("etc/cdi", "var/run/cdi", "run/cdi")
ANSWER_SECONDS = 10.0
MISSING_LIMIT = 5
SPEC_LIMIT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecText:
    """A specification's text, and which of the host's files it names are not there."""

    path: str
    text: Known[str] | Unknown
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainersText:
    """As read; None is not installed."""

    toolkit: Known[Ran] | Unknown | None
    specs: tuple[SpecText, ...]
    docker: Known[Ran] | Unknown | None
    docker_client: Known[Ran] | Unknown | None
    podman: Known[Ran] | Unknown | None


def ask(root: Path, runner: Runner, environment: Mapping[str, str]) -> ContainersText:
    """Everything at the same time: Docker's daemon may be slow or gone."""

    def run(program: str, *arguments: str) -> Known[Ran] | Unknown | None:
        if runner.find(program) is None:
            return None
        return runner.run((program, *arguments), timeout_seconds=ANSWER_SECONDS, environment=environment)

    docker = beside(lambda: run("docker", "info", "--format", "{{json .}}"))
    client = beside(lambda: run("docker", "--version"))
    podman = beside(lambda: run("podman", "--version"))
    toolkit = run("nvidia-ctk", "--version")
    if toolkit is None:
        toolkit = run("nvidia-container-cli", "--version")
    return ContainersText(
        toolkit=toolkit,
        specs=_specs(root),
        docker=answer_of(docker),
        docker_client=answer_of(client),
        podman=answer_of(podman),
    )


def read(text: ContainersText) -> Containers:
    """What they mean."""
    engines = [read_docker(text.docker, text.docker_client)] if text.docker is not None else []
    engines += [read_podman(text.podman)] if text.podman is not None else []
    return Containers(
        toolkit_version=Known(None) if text.toolkit is None else read_toolkit(text.toolkit),
        cdi_specs=Known(tuple(spec for one in text.specs if (spec := read_spec(one)) is not None)),
        engines=Known(tuple(engines)),
    )


def read_toolkit(ran: Known[Ran] | Unknown) -> Known[str | None] | Unknown:
    """`1.17.8` of `NVIDIA Container Toolkit CLI version 1.17.8`, or of `cli-version: 1.17.8`."""
    if isinstance(ran, Unknown):
        return ran
    match = re.search(r"version:? v?(\d+\.\d+\.\d+)", ran.value.stdout, re.ASCII)
    return Known(match[1]) if match is not None else Unknown("`nvidia-ctk --version` names none")


def read_spec(spec: SpecText) -> CdiSpec | None:
    """Kind and device names of a specification (YAML as nvidia-ctk writes it, or JSON); None where it is no such file."""
    if isinstance(spec.text, Unknown):
        return None
    text = spec.text.value
    kind, names = _of_json(text) if text.lstrip().startswith("{") else _of_yaml(text)
    if kind is None:
        return None
    library = re.search(r"lib(?:cuda|nvidia-ml)\.so\.(\d+\.\d+(?:\.\d+)?)", text, re.ASCII)
    return CdiSpec(
        path=spec.path,
        kind=kind,
        devices=tuple(dict.fromkeys(names)),
        missing=spec.missing,
        library_version=library[1] if library is not None else None,
    )


def _of_json(text: str) -> tuple[str | None, list[str]]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None, []
    kind, devices = (data.get("kind"), data.get("devices")) if isinstance(data, dict) else (None, None)
    rows = [row for row in devices if isinstance(row, dict)] if isinstance(devices, list) else []
    return (kind if isinstance(kind, str) else None), [str(row["name"]) for row in rows if "name" in row]


def _of_yaml(text: str) -> tuple[str | None, list[str]]:
    kind = re.search(r"""^["']?kind["']?\s*:\s*["']?([\w.-]+/[\w.-]+)""", text, re.MULTILINE)
    names = re.findall(r"""^\s*(?:-\s+)?["']?name["']?\s*:\s*["']?([\w.:-]+)""", _devices(text), re.MULTILINE)
    return (kind[1] if kind is not None else None), names


def host_files(text: str) -> tuple[str, ...]:
    """The host's files that a specification names."""
    return tuple(dict.fromkeys(re.findall(r"""["']?\b(?:hostPath|path)["']?\s*:\s*["']?(/[^\s"',}]+)""", text)))


def read_docker(ran: Known[Ran] | Unknown, client: Known[Ran] | Unknown | None) -> ContainerEngine:
    """`docker info` as JSON: without an answer of the daemon only the client's version is known."""
    version = _client_version(client)
    if isinstance(ran, Unknown):
        return _silent("docker", version, ran)
    try:
        data = json.loads(ran.value.stdout.strip().split("\n")[0])
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        words = (ran.value.stderr.strip() or ran.value.stdout.strip() or "nothing").splitlines()
        return _silent("docker", version, Unknown(f"`docker info` said: {words[-1][:200]}"))
    errors = data.get("ServerErrors")
    if errors or not data.get("ServerVersion"):
        said = str(errors[0]) if isinstance(errors, list) and errors else "the daemon does not answer"
        return _silent("docker", version, Unknown(said[:200]), answers=Known(False))  # noqa: FBT003 - a reading
    runtimes = data.get("Runtimes")
    places = data.get("CDISpecDirs")
    return ContainerEngine(
        name="docker",
        version=Known(str(data["ServerVersion"])[:40]),
        answers=Known(True),  # noqa: FBT003 - a reading, not a switch
        runtimes=Known(tuple(sorted(runtimes))) if isinstance(runtimes, dict) else Unknown("docker does not tell"),
        default_runtime=Known(str(data["DefaultRuntime"])) if data.get("DefaultRuntime") else Known(None),
        cdi=Known(bool(places)) if places is None or isinstance(places, list) else Unknown("docker does not tell"),
    )


def read_podman(ran: Known[Ran] | Unknown) -> ContainerEngine:
    """Its version: from 4.1 on it takes CDI devices by itself. It has no daemon to answer."""
    match = re.search(r"version (\d+)\.(\d+)(\.\d+)?", ran.value.stdout, re.ASCII) if isinstance(ran, Known) else None
    no = Unknown("not asked of podman")
    if match is None:
        reason = ran if isinstance(ran, Unknown) else Unknown("`podman --version` names none")
        return _silent("podman", reason, reason)
    return ContainerEngine(
        name="podman",
        version=Known(match[0].removeprefix("version ")),
        answers=no,
        runtimes=no,
        default_runtime=no,
        cdi=Known((int(match[1]), int(match[2])) >= (4, 1)),
    )


def _silent(
    name: str, version: Known[str] | Unknown, reason: Unknown, *, answers: Known[bool] | Unknown | None = None
) -> ContainerEngine:
    return ContainerEngine(
        name=name,
        version=version,
        answers=answers if answers is not None else reason,
        runtimes=reason,
        default_runtime=reason,
        cdi=reason,
    )


def _client_version(ran: Known[Ran] | Unknown | None) -> Known[str] | Unknown:
    if ran is None or isinstance(ran, Unknown):
        return ran if isinstance(ran, Unknown) else Unknown("not installed")
    match = re.search(r"version (\d+(?:\.\d+)+)", ran.value.stdout, re.ASCII)
    return Known(match[1]) if match is not None else Unknown("`docker --version` names none")


def _devices(text: str) -> str:
    """The part of a specification that lists its devices: in YAML up to the next key at the margin."""
    match = re.search(r"""^\s{0,4}["']?devices["']?\s*:(.*?)(?=^[^\s-]|\Z)""", text, re.MULTILINE | re.DOTALL)
    return match[1] if match is not None else ""


def _specs(root: Path) -> tuple[SpecText, ...]:
    found: dict[Path, SpecText] = {}
    for place in CDI_PLACES:
        for path in sorted((root / place).glob("*"))[:SPEC_LIMIT]:
            if path.suffix not in (".yaml", ".yml", ".json") or path.resolve() in found:
                continue
            text = read_text(path)
            named = host_files(text.value) if isinstance(text, Known) else ()
            gone = tuple(name for name in named if not _exists(root / name.lstrip("/")))[:MISSING_LIMIT]
            found[path.resolve()] = SpecText(path="/" + str(path.relative_to(root)), text=text, missing=gone)
    return tuple(found.values())


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True  # something is in the way, but not its absence
    return True
