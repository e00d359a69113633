"""Two changes of one file joined line by line: nothing is lost, nothing is invented, and git says the same."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.changes.merge import lines, merge

TEXT = st.text(st.sampled_from("ab\n"), max_size=24)


@st.composite
def _edited(draw: st.DrawFn) -> tuple[str, str, str]:
    """A text of lines that differ, and two edits of it: lines taken out, replaced, or put in."""
    base = [f"line {at}\n" for at in range(draw(st.integers(0, 12)))]

    def edit(side: str) -> str:
        out: list[str] = []
        for at, line in enumerate([*base, ""]):
            what = draw(st.sampled_from(["same", "same", "same", "out", "other", "before", "shared"]))
            out += [f"{side} before {at}\n"] if what == "before" else []
            out += ["both\n"] if what == "shared" else []
            out += [line] if what in ("same", "before") else [f"{side} {at}\n"] if what == "other" else []
        return "".join(out)

    return "".join(base), edit("here"), edit("now")


@given(TEXT)
def test_lines_are_the_text_again(text: str) -> None:
    assert "".join(lines(text)) == text


@given(TEXT, TEXT)
def test_a_side_that_did_not_change_gives_way(last: str, other: str) -> None:
    for merged in (merge(last, other, last), merge(last, last, other), merge(last, other, other)):
        assert (merged.text, merged.clashes) == (other, ())


@given(_edited())
def test_both_sides_clash_alike_and_a_clean_merge_is_the_same_from_either(case: tuple[str, str, str]) -> None:
    last, here, now = case
    one, other = merge(last, here, now), merge(last, now, here)
    assert len(one.clashes) == len(other.clashes)
    if not one.clashes:
        assert one.text == other.text


@given(_edited())
def test_every_line_comes_from_a_side_and_none_that_both_have_is_lost(case: tuple[str, str, str]) -> None:
    last, here, now = case
    merged = merge(last, here, now)
    assert set(lines(merged.text)) <= set(lines(here)) | set(lines(now))
    assert set(lines(here)) & set(lines(now)) <= set(lines(merged.text)) | {
        line for clash in merged.clashes for line in clash.now
    }
    if not merged.clashes:
        new = (set(lines(here)) | set(lines(now))) - set(lines(last))
        assert new <= set(lines(merged.text)), "what either put in is there"


@pytest.mark.consumer("git")
@settings(max_examples=60)
@given(_edited())
def test_git_joins_the_same_changes_to_the_same_text(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[str, str, str]
) -> None:
    """`--diff3` keeps git from splitting a clash into smaller ones, which it does otherwise."""
    place = tmp_path_factory.mktemp("merge")
    for name, text in zip(("last", "here", "now"), case, strict=True):
        (place / name).write_text(text)
    ran = _git(place)
    merged = merge(*case)
    assert (ran.returncode == 0) == (not merged.clashes)
    if not merged.clashes:
        assert ran.stdout == merged.text
    else:
        assert ran.stdout.count("<<<<<<< ") == len(merged.clashes)


def _git(place: Path) -> subprocess.CompletedProcess[str]:
    argv = ["git", "merge-file", "-p", "--diff3", "here", "last", "now"]
    return subprocess.run(argv, cwd=place, capture_output=True, text=True, check=False)


def test_a_clash_says_where_and_what_all_three_say() -> None:
    merged = merge("a\nb\nc\n", "a\nB\nc\nd\n", "a\nX\nc\n")
    [clash] = merged.clashes
    assert (clash.line, clash.last, clash.here, clash.now) == (2, ("b\n",), ("B\n",), ("X\n",))
    assert merged.text == "a\nB\nc\nd\n"


def test_changes_that_touch_are_not_joined() -> None:
    assert merge("a\nb\n", "A\nb\n", "a\nB\n").clashes
    assert not merge("a\n-\nb\n", "A\n-\nb\n", "a\n-\nB\n").clashes


def test_a_missing_last_line_end_is_a_change_like_any_other() -> None:
    assert merge("a\nb\n", "a\nb", "x\na\nb\n").text == "x\na\nb"
    assert merge("a\n", "a", "a\nb\n").clashes
