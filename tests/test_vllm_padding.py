"""Zeros that Marlin's and CUTLASS's kernels pad quantized matrices with, as vLLM's own functions say."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from llmops.domain.engine import Device, DeviceKind
from llmops.domain.model import ModelShape
from llmops.domain.units import GIB
from llmops.engines.rank_weights import Cut
from llmops.engines.vllm_padding import Kept, padding_bytes
from llmops.formats.config_json import model_shape

CONFIGS = Path(__file__).parent / "recorded" / "config_json"
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": True, "version": "gemm"}
NVFP4 = {
    "quant_method": "modelopt",
    "quant_algo": "NVFP4",
    "kv_cache_quant_algo": None,
    "group_size": 16,
    "ignore": ["lm_head"],
}
LAYERS, WIDTH = 4, 4096


def shape(
    how: Mapping[str, object] | None, feed: int, name: str = "llama-3.1-8b-instruct", **changed: object
) -> ModelShape:
    said = {"num_hidden_layers": LAYERS, "intermediate_size": feed, **changed} | (
        {"quantization_config": how} if how else {}
    )
    config = json.loads((CONFIGS / f"{name}.json").read_bytes()) | said
    return model_shape(json.dumps(config).encode(), name="m", tensors=None)


def card(capability: str) -> Device:
    return Device(name="card", kind=DeviceKind.CUDA, capacity_bytes=GIB, free_bytes=GIB, compute_capability=capability)


def added(of: ModelShape, capability: str, ranks: int = 1, *, by_expert: bool = False) -> int:
    return padding_bytes(of, card(capability), Cut(tensor=ranks, by_expert=by_expert), (0, len(of.layers)))


@pytest.mark.parametrize("how", [AWQ, NVFP4], ids=["awq", "nvfp4"])
@pytest.mark.parametrize("capability", ["8.0", "9.0", "10.0"])
def test_widths_that_are_whole_tiles_are_not_padded(how: Mapping[str, object], capability: str) -> None:
    assert added(shape(how, 14_336), capability, 4) == 0
    assert added(shape(None, 3696 * 8), capability, 8) == 0


@pytest.mark.parametrize(
    ("rows", "columns", "padded"),
    [
        (64, 128, (64, 128)),
        (128, 64, (128, 64)),
        (64, 64, (64, 128)),
        (7392, 8192, (7424, 8192)),
        (8192, 3696, (8192, 3712)),
    ],
)
def test_tiles_are_those_of_marlin_padded_nk(rows: int, columns: int, padded: tuple[int, int]) -> None:
    """The third: 64 x 128 and 128 x 64 cost the same, and the first of the two is taken."""
    how = Kept(bits=8, group=0, scale_bytes=0)
    assert how.marlin_bytes(rows, columns) == padded[0] * padded[1] - rows * columns


def test_gate_and_up_are_padded_as_one_and_so_are_scales_and_zeros() -> None:
    """29,568 over eight ranks: 2 x 3,696 rows become 7,424, and down's 3,696 columns 3,712 of groups of 64."""
    rows, columns = 7424 - 7392, 3712 - 3696
    numbers = rows * WIDTH + WIDTH * columns
    scales = rows * (WIDTH // 64) + WIDTH * (3712 // 64 - 3696 // 64)
    assert added(shape(AWQ, 29_568), "8.0", 8) == LAYERS * (numbers // 2 + int(scales * 2.5))


def test_scales_of_nvfp4_are_laid_out_in_tiles_of_128_rows_on_blackwell() -> None:
    """A tile of scales is 128 by four; of weights both widths are whole numbers of 32."""
    odd = shape(NVFP4, 3696 * 8)
    gate_up, down = 7424 * 256 - 7392 * 256, 4096 * (232 - 231)
    assert added(odd, "10.0", 8) == LAYERS * (gate_up + down + WIDTH * (3712 - 3696) // 2)


def test_experts_are_padded_in_their_own_width_only() -> None:
    moe = shape(AWQ, 768, "qwen3-30b-a3b", moe_intermediate_size=752, num_hidden_layers=1)
    each = 3 * 2048 * 16 // 2
    scales = 2 * 16 * (2048 // 64) + 2048 * (768 // 64 - 752 // 64)
    assert added(moe, "8.0") == 128 * (each + int(scales * 2.5))
    assert added(moe, "8.0", 4, by_expert=True) == 32 * (each + int(scales * 2.5))
