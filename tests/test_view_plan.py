"""What a person reads of a plan, and the document a program reads."""

import io
import json
import re
from dataclasses import replace
from typing import Any, cast

import pytest

from llmops.domain.engine import Device, DeviceKind, EngineName, HostDevice, Wishes
from llmops.domain.forms import dump, load
from llmops.domain.ledger import Ledger
from llmops.domain.plan import Plan, Speed
from llmops.domain.units import GIB, MIB, figure_text
from llmops.engines import ENGINES
from llmops.formats.catalogue import models
from llmops.library import shipped
from llmops.sizing.quantized import quantized
from llmops.sizing.search import search
from llmops.sizing.speed import speed
from llmops.views.plan import plan_result, show_plan, way_out
from llmops.views.screen import PlainScreen


def made(mebibytes: int, *, context: int | None = None) -> Plan:
    row = next(one for one in models(shipped.text("catalogue", "models.json")) if one.id == "qwen3-8b")
    shapes = [one for kind in ("Q8_0", "Q4_K_M") if (one := quantized(row, quantization=kind)) is not None]
    host = HostDevice(memory_bytes=None, physical_cores=8)
    card = Device(
        name="card",
        kind=DeviceKind.CUDA,
        capacity_bytes=mebibytes * MIB,
        free_bytes=mebibytes * MIB,
        bandwidth_gb_s=900.0,
    )
    forced = frozenset({"context"}) if context else frozenset[str]()
    return search(
        shapes,
        model="qwen3-8b",
        alias="chat",
        wishes=Wishes(context_tokens=context, forced=forced),
        devices=(card,),
        host=host,
        reserve_bytes=GIB,
        engine=ENGINES[EngineName.LLAMA_CPP],
        port=8080,
        speed=lambda shape, settings: speed(
            shape, settings, devices=(card,), host=host, read_bytes_per_second=None
        ),
    )  # fmt: skip


def shown(plan: Plan) -> str:
    stream = io.StringIO()
    show_plan(plan, PlainScreen(stream))
    return stream.getvalue()


def test_a_plan_that_fits_says_so_with_its_confidence_and_command_line() -> None:
    text = shown(made(24000))
    assert "It fits (confidence: calibrated, checked on llama.cpp b11669)" in text
    assert "llama-server -m '{model}' --alias chat" in text
    assert "KV cache" in text
    assert "tokens a second" in text


def test_a_plan_that_does_not_fit_says_by_how_much_and_what_would() -> None:
    plan = made(9000, context=40960)
    text = shown(plan)
    assert not plan.ledger.fits()
    assert "It does not fit: `card` misses" in text
    fitting = next(one for one in plan.alternatives if one.fits)
    options = (
        f"--context {fitting.context_tokens} --parallel {fitting.parallel} --kv-cache-type {fitting.kv_cache_type}"
    )
    assert f"`{options}` would fit, with " in text
    assert "Speed" not in text


def test_nothing_that_fits_is_said_too() -> None:
    text = shown(made(3000))
    assert "what would help: a smaller model (`llmops catalog models` lists them)" in text
    assert "Speed" not in text


def test_a_confidence_names_what_is_less_sure_and_was_judged_all_the_same() -> None:
    plan = made(24000)
    host = replace(plan.ledger.host, limit_bytes=64 * GIB)
    text = shown(replace(plan, ledger=replace(plan.ledger, host=host)))
    assert "(confidence: calibrated; only process and prompt cache in RAM low, checked on llama.cpp b11669)" in text


def test_speeds_are_written_for_people() -> None:
    text = shown(made(24000))
    assert "e+" not in text
    unknown = replace(made(24000), speed=Speed(load_seconds=made(24000).speed.load_seconds))
    assert "not estimated" in shown(unknown)
    assert "Speed: not estimated" in shown(replace(made(24000), speed=Speed()))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.51234, "0.512"), (9.96, "9.96"), (88.34, "88.3"), (99.96, "100"), (5306.0, "5,310"), (0, "0")],
)
def test_a_figure_has_three_digits_and_no_exponent(value: float, text: str) -> None:
    assert figure_text(value) == text


def test_what_fits_can_be_typed_as_it_is_printed() -> None:
    plan = made(9000, context=40960)
    options = re.search(r"`(--[^`]*)` would fit", way_out(plan))
    assert options is not None
    words = options[1].split()
    assert words[::2] == ["--context", "--parallel", "--kv-cache-type"]


def test_the_table_adds_up() -> None:
    plan = made(24000)
    lines = [line.split() for line in shown(plan).splitlines()]
    total = next(words for words in lines if words[:1] == ["total"])
    assert " ".join(total[1:3]) == f"{plan.ledger.devices[0].total_bytes() / GIB:.2f} GiB"


def test_the_document_has_the_keys_of_the_contract() -> None:
    result = cast("dict[str, Any]", json.loads(json.dumps(plan_result(made(24000)))))
    assert set(result) == {"plan", "ledger"}
    expected = {
        "model", "engine", "quantization", "kv_cache_type", "context_tokens", "parallel", "gpu_layers", "tensor_parallel",
        "argv", "speed", "why", "alternatives",
    }  # fmt: skip
    assert expected <= set(result["plan"])
    device = result["ledger"]["devices"][0]
    causes = ("weights", "kv_cache", "recurrent_state", "compute", "cuda_graphs", "projector", "draft", "overhead")
    assert device["total_bytes"] == sum(device[f"{cause}_bytes"] for cause in causes)
    assert result["ledger"]["fits"] is True
    assert set(result["ledger"]["buffers"]) == {"CUDA0", "CUDA_Host"}
    assert result["plan"]["gpu_layers"] == 37
    assert result["plan"]["tensor_parallel"] is None


def test_the_ledger_reads_back_from_its_document() -> None:
    ledger = made(24000).ledger
    assert load(Ledger, json.loads(json.dumps(dump(ledger)))) == ledger
