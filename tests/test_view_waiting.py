"""What is waited for: shown where it takes long, gone when it is there."""

import io

from llmops.views.waiting import Clock, show_waiting


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_terminal_sees_the_seconds_and_then_nothing() -> None:
    stream, hands = io.StringIO(), Hands()
    clock = Clock(stream, is_terminal=True, clock=hands)
    clock.wait_for("the cards (NVML)")
    for seconds in (0.2, 1.0, 1.1, 2.0):
        hands.seconds = seconds
        clock.tick()
    clock.wait_for("")
    assert stream.getvalue() == (
        "\r\x1b[Kwaiting for the cards (NVML): 1 s\r\x1b[Kwaiting for the cards (NVML): 2 s\r\x1b[K"
    )


def test_a_pipe_gets_one_line_for_what_takes_long() -> None:
    stream, hands = io.StringIO(), Hands()
    clock = Clock(stream, is_terminal=False, clock=hands)
    clock.wait_for("docker")
    for seconds in (1.0, 6.0, 9.0):
        hands.seconds = seconds
        clock.tick()
    clock.wait_for("")
    assert stream.getvalue() == "waiting for docker\n"


def test_what_answers_at_once_is_not_shown() -> None:
    stream = io.StringIO()
    with show_waiting(stream, {}) as waiting:
        waiting("lspci")
        waiting("")
    assert stream.getvalue() == ""
