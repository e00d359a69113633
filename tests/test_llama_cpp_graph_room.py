"""Starts of llama-server b11669 whose graph is too large for the scheduler's table (ggml-impl.h:330), and those beside them.

Measured on cards that only count bytes, `-c 8192`, heads of 64 elements.
"""

import pytest
from explaining import codes, document
from llama_cpp_draft import Numbers
from test_llama_cpp_placements import shape_of

from llmops.domain.engine import Device, DeviceKind
from llmops.domain.units import GIB
from llmops.engines import llama_cpp
from llmops.engines.llama_cpp_graph_room import lacks_room

QUANTIZED = ("-ctk", "q8_0", "-ctv", "q8_0")
NUMBERS: Numbers = {"type": "Q4_K", "E": 512, "V": 32064, "H": 8, "G": 8, "D": 64, "F": 1024, "tied": 0}
STARTS = (
    ("phi3", 20, 1, 2, True), ("phi3", 38, 1, 2, False), ("phi3", 39, 1, 2, False), ("phi3", 39, 2, 2, False),
    ("phi3", 40, 1, 1, False), ("phi3", 40, 1, 2, True), ("phi3", 40, 2, 2, True), ("phi3", 41, 1, 1, False),
    ("phi3", 41, 1, 2, True), ("phi3", 42, 1, 2, False),
)  # fmt: skip
"""Family, layers, cards, slots, whether the start ends."""


@pytest.mark.parametrize(("family", "layers", "cards", "slots", "ends"), STARTS)
def test_a_graph_that_finds_no_room_is_foreseen(family: str, layers: int, cards: int, slots: int, ends: bool) -> None:
    settings = llama_cpp.settings(["llama-server", "-c", "8192", "-np", str(slots), *QUANTIZED])
    card = Device(name="card", kind=DeviceKind.CUDA, capacity_bytes=GIB, free_bytes=GIB, overhead_bytes=0)
    assert lacks_room(shape_of(family, {**NUMBERS, "L": layers}), settings, [card] * cards) is ends


def test_slots_of_one_pool_and_caches_of_16_bits_find_room() -> None:
    shape = shape_of("phi3", {**NUMBERS, "L": 40})
    for words in (("-np", "4", "-kvu", *QUANTIZED), ("-np", "4"), ("-np", "4", "-fa", "off")):
        assert not lacks_room(shape, llama_cpp.settings(["llama-server", "-c", "8192", *words]), ())


@pytest.mark.parametrize(("options", "ends"), [((), True), (("--parallel", "1"), False), (("--kv-unified",), False)])
def test_a_plan_without_room_is_a_no_and_its_line_too(options: tuple[str, ...], ends: bool) -> None:
    place = ("--gpu", "24GiB")
    code, planned = document("plan", "phi-4", "--kv-cache-type", "q8_0", *place, *options)
    argv = planned["result"]["plan"]["argv"]
    told_code, told = document("explain", *place, "--model", "phi-4", "--", *argv)
    assert (code, told_code) == ((1, 1) if ends else (0, 0))
    assert ("PLN006" in codes(planned, "fail"), "EXP044" in codes(told, "fail")) == (ends, ends)
