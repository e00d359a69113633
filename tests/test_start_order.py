"""Services that share a card make room for each other: stopped from the last to the first, started from the first."""

from dataclasses import replace
from pathlib import PurePosixPath

import locks
from hypothesis import given
from hypothesis import strategies as st
from rendering import rendered

from llmops.changes.effects import effects
from llmops.changes.start_order import groups, in_start_order
from llmops.domain.changes import Action, Change, ChangeSet, FileState
from llmops.domain.effects import Effect, ServiceUnit
from llmops.formats.unit_reads import service_unit

UNITS = PurePosixPath("/etc/systemd/system")


def _unit(name: str, *, after: tuple[str, ...] = (), cards: tuple[str, ...] = ()) -> ServiceUnit:
    text = "[Unit]\n" + "".join(f"After={one}\n" for one in after)
    text += f'[Service]\nEnvironment="CUDA_VISIBLE_DEVICES={",".join(cards)}"\n' if cards else "[Service]\n"
    return service_unit(name, text)


def _changed(units: list[ServiceUnit], action: Action = Action.UPDATE) -> ChangeSet:
    state = FileState(content=b"", mode=0o644, owner="root:root")
    after = None if action is Action.DELETE else state
    return ChangeSet(
        changes=tuple(
            Change(path=UNITS / one.name, target="systemd", action=action, before=state, after=after) for one in units
        )
    )


def _commands(made: tuple[Effect, ...]) -> list[str]:
    return [one.text() for one in made if one.text() != "systemctl daemon-reload"]


def _made(units: list[ServiceUnit]) -> list[str]:
    return _commands(effects(_changed(units), units, active=[one.name for one in units]))


def test_what_shares_a_card_stops_together_and_starts_in_the_order_of_the_units() -> None:
    units = [
        _unit("llmops-a.service", after=("llmops-b.service", "network.target"), cards=("GPU-1",)),
        _unit("llmops-b.service", cards=("GPU-1", "GPU-2")),
        _unit("llmops-c.service", cards=("GPU-2",)),
        _unit("llmops-d.service", cards=("GPU-3",)),
    ]
    assert _made(units) == [
        *(f"systemctl stop llmops-{name}.service" for name in "cab"),
        *(f"systemctl start llmops-{name}.service" for name in "bac"),
        "systemctl restart llmops-d.service",
    ]


def test_what_does_not_run_or_did_not_change_is_left_alone() -> None:
    units = [_unit(f"llmops-{name}.service", cards=("GPU-1",)) for name in "abc"]
    made = effects(_changed(units[:2]), units, active=["llmops-b.service", "llmops-c.service"])
    assert _commands(made) == ["systemctl restart llmops-b.service"]


def test_services_that_go_are_stopped_from_the_last_to_the_first() -> None:
    units = [
        _unit("llmops-a.service"),
        _unit("llmops-b.service", after=("llmops-c.service",)),
        _unit("llmops-c.service"),
    ]
    made = effects(_changed(units, Action.DELETE), [], active=[one.name for one in units], gone=units)
    assert _commands(made) == [f"systemctl stop llmops-{name}.service" for name in "bca"]


def test_a_service_that_names_no_card_shares_with_every_other_of_that_kind() -> None:
    every = service_unit("x.service", "[Unit]\nRequires=llmops-gpu.service\n[Service]\n")
    other = service_unit("y.service", "[Unit]\nRequires=llmops-gpu.service\n[Service]\n")
    alone = service_unit("z.service", "[Service]\nEnvironment=CUDA_VISIBLE_DEVICES=\n")
    assert [[one.name for one in group] for group in groups([alone, other, every])] == [
        ["x.service", "y.service"],
        ["z.service"],
    ]


def test_a_service_that_names_no_card_shares_with_those_that_name_one() -> None:
    every = service_unit("x.service", "[Unit]\nRequires=llmops-gpu.service\n[Service]\n")
    named = [_unit("v.service", cards=("GPU-1",)), _unit("y.service", cards=("GPU-2",)), _unit("z.service")]
    assert [[one.name for one in group] for group in groups([*named, every])] == [
        ["v.service", "x.service", "y.service"],
        ["z.service"],
    ]


def test_an_empty_after_takes_back_what_stands_above_it() -> None:
    unit = service_unit("x.service", "[Unit]\nAfter=a.service b.service\nAfter=\nAfter=c.service\n")
    assert unit.after == {"c.service"}


def test_a_circle_made_by_hand_still_restarts_each_once() -> None:
    units = [_unit(f"{name}.service", after=(f"{other}.service",)) for name, other in ("ab", "ba", "cc")]
    assert [one.name for one in in_start_order(units)] == ["c.service", "a.service", "b.service"]
    assert len(_made(units)) == 5


def test_the_rendered_units_of_one_card_are_one_group() -> None:
    pair = {"chat": locks.vllm_gpu(), "embed": replace(locks.llama_gpu(), starts_after=("chat",))}
    lock = locks.lock(pair, targets=("systemd", "haproxy"))
    units = [service_unit(one.path.name, one.text) for one in rendered(lock) if one.path.suffix == ".service"]
    engines = [one for one in units if one.name not in ("llmops-gpu.service", "llmops-gateway.service")]
    assert [[one.name for one in group] for group in groups(engines)] == [
        ["llmops-chat.service", "llmops-embed.service"]
    ]


NAMES = tuple(f"{name}.service" for name in "abcdefg")


@given(
    edges=st.sets(st.tuples(st.sampled_from(range(7)), st.sampled_from(range(7)))),
    cards=st.lists(st.sets(st.sampled_from("1234")), min_size=7, max_size=7),
)
def test_each_is_started_once_after_all_it_waits_for_and_stopped_before_them(
    edges: set[tuple[int, int]], cards: list[set[str]]
) -> None:
    units = [
        _unit(name, after=tuple(NAMES[low] for low, high in edges if low < high == at), cards=tuple(sorted(cards[at])))
        for at, name in enumerate(NAMES)
    ]
    commands = [one.split()[1:] for one in _made(units)]
    started = {name: at for at, (verb, name) in enumerate(commands) if verb in ("start", "restart")}
    stopped = {name: at for at, (verb, name) in enumerate(commands) if verb in ("stop", "restart")}
    assert sorted(started) == sorted(stopped) == sorted(NAMES)
    for unit in units:
        for other in units:
            if other.name in unit.after:
                assert stopped[unit.name] < stopped[other.name] < started[other.name] < started[unit.name]
            if unit is not other and unit.cards & other.cards:
                assert stopped[unit.name] < started[other.name]
