"""CUDA beside the driver: toolkits, the compiler, and libraries that load. Libraries are tried in a process of their own."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from llmops.domain.gpu_software import Cuda, CudaLibrary, CudaToolkit
from llmops.domain.programs import Ran, Runner
from llmops.domain.reading import Known, Unknown
from llmops.domain.records import dataclass
from llmops.probe.nvidia import above
from llmops.probe.text import text_or_none

ANSWER_SECONDS = 10.0
CHILD = ("-m", "llmops.probe.cuda_child")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolkitText:
    """A toolkit's folder and the files that may name its version."""

    path: str
    version_json: str | None
    version_txt: str | None
    nvcc: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaText:
    """As read."""

    toolkits: tuple[ToolkitText, ...]
    nvcc: Known[Ran] | Unknown | None
    libraries: Known[Ran] | Unknown


def ask(root: Path, runner: Runner, environment: Mapping[str, str]) -> CudaText:
    """Folders below `root`; the compiler on the PATH and the libraries of this host."""
    places = [*sorted((root / "usr/local").glob("cuda*")), *sorted((root / "opt").glob("cuda*")), root / "usr/lib/cuda"]
    places += [
        Path(environment[name]) for name in ("CUDA_HOME", "CUDA_PATH") if environment.get(name, "").startswith("/")
    ]
    found: dict[Path, ToolkitText] = {}
    for place in places:
        if (
            not (place / "bin/nvcc").exists()
            and not (place / "version.json").exists()
            and not (place / "version.txt").exists()
        ):
            continue
        real = place.resolve()  # /usr/local/cuda leads to one of the others
        shown = "/" + str(real.relative_to(root.resolve())) if real.is_relative_to(root.resolve()) else str(real)
        found.setdefault(
            real,
            ToolkitText(
                path=shown,
                version_json=text_or_none(real / "version.json"),
                version_txt=text_or_none(real / "version.txt"),
                nvcc=(real / "bin/nvcc").exists(),
            ),
        )
    nvcc = runner.find("nvcc")
    return CudaText(
        toolkits=tuple(found.values()),
        nvcc=runner.run((nvcc, "--version"), timeout_seconds=5) if nvcc is not None else None,
        libraries=runner.run((sys.executable, *CHILD), timeout_seconds=ANSWER_SECONDS, environment=above(environment)),
    )


def read(text: CudaText) -> Cuda:
    """What they mean."""
    return Cuda(
        toolkits=Known(
            tuple(CudaToolkit(path=one.path, version=read_toolkit(one), nvcc=one.nvcc) for one in text.toolkits)
        ),
        nvcc_on_path=Known(None) if text.nvcc is None else read_nvcc(text.nvcc),
        libraries=read_libraries(text.libraries),
    )


def read_toolkit(text: ToolkitText) -> Known[str] | Unknown:
    """`13.0.2` of version.json (since 11.1), version.txt before, else of the folder's name."""
    match = None
    if text.version_json is not None:
        match = re.search(r'"cuda"\s*:\s*\{[^}]*"version"\s*:\s*"(\d+\.\d+(?:\.\d+)?)"', text.version_json, re.ASCII)
    if match is None and text.version_txt is not None:
        match = re.search(r"CUDA Version (\d+\.\d+(?:\.\d+)?)", text.version_txt, re.ASCII)
    if match is None:
        match = re.search(r"cuda-(\d+\.\d+)$", text.path, re.ASCII)
    return Known(match[1]) if match is not None else Unknown(f"no file of {text.path} names its version")


def read_nvcc(ran: Known[Ran] | Unknown) -> Known[str | None] | Unknown:
    """`13.0` of `Cuda compilation tools, release 13.0, V13.0.88`."""
    if isinstance(ran, Unknown):
        return ran
    match = re.search(r"release (\d+\.\d+)", ran.value.stdout, re.ASCII)
    return Known(match[1]) if match is not None else Unknown("`nvcc --version` names none")


def read_libraries(ran: Known[Ran] | Unknown) -> Known[tuple[CudaLibrary, ...]] | Unknown:
    """The child's lines, one library each: a library that ends the process leaves the ones before it."""
    if isinstance(ran, Unknown):
        return ran
    found: list[CudaLibrary] = []
    for line in ran.value.stdout.split("\n"):
        try:
            row = json.loads(line)
            name, path, version = str(row["name"]), str(row["path"]), row["version"]
        except (ValueError, RecursionError, KeyError, TypeError):
            continue
        reading = Known(version) if isinstance(version, str) else Unknown("the library does not say")
        found.append(CudaLibrary(name=name[:40], path=path[:200], version=reading))
    if ran.value.exit_code != 0 and not found:
        return Unknown(f"loading CUDA's libraries ended with exit code {ran.value.exit_code}")
    return Known(tuple(found))
