"""`-ts` as the real server reads it: parts below zero, parts that cancel out, words that only begin as a number.

Measured with cards that only count bytes (scripts/measure says how): the tiny model, `-c 512 --cache-ram 0`.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from explaining import codes, document

from llmops.formats.tiny_model import TINY_NAME, tiny_model

MEASURED = Path(__file__).parent / "measured/llama.cpp/b11669-splits.json"
CASES: list[dict[str, Any]] = json.loads(MEASURED.read_text())["cases"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / TINY_NAME
    path.write_bytes(tiny_model())
    return str(path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['split']} {case['layers']} of {len(case['cards'])}")
def test_a_split_shares_out_what_the_server_shared_out(case: dict[str, Any], tiny: str) -> None:
    cards = [word for size in case["cards"] for word in ("--gpu", f"{size}MiB")]
    words = ("-ts", case["split"], "-ngl", case["layers"], "-c", "512", "--cache-ram", "0", "-fit", "off")
    _, made = document("explain", *cards, "--gpu-memory-reserve", "0MiB", "--", "llama-server", "-m", tiny, *words)
    if case["buffers"] is None:
        assert "EXP003" in codes(made, "fail")
        return
    assert not codes(made, "fail")
    buffers = made["result"]["ledger"]["buffers"]
    assert {name: one for name, one in buffers.items() if any(one.values())} == case["buffers"]
