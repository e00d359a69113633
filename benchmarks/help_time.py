#!/usr/bin/env python3
"""help_time.py [--rounds N] [--check]: wall time of `llmops --help` beside `hf --help`, in the same run.

`hf` is the hub client's own command, installed with it. The rounds are interleaved, so that whatever else the machine does
meets both; the first round, which may compile, is not counted. Prints a Markdown table; with --check exits 1 unless the
median of llmops is less than half of that of hf.
"""

import argparse
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

BIN = Path(sys.executable).parent
PROGRAMS = {
    "`python -c pass`": [sys.executable, "-c", "pass"],
    "`llmops --help`": [str(BIN / "llmops"), "--help"],
    "`hf --help`": [str(BIN / "hf"), "--help"],
}


def milliseconds(argv: list[str]) -> float:
    """One run, from the start of the process to its end."""
    started = time.perf_counter()
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (time.perf_counter() - started) * 1000


def measure(rounds: int) -> dict[str, list[float]]:
    """`rounds` times of each program, in turn, after one round that is thrown away."""
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for counted in range(-1, rounds):
        for name, argv in PROGRAMS.items():
            took = milliseconds(argv)
            if counted >= 0:
                times[name].append(took)
    return times


def main() -> int:
    """Measure, print, and judge when asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds is at least 1")
    absent = [argv[0] for argv in PROGRAMS.values() if not Path(argv[0]).exists()]
    if absent:
        print(f"error: not in this environment: {', '.join(absent)}", file=sys.stderr)
        return 4
    times = measure(options.rounds)
    print(f"{options.rounds} rounds, Python {platform.python_version()}, typer {version('typer')}, "
          f"huggingface_hub {version('huggingface_hub')}, {platform.machine()}\n")  # fmt: skip
    print("| Command | Median ms | Least | Most |\n| --- | --- | --- | --- |")
    for name, row in times.items():
        print(f"| {name} | {statistics.median(row):.0f} | {min(row):.0f} | {max(row):.0f} |")
    ratio = statistics.median(times["`llmops --help`"]) / statistics.median(times["`hf --help`"])
    print(f"\n`llmops --help` takes {ratio:.2f} of the time of `hf --help`.")
    return int(options.check and ratio >= 0.5)


if __name__ == "__main__":
    sys.exit(main())
