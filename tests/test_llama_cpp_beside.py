"""What is served beside a model, against a running llama.cpp b11669: projectors, drafts, MTP blocks, adapters; encoders.

`measured/llama.cpp/b11669-beside.json` is written by `scripts/measure-beside`; a case holds the numbers of its files.
"""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from headers import header_only
from llama_cpp_beside import OPTIONS, Content, files

from llmops.domain.companions import Projector
from llmops.domain.engine import Device, DeviceKind, HostDevice, Images
from llmops.domain.errors import WrongInput
from llmops.domain.ledger import Confidence, Ledger
from llmops.domain.model import Companions, ModelShape
from llmops.domain.units import MIB
from llmops.engines import llama_cpp
from llmops.engines.llama_cpp_projector import projector_memory
from llmops.formats.gguf import GgufHeader, read_header
from llmops.formats.gguf_shape import model_shape
from llmops.formats.projector import adapter, projector

CASES = Path(__file__).parent / "measured" / "llama.cpp" / "b11669-beside.json"
CARD_MIB = 4_000_000


@cache
def measured() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(CASES.read_text())
    return loaded


def header(content: Content) -> GgufHeader:
    file = header_only(*content)
    return read_header(file.read, name="file.gguf", file_bytes=file.file_bytes)


def read_projector(content: Content) -> Projector:
    return projector(header(content), name="mmproj.gguf")


def shape_of(row: dict[str, Any]) -> ModelShape:
    model, *beside = files(row)
    shape = model_shape([header(model)], name="model")
    match row["what"]:
        case "draft":
            companions = Companions(draft=model_shape([header(beside[0])], name="draft"))
        case "lora":
            companions = Companions(adapters=(adapter(header(beside[0]), name="lora"),))
        case _:
            return shape
    return replace(shape, companions=companions)


def ledger(shape: ModelShape, words: list[str], cards: int) -> Ledger:
    size = CARD_MIB * MIB
    devices = tuple(
        Device(name=f"card {at}", kind=DeviceKind.CUDA, capacity_bytes=size, free_bytes=size, overhead_bytes=0)
        for at in range(cards)
    )
    host = HostDevice(memory_bytes=None, physical_cores=None)
    settings = llama_cpp.settings(["llama-server", *words])
    return llama_cpp.ledger(shape=shape, settings=settings, devices=devices, host=host, reserve_bytes=0)


def words_of(row: dict[str, Any]) -> list[str]:
    return [*row["flags"], *([OPTIONS[row["what"]], "file.gguf"] if row["what"] in OPTIONS else [])]


def part(row: dict[str, Any], place: str, *names: str) -> int:
    return sum(row["said"].get(f"{name} {place}", 0) for name in names)


def rows(what: str) -> list[dict[str, Any]]:
    return [row for row in measured()["rows"] if row["what"] == what]


def test_the_file_holds_cases_of_every_kind() -> None:
    assert measured()["build"] == llama_cpp.BUILD
    for what in ("projector", "encoder"):
        assert len(rows(what)) >= 15, what


@pytest.mark.parametrize("what", ["encoder"])
def test_every_buffer_with_something_beside_comes_out(what: str) -> None:
    """Weights and caches to the byte; compute never less, and to the byte wherever the ledger says exact."""
    for row in rows(what):
        said = ledger(shape_of(row), words_of(row), row["cards"])
        places = [(f"CUDA{at}", device.causes, device.confidence) for at, device in enumerate(said.devices)]
        for place, causes, sure in (*places, ("RAM", said.host.causes, said.host.confidence)):
            fixed = part(row, place, "model weights", "draft weights", "lora weights")
            drafts = part(row, place, "draft kept", "draft compute")
            assert causes.kv_cache_bytes + causes.recurrent_state_bytes == part(row, place, "model kept"), row
            check(row, causes.weights_bytes + causes.draft_bytes, fixed + drafts, sure.get("draft_bytes"))
            check(row, causes.compute_bytes, part(row, place, "model compute"), sure["compute_bytes"])


