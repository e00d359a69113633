"""What `plan` has to say of a plan: each finding where it is true, and none where it is not."""

from dataclasses import replace

import pytest

from llmops.domain.engine import EngineName, EngineSettings, HostDevice
from llmops.domain.finding import Status
from llmops.domain.ledger import Ledger
from llmops.domain.model import ModelShape
from llmops.domain.plan import Plan, Speed
from llmops.domain.profile import Features, Intent, Profile, Workload
from llmops.engines import ENGINES
from llmops.formats.gguf import read_header
from llmops.formats.gguf_shape import model_shape
from llmops.formats.tiny_model import tiny_model
from llmops.sizing.findings import findings, unused, unused_keys

FILE = tiny_model()
SHAPE = model_shape(
    [read_header(lambda at, length: FILE[at : at + length], name="tiny.gguf", file_bytes=len(FILE))], name="tiny.gguf"
)
SETTINGS = EngineSettings(engine=EngineName.LLAMA_CPP, context_size=256, parallel=1, use_gpu=False)


def plan(memory_bytes: int | None) -> Plan:
    host = HostDevice(memory_bytes=memory_bytes, physical_cores=None)
    ledger: Ledger = ENGINES[EngineName.LLAMA_CPP].ledger(
        shape=SHAPE, settings=SETTINGS, devices=(), host=host, reserve_bytes=0
    )
    return Plan(model="m", quantization=None, settings=SETTINGS, argv=(), ledger=ledger, speed=Speed(), why=())


def codes(shape: ModelShape, *, memory_bytes: int | None = None, is_header: bool = True) -> list[str]:
    found = findings(
        "chat", plan(memory_bytes), shape=shape, is_header=is_header, missing=("RAM misses 1 B",), way_out="`--gpu`"
    )
    return [one.code for one in found]


def test_a_plan_that_fits_of_a_file_with_a_chat_template_needs_no_words() -> None:
    assert codes(replace(SHAPE, has_chat_template=True)) == []


def test_what_does_not_fit_fails_with_what_is_missing_and_the_way_out() -> None:
    assert codes(replace(SHAPE, has_chat_template=True), memory_bytes=1 << 20) == ["PLN001"]
    (one,) = findings(
        "chat",
        plan(1 << 20),
        shape=replace(SHAPE, has_chat_template=True),
        is_header=True,
        missing=("RAM misses 1 B", "`card` misses 2 B"),
        way_out="`--gpu`",
    )
    assert (one.status, one.fix) == (Status.FAIL, "`--gpu`")
    assert one.message == "`chat` does not fit: RAM misses 1 B; `card` misses 2 B"


def test_each_part_that_is_not_sized_is_named() -> None:
    shape = replace(SHAPE, has_chat_template=True, not_sized=("a tower", "a head"))
    assert codes(shape) == ["PLN002", "PLN002"]


@pytest.mark.parametrize("is_header", [True, False])
def test_only_a_file_s_own_header_can_lack_a_chat_template(is_header: bool) -> None:
    assert codes(replace(SHAPE, has_chat_template=False), is_header=is_header) == ["PLN003"] * is_header


def test_keys_of_a_profile_that_nothing_reads_are_named_where_they_are_set() -> None:
    blank = Profile(deployments={})
    assert unused(Intent(model="m"), blank) == ()
    intent = Intent(model="m", workload=Workload(arrival_rps=0.5), features=Features(lora=("a",)))
    assert unused_keys(intent, blank) == ("features.lora", "workload.arrival_rps")
    (one,) = unused(intent, blank)
    assert (one.code, one.status) == ("PLN004", Status.WARN)
