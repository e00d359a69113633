#!/usr/bin/env python3
"""vllm_planner SOURCES >tests/measured/vllm/planner.json: KV pools as vLLM's own functions plan them, without a GPU or torch.

SOURCES is an unpacked vllm wheel (its .py files suffice). Its specs, block alignment, grouping, sizing and length estimate are
run as they are; torch and everything they only import for other work is a stand-in. What vLLM would have read from a model's
config.json is in MODELS.
"""

import importlib
import importlib.abc
import importlib.machinery
import itertools
import json
import sys
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

REAL = {
    "vllm.v1.kv_cache_interface", "vllm.v1.kv_cache_layout", "vllm.v1.kv_cache_spec_registry", "vllm.v1.core.kv_cache_planning",
    "vllm.v1.core.kv_cache_utils", "vllm.v1.core.kv_cache_config_builder", "vllm.utils.math_utils", "vllm.platforms.interface",
    "vllm.model_executor.layers.mamba.mamba_utils", "vllm.v1.attention.backends.registry",
}  # fmt: skip
GIB = 1 << 30


class Stub(types.ModuleType):
    """A module of which nothing is used."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__ = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = MagicMock(name=name)
        setattr(self, name, found)
        return found


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """vLLM's own modules where they are in REAL, stand-ins for all others and for what they need."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:  # noqa: ARG002
        if name in REAL:
            file = str(self.root / (name.replace(".", "/") + ".py"))
            return importlib.machinery.ModuleSpec(name, importlib.machinery.SourceFileLoader(name, file), origin=file)
        if name.split(".", maxsplit=1)[0] in (
            "vllm",
            "torch",
            "numpy",
            "pydantic",
            "typing_extensions",
            "cloudpickle",
            "psutil",
        ):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: Any) -> Any:
        return Stub(spec.name)

    def exec_module(self, module: Any) -> None:
        """Nothing to run."""


class Dtype:
    """A torch dtype: its size is all that counts."""

    def __init__(self, size: int) -> None:
        self.size = size


PACKED_RECORD, PACKED_ALIGNMENT = 584, 576
"""DeepSeek-V4's `fp8_ds_mla` record of one latent, and what its pages are aligned to."""

BF16, F32, U8 = Dtype(2), Dtype(4), Dtype(1)
TYPES = {"auto": BF16, "bfloat16": BF16, "fp8": U8, "float32": F32}


def full(count: int, heads: int, length: int, **more: Any) -> dict[str, Any]:
    return {"kind": "full", "count": count, "kv_heads": heads, "length": length, **more}


def sliding(count: int, heads: int, length: int, window: int) -> dict[str, Any]:
    return full(count, heads, length, kind="sliding", window=window)


def latent(count: int, width: int = 576, **more: Any) -> dict[str, Any]:
    return {"kind": "latent", "count": count, "kv_heads": 1, "length": width, **more}


def compressed(count: int, ratio: int) -> dict[str, Any]:
    """A layer of DeepSeek-V4: a window of 128 latents, and one of them for `ratio` tokens (0: none)."""
    index = {"indexer": 128} if ratio == 4 else {}
    return {"kind": "compressed", "count": count, "kv_heads": 1, "length": 512, "window": 128, "ratio": ratio, **index}


def speech(count: int, heads: int) -> dict[str, Any]:
    """A decoder's layer that keeps its own tokens and an encoder's."""
    return full(count, heads, 64, kind="speech")


def mamba2(count: int, heads: int, length: int, state: int, groups: int) -> dict[str, Any]:
    return {
        "kind": "mamba2",
        "count": count,
        "heads": heads,
        "length": length,
        "state": state,
        "groups": groups,
        "kernel": 4,
    }


def delta(count: int, keys: int, values: int) -> dict[str, Any]:
    return {"kind": "gated-delta", "count": count, "keys": keys, "values": values, "length": 128, "kernel": 4}


