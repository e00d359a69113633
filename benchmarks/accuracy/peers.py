"""llmfit's three largest errors beside ours: the KV cache of three kinds of attention at the model's own longest context."""

import json
import subprocess
from pathlib import Path

from llmops.domain.units import GIB
from llmops.engines.llama_cpp_bound import Bound
from llmops.formats.catalogue import find_model, models
from llmops.sizing.quantized import bare_shape

CATALOGUE = Path(__file__).resolve().parents[2] / "llmops" / "catalogue" / "models.json"
CASES = (
    ("latent attention", "deepseek-v3.1", 163_840),
    ("sliding windows", "gemma-3-27b-it", 131_072),
    ("windows of 128", "gpt-oss-20b", 131_072),
)

TEXT = """
## Three kinds of attention, beside llmfit

`{version}` asked for one request of the model's longest context, f16: its `kv_alternatives[0].kv_cache_gb` beside our ledger's
cache. By hand, from the models' published configurations: layers that keep all x elements x 2 bytes x tokens, and for layers
with a window the window instead of the context (llama.cpp keeps one batch of 512 more, rounded to 256: that is what ours is
above it).

| Attention | Model | Tokens | By hand, GiB | llmops | llmfit | llmfit / by hand |
| --- | --- | --- | --- | --- | --- | --- |
{rows}
"""


def section(program: str, version: str) -> str:
    """The section of the page, every figure computed or asked for now."""
    return TEXT.format(version=version, rows="\n".join(_line(program, *case) for case in CASES))


def _line(program: str, kind: str, name: str, tokens: int) -> str:
    row = find_model(models(CATALOGUE.read_text(encoding="utf-8")), name)
    if row is None:
        raise ValueError(name)
    ours = Bound(bare_shape(row)).beside(context_tokens=tokens, parallel=1, kv_cache_type="f16").cache_bytes
    said = row.kv_cache
    by_hand = 2 * tokens * said["full_layers"] * said["elems_per_token_per_full_layer"]
    windows = said.get("windowed_layers", 0)
    if windows:
        by_hand += 2 * (row.window_tokens or 0) * windows * said["elems_per_token_per_windowed_layer"]
    argv = [program, "plan", row.repository, "--context", str(tokens), "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        return f"| {kind} | {name} | {tokens} | {by_hand / GIB:.2f} | {ours / GIB:.2f} | refused | – |"
    theirs = json.loads(done.stdout)["kv_alternatives"][0]["kv_cache_gb"]
    cells = (f"{by_hand / GIB:.2f}", f"{ours / GIB:.2f}", f"{theirs:.2f}", f"{theirs * GIB / by_hand:.1f}")
    return f"| {kind} | {name} | {tokens} | {' | '.join(cells)} |"
