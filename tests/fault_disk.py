"""Builds `fault_io.c` once: a disk that fails at an exact byte, for programs that are started."""

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path


@cache
def library() -> Path:
    """The library to preload. Raises `FileNotFoundError` when there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise FileNotFoundError("cc")
    directory = tempfile.mkdtemp(prefix="fault-io-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    built = Path(directory) / "fault_io.so"
    source = Path(__file__).with_name("fault_io.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", built, source, "-ldl"], check=True, capture_output=True)
    return built
