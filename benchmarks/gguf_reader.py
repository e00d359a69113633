#!/usr/bin/env python3
"""gguf_reader.py [--rounds N] [--check]: the header of a 128k-vocabulary file, read by llmops and by the `gguf` package.

The file has the tokenizer of Llama 3 by its counts (128,256 tokens, 280,147 merges) and 291 tensors whose weights are a hole
in the file. Every reading is a process of its own, in turn, so that whatever else the machine does meets both; its time is
that of the reading alone, without start and imports, its memory the peak of the whole process. Prints a Markdown table; with
--check exits 1 unless llmops is 20 times as fast by the median and stays below 60 MiB. Needs the packages of
requirements/benchmarks.txt.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from llmops.domain.model import Tensor  # noqa: E402 - from the checkout this file lies in
from llmops.domain.units import padded  # noqa: E402
from llmops.formats.gguf_writer import header_bytes  # noqa: E402

TOKENS, MERGES, LAYERS = 128_256, 280_147, 32
FASTER, PEAK_MIB = 20, 60

OURS = """
from llmops.formats.gguf import read_header
def read(path):
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        header = read_header(lambda at, length: os.pread(file.fileno(), length, at), name=path, file_bytes=size)
    return len(header.tensors)
"""
THEIRS = """
from gguf import GGUFReader
def read(path):
    return len(GGUFReader(path).tensors)
"""
MEASURED = """
import json, os, sys, time
sys.path.insert(0, sys.argv[1])
{reader}
started = time.perf_counter()
tensors = read(sys.argv[2])
took = time.perf_counter() - started
with open("/proc/self/status") as file:  # ru_maxrss would count what the parent had at the fork
    peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
print(json.dumps([took, peak / 1024, tensors]))
"""
READERS = {"llmops": OURS, "gguf": THEIRS}


def write_model(path: Path) -> int:
    """A file with a real header and no weights; how long its header is."""
    tensors = [Tensor("token_embd.weight", (4096, TOKENS), "Q4_K"), Tensor("output_norm.weight", (4096,), "F32")]
    tensors.append(Tensor("output.weight", (4096, TOKENS), "Q6_K"))
    for at in range(LAYERS):
        for name, columns, rows in (("attn_q", 4096, 4096), ("attn_k", 4096, 1024), ("attn_v", 4096, 1024),
                                    ("attn_output", 4096, 4096), ("ffn_gate", 4096, 14336), ("ffn_up", 4096, 14336),
                                    ("ffn_down", 14336, 4096)):  # fmt: skip
            tensors.append(Tensor(f"blk.{at}.{name}.weight", (columns, rows), "Q4_K"))
        tensors += [Tensor(f"blk.{at}.{name}.weight", (4096,), "F32") for name in ("attn_norm", "ffn_norm")]
    header = header_bytes(
        {
            "general.architecture": "llama", "llama.context_length": 8192, "llama.embedding_length": 4096,
            "llama.block_count": LAYERS, "llama.feed_forward_length": 14336, "llama.attention.head_count": 32,
            "llama.attention.head_count_kv": 8, "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.tokens": [f"token{at:04}" for at in range(TOKENS)],
            "tokenizer.ggml.token_type": [1] * TOKENS,
            "tokenizer.ggml.merges": [f"to ken{at:04}" for at in range(MERGES)],
        },
        tensors,
    )  # fmt: skip
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + sum(padded(one.data_bytes(), 32) for one in tensors))
    return len(header)


def reading(reader: str, path: Path) -> tuple[float, float, int]:
    """Seconds, peak MiB and tensors of one reading in a process of its own."""
    program = MEASURED.format(reader=READERS[reader])
    argv = [sys.executable, "-c", program, str(ROOT), str(path)]
    done = subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    seconds, peak, tensors = json.loads(done.stdout)
    return seconds, peak, tensors


def main() -> int:
    """Measure, print, and judge when asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds is at least 1")
    try:
        theirs = version("gguf")
    except PackageNotFoundError:
        print("error: no `gguf` in this environment", file=sys.stderr)
        print("hint: python -m pip install --require-hashes -r requirements/benchmarks.txt", file=sys.stderr)
        return 4
    rows: dict[str, list[tuple[float, float, int]]] = {name: [] for name in READERS}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        header = write_model(path)
        for _ in range(options.rounds):
            for name in READERS:
                rows[name].append(reading(name, path))
    if len({tensors for row in rows.values() for _, _, tensors in row}) != 1:
        print("error: the two did not read the same tensors", file=sys.stderr)
        return 1
    print(f"{options.rounds} rounds, a header of {header:,} bytes, Python {platform.python_version()}, "
          f"gguf {theirs}, {platform.machine()}\n")  # fmt: skip
    print("| Reader | Median ms | Least | Most | Peak MiB of the process |\n| --- | --- | --- | --- | --- |")
    for name, row in rows.items():
        times = [seconds * 1000 for seconds, _, _ in row]
        peak = max(peak for _, peak, _ in row)
        print(f"| {name} | {statistics.median(times):.0f} | {min(times):.0f} | {max(times):.0f} | {peak:.0f} |")
    medians = {name: statistics.median(seconds for seconds, _, _ in row) for name, row in rows.items()}
    ratio, peak = medians["gguf"] / medians["llmops"], max(one for _, one, _ in rows["llmops"])
    print(f"\nllmops is {ratio:.0f} times as fast.")
    return int(options.check and (ratio < FASTER or peak >= PEAK_MIB))


if __name__ == "__main__":
    sys.exit(main())
