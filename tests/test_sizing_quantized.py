"""Files worked out from a catalogue row against published files and published parameter counts."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from llmops.domain.catalogue import ModelRow
from llmops.domain.ledger import Confidence
from llmops.domain.model import Attention
from llmops.domain.tensor_types import TENSOR_TYPES
from llmops.formats.catalogue import models
from llmops.library import shipped
from llmops.sizing.family_tensors import active_parameters, parameters, parts
from llmops.sizing.file_types import DEFAULTS
from llmops.sizing.quantized import facts, quantized, tensors

SIZES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "measured" / "gguf" / "sizes.json").read_text())
IMATRIX = {("llama-3.2-1b-instruct", "Q4_0"), ("llama-3.2-3b-instruct", "Q4_0")}
"""Made with an importance matrix: some layers are Q4_1, which the plain rule does not say."""


@cache
def rows() -> tuple[ModelRow, ...]:
    return models(shipped.text("catalogue", "models.json"))


def row(name: str) -> ModelRow:
    return next(one for one in rows() if one.id == name)


def header_bytes(case: dict[str, Any]) -> int:
    shape = quantized(row(case["model"]), quantization=case["quantization"])
    assert shape is not None
    return int(case["bytes"]) - shape.weights_bytes()


@pytest.mark.parametrize("case", SIZES, ids=lambda case: f"{case['model']} {case['quantization']}")
def test_published_files_are_the_weights_and_a_header(case: dict[str, Any]) -> None:
    least, most = (7_000_000, 13_000_000) if case["model"].startswith("llama-3") else (700_000, 6_000_000)
    assert least < header_bytes(case) < most


def test_the_header_of_one_tokenizer_is_one_size_whatever_the_file_type() -> None:
    plain = [
        one
        for one in SIZES
        if one["model"].startswith("llama-3")
        and (one["model"], one["quantization"]) not in IMATRIX
        and one["repository"]
    ]
    assert len(plain) >= 6
    headers = [header_bytes(one) for one in plain]
    assert max(headers) - min(headers) < 20_000
    assert 7_820_000 < headers[0] < 7_850_000


@pytest.mark.parametrize("one", rows(), ids=lambda one: one.id)
def test_the_shape_gives_the_parameters_of_every_row(one: ModelRow) -> None:
    assert (parameters(one), active_parameters(one)) == (one.parameters, one.parameters_active)


@pytest.mark.parametrize("one", rows(), ids=lambda one: one.id)
def test_the_repository_counts_the_same_or_the_row_says_why(one: ModelRow) -> None:
    if one.parameters_in_repository is None:
        assert one.parameters_unlike is None
        return
    twice = one.vocabulary * one.hidden if one.head_stored_twice else 0
    known = one.parameters + one.parameters_vision + one.parameters_mtp + int(one.details.get("hf_extra", 0)) + twice
    assert (known != one.parameters_in_repository) == (one.parameters_unlike is not None)


def test_every_row_that_llama_cpp_runs_is_sized_at_every_file_type() -> None:
    for one in rows():
        if one.gguf_architecture is None:
            assert quantized(one, quantization="F16") is None
        else:
            assert quantized(one, quantization="Q4_K_M") is not None, one.id
    assert [one.id for one in rows() if one.gguf_architecture is None] == [
        "olmo-hybrid-7b",
        "llama-3.2-11b-vision-instruct",
    ]


DRY_RUNS: dict[str, dict[str, float]] = json.loads(
    (Path(__file__).parent / "measured" / "gguf" / "quantize.json").read_text()
)["models"]


@pytest.mark.parametrize("name", DRY_RUNS)
def test_llama_quantize_itself_says_the_same_size_for_every_file_type(name: str) -> None:
    """Today's build, without an importance matrix: fused matrices count as V."""
    found = parts(row(name))
    known = facts(row(name), found, has_matrix=False, fused_as_value=True)
    for kind, mebibytes in DRY_RUNS[name].items():
        made = tensors(found, kind, known)
        assert made is not None
        assert abs(sum(one.data_bytes() for one in made) / 2**20 - mebibytes) < 0.0101, kind


def test_a_row_width_without_a_type_to_fall_back_to_is_none() -> None:
    """As llama-quantize: it gives up on Q1_0 for rows that are no whole blocks of 128."""
    assert quantized(row("gpt-oss-20b"), quantization="Q1_0") is None
    assert quantized(row("qwen3-8b"), quantization="Q1_0") is not None


def test_layers_agree_with_the_rows_own_figures_of_caches_and_states() -> None:
    for one in rows():
        shape = quantized(one, quantization="F16")
        cached = one.kv_cache
        if shape is None or one.embedding_model or "full_layers" not in cached or one.id == "mistral-7b-instruct-v0.1":
            continue  # llama.cpp does not know Mistral 0.1's window
        owns = [layer for layer in shape.layers if layer.owns_kv_cache]
        full = [layer for layer in owns if layer.attention in (Attention.FULL, Attention.LATENT)]
        assert (len(full), len(owns) - len(full)) == (cached["full_layers"], cached["windowed_layers"]), one.id
        if "elems_per_token_per_full_layer" in cached:
            widths = {layer.key_width() + layer.value_width() for layer in full}
            assert widths <= {cached["elems_per_token_per_full_layer"]}, one.id
        states = [layer.recurrent for layer in shape.layers if layer.recurrent]
        assert len(states) == one.recurrent_state.get("layers", 0), one.id


def test_families_and_types_that_are_not_covered_are_none() -> None:
    assert quantized(row("olmo-hybrid-7b"), quantization="Q4_K_M") is None
    assert quantized(row("qwen3-8b"), quantization="UD-Q4_K_XL") is None


@pytest.mark.parametrize("name", ["llama-3.1-8b-instruct", "qwen3-30b-a3b", "gemma-3-27b-it", "deepseek-v3"])
def test_a_smaller_file_type_is_never_larger(name: str) -> None:
    order = [
        "F32",
        "F16",
        "Q8_0",
        "Q6_K",
        "Q5_K_M",
        "Q5_K_S",
        "Q4_K_M",
        "Q4_K_S",
        "IQ4_XS",
        "Q3_K_M",
        "Q3_K_S",
        "Q2_K_S",
    ]
    sizes = []
    for kind in order:
        shape = quantized(row(name), quantization=kind)
        assert shape is not None
        sizes.append(shape.weights_bytes())
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("quantization", [kind for kind in DEFAULTS if kind not in ("Q1_0", "Q2_0", "MXFP4_MOE")])
def test_every_row_of_every_tensor_is_whole_blocks(quantization: str) -> None:
    for name in ("qwen2.5-0.5b-instruct", "gemma-3-1b-it", "deepseek-v2-lite-chat", "llama-3.3-70b-instruct"):
        shape = quantized(row(name), quantization=quantization)
        assert shape is not None
        assert all(one.dims[0] % TENSOR_TYPES[one.type].block_elements == 0 for one in shape.tensors)
        assert shape.tensors_confidence is Confidence.CALIBRATED


def test_windows_only_where_llama_cpp_has_them() -> None:
    names = ("gemma-3-4b-it", "phi-3-mini-4k-instruct", "mistral-7b-instruct-v0.1")
    gemma, phi, mistral = (quantized(row(name), quantization="Q4_K_M") for name in names)
    assert gemma is not None
    assert sum(one.attention is Attention.SLIDING for one in gemma.layers) == 29
    for shape in (phi, mistral):
        assert shape is not None
        assert {one.attention for one in shape.layers} == {Attention.FULL}
