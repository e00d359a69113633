"""Law 1: every domain type survives its JSON form, and its schema accepts what it dumps."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath

import pytest
import strategies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from llmops.domain.form_schema import schema
from llmops.domain.forms import FormError, Json, dump, key_text, load
from llmops.domain.host import Memory
from llmops.domain.ledger import Causes, DeviceLedger
from llmops.domain.model import SourceKind
from llmops.domain.profile import Observe, Profile, Workload
from llmops.domain.reading import Known, Unknown

TYPES = strategies.domain_types()


@cache
def validator(name: str) -> Draft202012Validator:
    made = schema(TYPES[name], title=name)
    Draft202012Validator.check_schema(made)
    return Draft202012Validator(made)


@pytest.mark.parametrize("name", sorted(TYPES))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_every_domain_type_survives_its_json_form_and_its_schema_accepts_it(name: str, data: st.DataObject) -> None:
    value = data.draw(strategies.of(TYPES[name]))

    through_json = json.loads(json.dumps(dump(value), allow_nan=False))

    assert load(TYPES[name], through_json) == value
    assert dump(load(TYPES[name], through_json)) == through_json
    assert validator(name).is_valid(through_json)


def test_the_types_that_documents_are_made_of_are_among_those_tested() -> None:
    assert {"Lock", "Profile", "HostFacts", "Ledger", "Plan", "Finding", "ModelRow", "GpuRow", "Measurement"} <= set(
        TYPES
    )


@pytest.mark.parametrize("name", ["Lock", "Profile", "HostFacts", "Ledger"])
@settings(max_examples=100, deadline=None)
@given(data=strategies.JSON)
def test_any_json_is_either_read_or_refused_with_a_reason(name: str, data: Json) -> None:
    reason = "read"
    try:
        load(TYPES[name], data)
    except FormError as error:
        reason = error.message

    assert reason.isprintable()
    assert 0 < len(reason) < 300


def test_a_misspelt_key_is_named_with_its_path_and_the_likely_word() -> None:
    with pytest.raises(FormError) as stop:
        load(Profile, {"deployments": {"chat": {"model": "x", "wrokload": {}}}})

    assert stop.value.message == "unknown key `wrokload`"
    assert stop.value.key() == "deployments.chat.wrokload"
    assert stop.value.hint == "did you mean `workload`?"


def test_a_missing_key_is_named() -> None:
    with pytest.raises(FormError, match="the key `deployments` is missing"):
        load(Profile, {})


def test_a_choice_with_another_kind_names_both_and_the_likely_word() -> None:
    with pytest.raises(FormError) as stop:
        load(Workload, {"parallel": "autoo"})

    assert stop.value.message == "expected a whole number or `auto`, found text `autoo`"
    assert stop.value.hint == "did you mean `auto`?"


def test_yes_is_not_true_and_the_hint_says_what_to_write() -> None:
    with pytest.raises(FormError) as stop:
        load(Observe, {"prometheus": "yes"})

    assert stop.value.hint == "write `true`"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"retention_days": True}, "expected a whole number, found true or false"),
        ({"retention_days": 1.5}, "expected a whole number, found a number `1.5`"),
        ({"retention_days": 1 << 70}, "a whole number of more than 64 bits"),
        ({"prometheus": 1}, "expected true or false, found a whole number `1`"),
        ([], "expected a table, found a list"),
        (None, "expected a table, found nothing"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(data: Json, reason: str) -> None:
    with pytest.raises(FormError) as stop:
        load(Observe, data)

    assert stop.value.message == reason


def test_numbers_that_are_not_finite_have_no_form() -> None:
    with pytest.raises(FormError, match="not finite"):
        load(Workload, {"arrival_rps": float("inf")})
    with pytest.raises(TypeError, match="no JSON form"):
        dump(Workload(arrival_rps=float("nan")))


def test_half_a_character_is_refused_and_never_repeated() -> None:
    with pytest.raises(FormError, match="lone surrogate"):
        load(Workload, {"traces": "\ud800"})
    with pytest.raises(FormError) as stop:
        load(Workload, {"\ud800\x1b[31m": 1})

    assert stop.value.message.isprintable()
    assert stop.value.key().isprintable()


def test_a_hand_edited_sum_is_noticed() -> None:
    device = DeviceLedger(
        name="GPU",
        capacity_bytes=100,
        free_bytes=90,
        causes=Causes(weights_bytes=40, kv_cache_bytes=2),
        reserve_bytes=1,
    )
    form = dump(device)
    assert isinstance(form, dict)
    assert form["total_bytes"] == 42

    with pytest.raises(FormError, match="`total_bytes` is 41, the rest says 42"):
        load(DeviceLedger, form | {"total_bytes": 41})


def test_an_unknown_reading_keeps_its_reason() -> None:
    memory = Memory(
        total_bytes=1, available_bytes=1, limit_bytes=Known(None), swaps=Unknown("`/proc/swaps` cannot be read")
    )
    form = dump(memory)
    assert isinstance(form, dict)

    assert form["limit_bytes"] == {"value": None}
    assert form["swaps"] == {"unknown": "`/proc/swaps` cannot be read"}
    assert load(Memory, form) == memory
    with pytest.raises(FormError):
        load(Memory, form | {"swaps": {"unknown": 1}})
    with pytest.raises(FormError):
        load(Memory, form | {"swaps": {"value": [], "unknown": "x"}})


def test_a_key_path_reads_like_the_file() -> None:
    assert key_text(("deployments", "chat", "fallback", 1)) == "deployments.chat.fallback[1]"
    assert key_text(()) == ""


def test_a_long_wrong_value_is_cut() -> None:
    with pytest.raises(FormError) as stop:
        load(Profile, {"deployments": {"chat": {"model": "x", "engine": "y" * 100_000}}})

    assert len(stop.value.message) < 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    path: PurePosixPath
    class_: SourceKind


def test_paths_enums_and_reserved_words_have_plain_forms() -> None:
    value = _Place(path=PurePosixPath("/etc/llmops"), class_=SourceKind.HUB)

    assert dump(value) == {"path": "/etc/llmops", "class": "hub"}
    assert load(_Place, dump(value)) == value
    checker = Draft202012Validator(schema(_Place, title="place"))
    assert checker.is_valid(dump(value))
    assert not checker.is_valid({"path": "/etc", "class": "nowhere"})