MODELS: dict[str, dict[str, Any]] = {
    "llama-3.1-8b": {"layers": [full(32, 8, 128)]},
    "llama-3.1-70b": {"layers": [full(80, 8, 128)]},
    "qwen2.5-0.5b": {"layers": [full(24, 2, 64)]},
    "minimax-m2": {"layers": [full(62, 8, 128)]},
    "gpt-oss-20b": {"layers": [sliding(12, 8, 64, 128), full(12, 8, 64)]},
    "gpt-oss-120b": {"layers": [sliding(18, 8, 64, 128), full(18, 8, 64)]},
    "gemma-3-1b": {"layers": [sliding(22, 1, 256, 512), full(4, 1, 256)]},
    "gemma-3-12b": {"layers": [sliding(40, 8, 256, 1024), full(8, 8, 256)]},
    "gemma-3-27b": {"layers": [sliding(52, 16, 128, 1024), full(10, 16, 128)]},
    "gemma-4-like": {"layers": [sliding(40, 8, 256, 1024), full(8, 1, 512)]},
    "gemma-4-26b-like": {"layers": [sliding(25, 8, 256, 1024), full(5, 2, 512)]},
    "uneven widths": {"layers": [sliding(12, 8, 96, 1024), full(12, 8, 128)]},
    "llama-4-scout": {"layers": [full(36, 8, 128, kind="chunked", window=8192), full(12, 8, 128)]},
    "mixed full": {"layers": [full(20, 8, 128), full(12, 4, 256), full(4, 4, 64)]},
    "deepseek-v3": {"layers": [latent(61)]},
    "deepseek-v3.2": {"layers": [latent(61, indexer=128)]},
    "deepseek-v4-flash": {"layers": [compressed(2, 0), *(compressed(1, one) for one in (4, 128) * 20 + (4,))]},
    "whisper-large-v3": {"layers": [speech(32, 20)]},
    "whisper-large-v3-turbo": {"layers": [speech(4, 20)]},
    "qwen3-next": {"architecture": "qwen3next", "layers": [delta(36, 16, 32), full(12, 2, 256)]},
    "qwen3.5-9b": {"architecture": "qwen35", "ssm": "float32", "layers": [delta(24, 16, 32), full(8, 4, 256)]},
    "qwen3.6-27b": {"architecture": "qwen35", "ssm": "float32", "layers": [delta(48, 16, 48), full(16, 4, 256)]},
    "granite-4.0-h-small": {"architecture": "granitehybrid", "layers": [mamba2(36, 128, 64, 128, 1), full(4, 8, 128)]},
    "granite-4.0-h-tiny": {"architecture": "granitehybrid", "layers": [mamba2(36, 48, 64, 128, 1), full(4, 4, 128)]},
    "nemotron-nano-9b": {"architecture": "nemotron_h", "ssm": "float32", "layers": [
        mamba2(27, 128, 80, 128, 8), full(4, 8, 128)]},
    "falcon-h1-7b": {"architecture": "falcon-h1", "layers": [{**mamba2(44, 24, 128, 256, 1), "beside": full(44, 2, 128)}]},
    "jamba-mini": {"architecture": "jamba", "layers": [
        {"kind": "mamba", "count": 28, "inner": 8192, "state": 16, "kernel": 4}, full(4, 8, 128)]},
    "lfm2-1.2b": {"architecture": "lfm2", "layers": [
        {"kind": "short-conv", "count": 10, "width": 2048, "kernel": 3}, full(6, 8, 64)]},
    "mamba2-2.7b": {"architecture": "mamba2", "layers": [mamba2(64, 80, 64, 128, 1)]},
    "latent and states": {"architecture": "kimi-linear", "ssm": "float32", "layers": [
        {"kind": "kda", "count": 20, "heads": 32, "length": 128, "kernel": 4}, latent(7)]},
}  # fmt: skip

