"""The same cases by llmfit, where its program is given: what of the allocator's rows its options can say, and its answers."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accuracy.cases import Figure, Report, Row
from llmops.domain.units import GIB

NAMES = {
    "llama3-8b": ("meta-llama/Meta-Llama-3-8B-Instruct", "Q4_K_M"),
    "llama32-3b": ("meta-llama/Llama-3.2-3B-Instruct", "Q4_K_M"),
    "qwen3-8b": ("Qwen/Qwen3-8B", "Q4_K_M"),
    "qwen25-05b": ("Qwen/Qwen2.5-0.5B-Instruct", "Q8_0"),
    "gemma3-12b": ("google/gemma-3-12b-it", "Q4_K_M"),
    "qwen3-30b-a3b": ("Qwen/Qwen3-30B-A3B", "Q4_K_M"),
}
"""The models of the allocator's rows under the names of llmfit's catalogue."""

CACHES = {"f16": "fp16", "q8_0": "q8_0", "q4_0": "q4_0"}


def version(program: str) -> str:
    """What it says it is."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def beside(program: str, path: Path, ours: Report) -> tuple[dict[str, list[Figure]], int]:
    """Quantity → figures, ours and theirs, over the rows that both answer; and how many rows it refuses."""
    document = json.loads(path.read_text(encoding="utf-8"))
    asked: dict[tuple[str, int], Mapping[str, Any] | None] = {}
    found: dict[str, list[Figure]] = {}
    refused = 0
    for row, mine in zip(document["rows"], ours.rows, strict=True):
        arguments, model = row["args"], row["model"]
        if model not in NAMES or not _sayable(arguments):
            continue
        key = (model, arguments["ctx"])
        if key not in asked:
            asked[key] = _asked(program, *key)
        answer = asked[key]
        if answer is None:
            refused += 1
            continue
        one = next(one for one in answer["kv_alternatives"] if one["kv_quant"] == CACHES[arguments.get("tk", "f16")])
        _add(found, mine, kv=one["kv_cache_gb"] * GIB, total=one["memory_required_gb"] * GIB)
    return found, refused


def _sayable(arguments: Mapping[str, Any]) -> bool:
    """One card that holds everything, one pool, one cache type: what `plan --context --kv-quant` can be asked."""
    kinds = {arguments.get("tk", "f16"), arguments.get("tv", "f16")}
    one_pool = arguments.get("np", 1) == 1 or bool(arguments.get("kvu"))
    plain = set(arguments) <= {"mem", "ctx", "np", "kvu", "tk", "tv", "ub"} and arguments.get("ub", 512) == 512
    return plain and one_pool and len(kinds) == 1 and kinds <= set(CACHES) and "," not in str(arguments.get("mem", ","))


def _asked(program: str, model: str, context: int) -> Mapping[str, Any] | None:
    name, quant = NAMES[model]
    argv = [program, "plan", name, "--context", str(context), "--quant", quant, "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    return json.loads(done.stdout) if done.returncode == 0 else None


def _add(found: dict[str, list[Figure]], mine: Row, *, kv: float, total: float) -> None:
    figures = {one.quantity: one for one in mine.figures if one.place == "CUDA0"}
    context = figures["context"]
    measured = sum(one.measured for one in figures.values())
    predicted = sum(one.predicted for one in figures.values())
    for name, quantity, value, real in (
        ("llmops", "KV cache", context.predicted, context.measured),
        ("llmfit", "KV cache", round(kv), context.measured),
        ("llmops", "the card", predicted, measured),
        ("llmfit", "the card", round(total), measured),
    ):
        figure = Figure(quantity=f"{quantity}, {name}", place="CUDA0", predicted=value, measured=real)
        found.setdefault(figure.quantity, []).append(figure)
