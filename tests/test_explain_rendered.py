"""plan = explain of the unit and the compose file that `render` writes, for drawn models, cards and settings of four engines."""

import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest
from explaining import document, text
from headers import header_only
from llama_cpp_families import build, draw

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "tests/recorded/config_json/qwen3-8b.json"
FAMILIES = ("qwen3", "llama", "gemma3", "qwen3moe", "deepseek2", "falcon-h1", "gpt-oss", "mamba2")
CARDS = (("24GiB",), ("12GiB:2",), ("80GiB",), ("16GiB", "24GiB"), ("8GiB:3",))

SMALL = {
    "E": 256,
    "V": 4096,
    "F": 512,
    "H": 4,
    "G": 2,
    "D": 64,
    "L": 4,
    "X": 8,
    "u": 2,
    "Fe": 256,
    "I": 512,
    "dt": 8,
    "W": 512,
}
"""Numbers of a model of a few megabytes, which is hashed in no time; the others are drawn."""


def drawn(number: int, folder: Path) -> tuple[str, str, list[str], list[str]]:
    """Engine, model, wishes and cards by a number."""
    rng = Random(number)
    engine = ("llama.cpp", "ollama", "llama.cpp", "vllm", "llama.cpp", "sglang")[number % 6]
    wishes = ["--engine", engine, "--context", str(rng.choice((2048, 4096, 6000)))]
    wishes += ["--parallel", str(rng.choice((1, 2, 3)))]
    if engine in ("vllm", "sglang"):
        model = folder / "served"
        model.mkdir()
        shutil.copy(CONFIG, model / "config.json")
        return engine, str(model), wishes, ["--gpu", "80GiB"]
    cards = rng.choice(CARDS) if engine == "llama.cpp" else ("24GiB",)
    if engine == "llama.cpp":
        wishes += ["--kv-cache-type", rng.choice(("f16", "q8_0")), *(["--kv-unified"] if rng.random() < 0.3 else [])]
    family = rng.choice(FAMILIES)
    numbers = draw(family, rng)
    file = header_only(*build(family, numbers | {name: one for name, one in SMALL.items() if name in numbers}))
    model = folder / "served.gguf"
    with model.open("wb") as out:
        out.write(file.header)
        out.truncate(file.file_bytes)
    return engine, str(model), wishes, [word for card in cards for word in ("--gpu", card)]


def held(ledger: dict[str, Any]) -> dict[str, Any]:
    """What both have to agree on: memory by cause; a speed or a note of the plan's own is none."""
    return {key: ledger[key] for key in ("devices", "host", "pool", "buffers") if key in ledger}


@pytest.mark.parametrize("number", range(9))
def test_what_is_rendered_of_a_drawn_plan_has_its_ledger(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    engine, model, wishes, cards = drawn(number, tmp_path)
    lock, tree = tmp_path / "llmops.lock", tmp_path / "tree"
    code, planned = document("plan", model, *wishes, *cards, "--out", str(lock))
    assert code == 0, planned["error"]
    code, out, errors = text(
        "render",
        "--lock",
        str(lock),
        "--out",
        str(tree),
        "--target",
        "systemd",
        "--target",
        "compose",
        "--systemd-version",
        "257",
    )
    assert code in (0, 1), out + errors
    unit, compose = tree / "etc/systemd/system/llmops-served.service", tree / "etc/llmops/compose/served/compose.yaml"
    for file in (unit, compose):
        assert file.is_file(), out + errors
        _, explained = document("explain", *cards, "--model", model, str(file))
        assert held(explained["result"]["ledger"]) == held(planned["result"]["ledger"]), (engine, file.name)
