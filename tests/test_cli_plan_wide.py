"""`plan --models-for` and `--gpus-for`: the whole catalogue at once, and never more promised than a plan of its own finds."""

import json
from functools import cache
from random import Random
from typing import Any

import pytest

from llmops.cli import plan, plan_wide
from llmops.cli.answer import Answer
from llmops.cli.planning import Options as PlanOptions
from llmops.domain.catalogue import ModelRow
from llmops.domain.engine import Device, DeviceKind, EngineName, EngineSettings, HostDevice
from llmops.domain.errors import WrongUsage
from llmops.domain.profile import EngineChoice
from llmops.engines import ENGINES
from llmops.engines.llama_cpp_bound import Bound
from llmops.formats.catalogue import models
from llmops.library import shipped
from llmops.sizing.file_types import DEFAULTS
from llmops.sizing.grouped import Grouped
from llmops.sizing.quantized import bare_shape, quantized
from llmops.sizing.wide import Room

ROWS = [row for row in models(shipped.text("catalogue", "models.json")) if row.gguf_architecture]
FAMILIES = list({row.gguf_architecture: row for row in ROWS if not row.embedding_model}.values())


@cache
def on_a_4090() -> Answer:
    return plan_wide.run(plan_wide.Options(models_for=("RTX 4090",)))


def told(options: plan_wide.Options) -> Any:  # noqa: ANN401 - a document
    return plan_wide.run(options).result


def result() -> Any:  # noqa: ANN401 - a document
    document: Any = on_a_4090().result
    return document["models_for"]


def test_every_row_that_can_be_sized_is_answered_or_said_not_to_fit() -> None:
    found = result()
    names = {one["model"] for one in found["models"]}
    assert names | set(found["not_fitting"]) == {row.id for row in ROWS}
    assert found["tried"] > 40_000
    assert 0 < found["fitted"] < found["tried"]


@pytest.mark.parametrize("row", FAMILIES[::3], ids=lambda row: row.id)
def test_groups_sum_to_the_file_for_every_file_type(row: ModelRow) -> None:
    grouped = Grouped(row)
    for kind in DEFAULTS:
        whole, quick = quantized(row, quantization=kind), grouped.stored(kind)
        assert (whole is None) == (quick is None)
        assert whole is None or quick is None or whole.weights_bytes() == quick.total_bytes
        assert quick is None or sum(one.data_bytes() for one in grouped.tensors(kind)) == quick.total_bytes


CARD = Device(name="x", kind=DeviceKind.CUDA, capacity_bytes=10**13, free_bytes=10**13, compute_capability="8.9")
SETTINGS = [
    (tokens, slots, kind, cards)
    for tokens in (4096, 32768)
    for slots in (1, 4, 16)
    for kind in ("f16", "q8_0")
    for cards in (1, 2, 4)
]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_quick_bound_is_never_below_the_ledger(seed: int) -> None:
    """One model of every family under four random settings: caches as the ledger has them, compute buffers at least."""
    random = Random(seed)
    for family in {row.gguf_architecture: None for row in ROWS}:
        row = random.choice([one for one in ROWS if one.gguf_architecture == family])
        shape, bound, grouped = quantized(row, quantization="Q4_K_M"), Bound(bare_shape(row)), Grouped(row)
        assert shape is not None
        for tokens, slots, kind, cards in random.sample(SETTINGS, 4):
            settings = EngineSettings(
                engine=EngineName.LLAMA_CPP,
                context_size=min(tokens, row.context_length) * slots,
                parallel=slots,
                kv_cache_type_k=kind,
                kv_cache_type_v=kind,
                split_mode="layer",
            )
            ledger = ENGINES[EngineName.LLAMA_CPP].ledger(
                shape=shape,
                settings=settings,
                devices=(CARD,) * cards,
                host=HostDevice(memory_bytes=None, physical_cores=None),
                reserve_bytes=0,
            )
            causes = [device.causes for device in ledger.devices]
            beside = bound.beside(
                context_tokens=settings.context_size // slots, parallel=slots, kv_cache_type=kind, cards=cards
            )
            case = (row.id, tokens, slots, kind, cards)
            assert sum(beside.layer_bytes) == sum(one.kv_cache_bytes + one.recurrent_state_bytes for one in causes), (
                case
            )
            assert beside.each_card_bytes >= max(one.compute_bytes + one.overhead_bytes for one in causes), case
            places = Room(cards=(CARD,) * cards, reserve_bytes=0).places(row.layers, mtp_layers=shape.mtp_layers)
            if not shape.mtp_layers:
                weights = grouped.by_card("Q4_K_M", places) or ()
                found = [one.weights_bytes for one in causes]
                assert sum(weights) == pytest.approx(sum(found), rel=0.003), case


