"""Options that cannot all be meant are refused before a command begins, whichever comes first."""

import pytest

from llmops.cli.app import COMMANDS, load, run
from llmops.cli.clashes import Alone, Clash, refuse
from llmops.domain.errors import WrongUsage

ROWS = (
    Clash(option="--json", others=("--format",), unless="json", why="is a format", hint="leave out one of them"),
    Alone(options=("--from", "--mirror"), needed="--repair"),
)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"--json": "True", "--format": "junit"}, "`--json` is a format: `--format` has no place beside it"),
        ({"--format": "text", "--json": "True"}, "`--json` is a format: `--format` has no place beside it"),
        ({"--from": "/mnt"}, "`--from` is for `--repair`"),
    ],
)
def test_what_would_be_passed_over_is_refused(typed: dict[str, str], said: str) -> None:
    with pytest.raises(WrongUsage) as stopped:
        refuse(typed, ROWS)
    assert stopped.value.message == said
    assert stopped.value.hint


@pytest.mark.parametrize(
    "typed",
    [
        {},
        {"--json": "True"},
        {"--format": "junit"},
        {"--json": "True", "--format": "json"},
        {"--repair": "True", "--from": "x"},
    ],
)
def test_what_can_be_meant_is_not(typed: dict[str, str]) -> None:
    refuse(typed, ROWS)


def _clashes() -> list[tuple[str, Clash | Alone]]:
    import importlib

    modules = [(name, importlib.import_module(f"llmops.cli.{name}")) for name in COMMANDS]
    return [(name, row) for name, module in modules for row in getattr(module, "CLASHES", ())]


def test_every_option_of_a_clash_is_one_of_its_command() -> None:
    found = _clashes()
    assert len({name for name, _ in found}) >= 4
    for name, row in found:
        known = {option.opts[0] for option in load(name).params}
        named = {row.option, *row.others} if isinstance(row, Clash) else {*row.options, row.needed}
        assert named <= known, name


@pytest.mark.parametrize(
    "words",
    [
        ("verify", "--from", "/mnt"),
        ("lock", "--check", "--offline", "--facts", "x.json"),
        ("explain", "--model", "a", "--lock", "b", "--", "llama-server", "-m", "x.gguf"),
        ("doctor", "--fix-script", "--format", "junit"),
    ],
)
def test_a_command_says_so_before_it_begins(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 2
    assert "has no place beside it" in (said := capsys.readouterr().err) or "is for `--repair`" in said
    assert "hint: " in said
