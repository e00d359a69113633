#!/usr/bin/env python3
"""Times `llmops pull`, verification included, beside `curl` to a file followed by `sha256sum`; `--check` asks for 0.9.

The content comes from nginx on loopback (the listing and the redirect from the tests' hub), so neither side waits for a
network: what is measured is what the client costs. All write to the same disk, in turn, every other round the other way round;
the first round is not counted. A ratio is taken within a round, so that what else the machine does weighs on both.
curl's file is not synced to the disk, a pull's is: that is part of what a pull promises, and it is counted; what it costs on
this disk is shown by curl with a `sync` of its file before sha256sum.
`--mib 64` for a quick look. It needs nginx and curl.
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from fake_hub import FakeHub  # noqa: E402 - the tests' hub, from where it lies

REPOSITORY, FILE = "org/model-GGUF", "model-Q4_K_M.gguf"
LEAST = 0.9
"""Of the speed of curl and sha256sum together, a pull has to have this much."""

MOST_MIB = 150
CURL, SYNCED, PULL = "`curl`, then `sha256sum`", "`curl`, `sync`, `sha256sum`", "`llmops pull`"
AGAIN = "again, nothing to do"
CONFIGURATION = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; sendfile on; tcp_nopush on; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


@contextmanager
def content_server(folder: Path, root: Path) -> Iterator[str]:
    """An nginx with the files below `root`; its address."""
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, port=port, root=root))
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or "nginx"
    process = subprocess.Popen([program, "-c", configuration], stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            if subprocess.run(["curl", "-s", "-o", "/dev/null", address], check=False).returncode == 0:
                break
            time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """A port nobody listens on."""
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def write_model(path: Path, mebibytes: int) -> None:
    """A file no part of which repeats within its block's reach."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chance = random.Random(1)
    with path.open("wb") as file:
        for _ in range(mebibytes):
            file.write(chance.randbytes(1 << 20))


def by_curl(address: str, folder: Path, *, synced: bool = False) -> float:
    """Seconds of curl to a file, with `synced` until it is on the disk, then sha256sum of it."""
    target = folder / "curl.gguf"
    began = time.perf_counter()
    subprocess.run(["curl", "-s", "-S", "-o", target, f"{address}/{REPOSITORY}/{FILE}"], check=True)
    if synced:
        subprocess.run(["sync", target], check=True)
    subprocess.run(["sha256sum", target], check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    target.unlink()
    return seconds


def by_pull(hub: FakeHub, folder: Path, *extra: str) -> tuple[float, int]:
    """Seconds of `llmops pull` into an empty store, the whole process, and its peak of memory in bytes."""
    store = folder / "store"
    environment = os.environ | {
        "HF_ENDPOINT": hub.url, "LLMOPS_STORE": str(store), "HF_HOME": str(folder / "hf"), "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    command = [sys.executable, "-m", "llmops", "pull", f"hf:{REPOSITORY}", "--quiet", *extra]
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"llmops pull ended with {process.returncode}")
    return seconds, used.ru_maxrss * 1024


def no_op(hub: FakeHub, folder: Path) -> float:
    """Seconds of a pull of what is there."""
    return by_pull(hub, folder)[0]


def main() -> int:
    """Measure, print, and with `--check` judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where both write (default: a temporary folder)")
    parser.add_argument("--jobs", default=None)
    parser.add_argument("--check", action="store_true", help=f"exit 1 below {LEAST} or above {MOST_MIB} MiB")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="pull-time-") as name:
        return measure(Path(name), options.mib, options.rounds, options.jobs, check=options.check)


def measure(folder: Path, mebibytes: int, rounds: int, jobs: str | None, *, check: bool) -> int:
    """Both in turn; the table and the verdict."""
    root = folder / "hub"
    write_model(root / REPOSITORY / FILE, mebibytes)
    extra = ("--jobs", jobs) if jobs else ()
    seconds: dict[str, list[float]] = {CURL: [], SYNCED: [], PULL: [], AGAIN: []}
    peaks: list[int] = []
    folder.chmod(0o755)
    with content_server(folder, root) as address, FakeHub(root) as hub:
        hub.cdn = address
        hub.hashes(root / REPOSITORY / FILE)

        def pull() -> None:
            took, peak = by_pull(hub, folder, *extra)
            seconds[PULL].append(took)
            peaks.append(peak)
            seconds[AGAIN].append(no_op(hub, folder))
            shutil.rmtree(folder / "store")

        turns: list[Callable[[], None]] = [
            lambda: seconds[CURL].append(by_curl(address, folder)),
            lambda: seconds[SYNCED].append(by_curl(address, folder, synced=True)),
            pull,
        ]
        for number in range(rounds + 1):
            for turn in turns if number % 2 else reversed(turns):
                turn()
    return report(seconds, max(peaks), f"{rounds} rounds, a file of {mebibytes} MiB", check=check)


def report(seconds: dict[str, list[float]], peak: int, what: str, *, check: bool) -> int:
    """The table, the ratios within the rounds, and the verdict."""
    print(f"{what}, Python {sys.version.split()[0]}\n")
    print("| What | Median s | Least | Most |\n| --- | --- | --- | --- |")
    for name, row in seconds.items():
        print(f"| {name} | {statistics.median(row[1:]):.2f} | {min(row[1:]):.2f} | {max(row[1:]):.2f} |")
    print("\n| Of the speed of | A pull has | Least | Most |\n| --- | --- | --- | --- |")
    median = {}
    for name in (CURL, SYNCED):
        ratios = [one / pull for one, pull in zip(seconds[name][1:], seconds[PULL][1:], strict=True)]
        median[name] = statistics.median(ratios)
        print(f"| {name} | {median[name]:.2f} | {min(ratios):.2f} | {max(ratios):.2f} |")
    print(f"\nIts peak of memory is {peak >> 20} MiB.")
    return int(check and (median[CURL] < LEAST or peak > MOST_MIB << 20))


if __name__ == "__main__":
    sys.exit(main())
