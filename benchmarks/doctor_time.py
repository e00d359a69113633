#!/usr/bin/env python3
"""doctor_time.py [--rounds N] [--check]: time of `llmops doctor --quick` where its sources answer, in three surroundings.

Whole processes, in turn with each other: this machine as it is, without a hub; with a hub on loopback that answers at once; with
that hub and eight cards of a stand-in for NVML (tests/nvml: the real pynvml asks it, as it would the driver's library). The first
round, which may compile, is not counted. Prints a Markdown table; with --check exits 1 where the least of one is 2 s or more.
Needs cc.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NVML = ROOT / "tests/nvml"
LIMIT_SECONDS = 2.0
COMMAND = (sys.executable, "-m", "llmops", "doctor", "--quick", "--json")


class Hub(BaseHTTPRequestHandler):
    """What the model hub answers to the question whether it is there."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the parent's name
        pass


@contextmanager
def hub() -> Iterator[str]:
    """Its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def seconds(arguments: tuple[str, ...], changes: dict[str, str]) -> float:
    """Of one process; a verdict of any kind is an answer."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1", **changes}
    began = time.monotonic()
    done = subprocess.run((*COMMAND, *arguments), capture_output=True, env=environment, check=False, timeout=120)
    taken = time.monotonic() - began
    assert done.returncode in (0, 1), done.stderr.decode()
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, hub() as endpoint:
        library = Path(folder) / "libnvidia-ml.so.1"
        flags = ["-shared", "-fPIC", "-O1", "-Wl,-soname,libnvidia-ml.so.1"]
        subprocess.run(["cc", *flags, "-o", str(library), str(NVML / "fake_nvml.c")], check=True)
        cards = {"LD_LIBRARY_PATH": folder, "FAKE_NVML": str(NVML / "h100-sxm-x8.ini")}
        ways: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
            "this machine, `--offline`": (("--offline",), {}),
            "and a hub that answers": ((), {"HF_ENDPOINT": endpoint}),
            "and eight cards of a stand-in for NVML": ((), {"HF_ENDPOINT": endpoint, **cards}),
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for at in range(options.rounds + 1):
            for name, (arguments, changes) in ways.items():
                one = seconds(arguments, changes)
                taken[name] += [one] if at else []
    print(
        f"{options.rounds} rounds, Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}\n"
    )
    print("| Sources | Median s | Least | Most |\n| --- | --- | --- | --- |")
    for name, values in taken.items():
        print(f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |")
    late = [name for name, values in taken.items() if min(values) >= LIMIT_SECONDS]
    for name in late:
        print(f"error: {name}: {LIMIT_SECONDS:g} s or more", file=sys.stderr)
    return 1 if options.check and late else 0


if __name__ == "__main__":
    sys.exit(main())
