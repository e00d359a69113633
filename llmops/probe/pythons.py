"""Installed Pythons: vLLM's wheels are for some versions only, and a virtual environment needs `venv` and `ensurepip`."""

import re
from functools import partial
from pathlib import Path

from llmops.domain.gpu_software import Python
from llmops.domain.programs import Ran, Runner
from llmops.domain.reading import Known, Unknown
from llmops.domain.records import dataclass
from llmops.probe.within import answer_of, beside

ANSWER_SECONDS = 5.0
LIMIT = 12

PLACES = (
    "usr/bin/python3*", "usr/local/bin/python3*", "opt/python*/bin/python3*", "root/.pyenv/versions/*/bin/python3",
    "home/*/.pyenv/versions/*/bin/python3", "root/.local/share/uv/python/*/bin/python3",
    "home/*/.local/share/uv/python/*/bin/python3",
)  # fmt: skip

_NAME = re.compile(r"python3(\.\d{1,2})?$", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonText:
    """One interpreter: what it says of itself, and whether the folders of `venv` and `ensurepip` are there."""

    path: str
    ran: Known[Ran] | Unknown
    modules: Known[bool] | Unknown


def ask(root: Path, runner: Runner) -> tuple[PythonText, ...]:
    """Every interpreter once, asked at the same time; a shim that chooses one of the others is none."""
    found: dict[Path, Path] = {}
    own = runner.find("python3")
    for path in [*([Path(own)] if own is not None and "/shims/" not in own else []), *_candidates(root)]:
        try:
            found.setdefault(path.resolve(strict=True), path)
        except (OSError, RuntimeError):
            continue
        if len(found) == LIMIT:
            break
    answers = [beside(partial(_ask_one, runner, path, real)) for real, path in found.items()]
    return tuple(answer_of(answer) for answer in answers)


def read(texts: tuple[PythonText, ...]) -> tuple[Python, ...]:
    """What they mean."""
    return tuple(Python(path=one.path, version=read_version(one.ran), venv=one.modules) for one in texts)


def read_version(ran: Known[Ran] | Unknown) -> Known[str] | Unknown:
    """`3.11.2` of `Python 3.11.2`."""
    if isinstance(ran, Unknown):
        return ran
    match = re.match(r"Python (\d+\.\d+\.\d+\S{0,8})", ran.value.stdout or ran.value.stderr, re.ASCII)
    return Known(match[1]) if match is not None else Unknown("`python3 --version` names none")


def _candidates(root: Path) -> list[Path]:
    found: list[Path] = []
    for place in PLACES:
        try:
            found += [path for path in sorted(root.glob(place)) if _NAME.fullmatch(path.name)]
        except OSError:
            continue
    return found


def _ask_one(runner: Runner, path: Path, real: Path) -> PythonText:
    ran = runner.run((str(path), "--version"), timeout_seconds=ANSWER_SECONDS)
    version = read_version(ran)
    modules: Known[bool] | Unknown = Unknown("its standard library was not found")
    if isinstance(version, Known):
        short = ".".join(version.value.split(".")[:2])
        library = real.parent.parent / f"lib/python{short}"
        if (library / "os.py").exists():
            modules = Known((library / "venv").is_dir() and (library / "ensurepip").is_dir())
    return PythonText(path=str(path), ran=ran, modules=modules)
