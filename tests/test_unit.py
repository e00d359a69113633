"""What systemd would read from a unit's lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.domain.errors import WrongInput
from llmops.domain.finding import Where
from llmops.formats.unit import command_line, settings

HERE = Where(file="x.service")


def argv(value: str) -> tuple[str, ...]:
    return command_line(value, specifiers={"d": "/run/credentials"}, where=HERE)


def test_sections_comments_and_joined_lines_are_read_as_systemd_reads_them() -> None:
    text = "[Unit]\n# a comment\nDescription=one\n[Service]\nExecStart=/bin/x \\\n    --port 1\n;no\nExecStart=/bin/y\n"
    read = [(one.section, one.key, " ".join(one.value.split()), one.line) for one in settings(text, file="x.service")]
    assert read == [
        ("Unit", "Description", "one", 3),
        ("Service", "ExecStart", "/bin/x --port 1", 5),
        ("Service", "ExecStart", "/bin/y", 8),
    ]


def test_a_line_that_is_no_assignment_is_refused_with_its_number() -> None:
    with pytest.raises(WrongInput) as refused:
        settings("[Unit]\nnonsense\n", file="x.service")
    assert refused.value.where == Where(file="x.service", line=2)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("/bin/x a  b", ("/bin/x", "a", "b")),
        ('/bin/x "a b" \'c "d"\'', ("/bin/x", "a b", 'c "d"')),
        (r"/bin/x a\x20b \t", ("/bin/x", "a b", "\t")),
        ("/bin/x 100%% $$HOME", ("/bin/x", "100%", "$HOME")),
        ("/bin/x %d/key ''", ("/bin/x", "/run/credentials/key", "")),
    ],
)
def test_words_quotes_escapes_and_specifiers(value: str, words: tuple[str, ...]) -> None:
    assert argv(value) == words


@pytest.mark.parametrize("value", ["/bin/x 'open", "/bin/x ${KEY}", "/bin/x $KEY", "/bin/x %i", r"/bin/x \q"])
def test_what_cannot_be_known_or_is_broken_is_refused(value: str) -> None:
    with pytest.raises(WrongInput):
        argv(value)


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="$%\\'\" \x85\xa0"), min_size=1))
)
def test_plain_words_come_back_as_they_are(words: list[str]) -> None:
    plain = [word for word in words if not any(char.isspace() for char in word)]
    assert argv(" ".join(plain)) == tuple(plain)
