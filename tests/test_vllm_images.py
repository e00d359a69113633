"""Dummy images of vLLM's profiling run: how many tokens and patches there are, and what the words of a line change."""

import json
from pathlib import Path
from typing import Any

import pytest

from llmops.cli.opening import model_row
from llmops.cli.opening_config import catalogue_shape
from llmops.domain.engine import EngineSettings
from llmops.domain.model import ModelShape
from llmops.engines import vllm
from llmops.engines.step_width import token_step_bytes
from llmops.engines.vllm_images import SAFE_FACTOR, encoded_tokens, image_peak, sight

PEAKS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "measured/vllm/encoder_peaks.json").read_text())[
    "rows"
]


def shape(name: str) -> ModelShape:
    row = model_row(name)
    assert row is not None
    return catalogue_shape(row)


def settings(*words: str) -> EngineSettings:
    return vllm.settings(["serve", "m", "--max-num-batched-tokens", "2048", "--max-num-seqs", "64", *words])


@pytest.mark.parametrize(
    ("name", "width", "patches", "side", "tokens"),
    [
        ("qwen2.5-vl-7b-instruct", 1280, 4, 14, 16_384),
        ("qwen3-vl-8b-instruct", 1152, 4, 16, 16_384),
        ("qwen3.6-27b", 1152, 4, 16, 16_384),
        ("mistral-small-3.2-24b-instruct-2506", 1024, 4, 14, 3025),
        ("gemma-3-12b-it", 1152, 16, 14, 256),
        ("gemma-4-31b-it", 1152, 9, 14, 280),
        ("llama-4-scout", 1408, 4, 14, 0),
        ("kimi-k2.5", 1152, 4, 14, 0),
    ],
)
def test_an_encoder_is_known_by_its_matrices(name: str, width: int, patches: int, side: int, tokens: int) -> None:
    seen = sight(shape(name))
    assert seen is not None
    assert (seen.width, seen.patches_a_token, seen.patch_side, seen.most_tokens) == (width, patches, side, tokens)


def test_a_text_model_has_no_images() -> None:
    assert sight(shape("qwen3-8b")) is None
    assert image_peak(shape("qwen3-8b"), settings(), is_first=True, is_safe=False).encoder == 0


@pytest.mark.parametrize(
    ("name", "words", "tokens"),
    [
        ("qwen3-vl-8b-instruct", (), 16_384),  # one image is more than a step
        ("qwen3-vl-8b-instruct", ("--max-num-batched-tokens", "32768"), 32_768),
        ("qwen3-vl-8b-instruct", ("--mm-processor-kwargs", '{"max_pixels": 1048576}'), 2048),  # 1,024 a side
        ("qwen3-vl-8b-instruct", ("--mm-processor-kwargs.max_pixels", "524288"), 2048),
        ("gemma-3-12b-it", (), 2048),
        (
            "gemma-3-12b-it",
            ("--limit-mm-per-prompt", '{"image": 1, "video": {"count": 0}}', "--max-num-seqs", "2"),
            512,
        ),
    ],
)
def test_as_many_items_as_a_step_has_tokens_for_at_least_one(name: str, words: tuple[str, ...], tokens: int) -> None:
    seen = sight(shape(name))
    assert seen is not None
    assert encoded_tokens(seen, settings(*words)) == tokens


@pytest.mark.parametrize(
    "words",
    [
        ("--limit-mm-per-prompt", '{"image": 0, "video": 0}'),
        ("--limit-mm-per-prompt", '{"image": {"count": 0}, "video": {"count": 0}}'),
        ("--language-model-only",),
        ("--skip-mm-profiling",),
    ],
)
def test_images_that_are_switched_off_take_nothing(words: tuple[str, ...]) -> None:
    assert image_peak(shape("qwen3-vl-8b-instruct"), settings(*words), is_first=True, is_safe=False).encoder == 0


def test_data_parallel_encoders_share_the_images_out() -> None:
    one = shape("qwen3-vl-8b-instruct")
    cut, shared = (
        image_peak(one, settings("-tp", "2", *words), is_first=True, is_safe=False)
        for words in ((), ("--mm-encoder-tp-mode", "data"))
    )
    assert shared.encoder < cut.encoder
    assert image_peak(one, settings(), is_first=False, is_safe=False).encoder == 0


def test_a_line_with_images_reads_back() -> None:
    words = ("--limit-mm-per-prompt", '{"image": 2, "video": 0}', "--mm-processor-kwargs", '{"max_pixels": 1003520}')
    said = settings(*words, "--skip-mm-profiling")
    again = vllm.settings(list(vllm.argv(said, alias="a", port=8000, threads=None)))
    assert again.pool == said.pool


@pytest.mark.parametrize("row", PEAKS, ids=lambda row: f"{row['encoder']}{' fused' * row['fused']}")
def test_an_encoder_holds_no_more_of_a_patch_than_the_safe_figure(row: dict[str, Any]) -> None:
    expected = token_step_bytes(row["width"], row["widest"])
    assert 0.6 * expected < row["bytes_a_patch"] < 1.25 * expected < SAFE_FACTOR * expected
