"""Every check on a host where it holds, one where it does not, one where it cannot be known."""

import datetime
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace

import check_cases_cards
import check_cases_host
import check_cases_software
import hosts
import pytest
from hosts import LOST, host, tool
from spoiled_hosts import (
    FAULTY,
    GOOD,
    WARN,
    finding,
    judge,
    swap,
    with_memory,
)

from llmops.checks import CHECKS, verdict
from llmops.checks import judge as judge_by
from llmops.domain.finding import Status
from llmops.domain.host import (
    HostFacts,
    SwapKind,
    Verdict,
)
from llmops.domain.reading import Known, Unknown
from llmops.domain.units import GIB, MIB

CASES = {**check_cases_host.CASES, **check_cases_cards.CASES, **check_cases_software.CASES}

ALWAYS_KNOWN = {
    "SYS006": "a process knows its own user",
    "GPU001": "a library that does not answer is a fault, not an unknown",
    "GPU002": "a card that does not answer is a fault, not an unknown",
}
NEVER_BAD = {
    "GPU003": "that memory cannot be read is the only thing it can say",
    "GPU030": "that memory cannot be read is the only thing it can say",
}
OF_THE_ROWS = {"DAT001"}
"""Judges no host: `test_rows_that_are_old_are_told` has its cases."""


def test_every_check_has_its_cases() -> None:
    assert set(CASES) | OF_THE_ROWS == {check.code for check in CHECKS}
    assert {code for code, case in CASES.items() if case.unknown is None} == set(ALWAYS_KNOWN)
    assert {code for code, case in CASES.items() if case.status is Status.OK} == set(NEVER_BAD)


@pytest.mark.parametrize("code", CASES)
def test_a_sound_host_is_ok(code: str) -> None:
    found = finding(code, CASES[code].good)
    assert (found.status, found.fix) == (Status.OK, None)
    assert found.message


@pytest.mark.parametrize("code", [code for code in CASES if code not in NEVER_BAD])
def test_a_spoiled_host_is_found_and_told_what_to_do(code: str) -> None:
    found = finding(code, CASES[code].bad)
    assert found.status is CASES[code].status
    assert found.message
    assert found.fix


@pytest.mark.parametrize("code", [code for code in CASES if code not in ALWAYS_KNOWN])
def test_what_cannot_be_known_is_skipped_with_the_reason(code: str) -> None:
    facts = CASES[code].unknown
    assert facts is not None
    found = finding(code, facts)
    assert found.status is Status.SKIP
    assert len(found.message.split(": ", 1)[1]) > 3


def test_codes_are_unique_and_every_row_says_everything() -> None:
    codes = [check.code for check in CHECKS]
    assert len(set(codes)) == len(codes)
    assert not any(code.startswith(("PLN", "EXP", "PULL", "VERIFY", "RND", "QST")) for code in codes), (
        "other commands' own"
    )
    for check in CHECKS:
        assert check.title
        assert check.why.endswith(".")
        assert check.fix
        assert not check.fix.endswith(".")


def every_host() -> Iterator[HostFacts]:
    for case in CASES.values():
        yield case.good
        yield case.bad
        if case.unknown is not None:
            yield case.unknown
    yield from FAULTY.values()


def spoiled(value: object) -> Iterator[object]:
    """The value once for each reading inside it, with that reading taken away."""
    if isinstance(value, Known):
        yield LOST
        for inner in spoiled(value.value):
            yield Known(inner)
    elif isinstance(value, tuple):
        for at, item in enumerate(value):
            for changed in spoiled(item):
                yield (*value[:at], changed, *value[at + 1 :])
    elif is_dataclass(value) and not isinstance(value, type | Unknown):
        for field in fields(value):
            for changed in spoiled(getattr(value, field.name)):
                yield replace(value, **{field.name: changed})


