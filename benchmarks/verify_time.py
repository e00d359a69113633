#!/usr/bin/env python3
"""Times `llmops verify` beside `sha256sum` over the same files, in turn; `--check` asks for 0.9 of sha256sum's speed.

Both read from the page cache after the first round, which is not counted, so that hashing is what is measured, not the disk.
`sha256sum` hashes one file after the other; `llmops verify` several at once (`--jobs`; `--jobs 1` compares thread with thread).
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from pulling import write_lock  # noqa: E402 - the tests' lock, from where it lies

from llmops.hub.adopt import adopt  # noqa: E402
from llmops.hub.local import describe  # noqa: E402
from llmops.hub.store import Store  # noqa: E402

LEAST = 0.9
MIB = 1024 * 1024


def make(folder: Path, *, mib: int, files: int) -> list[str]:
    """A store with a split model of random bytes and its lock; the paths of the files."""
    origin = folder / "origin"
    origin.mkdir()
    names = [f"m-{number:05}-of-{files:05}.gguf" for number in range(1, files + 1)]
    for name in names:
        with (origin / name).open("wb") as file:
            for _ in range(mib // files):
                file.write(os.urandom(MIB))
    ref = describe(origin / names[0])
    write_lock(folder / "llmops.lock", ref)
    fetched = adopt(ref, folder=origin, store=Store(folder / "store"), name="chat")
    return [str(one.path) for one in fetched.files]


def seconds(argv: list[str], folder: Path) -> float:
    """How long a command takes; it has to succeed."""
    begin = time.monotonic()
    subprocess.run(argv, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begin


def main() -> int:
    """Measure, print a table, and with `--check` judge."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mib", type=int, default=2048)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--folder", default=None, help="where the files are made")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        paths = make(folder, mib=given.mib, files=given.files)
        commands = {
            "sha256sum": ["sha256sum", *paths],
            "llmops verify": [
                sys.executable, "-m", "llmops", "verify", "--store", str(folder / "store"), "--jobs", str(given.jobs),
            ],
        }  # fmt: skip
        times: dict[str, list[float]] = {what: [] for what in commands}
        for at in range(given.rounds + 1):
            for what, argv in commands.items():
                took = seconds(argv, folder)
                if at:
                    times[what].append(took)
    print(f"{given.rounds} rounds, {given.files} files, {given.mib} MiB, --jobs {given.jobs}\n")
    print("| What | Median s | Least | Most |\n| --- | --- | --- | --- |")
    for what, each in times.items():
        print(f"| `{what}` | {statistics.median(each):.2f} | {min(each):.2f} | {max(each):.2f} |")
    share = statistics.median(times["sha256sum"]) / statistics.median(times["llmops verify"])
    print(f"\nverify has {share:.2f} of the speed of sha256sum.")
    return int(given.check and share < LEAST)


if __name__ == "__main__":
    sys.exit(main())
