"""`llm_d_planner*`: llm-d-planner's own published table of vLLM 0.19 starts, its figures beside ours.

The table gives its errors in percent, not what was measured; the measurement follows from them: its prediction is `utilization x
80 GiB - weights - a constant for activations - one for libraries` (src/planner/capacity_planner.py), and measured = predicted /
(1 + error). Checked on the rows that print both (58.11 GiB for Llama-3.1-8B). Ours is a `vllm serve` line with the same settings
on a card of the size CUDA reports, graphs outside the budget as in 0.19.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from accuracy.cases import Figure, Refusal, Report, Row
from accuracy.vllm_lines import LineRefusedError, card, ledger_of, shape_named
from llmops.domain.errors import Stop
from llmops.domain.units import GIB

KIND = "llm_d_planner"
RULES: dict[str, str] = {}
STEP = 0.01 * GIB
BEFORE = {"VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS": "0"}


def report(file: str, planner: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Report:
    """Every row of the table."""
    return Report(file=file, kind=KIND, rows=[_row(row, planner) for row in rows], rules=RULES)


def _row(row: Mapping[str, Any], planner: Mapping[str, Any]) -> Row:
    tensor, pipeline = row["tensor_parallel"], row["pipeline_parallel"]
    name = f"{row['model']} tp{tensor} pp{pipeline}"
    shape = shape_named(row["model"])
    if shape is None:
        return Row(id=name, refused=Refusal.UNKNOWN_MODEL)
    share, ranks = planner["gpu_memory_utilization"], tensor * pipeline
    whole = sum(tensor.elements() for tensor in shape.tensors) * 2
    theirs_weights = whole / ranks
    beside = (row["activation_constant_gib"] + row["non_torch_constant_gib"]) * GIB
    theirs_pool = share * planner["catalogue_gib"] * GIB - theirs_weights - beside
    weights = theirs_weights / (1 + row["weight_error_percent"] / 100)
    pool = theirs_pool / (1 + row["kv_error_percent"] / 100)
    words = [
        *("--max-model-len", str(row["max_model_len"]), "--gpu-memory-utilization", str(share)),
        *("--tensor-parallel-size", str(tensor), "--pipeline-parallel-size", str(pipeline)),
    ]
    device = card(int(planner["card_gib"] * GIB), name=planner["card"], capability="9.0")
    try:
        said = ledger_of(shape, words, [device] * ranks, BEFORE)
    except (Stop, LineRefusedError):
        return Row(id=name, refused=Refusal.COMMAND_LINE)
    if said.pool is None:
        return Row(id=name, refused=Refusal.COMMAND_LINE)
    ours = max(one.causes.weights_bytes for one in said.devices)
    pairs = (
        ("weights of a rank, llmops", ours, weights),
        ("weights of a rank, llm-d-planner", int(theirs_weights), weights),
        ("KV pool, llmops", said.pool.kv_pool_bytes, pool),
        ("KV pool, llmops, safe", said.pool.safe_bytes, pool),
        ("KV pool, llm-d-planner", int(theirs_pool), pool),
    )
    return Row(
        id=name,
        figures=tuple(
            Figure(quantity=what, place="card", predicted=value, measured=measured, resolution=STEP)
            for what, value, measured in pairs
        ),
    )
