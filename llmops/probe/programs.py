"""The only place that starts programs: argv without a shell, a small environment, every wait and every output limited."""

import atexit
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import PurePath
from typing import IO, Any

from llmops.domain.errors import OutsideWorld
from llmops.domain.programs import Ran
from llmops.domain.reading import Known, Unknown

OUTPUT_LIMIT_BYTES = 1 << 20
"""Of stdout, and of stderr: more is cut. A validator's report is a few KB; a runaway program must not fill memory."""

LOG_LIMIT_BYTES = 1 << 20
"""The end of a server's log that is kept: its last words say why it ended."""

LOG_FILE_LIMIT_BYTES = 64 << 20
"""When a server's log file is longer than this, it is cut back: a disk must not fill because of a server under test."""

STOP_SECONDS = 10.0
"""From SIGTERM to SIGKILL: llama-server needs a second or two to free a card's memory."""

EXTRA_PLACES = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where daemons such as nginx lie; a user's PATH leaves these out on Debian."""

INHERITED = (
    "HOME", "USER", "LOGNAME", "PATH", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "DOCKER_HOST",
    "DOCKER_CONFIG", "DOCKER_CONTEXT", "CONTAINER_HOST", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES",
)  # fmt: skip
"""What a started program gets to see. Tokens and keys of the caller are not among it: a caller hands those on by name."""


class Programs:
    """`domain.programs.Runner` on this host."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {name: environment[name] for name in INHERITED if environment.get(name)}
        places = [place for place in environment.get("PATH", os.defpath).split(os.pathsep) if place]
        self._places = os.pathsep.join([*places, *(place for place in EXTRA_PLACES if place not in places)])

    def find(self, program: str) -> str | None:
        """The full path of `program`; a name with a slash is taken as a path."""
        found = shutil.which(program, path=self._places)
        return os.path.abspath(found) if found is not None else None  # noqa: PTH100 - Path.resolve follows links

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_seconds: float = 10.0,
        environment: Mapping[str, str] | None = None,
        directory: PurePath | None = None,
    ) -> Known[Ran] | Unknown:
        """The ended program, its whole process group gone; `Unknown` when missing, not executable or past the limit."""
        command = tuple(argv)
        with _memory_file() as stdout, _memory_file() as stderr:
            # files, not pipes: a grandchild that keeps a pipe open would hold up the reader past every time limit
            process = self._start(command, environment, directory, stdout=stdout, stderr=stderr)
            if isinstance(process, Unknown):
                return process
            try:
                code = _wait(process, timeout_seconds, (stdout, stderr))
            finally:
                _kill(process)
            if code is None:
                return Unknown(f"`{shlex.join(command)}` did not end within {timeout_seconds:g} s")
            if code == _NOT_FOUND:
                return Unknown(f"`{shlex.join(command)}` ended with 127: a program it needs is missing")
            return Known(Ran(argv=command, exit_code=code, stdout=_text(stdout), stderr=_text(stderr)))

    @contextmanager
    def serve(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        directory: PurePath | None = None,
    ) -> Iterator["Server"]:
        """Start a server in its own process group; stop it (SIGTERM, then SIGKILL) when the context ends, however it ends."""
        command = tuple(argv)
        with tempfile.TemporaryFile() as log:
            process = self._start(command, environment, directory, stdout=log, stderr=log)
            if isinstance(process, Unknown):
                raise OutsideWorld(f"cannot start {process.reason}", hint=f"`command -v {shlex.quote(command[0])}`")
            try:
                yield Server(process, log)
            finally:
                _stop(process)

    def _start(
        self,
        command: tuple[str, ...],
        environment: Mapping[str, str] | None,
        directory: PurePath | None,
        *,
        stdout: IO[bytes],
        stderr: IO[bytes],
    ) -> "subprocess.Popen[bytes] | Unknown":
        # a path is left to the start itself: access(2) asks for the real user and forgets capabilities
        path = command[0] if command[0].startswith("/") else self.find(command[0])
        if path is None:
            return Unknown(f"`{command[0]}`: not installed, or not executable")
        try:
            process = _started(
                command,
                executable=path,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=directory,
                env=self._environment | {"PATH": self._places, "LC_ALL": "C.UTF-8"} | dict(environment or {}),
                start_new_session=True,
            )
        except (FileNotFoundError, PermissionError):
            return Unknown(f"`{command[0]}`: not installed, or not executable")
        except (OSError, ValueError) as error:  # ValueError: a NUL byte in an argument
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            return Unknown(f"`{shlex.join(command)}`: {reason}")
        return process if process is not None else Unknown("the program is ending")


class Server:
    """`domain.programs.Running`."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: IO[bytes]) -> None:
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """The process id, also the id of its process group."""
        return self._process.pid

    def ended(self) -> int | None:
        """The exit code when it has ended by itself, else None."""
        return self._process.poll()

    def log(self) -> str:
        """The last MiB of what it printed, stdout and stderr together; asking also keeps the file small."""
        text = _text(self._log, limit_bytes=LOG_LIMIT_BYTES, end=True)
        if _size(self._log) > LOG_FILE_LIMIT_BYTES:
            # the server writes at the shared offset, so the file is emptied and the offset set back in one go
            os.ftruncate(self._log.fileno(), 0)
            os.lseek(self._log.fileno(), 0, os.SEEK_SET)
        return text


