#!/usr/bin/env python3
"""encoder_peaks >tests/measured/vllm/encoder_peaks.json: bytes that encoders of images hold at their widest moment, a patch.

transformers' own classes of real widths, three blocks of them, run in 16 bit on the CPU under torch's allocator profile. Two
things are as vLLM's kernels do them: attention keeps no scores, and rotations (`fused`) write 16 bit where these classes compute
in 32. Needs torch and transformers; no weights, no GPU.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import torch  # type: ignore[import-not-found]
import transformers  # type: ignore[import-not-found]
from transformers.models.internvl import modeling_internvl as internvl  # type: ignore[import-not-found]
from transformers.models.pixtral import modeling_pixtral as pixtral  # type: ignore[import-not-found]
from transformers.models.qwen2_5_vl import configuration_qwen2_5_vl, modeling_qwen2_5_vl  # type: ignore[import-not-found]
from transformers.models.qwen3_vl import configuration_qwen3_vl, modeling_qwen3_vl  # type: ignore[import-not-found]

BLOCKS = 3
GRID = (32, 64)


def peak(model: Any, *arguments: Any, **more: Any) -> int:
    """The most bytes that were allocated at once, over what was there before."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.no_grad(), torch.profiler.profile(profile_memory=True, activities=activities) as told:
        model(*arguments, **more)
    events = [one for one in told.profiler.kineto_results.events() if one.name() == "[memory]"]
    live = most = 0
    for one in sorted(events, key=lambda one: one.start_ns()):
        live += one.nbytes()
        most = max(most, live)
    return most


def rotated(queries: Any, keys: Any, *_: Any, **__: Any) -> Any:
    """What a fused rotation allocates."""
    return torch.empty_like(queries), torch.empty_like(keys)


def built(config: Any, make: Any) -> Any:
    """A model of this configuration that asks torch for its attention."""
    config._attn_implementation = "sdpa"  # noqa: SLF001
    return make(config)


def rows() -> Iterator[dict[str, Any]]:
    """One encoder a row."""
    for width, wide, side, patch, images in (
        (768, 3072, 224, 16, 8),
        (1024, 4096, 384, 16, 4),
        (1152, 4304, 448, 14, 2),
    ):
        config = transformers.SiglipVisionConfig(
            hidden_size=width, intermediate_size=wide, num_hidden_layers=BLOCKS, num_attention_heads=width // 64 // 4 * 4,
            image_size=side, patch_size=patch, vision_use_head=False,
        )  # fmt: skip
        model, pixels = built(config, transformers.SiglipVisionModel), torch.zeros(images, 3, side, side)
        yield row(f"siglip {width}", config, peak(model, pixels), images * (side // patch) ** 2)
    config = transformers.InternVLVisionConfig(num_hidden_layers=BLOCKS)
    model, pixels = built(config, internvl.InternVLVisionModel), torch.zeros(2, 3, 448, 448)
    yield row("internvl 300m", config, peak(model, pixels), 2 * 1024)
    grid, patches = torch.tensor([[1, *GRID]]), GRID[0] * GRID[1]
    config = configuration_qwen2_5_vl.Qwen2_5_VLVisionConfig(
        depth=BLOCKS, hidden_size=1280, intermediate_size=3420, out_hidden_size=3584, fullatt_block_indexes=[1]
    )
    model = built(config, modeling_qwen2_5_vl.Qwen2_5_VisionTransformerPretrainedModel)
    yield row("qwen2.5-vl", config, peak(model, torch.zeros(patches, 3 * 2 * 14**2), grid_thw=grid), patches)
    config = configuration_qwen3_vl.Qwen3VLVisionConfig(depth=BLOCKS, deepstack_visual_indexes=[0])
    model = built(config, modeling_qwen3_vl.Qwen3VLVisionModel)
    yield row("qwen3-vl", config, peak(model, torch.zeros(patches, 3 * 2 * 16**2), grid_thw=grid), patches)
    config = transformers.PixtralVisionConfig(num_hidden_layers=BLOCKS)
    model, sides = built(config, pixtral.PixtralVisionModel), [16 * one for one in GRID]
    yield row("pixtral", config, peak(model, torch.zeros(1, 3, *sides), image_sizes=torch.tensor([sides])), patches)


def row(name: str, config: Any, count_bytes: int, patches: int) -> dict[str, Any]:
    """Widths as the file has them."""
    said = {"encoder": name, "width": config.hidden_size, "widest": config.intermediate_size, "patches": patches}
    return {**said, "bytes_a_patch": round(count_bytes / patches)}


def main() -> int:
    """As these classes compute, then with fused rotations."""
    torch.set_default_dtype(torch.bfloat16)
    torch.nn.functional.scaled_dot_product_attention = lambda queries, *_, **__: torch.empty_like(queries)
    found = [{**one, "fused": False} for one in rows()]
    modeling_qwen2_5_vl.apply_rotary_pos_emb_vision = modeling_qwen3_vl.apply_rotary_pos_emb_vision = rotated
    pixtral.apply_rotary_pos_emb, pixtral.generate_block_attention_mask = rotated, lambda *_, **__: None
    found += [{**one, "fused": True} for one in rows() if one["encoder"] in ("qwen2.5-vl", "qwen3-vl", "pixtral")]
    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    about = {"made_by": "benchmarks/encoder_peaks.py", **versions}
    lines = ",\n".join(json.dumps(one) for one in found)
    sys.stdout.write(f'{{"about": {json.dumps(about)}, "rows": [\n{lines}\n]}}\n')
    return 0


if __name__ == "__main__":
    sys.exit(main())