def check(row: dict[str, Any], ours: int, measured_bytes: int, sure: Confidence | None) -> None:
    if sure is None or sure is Confidence.EXACT:
        assert ours == measured_bytes, row
    else:
        slack = 64 * MIB if "-ngl" in row["flags"] else 16 * MIB
        assert measured_bytes <= ours <= max(1.10 * measured_bytes, measured_bytes + slack), row


@pytest.mark.parametrize("what", ["draft", "mtp", "lora"])
def test_drafts_and_adapters_are_never_under(what: str) -> None:
    """Weights and draft together, caches, and compute, on every card and in RAM; caches to the byte."""
    assert len(rows(what)) >= 3
    for row in rows(what):
        said = ledger(shape_of(row), words_of(row), row["cards"])
        places = [(f"CUDA{at}", device.causes) for at, device in enumerate(said.devices)]
        names = ("model weights", "draft weights", "lora weights", "draft kept", "draft compute")
        for place, causes in (*places, ("RAM", said.host.causes)):
            assert causes.weights_bytes + causes.draft_bytes >= part(row, place, *names), row
            assert causes.kv_cache_bytes + causes.recurrent_state_bytes == part(row, place, "model kept"), row
            assert causes.compute_bytes >= part(row, place, "model compute"), row


def test_every_projector_comes_out_to_the_byte() -> None:
    """Weights, and the compute buffers of the image that the server measures at its start."""
    for row in rows("projector"):
        settings = llama_cpp.settings(["llama-server", *words_of(row)])
        on_card = (settings.images or Images()).offload
        memory = projector_memory(read_projector(files(row)[1]), settings, on_card=on_card)
        assert memory.weights.card == part(row, "CUDA0", "projector weights"), row
        assert memory.weights.host == part(row, "RAM", "projector weights"), row
        assert memory.start.card == part(row, "CUDA0", "projector compute"), row
        assert memory.start.host == part(row, "RAM", "projector compute"), row
        assert memory.largest.card >= memory.start.card
        assert memory.largest.host >= memory.start.host


def test_the_ledger_holds_the_largest_image_and_a_smaller_limit_takes_less() -> None:
    row = next(
        row for row in rows("projector") if row["family"] == "qwen2vl" and "--no-mmproj-offload" not in row["flags"]
    )
    model, beside = files(row)
    shape = replace(model_shape([header(model)], name="m"), companions=Companions(projector=read_projector(beside)))
    base, small, none = (
        ledger(shape, [*words_of(row), "-c", "8192", *more], 1).devices[0].causes.projector_bytes
        for more in ([], ["--image-max-tokens", "2116"], ["--no-mmproj-offload"])
    )
    assert base > small >= part(row, "CUDA0", "projector weights", "projector compute")
    assert none == 0


def test_a_projector_of_an_unknown_kind_is_bounded_and_says_so() -> None:
    row = next(row for row in rows("projector") if row["flags"] == ["-c", "256", "-np", "1", "-ub", "32"])
    keys, tensors = files(row)[1]
    unknown = read_projector((dict(keys) | {"clip.projector_type": "newer"}, tensors))
    settings = llama_cpp.settings(["llama-server", *words_of(row)])
    bound, known = (projector_memory(one, settings, on_card=True) for one in (unknown, read_projector((keys, tensors))))
    assert bound.confidence is Confidence.LOW
    assert bound.start.card >= known.start.card


def test_a_file_that_is_no_projector_and_no_adapter_is_refused() -> None:
    model = files(rows("encoder")[0])[0]
    with pytest.raises(WrongInput, match="not a multimodal projector"):
        projector(header(model), name="model.gguf")
    with pytest.raises(WrongInput, match="neither a LoRA adapter"):
        adapter(header(model), name="model.gguf")
