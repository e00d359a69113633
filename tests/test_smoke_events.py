"""Server-sent events: any cut of the bytes gives the same events."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.serve.event_stream import EVENT_LIMIT_BYTES, EventStream, EventTooLongError


def fed(pieces: list[bytes]) -> list[str]:
    stream = EventStream()
    return [event for piece in pieces for event in stream.feed(piece)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_end_in_any_of_the_three_ways(end: bytes) -> None:
    body = end.join(
        [b": hello", b"data: one", b"", b"event: x", b"data:two", b"data: three", b"id: 4", b"", b"data: x"]
    )
    assert fed([body]) == ["one", "two\nthree"]


def test_a_byte_order_mark_is_no_part_of_the_first_field() -> None:
    assert fed([b"\xef", b"\xbb\xbfda", b"ta: one\n\n"]) == ["one"]


def test_an_event_without_its_empty_line_is_not_given() -> None:
    assert fed([b"data: one\n"]) == []


def test_keep_alives_and_empty_lines_are_no_events() -> None:
    assert fed([b"\n\n: ping\n\n: ping\n\n"]) == []


def test_an_event_that_does_not_end_is_refused() -> None:
    lines = [b"data: " + b"x" * 10_000 + b"\n"] * (EVENT_LIMIT_BYTES // 10_000 + 2)
    with pytest.raises(EventTooLongError):
        fed(lines)


LINES = st.lists(
    st.sampled_from([b"data: a", b"data:", b"data: \xff\xfe", b"", b": c", b"id: 7", b"\xe2\x82\xac", b"data: [DONE]"])
)


@given(lines=LINES, end=st.sampled_from([b"\n", b"\r\n", b"\r"]), cuts=st.lists(st.integers(0, 200)))
def test_wherever_the_stream_is_cut_the_events_are_the_same(lines: list[bytes], end: bytes, cuts: list[int]) -> None:
    body = end.join([*lines, b"", b"", b"last"])
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    pieces = [body[start:stop] for start, stop in pairwise(places)]
    assert fed(pieces) == fed([body])


@given(pieces=st.lists(st.binary(max_size=60)))
def test_any_bytes_are_read_without_an_error(pieces: list[bytes]) -> None:
    assert all(isinstance(event, str) for event in fed(pieces))
