"""The rendered edge on this machine: a lock applied below a temporary root, and the real nginx in front of what listens."""

import os
import re
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from llmops.cli import render
from llmops.domain.lock import Lock
from llmops.domain.programs import Running
from llmops.formats.lock import dump_lock
from llmops.probe.programs import Programs

MODULES = ("/usr/lib/nginx/modules", "/usr/lib/x86_64-linux-gnu/nginx/modules")


def free_port() -> int:
    """A port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def applied(lock: Lock, directory: Path) -> Path:
    """The root below which `render --apply` wrote everything, secrets and certificate included."""
    root, file = directory / "root", directory / "llmops.lock"
    root.mkdir()
    file.write_text(dump_lock(lock))
    assert render.run(render.Options(lock=str(file), root=str(root), apply=True), runner=Programs(os.environ)).ok
    return root


@contextmanager
def nginx(root: Path, directory: Path, *, port: int, around: str = "") -> Iterator[Running]:
    """nginx with the site below `root`, whose paths are moved there; `around`: what else stands in its `http` block."""
    text = (root / "etc/nginx/conf.d/llmops.conf").read_text()
    (root / "var/log/nginx").mkdir(parents=True, exist_ok=True)
    (directory / "site.conf").write_text(re.sub(r"/(etc/nginx/llmops|var/log/nginx)", rf"{root}/\1", text))
    module = next(path for place in MODULES if (path := Path(place, "ngx_http_js_module.so")).exists())
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    lines = [
        f"load_module {module};", "user root;" if os.geteuid() == 0 else "", "daemon off;", f"pid {directory}/nginx.pid;",
        "events {}", "http {", "access_log off;", *(f"{kind}_temp_path {directory}/temporary;" for kind in kinds),
        around, f"include {directory}/site.conf;", "}",
    ]  # fmt: skip
    conf = directory / "nginx.conf"
    conf.write_text("\n".join(lines) + "\n")
    with Programs(os.environ).serve(["nginx", "-e", "stderr", "-p", str(directory), "-c", str(conf)]) as server:
        until = time.monotonic() + 10
        while not listens(port):
            assert server.ended() is None, server.log()
            assert time.monotonic() < until, server.log()
            time.sleep(0.02)
        yield server


@contextmanager
def engine(port: int, key: str, *, gap: float) -> Iterator[None]:
    """An engine behind it that streams an event every `gap` seconds, from the first moment on."""
    program = str(Path(__file__).with_name("slots_engine.py"))
    words = [sys.executable, program, "--port", str(port), f"--key={key}", "--first", "0", "--gap", str(gap)]
    with Programs(os.environ).serve(words):
        until = time.monotonic() + 10
        while not listens(port):
            assert time.monotonic() < until
            time.sleep(0.05)
        yield


def trusting(root: Path) -> ssl.SSLContext:
    """What a client needs that trusts the internal CA, and nothing else."""
    return ssl.create_default_context(cafile=root / "etc/llmops/ca.crt")


def said(port: int, trust: ssl.SSLContext, data: bytes, *, seconds: float = 5) -> bytes:
    """Everything that comes back for these very bytes until the server closes, or for so many seconds."""
    answer = b""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=seconds) as plain,
        trust.wrap_socket(plain, server_hostname="localhost") as connection,
        suppress(OSError),
    ):
        connection.sendall(data)
        while piece := connection.recv(65536):
            answer += piece
    return answer


def answers(data: bytes) -> list[int]:
    """The statuses of the answers in a raw stream, in order: one may begin where a body without a line break ends."""
    return [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d{3}) ", data)]


def listens(port: int) -> bool:
    """Whether something takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
