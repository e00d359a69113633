"""What a terminal gets: wrapped text that stays readable, and no markup but ours."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from llmops.domain.finding import Finding, Status, Where
from llmops.formats import catalogue
from llmops.library import shipped
from llmops.views.catalog import show_gpus, show_models, show_sizes
from llmops.views.screen import BETWEEN, PlainScreen, RichScreen, Tone, columns_that_fit, show_findings

MODELS = catalogue.models(shipped.text("catalogue", "models.json"))
GPUS = catalogue.gpus(shipped.text("catalogue", "gpus.json"))


def on_a_terminal(width: int) -> tuple[RichScreen, io.StringIO]:
    stream = io.StringIO()
    return RichScreen(Console(file=stream, width=width, force_terminal=True, no_color=True, color_system=None)), stream


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("  - one two three four five six seven", "  - one two three four five\n    six seven\n"),
        ("  fix: one two three four five six", "  fix: one two three four\n       five six\n"),
        ("plain words that are longer than it", "plain words that are longer\nthan it\n"),
        ("", "\n"),
        ("two\nlines", "two\nlines\n"),
        ("a [bold]name[/bold] :smile: [/] is text", "a [bold]name[/bold] :smile:\n[/] is text\n"),
    ],
)
def test_a_line_goes_on_below_its_first_word(text: str, shown: str) -> None:
    screen, stream = on_a_terminal(29)
    screen.line(text)
    assert stream.getvalue() == shown


def test_a_finding_s_words_stand_in_one_column() -> None:
    screen, stream = on_a_terminal(40)
    finding = Finding(
        code="ABC001", status=Status.WARN, message="something is not as it should be here", fix="type this and that",
        where=Where(file="llmops.yaml", line=3),
    )  # fmt: skip
    show_findings(screen, [finding])
    assert stream.getvalue().splitlines() == [
        "warn  ABC001  something is not as it",
        "              should be here",
        "      --> llmops.yaml:3",
        "      fix: type this and that",
    ]


def test_where_there_is_no_room_beside_the_mark_the_text_wraps_at_the_edge() -> None:
    screen, stream = on_a_terminal(24)
    screen.line("warn  ABC001  words of a finding that go on", tone=Tone.WARN)
    assert max(map(len, stream.getvalue().splitlines())) <= 24
    assert stream.getvalue().split() == ["warn", "ABC001", "words", "of", "a", "finding", "that", "go", "on"]


def test_a_pipe_gets_the_line_as_it_is() -> None:
    stream = io.StringIO()
    PlainScreen(stream).line("  - " + "word " * 50)
    assert stream.getvalue().count("\n") == 1


def test_a_narrow_terminal_gives_up_whole_columns_in_the_order_that_is_said() -> None:
    head, rows = ("card", "memory", "left"), [("RTX 4090", "24.00 GiB", "1.00 GiB")]
    every = len("RTX 4090") + len("24.00 GiB") + len("1.00 GiB") + 3 * BETWEEN
    gone = ("left", "memory")
    assert columns_that_fit(head, rows, width=every, first_left_out=gone) == (0, 1, 2)
    assert columns_that_fit(head, rows, width=every - 1, first_left_out=gone) == (0, 1)
    assert columns_that_fit(head, rows, width=4, first_left_out=gone) == (0,)
    assert columns_that_fit(head, rows, width=4, first_left_out=()) == (0, 1, 2)


@pytest.mark.parametrize(
    ("show", "gone"),
    [
        (lambda to: show_models(MODELS[:40], 298, to), "active, licence, repository"),
        (lambda to: show_gpus(GPUS[:40], 179, to), "FP16 TFLOPS, also"),
        (lambda to: show_sizes("m", [("Q4_K_M", 16 << 30, 15 << 30, 17 << 30, 4.9, "basis")], to), "bits a parameter"),
    ],
)
def test_lists_of_the_catalogue_fit_60_columns_a_row_a_line(show: Callable[[RichScreen], None], gone: str) -> None:
    to, stream = on_a_terminal(60)
    show(to)
    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    assert max(len(line) for line in lines) <= 60
    assert f"no room in 60 columns for: {gone}" in lines
    names = [row.id for row in MODELS[:40]] + [row.name for row in GPUS[:40]] + ["Q4_K_M"]
    rows = [line for line in lines if any(line.startswith((f" {name} ", f"{name} ")) for name in names)]
    assert len(rows) in (1, 40), "no name is broken over two lines"


def test_a_line_of_a_diff_stays_one_line_with_its_blanks() -> None:
    screen, stream = on_a_terminal(20)
    row = "+" + "word " * 10
    screen.verbatim(f"{row}\n", tone=Tone.GOOD)
    assert stream.getvalue() == f"{row}\n"
