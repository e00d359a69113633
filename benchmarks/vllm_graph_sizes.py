#!/usr/bin/env python3
"""vllm_graph_sizes SOURCES SEED COUNT >tests/measured/vllm/graph_sizes.json: batches that vLLM's own code captures as graphs.

SOURCES is an unpacked vllm wheel. `VllmConfig._set_cudagraph_sizes` is cut out of config/vllm.py and run on stand-ins that hold
the few settings it reads.
"""

import ast
import json
import random
import sys
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

CHOICES: dict[str, tuple[Any, ...]] = {
    "sequences": (1, 3, 8, 16, 100, 128, 256, 300, 512, 1024),
    "batch_tokens": (64, 512, 777, 2048, 8192),
    "drafted": (0, 0, 0, 1, 2, 3, 7),
    "sizes": (None, None, None, None, [1, 2, 4, 8], [64, 16, 16, 4096], [1]),
    "largest": (None, None, None, 1, 64, 100, 300, 2048),
    "interactive": (False, False, True),
    "capability": ("8.0", "8.9", "9.0", "10.0", "12.0"),
}


def main() -> int:
    """COUNT sets of settings and the sizes they give."""
    set_sizes = cut_out(Path(sys.argv[1]) / "vllm/config/vllm.py", "_set_cudagraph_sizes")
    draw = random.Random(int(sys.argv[2]))
    cases = []
    for _ in range(int(sys.argv[3])):
        asked = {name: draw.choice(choices) for name, choices in CHOICES.items()}
        cases.append(asked | {"answer": answer(set_sizes, asked)})
    version = next(Path(sys.argv[1]).glob("vllm-*.dist-info")).name.split("-")[1].removesuffix(".dist")
    found = {"engine": "vllm", "version": version, "made_by": "benchmarks/vllm_graph_sizes.py", "cases": cases}
    print(json.dumps(found, separators=(",", ":")).replace('{"sequences"', '\n{"sequences"'))
    return 0


def cut_out(path: Path, name: str) -> Any:
    """One method as a function; what it imports or logs is a stand-in."""
    tree = ast.parse(path.read_text())
    method = next(one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef) and one.name == name)
    quiet = SimpleNamespace(warning=lambda *_: None)
    space: dict[str, Any] = {"CUDAGraphMode": SimpleNamespace(NONE="none"), "logger": quiet}
    exec(compile(ast.Module(body=[method], type_ignores=[]), str(path), "exec"), space)
    return space[name]


def answer(set_sizes: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """The sizes, or why vLLM refuses."""
    platforms = types.ModuleType("vllm.platforms")
    is_family = asked["capability"].partition(".")[0] == "10"
    platforms.current_platform = SimpleNamespace(is_device_capability_family=lambda _: is_family)  # type: ignore[attr-defined]
    sys.modules |= {"vllm": types.ModuleType("vllm"), "vllm.platforms": platforms}
    compilation = SimpleNamespace(
        cudagraph_mode="full",
        max_cudagraph_capture_size=asked["largest"],
        cudagraph_capture_sizes=asked["sizes"],
        post_init_cudagraph_sizes=lambda: None,
    )
    config = SimpleNamespace(
        model_config=SimpleNamespace(enforce_eager=False),
        compilation_config=compilation,
        scheduler_config=SimpleNamespace(max_num_seqs=asked["sequences"], max_num_batched_tokens=asked["batch_tokens"]),
        uniform_decode_query_len=1 + asked["drafted"],
        speculative_config=None,
        performance_mode="interactivity" if asked["interactive"] else "balanced",
    )
    try:
        set_sizes(config)
    except (ValueError, AssertionError) as error:
        return {"refused": str(error)[:80]}
    return {"sizes": compilation.cudagraph_capture_sizes}


if __name__ == "__main__":
    sys.exit(main())
