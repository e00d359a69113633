"""TGI: the pool its warm-up leaves, and its command line and variables in both directions."""

import pytest
from explaining import codes, document
from test_sglang import CARD, LARGE, NO_HOST, layer, shape

from llmops.domain.engine import EngineName
from llmops.domain.errors import WrongInput, WrongUsage
from llmops.domain.explained import EngineProcess, Started
from llmops.domain.ledger import Confidence
from llmops.domain.model import Attention
from llmops.domain.units import GIB, MIB
from llmops.engines import tgi, tgi_explained
from llmops.engines.process import engine_process
from llmops.engines.tgi_memory import block_tokens


def test_the_pool_is_nineteen_parts_in_twenty_of_what_the_warm_up_leaves() -> None:
    words = ["--model-id", "m", "--max-total-tokens", "8192", "--max-batch-prefill-tokens", "4096"]
    said = tgi.ledger(
        shape=shape(), settings=tgi.settings(words), devices=(CARD,), host=NO_HOST, reserve_bytes=0
    )  # fmt: skip
    weights, cell = 4096 * 14_336 * 32 * 2, 32 * 8 * 256 * 2
    step = 4096 * 2 * (10 * 4096 + 2 * 14_336)
    free = 24 * GIB - weights - 300 * MIB - step - 4096 * cell
    assert said.pool is not None
    assert said.pool.num_blocks == int(free * 0.95 // cell) + 4096
    assert said.confidence is Confidence.LOW
    assert said.fits()


def test_blocks_are_single_tokens_where_flashinfer_has_the_length() -> None:
    assert block_tokens(shape()) == 1
    odd = shape(*((layer(Attention.NONE),) * 2))
    assert block_tokens(odd) == 256


def test_a_share_of_the_card_is_kept_away_from_the_pool() -> None:
    def tokens(*words: str) -> int:
        settings = tgi.settings(["--model-id", "m", "--max-total-tokens", "8192", *words])
        pool = tgi.ledger(shape=shape(), settings=settings, devices=(CARD,), host=NO_HOST, reserve_bytes=0).pool
        assert pool is not None
        return pool.kv_pool_tokens

    kept = (tokens() - tokens("--cuda-memory-fraction", "0.75")) * 32 * 8 * 256 * 2
    assert abs(kept - 0.25 * 24 * GIB * 0.95) < MIB
    assert tokens("--max-batch-total-tokens", "10000") == 10_000


CASES = {
    "dense": ("qwen3-8b", "--gpu", "24GiB"),
    "two cards": ("qwen3-8b", "--gpu", "h100:2", "--tensor-parallel", "2"),
    "8-bit cache": ("qwen3-8b", "--gpu", "24GiB", "--kv-cache-type", "fp8"),
    "does not fit": ("qwen3-8b", "--gpu", "12GiB", "--quantization", "BF16"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_plan_is_the_explanation_of_its_own_line(case: str) -> None:
    arguments = CASES[case]
    _, planned = document("plan", *arguments, "--engine", "tgi")
    chosen = planned["result"]["plan"]
    words = [word.replace("{model}", "/models/m") for word in chosen["argv"]]
    same = ("--quantization", chosen["quantization"]) if chosen["quantization"] else ()
    _, explained = document("explain", *arguments[1:3], "--model", arguments[0], *same, "--", *words)
    assert explained["result"]["ledger"] == planned["result"]["ledger"]
    assert not {"EXP001", "EXP003", "EXP020", "EXP024"} & set(codes(explained))


def test_variables_count_and_the_command_line_comes_first() -> None:
    environment = {"MAX_TOTAL_TOKENS": "4096", "NUM_SHARD": "2", "API_KEY": "hunter2", "MAX_CONCURRENT_REQUESTS": "9"}
    process = EngineProcess(
        engine=EngineName.TGI, argv=("--model-id", "m", "--num-shard", "1"), environment=environment
    )  # fmt: skip
    line = tgi_explained.meaning(process)
    settings = line.settings
    assert (settings.context_size, settings.tensor_parallel, settings.parallel) == (4096, 1, 9)
    assert "hunter2" not in repr(line)
    said = {one.code for one in tgi_explained.advice(line, shape=shape(), devices=(LARGE,))}
    assert not {"EXP020", "EXP021"} & said


@pytest.mark.parametrize(
    ("words", "code", "holds"),
    [
        ((), "EXP059", "maintenance"),
        ((), "EXP020", "listens on 0.0.0.0"),
        (("--api-key", "k"), "EXP021", "in the command line"),
        (("--max-total-tokens", "4096", "--max-input-tokens", "4096"), "EXP042", "not below"),
        (("--num-shards", "2"), "EXP001", "does not know"),
        (("--max-total", "2"), "EXP001", "does not know"),
        (("--quantize", "gguf"), "EXP003", "does not take `gguf`"),
        (("--num-shard", "2"), "EXP050", "needs 2 cards"),
        (("--trust-remote-code",), "EXP024", ""),
        (("--num-shard", "0"), "EXP003", "at least 1, not 0"),
        (("--port", "70000"), "EXP003", "from 0 to 65535"),
        (("--max-best-of=-1",), "EXP003", "at least 0"),
    ],
)
def test_what_would_not_start_or_is_unwise_is_said(words: tuple[str, ...], code: str, holds: str) -> None:
    line = tgi_explained.meaning(EngineProcess(engine=EngineName.TGI, argv=("--model-id", "m", *words)))
    found = [*line.findings, *tgi_explained.advice(line, shape=shape(), devices=(LARGE,))]
    assert any(one.code == code and holds in one.message for one in found)


@pytest.mark.parametrize(
    ("argv", "image"),
    [
        (("text-generation-launcher", "--model-id", "m"), None),
        (("--model-id", "m"), "ghcr.io/huggingface/text-generation-inference:3.3.7"),
        (("--model-id", "m"), "registry.example/own:1"),
        (("docker", "run", "ghcr.io/huggingface/text-generation-inference:3.3.7", "--model-id", "m"), None),
    ],
)
def test_the_launcher_is_found_however_it_is_started(argv: tuple[str, ...], image: str | None) -> None:
    found = engine_process(Started(name="any", argv=argv, image=image))
    assert found is not None
    assert (found.engine, found.argv) == (EngineName.TGI, ("--model-id", "m"))


def test_what_it_cannot_serve_is_said() -> None:
    settings = tgi.settings(["--model-id", "m"])
    latent = shape(*((layer(Attention.LATENT),) * 4))
    said = tgi.ledger(shape=latent, settings=settings, devices=(LARGE,), host=NO_HOST, reserve_bytes=0)
    assert not said.fits()
    assert any("latent attention is not sized" in note for note in said.notes)
    with pytest.raises(WrongUsage, match="cards only"):
        tgi.ledger(shape=shape(), settings=settings, devices=(), host=NO_HOST, reserve_bytes=0)
    with pytest.raises(WrongInput, match="does not know"):
        tgi.settings(["--model", "m"])
