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
from llmops.sizing.file_types import DEFAULTS
from llmops.sizing.quantized import COVERED, quantized

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


def test_parameters_equal_the_published_count_for_every_covered_row() -> None:
    checked = 0
    for one in rows():
        shape = quantized(one, quantization="F16")
        if shape is None:
            continue
        padding = (one.vocabulary - shape.vocabulary) * one.hidden  # Gemma 3 files have no padded vocabulary rows
        assert abs(shape.parameters() + padding - one.parameters) <= 2000, one.id
        checked += 1
    assert checked >= 120


def test_every_family_that_is_covered_has_a_row_that_is_sized() -> None:
    sized = {one.gguf_architecture for one in rows() if quantized(one, quantization="Q4_K_M") is not None}
    assert sized == COVERED


def test_families_and_types_that_are_not_covered_are_none() -> None:
    assert quantized(row("gpt-oss-20b"), quantization="Q4_K_M") is None
    assert quantized(row("qwen3-8b"), quantization="UD-Q4_K_XL") is None
    assert quantized(row("e5-mistral-7b-instruct"), quantization="F16") is None


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


@pytest.mark.parametrize("quantization", DEFAULTS)
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
