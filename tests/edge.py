"""The rendered edge on this machine: a lock applied below a temporary root, and the real nginx in front of what listens."""

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llmops.cli import render
from llmops.domain.lock import Lock
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
def nginx(root: Path, directory: Path, *, port: int) -> Iterator[None]:
    """nginx with the site below `root`, whose paths are moved there."""
    text = (root / "etc/nginx/conf.d/llmops.conf").read_text()
    (root / "var/log/nginx").mkdir(parents=True, exist_ok=True)
    (directory / "site.conf").write_text(re.sub(r"/(etc/nginx/llmops|var/log/nginx)", rf"{root}/\1", text))
    module = next(path for place in MODULES if (path := Path(place, "ngx_http_js_module.so")).exists())
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    lines = [
        f"load_module {module};", "user root;" if os.geteuid() == 0 else "", "daemon off;", f"pid {directory}/nginx.pid;",
        "events {}", "http {", "access_log off;", *(f"{kind}_temp_path {directory}/temporary;" for kind in kinds),
        f"include {directory}/site.conf;", "}",
    ]  # fmt: skip
    conf = directory / "nginx.conf"
    conf.write_text("\n".join(lines) + "\n")
    with Programs(os.environ).serve(["nginx", "-e", "stderr", "-p", str(directory), "-c", str(conf)]) as server:
        until = time.monotonic() + 10
        while not _listens(port):
            assert server.ended() is None, server.log()
            assert time.monotonic() < until, server.log()
            time.sleep(0.02)
        yield


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
