#!/usr/bin/env python3
"""plan_time.py [--rounds N] [--check] [--only TEXT]: time of `llmops plan FILE.gguf`, beside the start of Python.

The files are headers without weights, made by the script: tensor lists of real shapes (tests/llama_cpp_families.py) and the
tokenizer of Llama 3 by its counts (128,256 tokens, 280,147 merges). Each plan is a whole process, for cards given by size, so
that no host is asked; nothing is hashed. `python -c pass` runs in turn with them: what is counted is the time beyond it. The
first round, which may compile, is not counted. Beside the wall time stands the processor time of the process, one thread, which
work of others on the machine lengthens less: the least of it is nearest to the wall time of an idle machine. Prints a Markdown
table; with --check exits 1 where that least is 150 ms or more beyond the start of Python.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from llama_cpp_draft import Numbers  # noqa: E402 - from the checkout this file lies in
from llama_cpp_families import build  # noqa: E402 - from the checkout this file lies in

from llmops.domain.units import padded  # noqa: E402
from llmops.formats.gguf_writer import header_bytes  # noqa: E402

BEYOND_MS = 150
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Compiled files may be written, by the first round, as an installation has them."""
TOKENS, MERGES = 128_256, 280_147
VOCABULARY: Numbers = {"type": "Q4_K", "V": TOKENS, "tied": 0}
STATES: Numbers = {"N": 128, "groups": 16, "dt": 32, "I": 4096, "conv": 4}
MODELS: dict[str, tuple[str, Numbers]] = {
    "dense, 32 layers": ("llama", {"L": 32, "E": 4096, "H": 32, "G": 8, "D": 128, "F": 14336}),
    "dense, 80 layers": ("llama", {"L": 80, "E": 8192, "H": 64, "G": 8, "D": 128, "F": 28672}),
    "windows, 62 layers": ("gemma3", {"L": 62, "E": 5376, "H": 32, "G": 16, "D": 128, "F": 21504, "W": 1024}),
    "experts, 60 layers": (
        "qwen3moe", {"L": 60, "E": 4096, "H": 64, "G": 4, "D": 128, "F": 12288, "X": 128, "u": 8, "Fe": 1536}
    ),
    "hybrid, 48 layers": (
        "qwen3next", STATES | {"L": 48, "E": 2048, "H": 16, "G": 2, "D": 256, "F": 5120, "X": 512, "u": 10, "Fe": 512}
    ),
    "latent, 61 layers": (
        "deepseek2",
        {"L": 61, "E": 7168, "H": 128, "G": 1, "D": 128, "F": 18432, "X": 256, "u": 8, "Fe": 2048, "rank": 512,
         "rope": 64, "nope": 128, "value": 128, "qrank": 1536, "lead": 3},
    ),
}  # fmt: skip
PLANS: tuple[tuple[str, tuple[str, ...]], ...] = (  # options behind the cards
    ("dense, 32 layers", ("24GB",)),
    ("dense, 80 layers", ("80GB",)),
    ("dense, 80 layers", ("24GB", "24GB")),
    ("dense, 80 layers", ("24GB:4",)),
    ("dense, 80 layers", ("16GB:8",)),
    ("windows, 62 layers", ("24GB",)),
    ("experts, 60 layers", ("80GB:2",)),
    ("experts, 60 layers", ("48GB:4",)),
    ("experts, 60 layers", ("24GB:8",)),
    ("hybrid, 48 layers", ("80GB",)),
    ("hybrid, 48 layers", ("24GB:4",)),
    ("latent, 61 layers", ("80GB:8",)),
    ("dense, 80 layers", ("80GB:2", "--context", "262144")),
    ("windows, 62 layers", ("24GB:4", "--context", "131072")),
    ("experts, 60 layers", ("48GB", "--gpu-layers", "20")),
    ("hybrid, 48 layers", ("16GB:8",)),
    ("hybrid, 48 layers", ("80GB:2", "--context", "262144")),
    ("latent, 61 layers", ("80GB:8", "--context", "131072")),
)