def test_no_check_turns_to_ok_when_a_fact_is_taken_away() -> None:
    """What was `ok` before may stay so: the other checks are asked again."""
    tried = 0
    for facts in set(every_host()):
        good = {one.code for one in judge(facts) if one.status is Status.OK}
        others = [check.code for check in CHECKS if check.code not in good]
        for poorer in spoiled(facts):
            assert isinstance(poorer, HostFacts)
            tried += 1
            found = judge_by(poorer, hosts.references(), select=others) if others else ()
            assert not [one for one in found if one.status is Status.OK], poorer
    assert tried > 500


def test_a_verdict_never_gets_better_than_its_worst_known_fact() -> None:
    """Taking away any one fact of a host that is ready leaves it ready only where readiness does not hang on that fact."""
    deciding = {check.code for check in CHECKS if check.decides}
    for poorer in spoiled(GOOD):
        assert isinstance(poorer, HostFacts)
        findings = judge(poorer)
        skipped = {one.code for one in findings if one.status is Status.SKIP}
        expected = Verdict.READY_WITH_WARNINGS if skipped & deciding else Verdict.READY
        assert verdict(findings) is expected, skipped


def test_only_cards_driver_and_memory_can_make_a_host_not_ready() -> None:
    failing = {one.code[:3] for facts in every_host() for one in judge(facts) if one.status is Status.FAIL}
    assert failing == {"GPU", "MEM"}


def test_no_check_says_worse_than_its_row_allows() -> None:
    worst = {check.code: check.worst for check in CHECKS}
    order = [Status.OK, Status.SKIP, Status.WARN, Status.FAIL]
    for facts in every_host():
        for one in judge(facts):
            assert order.index(one.status) <= order.index(worst[one.code]), one


@pytest.mark.parametrize(("days", "status"), [(0, Status.OK), (180, Status.OK), (181, WARN), (-1, Status.SKIP)])
def test_rows_that_are_old_are_told(days: int, status: Status) -> None:
    rows = hosts.references()
    same = tuple(replace(one, as_of=rows.today.isoformat()) for one in rows.editions)
    later = replace(rows, editions=same, today=rows.today + datetime.timedelta(days=days))
    (found,) = judge_by(GOOD, later, select=["DAT001"])
    assert found.status is status
    assert f"{days} days old" in found.message or days < 0


def test_a_sound_host_is_ready() -> None:
    assert verdict(judge(GOOD)) is Verdict.READY


def test_a_low_limit_of_memory_fails_although_the_host_has_plenty() -> None:
    facts = with_memory(limit_bytes=Known(512 * MIB))
    assert finding("MEM001", facts).status is Status.FAIL
    assert verdict(judge(facts)) is Verdict.NOT_READY


def test_little_available_memory_warns() -> None:
    assert finding("MEM001", with_memory(available_bytes=2 * GIB)).status is Status.WARN


@pytest.mark.parametrize(
    ("priority", "fix"),
    [(-2, "swapoff /dev/zram0 && swapon -p 100 /dev/zram0"), (32767, "swapoff /swap.img && swapon /swap.img")],
)
def test_what_fills_zram_first_is_a_priority_that_there_is(priority: int, fix: str) -> None:
    both = (swap(SwapKind.ZRAM), replace(swap(SwapKind.FILE), priority=priority))
    assert fix in str(finding("MEM013", with_memory(swaps=Known(both))).fix)


def test_compose_is_found_in_either_form() -> None:
    alone = (tool("docker compose", path=None), tool("docker-compose", "2.40.3"))
    assert finding("CON003", host(tools=alone)).message == "docker-compose 2.40.3"


def test_select_and_ignore_take_prefixes() -> None:
    assert {one.code[:3] for one in judge(GOOD, select=["GPU", "NET001"])} == {"GPU", "NET"}
    assert "MEM004" not in {one.code for one in judge(GOOD, ignore=["MEM004"])}
    assert judge(GOOD, select=["GPU"], ignore=["GPU"]) == ()
