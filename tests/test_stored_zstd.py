"""Zstandard frames without compression: where each byte lies is arithmetic, and the real decoder agrees."""

import random
from itertools import accumulate

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.bundle.stored_zstd import (
    BLOCK_BYTES,
    FRAME_BYTES,
    content_that_fits,
    frame_size,
    marks,
    place,
    stored_size,
)
from llmops.bundle.volumes import LABEL_BYTES, lay_out, parse_label
from llmops.domain.errors import WrongUsage

LENGTHS = st.one_of(
    st.integers(1, 5 * BLOCK_BYTES),
    st.builds(
        lambda frames, more: frames * FRAME_BYTES + more, st.integers(0, 40_000), st.integers(-3, BLOCK_BYTES + 3)
    ).filter(lambda length: length > 0),
)


def stored(content: bytes) -> bytes:
    out = bytearray()
    for at in range(0, len(content), BLOCK_BYTES):
        out += marks(at, len(content)) + content[at : at + BLOCK_BYTES]
    return bytes(out)


@pytest.mark.parametrize(
    "length", [1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, FRAME_BYTES, FRAME_BYTES + 1, 3 * FRAME_BYTES - 7]
)
def test_the_real_decoder_gives_back_what_was_stored(length: int) -> None:
    content = random.Random(length).randbytes(4096) * (length // 4096 + 1)
    content = content[:length]
    data = stored(content)
    assert len(data) == stored_size(length)
    reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
    assert reader.read() == content


@given(length=LENGTHS, share=st.floats(0, 1, exclude_max=True))
def test_any_byte_lies_where_the_arithmetic_says(length: int, share: float) -> None:
    """By counting: the marks and blocks before a block take exactly the bytes up to its place."""
    block = int(share * length) // BLOCK_BYTES * BLOCK_BYTES
    frame = block // FRAME_BYTES * FRAME_BYTES
    counted = frame // FRAME_BYTES * frame_size(FRAME_BYTES)
    counted += sum(len(marks(at, length)) + BLOCK_BYTES for at in range(frame, block, BLOCK_BYTES))
    assert place(block) == counted
    assert place(block) + len(marks(block, length)) + min(BLOCK_BYTES, length - block) <= stored_size(length)


@given(room=st.integers(0, 1 << 40))
def test_what_fits_is_the_most_that_fits(room: int) -> None:
    most = content_that_fits(room)
    assert stored_size(most) <= room or most == 0
    assert stored_size(most + 1) > room


@settings(max_examples=60, deadline=None)
@given(total=st.integers(1, 1 << 30), text=st.integers(1, 100_000), split=st.integers(3_000_000, 1 << 30))
def test_volumes_hold_everything_once_in_order_and_none_is_too_long(total: int, text: int, split: int) -> None:
    volumes = lay_out(bundle="a" * 64, text_bytes=text, total=total, split=split)
    ends = list(accumulate(one.length for one in volumes))
    assert [one.start for one in volumes] == [0, *ends[:-1]]
    assert ends[-1] == total
    assert all(one.size() <= split for one in volumes)
    assert all(split - one.size() < 20 for one in volumes[:-1]), "filled but for less than one block's beginning"
    for one in volumes[:3]:
        assert len(one.label()) == LABEL_BYTES
        assert parse_label(one.label(), name="x") == one


def test_too_many_volumes_are_refused_with_a_size_that_works() -> None:
    with pytest.raises(WrongUsage, match="too short") as stop:
        lay_out(bundle="a" * 64, text_bytes=1000, total=700 << 30, split=1 << 20)
    assert stop.value.hint == "`--split` of at least 79.6 MiB"
