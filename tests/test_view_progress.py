"""What a transfer shows on stderr: how far it is, and why nothing moves."""

import io
import json

from llmops.domain.transfer import Moved
from llmops.views.progress import Lines, ProgressStyle, show_progress

STUCK = Moved(name="a.gguf", done_bytes=10, total_bytes=100, trouble="the hub answers 503: tried again in 2 s")
DONE = Moved(name="a.gguf", done_bytes=100, total_bytes=100)


def test_a_pipe_gets_a_line_for_each_step_and_for_each_pause() -> None:
    stream = io.StringIO()
    lines = Lines(stream, total_bytes=100, verb="pull", clock=lambda: 0.0)
    for event in (STUCK, DONE):
        lines(event)
    assert stream.getvalue().splitlines() == [
        "a.gguf: the hub answers 503: tried again in 2 s",
        "pull  10 %  10 B of 100 B",
        "pull 100 %  100 B of 100 B",
    ]


def test_a_program_gets_an_event_for_each() -> None:
    stream = io.StringIO()
    with show_progress(ProgressStyle.JSON, stream, {}, total_bytes=100, verb="pull") as progress:
        for event in (STUCK, DONE):
            progress(event)
    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (first["event"], first["why"], first["done_bytes"]) == ("retry", STUCK.trouble, 10)
    assert (second["event"], second["done_bytes"]) == ("progress", 100)
    assert "why" not in second


def test_nobody_is_told_where_nothing_was_asked_for() -> None:
    stream = io.StringIO()
    with show_progress(ProgressStyle.NONE, stream, {}, total_bytes=100, verb="pull") as progress:
        progress(STUCK)
    assert stream.getvalue() == ""
