"""`vllm_kv_blocks*`: a list of rows, each one answer of vLLM's own block arithmetic for one model and its settings.

A row's name says the model and what was asked (`llama3-70b tp4`, `fp8kv`, `align=False`); its pool in bytes and its length are
given to a `vllm serve` line. Only what was asked is read: the length of a block where it is not vLLM's to choose, never the
pages, groups and blocks that are compared.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from accuracy.cases import Figure, Refusal, Report, Row
from accuracy.vllm_lines import LineRefusedError, card, ledger_of, shape_named, shape_of_config
from llmops.domain.errors import Stop
from llmops.domain.ledger import Ledger
from llmops.domain.model import ModelShape

KIND = "vllm_kv_blocks"
RULES: dict[str, str] = {}
CARD_BYTES = 64 << 30
"""Of the cards whose default is 2,048 tokens a step, which the rows with windows imply."""
DESCRIBED: dict[str, dict[str, object]] = {
    "mixed head sizes gemma4-like": {
        "model_type": "gemma4_text",
        "hidden_size": 5376,
        "intermediate_size": 21504,
        "num_hidden_layers": 30,
        "num_attention_heads": 32,
        "num_key_value_heads": 16,
        "num_global_key_value_heads": 4,
        "head_dim": 256,
        "global_head_dim": 512,
        "attention_k_eq_v": True,
        "sliding_window": 1024,
        "layer_types": [*["sliding_attention"] * 5, "full_attention"] * 5,
        "vocab_size": 262_144,
        "max_position_embeddings": 262_144,
    }
}
"""Models that are in no catalogue, by the name of their row: the widths its author gives them."""


def report(file: str, rows: Sequence[Mapping[str, Any]]) -> Report:
    """Every row of a file."""
    return Report(file=file, kind=KIND, rows=tuple(_row(row) for row in rows), rules=RULES)


def _shape(name: str) -> ModelShape | None:
    """The described model, else the catalogue's by the first words of the name."""
    if name in DESCRIBED:
        return shape_of_config(name, DESCRIBED[name])
    words = name.split()
    for count in range(len(words), 0, -1):
        found = shape_named("-".join(words[:count]))
        if found is not None:
            return found
    return None


def words_of(row: Mapping[str, Any]) -> list[str]:
    """The command line a row stands for."""
    name, asked = row["name"], row.get("cfg") or {}
    words = ["--max-model-len", str(row["max_model_len"]), "--kv-cache-memory-bytes", str(row["available"])]
    ranks = re.search(r"\btp(\d+)\b", name)
    words += ["-tp", ranks[1]] if ranks else []
    words += ["--kv-cache-dtype", "fp8"] if "fp8kv" in name else []
    words += ["--disable-hybrid-kv-cache-manager"] if asked.get("dis") else []
    words += ["--no-enable-prefix-caching"] if asked.get("align") is False else []
    width = re.search(r"\bssm(\d)\b", name)
    words += ["--mamba-ssm-cache-dtype", {"2": "bfloat16", "4": "float32"}[width[1]]] if width else []
    kinds = {group["kind"] for group in row["groups"]}
    sizes = {group["block_size"] for group in row["groups"]}
    if kinds == {"MLAAttentionSpec"} and len(sizes) == 1:
        words += ["--block-size", str(sizes.pop())]  # the back end's, which the row does not name
    return words


def _row(row: Mapping[str, Any]) -> Row:
    name = row["name"]
    try:
        shape = _shape(name)
        if shape is None:
            return Row(id=name, refused=Refusal.UNKNOWN_MODEL)
        words = words_of(row)
        cards = [card(CARD_BYTES)] * (int(words[words.index("-tp") + 1]) if "-tp" in words else 1)
        said = ledger_of(shape, words, cards)
    except (Stop, LineRefusedError):
        return Row(id=name, refused=Refusal.COMMAND_LINE)
    return Row(id=name, figures=tuple(_figures(row, said)))


def _figures(row: Mapping[str, Any], said: Ledger) -> list[Figure]:
    pool = said.pool
    assert pool is not None
    found = {
        "bytes per block": (pool.bytes_per_block, row["bytes_per_block"], 0.0),
        "blocks": (pool.num_blocks, row["num_blocks"], 0.0),
    }
    figures = [
        Figure(quantity=quantity, place="card", predicted=one, measured=measured, resolution=resolution)
        for quantity, (one, measured, resolution) in found.items()
    ]
    concurrency = round(pool.max_concurrency * 10_000)
    return [
        *figures,
        Figure(
            quantity="requests at a time, 1/10000",
            place="card",
            predicted=concurrency,
            measured=row["concurrency"] * 10_000,
            resolution=0.5,
        ),
    ]
