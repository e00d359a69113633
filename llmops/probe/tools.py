"""Programs that matter here: engines, consumers of rendered files, container tools; where they are, which version."""

import re
from functools import partial
from pathlib import Path

from llmops.domain.host import Tool
from llmops.domain.programs import Ran, Runner
from llmops.domain.reading import Known, Unknown
from llmops.domain.records import dataclass
from llmops.probe.text import read_text
from llmops.probe.within import answer_of, beside

VERSION_SECONDS = 5.0
"""`llama-server --version` of a CUDA build opens every card first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """How one program is asked for its version, and what the answer looks like (tried with the versions in the tests).

    `arguments` None: starting it takes long or has effects; it is a Python program, whose version its package's metadata
    names (`distribution`), or it is only looked for.
    """

    name: str
    program: str
    arguments: tuple[str, ...] | None = None
    pattern: str = ""
    distribution: str | None = None


_NUMBER = r"(\d+(?:\.\d+)+)"

ROWS = (
    # upstream says `version: 4500 (a1b2c3d)`, Debian `version: 0.7.0 (build 11669, commit Debian)`
    Row(
        name="llama-server",
        program="llama-server",
        arguments=("--version",),
        pattern=r"(?:build |version: )(\d{3,6})\b",
    ),
    Row(name="vllm", program="vllm", distribution="vllm"),
    Row(name="sglang", program="sglang", distribution="sglang"),
    # `ollama version is 0.12.3`, or `Warning: client version is 0.12.3` while its server is down
    Row(name="ollama", program="ollama", arguments=("--version",), pattern=rf"version is {_NUMBER}"),
    Row(name="nginx", program="nginx", arguments=("-v",), pattern=rf"nginx/{_NUMBER}"),
    Row(name="haproxy", program="haproxy", arguments=("-v",), pattern=rf"version {_NUMBER}"),
    Row(name="docker", program="docker", arguments=("--version",), pattern=rf"version {_NUMBER}"),
    Row(name="docker compose", program="docker", arguments=("compose", "version"), pattern=rf"version v?{_NUMBER}"),
    Row(name="docker-compose", program="docker-compose", arguments=("version",), pattern=rf"version:? v?{_NUMBER}"),
    Row(name="podman", program="podman", arguments=("--version",), pattern=rf"version {_NUMBER}"),
    Row(name="systemd-analyze", program="systemd-analyze", arguments=("--version",), pattern=r"systemd (\d+)"),
    Row(name="promtool", program="promtool", arguments=("--version",), pattern=rf"version {_NUMBER}"),
    Row(
        name="nvidia-smi", program="nvidia-smi"
    ),  # it may hang with the driver; NVML is asked with a time limit instead
    Row(name="openssl", program="openssl", arguments=("version",), pattern=rf"(?:Open|Libre)SSL {_NUMBER}"),
    Row(name="curl", program="curl", arguments=("--version",), pattern=rf"curl {_NUMBER}"),
)


def ask(runner: Runner) -> tuple[Tool, ...]:
    """Every program of the table, asked at the same time."""
    answers = [beside(partial(_ask_one, runner, row)) for row in ROWS]
    return tuple(answer_of(answer) for answer in answers)


def _ask_one(runner: Runner, row: Row) -> Tool:
    path = runner.find(row.program)
    if path is None:
        return Tool(name=row.name, path=None, version=Unknown("not installed"))
    if row.arguments is not None:
        version = read_version(runner.run((path, *row.arguments), timeout_seconds=VERSION_SECONDS), row)
        # a plug-in is there only if its program knows the word: without it, docker fails or prints its help
        is_missing = " " in row.name and isinstance(version, Unknown)
        return Tool(name=row.name, path=None if is_missing else path, version=version)
    if row.distribution is not None:
        return Tool(name=row.name, path=path, version=ask_distribution(Path(path), row.distribution))
    return Tool(name=row.name, path=path, version=Unknown("not asked: it may hang where the driver does"))


def read_version(ran: Known[Ran] | Unknown, row: Row) -> Known[str] | Unknown:
    """The version in what the program printed on stdout or stderr; llama-server's is its build, as `b11669`."""
    if isinstance(ran, Unknown):
        return ran
    text = f"{ran.value.stdout}\n{ran.value.stderr}"
    match = re.search(row.pattern, text, re.ASCII)
    if match is not None:
        return Known(f"b{match[1]}" if row.name == "llama-server" else match[1])
    said = next((line.strip() for line in text.splitlines() if line.strip()), "nothing")
    return Unknown(f"`{row.program} {' '.join(row.arguments or ())}` said: {said[:120]}")


def ask_distribution(script: Path, distribution: str) -> Known[str] | Unknown:
    """The version of an installed Python package, from the metadata beside the interpreter its script names.

    Starting `vllm --version` imports torch and takes many seconds; the metadata takes none.
    """
    places = [folder / "lib" for folder in _prefixes(script)]
    try:
        found = sorted(
            info for place in places for info in place.glob(f"python3*/*-packages/{distribution}-*.dist-info")
        )
    except OSError as error:
        return Unknown(str(error.strerror).lower())
    versions = {version for info in found if (version := read_metadata(read_text(info / "METADATA"))) is not None}
    if len(versions) == 1:
        return Known(versions.pop())
    if versions:
        return Unknown(f"several installed: {', '.join(sorted(versions))}")
    return Unknown(f"no metadata of the package `{distribution}` beside {script}")


def read_metadata(text: Known[str] | Unknown) -> str | None:
    """The `Version:` of a package's METADATA."""
    match = re.search(r"^Version: (\S{1,40})$", text.value, re.MULTILINE) if isinstance(text, Known) else None
    return match[1] if match is not None else None


def _prefixes(script: Path) -> tuple[Path, ...]:
    """Where the script's packages may lie: beside its own directory, and beside the interpreter of its first line."""
    prefixes = [script.parent.parent, script.resolve().parent.parent]
    first = read_text(script)
    if isinstance(first, Known) and first.value.startswith("#!/"):
        interpreter = Path(first.value[2:].split("\n", 1)[0].split(" ", 1)[0].strip())
        prefixes.append(interpreter.parent.parent)
    return tuple(dict.fromkeys(prefixes))
