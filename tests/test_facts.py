"""Facts files: read from both documents that hold them; the digest is over what stays."""

import json
from dataclasses import MISSING, fields, replace

import pytest
import strategies
from hypothesis import HealthCheck, given, settings
from workstation import FACTS, GPU, MEMORY

from llmops.domain.errors import Exit, Stop, WrongInput
from llmops.domain.forms import Json, dump, is_required
from llmops.domain.host import Driver, Gpu, HostFacts
from llmops.domain.reading import NOT_ASKED, Known, Unknown
from llmops.domain.units import GIB
from llmops.formats.facts import facts_digest, parse_facts


def refused(text: str) -> Stop:
    with pytest.raises(WrongInput) as stop:
        parse_facts(text, file="facts.json")
    assert stop.value.exit_code is Exit.WRONG_INPUT
    assert stop.value.where is not None
    assert stop.value.where.file == "facts.json"
    return stop.value


def doctor(result: Json, error: Json = None) -> str:
    return json.dumps({"schema": "llmops.doctor/1", "ok": True, "exit_code": 0, "result": result, "error": error})


def test_a_facts_document_and_a_whole_doctor_document_mean_the_same() -> None:
    alone = json.dumps(dump(FACTS))

    assert parse_facts(alone, file="facts.json") == FACTS
    assert parse_facts(doctor({"verdict": "ready", "facts": dump(FACTS)}), file="doctor.json") == FACTS


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(facts=strategies.of(HostFacts, {str: strategies.PRINTED, int: strategies.SIZE, float: strategies.AMOUNT}))
def test_any_facts_read_back_the_same_with_the_same_digest(facts: HostFacts) -> None:
    facts = replace(facts, schema="llmops.facts/1")

    again = parse_facts(json.dumps(dump(facts)), file="facts.json")

    assert again == facts
    assert facts_digest(again) == facts_digest(facts)


def test_the_digest_does_not_change_with_load_or_time() -> None:
    busy_card = replace(
        GPU, free_bytes=Known(1), temperature_celsius=Known(90), reserved_bytes=Unknown("busy"), ecc_errors=Known(0)
    )
    later = replace(
        FACTS,
        system=replace(FACTS.system, kernel="6.1.0-41-amd64", is_root=True, python_version="3.12.0"),
        memory=Known(replace(MEMORY, available_bytes=1, swaps=Unknown("no permission"))),
        nvidia=replace(FACTS.nvidia, gpus=(busy_card,)),
        tools=(),
        listeners=Unknown("no permission"),
    )

    assert facts_digest(later) == facts_digest(FACTS)


@pytest.mark.parametrize(
    "other",
    [
        replace(FACTS, memory=Known(replace(MEMORY, total_bytes=32 * GIB))),
        replace(FACTS, memory=Known(replace(MEMORY, limit_bytes=Known(8 * GIB)))),
        replace(FACTS, memory=Unknown("gone")),
        replace(FACTS, system=replace(FACTS.system, os_version="13")),
        replace(FACTS, nvidia=replace(FACTS.nvidia, gpus=())),
        replace(FACTS, nvidia=replace(FACTS.nvidia, gpus=(replace(GPU, memory_bytes=Known(1)),))),
        replace(FACTS, nvidia=replace(FACTS.nvidia, driver=Known(Driver(version="580.1", cuda=Known("13.0"))))),
        replace(FACTS, cpu=Unknown("gone")),
        replace(FACTS, disks=Known(())),
    ],
)
def test_the_digest_changes_with_the_box(other: HostFacts) -> None:
    assert facts_digest(other) != facts_digest(FACTS)


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("", "not JSON", 1),
        ("{", "not JSON", 1),
        ('{\n"schema": "llmops.facts/1",\n}', "not JSON", 3),
        ("[]", "expected a table of keys", None),
        ("null", "the file is empty", None),
        ("{}", "the key `schema` is missing", None),
        ('{"schema": "llmops.facts/9"}', "made for a newer llmops", None),
        ('{"schema": "llmops.lock/1"}', "not a llmops.facts document", None),
        ('{"schema": "llmops.facts/1", "schema": 1}', "the key `schema` is there twice", None),
        ("[" * 100_000, "nested too deep", None),
        ('{"schema": ' + "9" * 5000 + "}", "not a facts document", None),
    ],
)
def test_what_is_not_a_facts_document_is_refused(text: str, message: str, line: int | None) -> None:
    stop = refused(text)

    assert message in stop.message
    assert stop.where is not None
    assert stop.where.line == line
    assert stop.hint is not None


def test_a_doctor_document_of_an_error_says_which() -> None:
    assert "no permission" in refused(doctor(None, {"message": "no permission"})).message
    assert "holds no facts" in refused(doctor({"checks": []})).message


@pytest.mark.parametrize(
    ("old", "new", "message", "key"),
    [
        ('"total_bytes": 68719476736', '"total_bytes": -1', "a negative size", "result.facts.memory.value.total_bytes"),
        ('"threads": 32', '"threads": "32"', "expected a whole number", "result.facts.cpu.value.threads"),
        ('"threads": 32', '"threads": NaN', "expected a whole number", "result.facts.cpu.value.threads"),
        ('"threads"', '"treads"', "unknown key `treads`", "result.facts.cpu.value.treads"),
        ('"os_id": "debian"', '"os_id": "\\u001b[31m"', "control character", "result.facts.system.os_id"),
        ('"os_id": "debian"', '"os_id": "\\ud800"', "lone surrogate", "result.facts.system.os_id"),
    ],
)
def test_a_wrong_fact_has_its_key(old: str, new: str, message: str, key: str) -> None:
    text = doctor({"facts": dump(FACTS)})
    assert old in text

    stop = refused(text.replace(old, new, 1))

    assert message in stop.message
    assert stop.where is not None
    assert stop.where.key == key


def test_facts_made_before_cards_and_software_were_looked_at_are_read() -> None:
    """A document of the first release: none of the later fields, of the host, its cards or its driver."""
    later = {
        field.name
        for field in fields(HostFacts)
        if field.default is not MISSING or field.default_factory is not MISSING
    }
    form = dump(FACTS)
    assert isinstance(form, dict)
    old = {key: value for key, value in form.items() if key not in later or key == "schema"}
    nvidia = old["nvidia"]
    assert isinstance(nvidia, dict)
    cards = nvidia["gpus"]
    assert isinstance(cards, list)
    first = {field.name for field in fields(Gpu) if is_required(Gpu, field)}
    old["nvidia"] = {key: nvidia[key] for key in ("state", "detail", "driver")} | {
        "gpus": [{key: card[key] for key in first} for card in cards if isinstance(card, dict)]
    }

    facts = parse_facts(json.dumps(old), file="facts.json")

    assert facts.other_gpus == NOT_ASKED
    assert facts.nvidia.gpus[0].pcie.width == NOT_ASKED
    assert facts_digest(facts) == facts_digest(FACTS)