def test_what_is_said_to_fit_fits_when_it_is_planned(capsys: pytest.CaptureFixture[str]) -> None:
    """The longest context of three models of three kinds, through `plan` itself."""
    found = {one["model"]: one["choice"] for one in result()["models"]}
    for name in ("qwen3-8b", "gemma-3-12b-it", "qwen3.5-35b-a3b"):
        choice = found[name]
        code = plan.command(
            name, gpu=["RTX 4090"], quantization=choice["quantization"], context=choice["context_tokens"], parallel=1,
            gpu_memory_reserve="1GiB", as_json=True,
        )  # fmt: skip
        document = json.loads(capsys.readouterr().out)
        assert code == 0
        assert document["result"]["ledger"]["fits"], name


def test_what_is_said_to_fit_on_two_cards_fits_there(capsys: pytest.CaptureFixture[str]) -> None:
    """Card by card: cards of different size, a mixture and a dense model with more layers than a card has room for."""
    cards = ["RTX 4090", "RTX 3060"]
    document = told(plan_wide.Options(models_for=tuple(cards), words=("32b",)))
    for one in document["models_for"]["models"][:3]:
        choice = one["choice"]
        code = plan.command(
            one["model"], gpu=cards, quantization=choice["quantization"], context=choice["context_tokens"], parallel=1,
            gpu_memory_reserve="1GiB", as_json=True,
        )  # fmt: skip
        capsys.readouterr()
        assert code == 0, one["model"]


def test_more_cards_and_more_memory_are_never_worse() -> None:
    small, large, two = (
        told(plan_wide.Options(models_for=(card,), words=("qwen3",))) for card in ("RTX 4070", "RTX 4090", "RTX 4090:2")
    )
    names = [{one["model"] for one in document["models_for"]["models"]} for document in (small, large, two)]
    assert names[0] < names[1] < names[2]


def test_cards_for_a_model_are_the_fewest_and_the_least_memory_first() -> None:
    document = told(plan_wide.Options(gpus_for="llama-3.3-70b-instruct", words=("nvidia",)))
    rows = document["gpus_for"]["gpus"]
    memories = [one["memory_bytes"] for one in rows]
    assert memories == sorted(memories)
    by_name = {one["gpu"]: one for one in rows}
    assert by_name["RTX 4090"]["count"] == 2
    assert by_name["H100-SXM5-80GB"]["count"] == 1
    assert by_name["RTX 4090"]["power_watts"] == 900
    assert "GTX 1060 6GB" not in by_name


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (plan_wide.Options(models_for=("RTX 4090",), gpus_for="qwen3-8b"), "together"),
        (plan_wide.Options(models_for=("none",)), "no card"),
        (plan_wide.Options(gpus_for="qwen33-8b"), "qwen33-8b"),
        (plan_wide.Options(gpus_for="olmo-hybrid-7b"), "does not run"),
        (plan_wide.Options(gpus_for="qwen3-8b", quantization="Q9"), "not a file type"),
        (plan_wide.Options(models_for=("24GiB",), gpu_memory_reserve="1"), "not a size"),
    ],
)
def test_what_cannot_be_asked_is_a_usage_error(options: plan_wide.Options, words: str) -> None:
    with pytest.raises(WrongUsage, match=words):
        plan_wide.run(options)


def test_an_option_without_effect_is_refused() -> None:
    with pytest.raises(WrongUsage, match="--engine"):
        plan_wide.asked(PlanOptions(engine=EngineChoice.VLLM), models_for=("24GiB",), gpus_for=None, words=())
    with pytest.raises(WrongUsage, match="--search"):
        plan_wide.asked(PlanOptions(), models_for=(), gpus_for=None, words=("qwen",))