_alive: "set[subprocess.Popen[bytes]]" = set()
"""What runs now. Programs are asked in threads that an interruption does not wait for: at the exit nothing is left behind."""


_starting = threading.Lock()
_ending = threading.Event()


def _started(command: tuple[str, ...], **how: Any) -> "subprocess.Popen[bytes] | None":  # noqa: ANN401 - as Popen takes it
    """The program, known to `_kill_all` before anything else can happen; None once that has run."""
    with _starting:
        if _ending.is_set():
            return None
        process = subprocess.Popen(command, **how)
        _alive.add(process)
        return process


@atexit.register
def _kill_all() -> None:
    _ending.set()
    # a start that is on its way is waited for, but not one that hangs on a dead filesystem
    if _starting.acquire(timeout=1.0):
        _starting.release()
    for process in tuple(_alive):
        _kill(process)


_NOT_FOUND = 127
_STEP_SECONDS = 0.05


def _memory_file() -> IO[bytes]:
    """A file in memory: a host whose disks are full or read-only is examined, too. macOS has none: there it is on a disk."""
    if not hasattr(os, "memfd_create"):
        return tempfile.TemporaryFile()
    return os.fdopen(os.memfd_create("output"), "w+b")


def _wait(process: "subprocess.Popen[bytes]", timeout_seconds: float, files: Sequence[IO[bytes]]) -> int | None:
    """The exit code, or None past the time limit. A program that floods its output is ended early: it counts as ended."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        left = deadline - time.monotonic()
        try:
            return process.wait(timeout=max(0.0, min(left, _STEP_SECONDS)))
        except subprocess.TimeoutExpired:
            if left <= 0:
                return None
            if any(_size(file) > LOG_FILE_LIMIT_BYTES for file in files):
                _kill(process)
                return process.wait()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End the whole group at once; a group that is gone is fine."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _alive.discard(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """SIGTERM to the group, ten seconds, SIGKILL. A second Ctrl-C while waiting kills at once."""
    try:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=STOP_SECONDS)
    finally:
        _kill(process)


def _size(file: IO[bytes]) -> int:
    return os.fstat(file.fileno()).st_size


def _text(file: IO[bytes], *, limit_bytes: int = OUTPUT_LIMIT_BYTES, end: bool = False) -> str:
    """The first (or last) `limit_bytes` as text; bytes that are not UTF-8 are replaced. The file's offset stays."""
    start = max(0, _size(file) - limit_bytes) if end else 0
    # pread, because the offset is shared with the program that still writes
    return os.pread(file.fileno(), limit_bytes, start).decode("utf-8", "replace")
