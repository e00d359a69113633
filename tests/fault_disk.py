"""Builds `fault_io.c` once: a disk that fails at an exact byte, for programs that are started."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest


class Folder:
    """Where it is built: the run's own temporary folder, which pytest clears away also after a run that was killed."""

    path: Path | None = None


@pytest.fixture(scope="session", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    Folder.path = tmp_path_factory.mktemp("fault-io")


@cache
def library() -> Path:
    """The library to preload, from within a test. Raises `FileNotFoundError` when there is no C compiler."""
    if Folder.path is None:
        raise AssertionError("asked for outside of a test")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise FileNotFoundError("cc")
    built = Folder.path / "fault_io.so"
    source = Path(__file__).with_name("fault_io.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", built, source, "-ldl"], check=True, capture_output=True)
    return built
