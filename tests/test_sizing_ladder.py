"""Which quantizations of a repository are looked at."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from llmops.sizing.ladder import RUNGS, WIDE, rungs

GB = 10**9
QWEN_32B = {
    "BF16": 66 * GB,
    "Q8_0": 35 * GB,
    "Q6_K": 27 * GB,
    "Q5_K_M": 23 * GB,
    "Q5_K_S": 22 * GB,
    "Q4_K_M": 20 * GB,
    "Q3_K_M": 16 * GB,
}


def test_what_fits_the_card_comes_before_what_fits_ram() -> None:
    """A host with much RAM: the largest file there is would be served from RAM, slowly."""
    assert rungs(QWEN_32B, rooms_bytes=(24 * GB, 88 * GB)) == ("Q5_K_M", "Q4_K_M", "Q3_K_M")


def test_smaller_ones_follow_since_the_largest_leaves_no_room_for_the_cache() -> None:
    close = {f"Q{number}": 24 * GB - number * GB // 10 for number in range(1, 9)} | {"Q4_K_M": 14 * GB}
    assert rungs(close, rooms_bytes=(24 * GB,)) == ("Q1", "Q4_K_M")


def test_what_no_card_holds_is_sized_for_cards_and_ram_together() -> None:
    assert rungs(QWEN_32B, rooms_bytes=(8 * GB, 28 * GB))[0] == "Q6_K"


def test_the_smallest_is_sized_where_nothing_fits() -> None:
    assert rungs(QWEN_32B, rooms_bytes=(8 * GB,)) == ("Q3_K_M",)


def test_sixteen_bit_is_taken_where_there_is_nothing_else() -> None:
    assert rungs({"F16": 2 * GB}, rooms_bytes=(24 * GB,)) == ("F16",)


@given(
    st.dictionaries(
        st.sampled_from(["Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "BF16", "F16"]),
        st.integers(1, 10**12),
        min_size=1,
    ),
    st.lists(st.integers(0, 10**12), max_size=2),
)
def test_there_is_always_one_and_never_too_many_and_they_shrink(sizes: dict[str, int], rooms: list[int]) -> None:
    chosen = rungs(sizes, rooms_bytes=rooms)
    assert 1 <= len(chosen) <= RUNGS
    assert all(8 * sizes[after] <= 7 * sizes[before] for before, after in pairwise(chosen))
    assert not WIDE & set(chosen) or set(sizes) <= WIDE
