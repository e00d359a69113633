"""The allowance for what a card holds beside every buffer: never below what was seen, more where its parts come to more."""

from random import Random

import llama_cpp_families as families
import pytest
from test_llama_cpp_beside import header

from llmops.domain.engine import Device, DeviceKind, HostDevice
from llmops.domain.units import GIB, MIB
from llmops.engines import llama_cpp
from llmops.engines.llama_cpp_card_context import CUDA_CONTEXT_BYTES, card_context_bytes, pool_bytes
from llmops.engines.llama_cpp_compute import Case
from llmops.engines.llama_cpp_context import context
from llmops.formats.gguf_shape import model_shape


def case_of(*words: str, family: str = "llama", **numbers: int | str) -> Case:
    drawn = families.draw(family, Random(f"1 {family}")) | {"type": "Q4_K", "E": 4096, "F": 14336, "L": 2} | numbers
    shape = model_shape([header(families.build(family, drawn))], name="model")
    settings = llama_cpp.settings(["llama-server", *words])
    return Case(shape=shape, settings=settings, context=context(settings, trained_tokens=shape.context_length))


def card(capability: str | None) -> Device:
    return Device(
        name="card", kind=DeviceKind.CUDA, capacity_bytes=24 * GIB, free_bytes=24 * GIB, compute_capability=capability
    )


@pytest.mark.parametrize("capability", ["6.1", "7.5", "8.6", "8.9", "9.0", "12.0", None, "new"])
def test_no_card_gets_less_than_whole_runs_were_seen_to_stay_below(capability: str | None) -> None:
    assert card_context_bytes(card(capability), case_of("-c", "4096")) >= CUDA_CONTEXT_BYTES


@pytest.mark.parametrize(("capability", "seen_mib"), [("8.6", 264), ("8.9", 472), ("12.0", 525), (None, 525)])
def test_no_card_gets_less_than_was_seen_of_its_architecture(capability: str | None, seen_mib: int) -> None:
    assert card_context_bytes(card(capability), case_of("-c", "4096")) > seen_mib * MIB


def test_an_old_card_makes_its_largest_matrix_16_bit_whole() -> None:
    case = case_of("-c", "4096")
    whole = 2 * 4096 * 14336
    assert whole <= pool_bytes(case, has_int8=False) <= whole + 64 * MIB
    assert pool_bytes(case, has_int8=True) < 16 * MIB
    assert card_context_bytes(card("6.1"), case) > card_context_bytes(card("8.6"), case)


def test_the_pool_grows_with_the_batch() -> None:
    small, large = (
        pool_bytes(case_of("-c", "8192", "-b", "4096", "-ub", rows), has_int8=True) for rows in ("512", "4096")
    )
    assert large >= 6 * small


def test_16_bit_weights_have_their_activations_and_results_in_16_bit() -> None:
    plain = pool_bytes(case_of("-c", "4096", type="F16"), has_int8=True)
    assert plain >= 2 * 512 * (4096 + 14336)


def test_a_named_card_gets_it_in_the_ledger_and_a_size_alone_nothing() -> None:
    case = case_of("-c", "8192", "-b", "4096", "-ub", "4096", type="F16")
    bare = Device(name="24GiB", kind=DeviceKind.CUDA, capacity_bytes=24 * GIB, free_bytes=24 * GIB, overhead_bytes=0)
    for device, wanted in ((card("9.0"), card_context_bytes(card("9.0"), case)), (bare, 0)):
        host = HostDevice(memory_bytes=None, physical_cores=None)
        said = llama_cpp.ledger(shape=case.shape, settings=case.settings, devices=(device,), host=host, reserve_bytes=0)
        assert said.devices[0].causes.overhead_bytes == wanted
    assert card_context_bytes(card("9.0"), case) > CUDA_CONTEXT_BYTES