def write_model(path: Path, family: str, numbers: Numbers) -> int:
    """A file with a real header and no weights; how many tensors it has."""
    keys, tensors = build(family, VOCABULARY | numbers)
    keys |= {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": [f"token{at:04}" for at in range(TOKENS)],
        "tokenizer.ggml.token_type": [1] * TOKENS,
        "tokenizer.ggml.merges": [f"to ken{at:04}" for at in range(MERGES)],
    }
    header = header_bytes(keys, tensors)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + sum(padded(one.data_bytes(), 32) for one in tensors))
    return len(tensors)


def arguments(words: tuple[str, ...]) -> list[str]:
    """Cards by their option, and what follows them as it is."""
    first = next((at for at, word in enumerate(words) if word.startswith("--")), len(words))
    return [*(word for card in words[:first] for word in ("--gpu", card)), *words[first:]]


class Took(NamedTuple):
    """Milliseconds of one process: from its start to its end, and of a processor."""

    wall: float
    processor: float


def run(argv: list[str]) -> Took:
    """One run; a plan that does not fit (exit 1) counts as well."""
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, env=ENVIRONMENT
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = (time.perf_counter() - started) * 1000
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 1):
            said.seek(0)
            raise SystemExit(f"error: {' '.join(argv)} ended with {process.returncode}: {said.read().decode()}")
    return Took(wall, (used.ru_utime + used.ru_stime) * 1000)


def median(times: list[Took]) -> Took:
    """Of each of both."""
    return Took(*(statistics.median(one) for one in zip(*times, strict=True)))


def least(times: list[Took]) -> Took:
    """Of each of both."""
    return Took(*(min(one) for one in zip(*times, strict=True)))


def main() -> int:
    """Measure, print, and judge when asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--only", default="", help="plans of models whose name holds this")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds is at least 1")
    plans = [(name, cards) for name, cards in PLANS if options.only in name]
    start = [sys.executable, "-c", "pass"]
    times: dict[tuple[str, tuple[str, ...]], list[Took]] = {plan: [] for plan in plans}
    starts: list[Took] = []
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{at}.gguf" for at, name in enumerate(MODELS)}
        counts = {name: write_model(files[name], *MODELS[name]) for name in {name for name, _ in plans}}
        for counted in range(-1, options.rounds):
            for name, cards in plans:
                words = arguments(cards)
                floor = run(start)
                took = run([sys.executable, "-m", "llmops", "plan", str(files[name]), *words, "--json"])
                if counted >= 0:
                    starts.append(floor)
                    times[name, cards].append(took)
    floor, quickest = median(starts), least(starts)
    print(f"{options.rounds} rounds, Python {platform.python_version()}, typer {version('typer')}, "
          f"{platform.machine()}; `python -c pass` takes {floor.wall:.0f} ms and "
          f"{floor.processor:.0f} of a processor (least {quickest.wall:.0f} and {quickest.processor:.0f})\n")  # fmt: skip
    print("| Model | Tensors | Cards, options | Median ms beyond it | Least | Processor ms beyond it | Least |\n"
          "| --- | --- | --- | --- | --- | --- | --- |")  # fmt: skip
    for (name, cards), row in times.items():
        shown = " ".join(cards)
        middle, best = median(row), least(row)
        print(f"| {name} | {counts[name]} | {shown} | {middle.wall - floor.wall:.0f} | {best.wall - quickest.wall:.0f} "
              f"| {middle.processor - floor.processor:.0f} | {best.processor - quickest.processor:.0f} |")  # fmt: skip
    slow = [name for (name, _), row in times.items() if least(row).processor - quickest.processor >= BEYOND_MS]
    return int(options.check and bool(slow))


if __name__ == "__main__":
    sys.exit(main())
