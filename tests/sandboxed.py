"""Run as an engine in its own unit: tries what the sandbox forbids, and writes what came of it to its home as JSON.

Standard library only, Python 3.11: it runs inside a box.
"""

import ctypes
import errno
import json
import mmap
import os
import resource
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
MIB = 1 << 20


def outcome(attempt: Callable[[], object]) -> str:
    """`done`, or the name of the error."""
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


def call(name: str, *arguments: int) -> None:
    """A function of the C library that gives -1 on an error."""
    if getattr(LIBC, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)


def code_at_run_time() -> None:
    mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def datagram(address: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", (address, 9))


def setuid_file() -> None:
    path = Path.home() / "setuid"
    path.touch()
    path.chmod(stat.S_ISUID | 0o755)


def threads(limit: int) -> int:
    """How many more run at once before the kernel says no."""
    stop, running = threading.Event(), []
    for _ in range(limit):
        one = threading.Thread(target=stop.wait)
        try:
            one.start()
        except RuntimeError:
            break
        running.append(one)
    stop.set()
    for one in running:
        one.join()
    return len(running)


def too_much_memory(mib: int) -> int:
    """The exit code of a child that touches so much."""
    script = f"b = bytearray({mib} * {MIB})\nfor at in range(0, len(b), 4096): b[at] = 1"
    return subprocess.run([sys.executable, "-c", script], check=False).returncode


ATTEMPTS: dict[str, Callable[[], object]] = {
    "write to /etc": lambda: Path("/etc/llmops-probe").write_text("x"),
    "write to /usr": lambda: Path("/usr/llmops-probe").write_text("x"),
    "write to the model": lambda: next(Path("/var/lib/llmops/models/chat/current/").glob("*")).open("ab").close(),
    "read the keys of the edge": lambda: Path("/etc/llmops/secrets/api-key.default").read_text(),
    "read a home": lambda: list(Path("/root").iterdir()),
    "make a device": lambda: os.mknod(Path.home() / "device", stat.S_IFCHR | 0o600, os.makedev(1, 8)),
    "map memory to write and execute": code_at_run_time,
    "a namespace of users": lambda: call("unshare", CLONE_NEWUSER),
    "a namespace of networks": lambda: call("unshare", CLONE_NEWNET),
    "another personality": lambda: call("personality", 0x0008),
    "real time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    "a setuid file": setuid_file,
    "raw packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
    "another host": lambda: datagram("10.99.0.1"),
    "this host": lambda: datagram("127.0.0.1"),
    "become root": lambda: os.setuid(0),
    "load a module": lambda: call("syscall", 175, 0, 0, 0),
    "another process": lambda: Path("/proc/1/cmdline").stat(),
    "write to its home": lambda: (Path.home() / "file").write_text("x"),
    "read its own key": lambda: Path(os.environ["CREDENTIALS_DIRECTORY"], "engine-key").read_text(),
}


def main() -> None:
    found: dict[str, object] = {name: outcome(attempt) for name, attempt in ATTEMPTS.items()}
    found["core dumps"] = resource.getrlimit(resource.RLIMIT_CORE)[1]
    found["threads"] = threads(int(sys.argv[1]) * 2)
    found["too much memory"] = too_much_memory(int(sys.argv[2]))
    found["user"] = os.getuid()
    (Path.home() / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
