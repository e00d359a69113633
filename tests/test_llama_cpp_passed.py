"""Cards that are passed in order: a few layers of each, done again for all of them, come to the whole graph's buffers."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from llama_cpp_families import draw
from test_llama_cpp_repeats import HYBRID, deep, placed, shape_of

from llmops.domain.engine import EngineName, EngineSettings
from llmops.domain.units import MIB
from llmops.engines import llama_cpp_passed
from llmops.engines.llama_cpp_buffers import PIPELINE_COPIES
from llmops.engines.llama_cpp_passed import passed_in_order
from llmops.engines.llama_cpp_replay import TAKE, Layer, RecordingArena, replayed
from llmops.engines.llama_cpp_scheduler import Cut
from llmops.engines.llama_cpp_simulation import cut_for, with_every_layer
from llmops.engines.llama_cpp_walks import Walk, shown, steps_of, walks_of

SETTINGS = EngineSettings(engine=EngineName.LLAMA_CPP, context_size=65536, parallel=4)
FAMILIES = (
    "qwen3next",
    "gemma3",
    "llama",
    "qwen3moe",
    "deepseek2",
    "gpt-oss",
    "falcon-h1",
    "step35",
    "llama4",
    "glm4moe",
)


@pytest.mark.parametrize("family", FAMILIES)
def test_splits_and_contexts_of_one_model_come_to_the_whole_graphs_bytes(family: str) -> None:
    rng = Random(f"passed {family}")
    shape = shape_of(family, draw(family, rng) | {"L": rng.randint(24, 62)})
    answered = 0
    for kind, number in (("f16", (2, 3, 8)), ("q8_0", (2, 5))):
        for cards in number:
            split = tuple(float(rng.choice((3, 4, 4, 5))) for _ in range(cards))
            settings = replace(SETTINGS, context_size=256 * rng.randint(40, 900), tensor_split=split)
            settings = replace(settings, kv_cache_type_k=kind, kv_cache_type_v=kind)
            case, placement, copies = placed(shape, settings, cards)
            found = passed_in_order(case, placement, copies=copies)
            assert found is None or found == with_every_layer(case, placement, copies=copies), settings
            answered += found is not None
    assert answered


def test_a_deep_model_is_answered_from_one_cut_for_all_splits_and_contexts(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def counted(*question: Any, **more: Any) -> Cut:  # noqa: ANN401 - as the graph is asked for
        found = cut_for(*question, **more)
        made.append(len(question[0].shape.layers))
        return found

    monkeypatch.setattr(llama_cpp_passed, "cut_for", counted)
    shape = replace(deep("llama"))  # of which nothing is known yet
    for split in ((20.0, 20.0, 21.0), (21.0, 20.0, 20.0), (19.0, 21.0, 21.0)):
        for size in (16384, 131072):
            case, placement, copies = placed(shape, replace(SETTINGS, context_size=size, tensor_split=split), 3)
            assert passed_in_order(case, placement, copies=copies) == with_every_layer(case, placement, copies=copies)
    assert made == [7]


def test_a_card_with_the_same_steps_in_another_phase_is_shown_by_the_same_layers() -> None:
    kinds = HYBRID * 12
    for counts in ((13, 12, 12, 11), (12, 13, 12, 11), (14, 12, 12, 10)):
        places = [card for card, count in enumerate(counts) for _ in range(count)]
        walks = walks_of(kinds, places, 4)
        assert walks is not None
        found = shown(kinds, walks)
        assert all(len(own) <= 7 for own in found.kept)
        assert found.cards[0] == 0
        assert found.cards[-1] == len(found.kept) - 1
        for card, walk in enumerate(walks):
            own = [kinds[at] for at in found.kept[found.cards[card]]]
            seen = steps_of(own, is_last=walk.is_last)
            assert set(steps_of(walk.kinds, is_last=walk.is_last)) == set(seen)


def test_cards_that_are_not_passed_in_order_are_no_walk() -> None:
    assert walks_of((0, 0, 0), (0, 1, 0), 2) is None
    assert walks_of((0, 0, 0), (0, 2, 2), 3) is None
    assert walks_of((0, 1, 0), (0, 0, 1), 2) == (Walk((0, 1), is_last=False), Walk((0,), is_last=True))


def test_what_a_layer_did_is_done_again_above_what_it_finds() -> None:
    arena = RecordingArena(128)
    below = arena.take(3 * MIB)
    arena.begin()
    first = arena.take(MIB)
    arena.end_layer()
    second = arena.take(2 * MIB)
    arena.give(first, MIB)
    arena.give(second + MIB, MIB)
    arena.end_layer()
    assert below == 0
    assert arena.is_clear
    begun, one = arena.layers()
    assert begun == Layer((), ((TAKE, MIB, 0),), ((0, MIB),))
    assert one == Layer((MIB,), ((TAKE, 2 * MIB, 0), (0, 0, MIB), (1, MIB, MIB)), ((1, MIB),))
    # the second takes 2 MiB above the first's; the third as well, since of the first's place only one is free
    assert replayed((begun, one), lowest=0, alignment=128) == 3 * MIB
    assert replayed((begun, one, one), lowest=0, alignment=128) == 4 * MIB
    assert replayed((begun, one, one), lowest=5 * MIB, alignment=128) == 9 * MIB


def test_a_layer_that_finds_other_blocks_than_the_recorded_one_is_not_answered_for() -> None:
    begun, one = Layer((), ((TAKE, MIB, 0),), ((0, MIB),)), Layer((2 * MIB,), (), ())
    assert replayed((begun, one), lowest=0, alignment=128) is None


def test_blocks_of_one_size_that_are_both_left_are_not_told_apart() -> None:
    arena = RecordingArena(128)
    blocks = [arena.take(MIB), arena.take(MIB)]
    arena.end_layer()
    for address in blocks:
        arena.give(address, MIB)
    arena.end_layer()
    arena.layers()
    assert not arena.is_clear


def test_a_start_without_copies_of_its_inputs_is_not_answered_for() -> None:
    """There inputs are let go behind their last reader."""
    case, placement, copies = placed(deep("llama"), replace(SETTINGS, kv_offload=False), 2)
    assert copies == 1
    assert passed_in_order(case, placement, copies=copies) is None
    case, placement, _ = placed(deep("llama"), replace(SETTINGS, gpu_layers=3), 2)
    assert passed_in_order(case, placement, copies=PIPELINE_COPIES) is None