BASE: dict[str, Any] = {
    "available": 10 * GIB, "max_model_len": 32768, "batch_tokens": 2048, "ranks": 1, "type": "auto", "prefix_caching": True,
    "window_groups": True, "block": None, "capability": "8.9", "context_parallel": 1, "drafted": 0, "stages": 1,
}  # fmt: skip
VARIANTS: tuple[dict[str, Any], ...] = (
    {}, {"type": "fp8"}, {"ranks": 2, "available": 23 * GIB + 4095}, {"ranks": 4, "max_model_len": 131072, "batch_tokens": 8192},
    {"prefix_caching": False}, {"capability": "9.0", "batch_tokens": 8192}, {"window_groups": False, "available": 40 * GIB},
    {"block": 64, "capability": "10.0"}, {"available": GIB // 2}, {"drafted": 2, "prefix_caching": False}, {"drafted": 1},
    {"stages": 2, "available": 7 * GIB},
)  # fmt: skip


def main() -> int:
    """Every model under every variant that vLLM takes."""
    sys.meta_path.insert(0, Finder(Path(sys.argv[1])))
    planner = Planner()
    cases = []
    for (name, model), variant in itertools.product(MODELS.items(), VARIANTS):
        asked = BASE | variant
        cases.append({"model": name, **variant, "answer": planner.answer(model, asked)})
    version = next(Path(sys.argv[1]).glob("vllm-*.dist-info"), None)
    found = {
        "engine": "vllm",
        "version": version.name.split("-")[1].removesuffix(".dist") if version else sys.argv[2],
        "made_by": "benchmarks/vllm_planner.py",
        "base": BASE,
        "models": MODELS,
        "cases": cases,
    }
    print(json.dumps(found, indent=None, separators=(",", ":")).replace('{"model"', '\n{"model"'))
    return 0


def divided(number: int, parts: int) -> int:
    """As vLLM's: a rest ends the start."""
    if number % parts:
        raise ValueError(f"{number} is not divisible by {parts}")
    return number // parts


class Planner:
    """vLLM's modules, loaded, with the few stand-ins they compute with."""

    def __init__(self) -> None:
        load: Any = importlib.import_module  # `from package import module` would ask the stand-in for an attribute
        torch, torch_utils = load("torch"), load("vllm.utils.torch_utils")
        backend, layout = load("vllm.v1.attention.backend"), load("vllm.v1.hisparse.layout")
        torch.bfloat16, torch.float32, torch.uint8, torch.dtype = BF16, F32, U8, Dtype
        torch_utils.get_dtype_size = lambda one: one.size
        torch_utils.get_kv_cache_torch_dtype = lambda name, model: TYPES[name] if name != "auto" else model
        torch_utils.STR_DTYPE_TO_TORCH_DTYPE = TYPES
        layout.get_hisparse_kv_cache_groups = lambda *_: None
        load("vllm.distributed").divide = divided
        backend.MultipleOf = type("MultipleOf", (), {})
        self.specs, self.planning = load("vllm.v1.kv_cache_interface"), load("vllm.v1.core.kv_cache_planning")
        self.utils, kv_cache_layout = load("vllm.v1.core.kv_cache_utils"), load("vllm.v1.kv_cache_layout")
        kv_cache_spec_registry = load("vllm.v1.kv_cache_spec_registry")
        kv_cache_config_builder = load("vllm.v1.core.kv_cache_config_builder")
        mamba_utils, self.platform = (
            load("vllm.model_executor.layers.mamba.mamba_utils"),
            load("vllm.platforms.interface").Platform,
        )
        self.shapes, self.dtypes = mamba_utils.MambaStateShapeCalculator, mamba_utils.MambaStateDtypeCalculator
        mamba_utils.envs.VLLM_SSM_CONV_STATE_LAYOUT = None
        self.layout, self.packed = kv_cache_layout.KVCacheLayout.LBNHC, kv_cache_layout.KVCacheLayout.BLHNC
        register = kv_cache_spec_registry.KVCacheSpecRegistry.register
        base = self.specs.FullAttentionSpec
        for kind, uniform in (
            (base, base),
            (self.specs.MLAAttentionSpec, base),
            (self.specs.SlidingWindowSpec, None),
            (self.specs.SlidingWindowMLASpec, None),
            (self.specs.CrossAttentionSpec, None),
            (self.specs.ChunkedLocalAttentionSpec, None),
            (self.specs.MambaSpec, None),
        ):
            register(kind, manager_class=object, uniform_type_base_spec=uniform)
        self.builder = self.planning.DefaultKVCacheConfigBuilder()
        kv_cache_config_builder.get_kv_cache_config_builder = lambda _: self.builder

    def answer(self, model: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
        """What vLLM says, or the class of its refusal."""
        config = self.config(model, asked)
        try:
            return self._answer(model, asked, config)
        except (ValueError, NotImplementedError, AssertionError, ZeroDivisionError, TypeError) as error:
            return {"refused": str(error)[:200] or type(error).__name__}

    def _answer(self, model: dict[str, Any], asked: dict[str, Any], config: Any) -> dict[str, Any]:
        self.align(model, asked, config)
        specs = self.layer_specs(model, asked, config)
        stages = [
            {
                name: spec
                for name, (at, spec) in specs.items()
                if first <= at < last or (at < 0 and last == self.layers(model))
            }
            for first, last in self.stages(model, asked["stages"])
        ]
        groups = self.planning.get_global_kv_cache_groups(config, stages)
        available = [asked["available"]] * len(stages)
        projected = [self.planning._project_kv_cache_groups_to_worker(groups, one) for one in stages]  # noqa: SLF001
        sizes = [self.planning._pool_bytes_per_block_from_builder(self.builder, config, one) for one in projected]  # noqa: SLF001
        longest = min(
            self.planning._estimate_max_model_len_from_groups(self.builder, config, one, asked["available"] - size)  # noqa: SLF001
            for one, size in zip(projected, sizes, strict=True)
        )
        answer: dict[str, Any] = {
            "block": config.cache_config.block_size,
            "groups": [
                [len(one.layer_names), type(self.first(one)).__name__, self.first(one).block_size] for one in groups
            ],
            "bytes_per_block": sizes,
            "longest": longest,
        }
        try:
            config.model_config.original_max_model_len = asked["max_model_len"]
            found = self.planning.get_kv_cache_configs(config, stages, available, groups)
        except ValueError:
            return answer | {"starts": False, "num_blocks": min(asked["available"] // size for size in sizes)}
        tokens, concurrency = self.utils.get_kv_cache_capacity(config, found[0])
        return answer | {
            "starts": True,
            "num_blocks": found[0].num_blocks,
            "tokens": tokens,
            "concurrency": round(concurrency, 4),
        }

    def first(self, group: Any) -> Any:
        return next(iter(self.specs.iter_layer_specs(group.kv_cache_spec)))

    @staticmethod
    def layers(model: dict[str, Any]) -> int:
        return sum(one["count"] for one in model["layers"])

    def stages(self, model: dict[str, Any], count: int) -> list[tuple[int, int]]:
        """As `get_pp_indices` cuts them."""
        layers = self.layers(model)
        parts = [layers // count] * count
        for at in range(2, layers % count + 2):
            parts[-at] += 1
        return [(sum(parts[:at]), sum(parts[: at + 1])) for at in range(count)]

    def config(self, model: dict[str, Any], asked: dict[str, Any]) -> Any:
        """The parts of a VllmConfig that planning reads."""
        is_latent = any(one.get("beside", one)["kind"] in ("latent", "compressed") for one in model["layers"])
        layout = self.packed if any(one["kind"] == "compressed" for one in model["layers"]) else self.layout
        attention = next((one for one in self.attention(model)), None)
        has_state = any("kernel" in one for one in model["layers"])
        cache = SimpleNamespace(
            cache_dtype=asked["type"],
            block_size=asked["block"] or self.kernel_block(model, asked),
            num_gpu_blocks_override=None,
            mamba_cache_mode="align" if asked["prefix_caching"] and has_state and attention else "none",
            mamba_page_size_padded=None,
            mamba_block_size=asked["max_model_len"],
            mamba_cache_dtype="auto",
            mamba_ssm_cache_dtype=model.get("ssm", "auto"),
            kv_cache_dtype_skip_layers=None,
            skip_page_size_padded=None,
            prefix_cache_retention_interval=None,
            use_replayssm=False,
            get_resolved_kv_cache_layout=lambda: layout,
        )
        return SimpleNamespace(
            cache_config=cache,
            model_config=SimpleNamespace(
                dtype=BF16,
                use_mla=is_latent,
                architecture="",
                max_model_len=asked["max_model_len"],
                supports_kv_cache_grouping=False,
                original_max_model_len=asked["max_model_len"],
                multimodal_config=None,
                get_num_kv_heads=lambda _: (
                    1 if is_latent else max(1, (attention or {}).get("kv_heads", 1) // asked["ranks"])
                ),
                get_head_size=lambda: (attention or {}).get("length", 0),
            ),
            parallel_config=SimpleNamespace(
                tensor_parallel_size=asked["ranks"],
                decode_context_parallel_size=asked["context_parallel"],
                pipeline_parallel_size=asked["stages"],
            ),
            scheduler_config=SimpleNamespace(
                disable_hybrid_kv_cache_manager=not asked["window_groups"],
                max_num_encoder_input_tokens=asked["batch_tokens"],
            ),
            speculative_config=None,
            attention_config=SimpleNamespace(hisparse_config=None),
            num_prefill_lookahead_tokens=(
                asked["drafted"] if min(model.get("mtp_modules", 0), asked["drafted"]) > 1 else 1
            ),
            max_in_flight_tokens=asked["batch_tokens"] * (asked["stages"] + 1),
            num_speculative_tokens=asked["drafted"],
            device_config=SimpleNamespace(device_type="cuda"),
        )

    @staticmethod
    def attention(model: dict[str, Any]) -> list[dict[str, Any]]:
        return [one.get("beside", one) for one in model["layers"] if "kv_heads" in one.get("beside", one)]

    @staticmethod
    def kernel_block(model: dict[str, Any], asked: dict[str, Any]) -> int:
        """The smallest block of the back end that v1/attention/backends and platforms/cuda.py give for the card."""
        if any(one["kind"] == "compressed" for one in model["layers"]):
            return 256
        kinds = [one for one in Planner.attention(model) if one["kind"] == "latent"]
        if not kinds:
            return 16
        if "indexer" in kinds[0]:
            return 64
        major = asked["capability"].split(".")[0]
        return 32 if major == "10" else 64 if major == "9" and asked["type"] == "fp8" else 16

    def align(self, model: dict[str, Any], asked: dict[str, Any], config: Any) -> None:
        """vLLM's own alignment of attention blocks with states."""
        states = [one for one in model["layers"] if "kernel" in one]
        if not states or not self.attention(model):
            return
        models: Any = importlib.import_module("vllm.model_executor.models")
        abstract: Any = importlib.import_module("vllm.model_executor.layers.mamba.abstract")

        kernel = self.kernel_block(model, asked)
        back_end = SimpleNamespace(get_supported_kernel_block_sizes=lambda: [kernel], customize_spec=lambda spec: spec)
        owner = SimpleNamespace(
            get_mamba_state_shape_from_config=lambda _: self.state_shapes(states[0], asked),
            get_mamba_state_dtype_from_config=lambda c: self.state_types(states[0], c),
        )
        models.ModelRegistry.resolve_model_cls = lambda *_, **__: (owner, "")
        has_flashinfer = states[0]["kind"] == "gated-delta" and asked["capability"].split(".")[0] in ("9", "10", "12")
        abstract.get_mamba_prefill_checkpoint_alignment = lambda _: 64 if has_flashinfer else None
        self.specs.get_kv_quant_mode = lambda _: self.specs.KVQuantMode.NONE
        self.platform._find_non_ssm_backends = classmethod(lambda cls, _: [back_end])  # noqa: ARG005, SLF001
        self.platform._align_hybrid_block_size(config, back_end)  # noqa: SLF001

    def state_shapes(self, one: dict[str, Any], asked: dict[str, Any]) -> Any:
        ranks, drafted = asked["ranks"], asked["drafted"]
        match one["kind"]:
            case "mamba2":
                return self.shapes.mamba2_state_shape(
                    tp_world_size=ranks,
                    intermediate_size=one["heads"] * one["length"],
                    n_groups=one["groups"],
                    num_heads=one["heads"],
                    head_dim=one["length"],
                    state_size=one["state"],
                    conv_kernel=one["kernel"],
                    num_spec=drafted,
                )
            case "gated-delta":
                return self.shapes.gated_delta_net_state_shape(
                    ranks, one["keys"], one["values"], one["length"], one["length"], one["kernel"], drafted
                )
            case "mamba":
                return self.shapes.mamba1_state_shape(
                    tp_world_size=ranks,
                    intermediate_size=one["inner"],
                    state_size=one["state"],
                    conv_kernel=one["kernel"],
                )
            case "kda":
                return self.shapes.kda_state_shape(
                    ranks, one["heads"], one["length"], conv_kernel_size=one["kernel"], num_spec=drafted
                )
            case _:
                return self.shapes.short_conv_state_shape(
                    tp_world_size=ranks, intermediate_size=one["width"], conv_kernel=one["kernel"]
                )

    def state_types(self, one: dict[str, Any], config: Any) -> Any:
        cache = config.cache_config
        if one["kind"] == "short-conv":
            return self.dtypes.short_conv_state_dtype(BF16, cache.mamba_cache_dtype)
        make = self.dtypes.kda_state_dtype if one["kind"] == "kda" else self.dtypes.mamba2_state_dtype
        return make(BF16, cache.mamba_cache_dtype, cache.mamba_ssm_cache_dtype)

    def layer_specs(self, model: dict[str, Any], asked: dict[str, Any], config: Any) -> dict[str, tuple[int, Any]]:
        """As the layers' own `get_kv_cache_spec` make them; an indexer's cache is a layer of its own."""
        found: dict[str, tuple[int, Any]] = {}
        at = 0
        for one in model["layers"]:
            for _ in range(one["count"]):
                if "kernel" in one:
                    found[f"{at}.state"] = (at, self.state_spec(one, asked, config))
                attention = one.get("beside", one)
                if "kv_heads" in attention:
                    found |= {f"{at}.{name}": (at, spec) for name, spec in self.token_specs(attention, asked, config)}
                at += 1
        if asked["drafted"] and self.attention(model):
            kept = [one for one in self.attention(model) if one["kind"] in ("full", "latent", "speech")]
            last = kept[-1] if kept else compressed(1, 0)
            last = last | {"kind": "full"} if last["kind"] == "speech" else last
            for module in range(max(model.get("mtp_modules", 1), 1)):
                specs = self.token_specs(last, asked, config)
                found |= {f"draft.{module}.{name}": (-1 - module, spec) for name, spec in specs}
        return found

    def state_spec(self, one: dict[str, Any], asked: dict[str, Any], config: Any) -> Any:
        checkpoints = one["kind"] == "mamba2" or (
            one["kind"] == "gated-delta" and asked["capability"].split(".")[0] in ("9", "10", "12")
        )
        cache = config.cache_config
        return self.specs.MambaSpec(
            shapes=tuple(self.state_shapes(one, asked)),
            dtypes=tuple(self.state_types(one, config)),
            block_size=cache.mamba_block_size,
            page_size_padded=cache.mamba_page_size_padded,
            mamba_cache_mode=cache.mamba_cache_mode,
            num_speculative_blocks=asked["drafted"],
            num_prefill_checkpoint_blocks=int(checkpoints),
        )

    def token_specs(self, one: dict[str, Any], asked: dict[str, Any], config: Any) -> list[tuple[str, Any]]:
        block, dtype = config.cache_config.block_size, TYPES[asked["type"]]
        if one["kind"] == "latent":
            packed = 656 if "indexer" in one and asked["type"] == "fp8" else None
            own = self.specs.MLAAttentionSpec(
                block_size=block,
                num_kv_heads=1,
                head_size=one["length"],
                dtype=dtype,
                max_tp_shards=1,
                state_content_bytes=packed,
                cache_dtype_str=asked["type"],
            )
            if "indexer" not in one:
                return [("attn", own)]
            width = one["indexer"] + one["indexer"] // 128 * 4
            index = self.specs.MLAAttentionSpec(
                block_size=block,
                num_kv_heads=1,
                max_tp_shards=1,
                head_size=width,
                dtype=U8,
                cache_role=self.specs.SparseCacheRole.INDEXER,
            )
            return [("attn", own), ("index", index)]
        if one["kind"] == "compressed":
            return self.compressed_specs(one, block)
        common = {
            "block_size": block,
            "num_kv_heads": max(1, one["kv_heads"] // asked["ranks"]),
            "head_size": one["length"],
            "dtype": dtype,
        }
        match one["kind"]:
            case "sliding":
                return [("attn", self.specs.SlidingWindowSpec(**common, sliding_window=one["window"]))]
            case "chunked":
                return [("attn", self.specs.ChunkedLocalAttentionSpec(**common, attention_chunk_size=one["window"]))]
            case "speech":
                return [
                    ("attn", self.specs.FullAttentionSpec(**common)),
                    ("cross", self.specs.CrossAttentionSpec(**common)),
                ]
            case _:
                return [("attn", self.specs.FullAttentionSpec(**common))]

    def compressed_specs(self, one: dict[str, Any], block: int) -> list[tuple[str, Any]]:
        """As the parts of `models/deepseek_v4` make them, in the order of their construction."""
        common = {"num_kv_heads": 1, "max_tp_shards": 1, "alignment": PACKED_ALIGNMENT}
        version = {
            "state_content_bytes": PACKED_RECORD,
            "model_version": "deepseek_v4",
            "cache_dtype_str": "fp8_ds_mla",
        }
        ratio, length = one["ratio"], one["length"]

        def state(length: int) -> Any:
            groups = 2 if ratio == 4 else 1
            return self.specs.SlidingWindowMLASpec(
                block_size=4 if ratio == 4 else 8, head_size=2 * groups * length, dtype=F32,
                sliding_window=groups * ratio, **common,
            )  # fmt: skip

        found = []
        if "indexer" in one:
            width = one["indexer"] + one["indexer"] // 128 * 4
            index = self.specs.MLAAttentionSpec(
                block_size=block, head_size=width, dtype=U8, tokens_per_state=ratio, **common
            )
            found += [("index", index), ("index.state", state(one["indexer"]))]
        window = self.specs.SlidingWindowMLASpec(
            block_size=64, head_size=length, dtype=U8, sliding_window=one["window"], **version, **common
        )
        found.append(("window", window))
        if ratio:
            keys = self.specs.MLAAttentionSpec(
                block_size=block, head_size=length, dtype=U8, tokens_per_state=ratio, **version, **common
            )
            found += [("attn", keys), ("state", state(length))]
        return found


if __name__ == "__main__":
    sys.exit(main())
