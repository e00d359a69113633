"""The simple commands of a shell script, with what is known of its variables filled in; nothing is run.

Read are quotes, continued lines, comments, assignments that stand before a command or alone (`A=1`, `export A=1`,
`ARGS=(-c 1)`), `$NAME` with its defaults, `"$@"`, and the words behind keywords; redirections and here-documents are left
out. What a variable or `$(…)` holds that is not known stays as it is written. Source: POSIX.1-2024, "Shell Command Language".
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from llmops.domain.records import dataclass
from llmops.engines.shell_words import Piece, Scanner, Word, plain

KEYWORDS = frozenset(
    {"if", "then", "else", "elif", "while", "until", "do", "{", "}", "!", "time", "fi", "done", "esac"}
)
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=(.*)", re.ASCII | re.DOTALL)
EXPORTS = ("export", "local", "readonly", "declare", "typeset")

_VARIABLE = re.compile(
    r"\$(?:(?P<plain>[A-Za-z_][A-Za-z0-9_]*|[0-9@*])|"
    r"\{(?P<name>[A-Za-z_][A-Za-z0-9_]*|[0-9@*])(?P<all>\[[@*]\])?(?:(?P<how>:?[-=+?])(?P<other>[^}]*))?\})",
    re.ASCII,
)
_ALONE = re.compile(r"\$(?:[@*]|\{[@*]\})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """The words of one command and the environment it is started in."""

    words: tuple[str, ...]
    environment: Mapping[str, str]


def commands(script: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[Command]:
    """Every simple command in the order it is written. Raises `ScriptError` for a quote that is not closed."""
    values = dict(environment)
    arrays: dict[str, list[str]] = {"@": list(arguments), "*": list(arguments)}
    for number, one in enumerate(arguments[:9], start=1):
        values[str(number)] = one
    for written in Scanner(script).commands():
        given = _without_keywords(written)
        own: dict[str, str] = {}
        while given and (match := _assignment(given[0])) is not None:
            name, adds, rest = match
            if given[0][-1].text == "(" and len(given[0]) > 1:
                end = next((at for at, word in enumerate(given) if plain(word) == ")"), len(given))
                items = [text for word in given[1:end] for text in _words(word, values, arrays)]
                arrays[name] = [*(arrays.get(name, []) if adds else []), *items]
                given = given[end + 1 :]
                continue
            own[name] = (values.get(name, "") if adds else "") + "".join(_filled(one, values, arrays) for one in rest)
            given = given[1:]
        if not given:
            values |= own
            continue
        words = tuple(text for word in given for text in _words(word, values, arrays))
        if words and words[0] in EXPORTS:
            pairs = [one.partition("=") for one in words[1:]]
            values |= {name: value for name, equals, value in pairs if equals}
            continue
        started = {name: value for name, value in {**values, **own}.items() if not name.isdecimal()}
        yield Command(words=words, environment=started)


def _without_keywords(words: list[Word]) -> list[Word]:
    at = 0
    while at < len(words) and plain(words[at]) in KEYWORDS:
        at += 1
    return words[at:]


def _assignment(word: Word) -> tuple[str, bool, Word] | None:
    """Name, whether it is added to what is there, and the pieces of the value."""
    first = word[0] if word else None
    match = _ASSIGNMENT.fullmatch(first.text) if first is not None and not first.is_quoted else None
    if match is None:
        return None
    rest = Piece(text=match[3], is_quoted=False, is_literal=False)
    return match[1], bool(match[2]), [rest, *word[1:]]


def _words(word: Word, values: Mapping[str, str], arrays: Mapping[str, list[str]]) -> list[str]:
    """The words one word becomes: `"$@"` and arrays are many, an unquoted variable is split."""
    made: list[str] = [""]
    is_word = False
    for piece in (part for one in word for part in _parts(one)):
        many = None if piece.is_literal else _many(piece.text, arrays)
        if many is None:
            text = _filled(piece, values, arrays)
            is_word = is_word or piece.is_quoted
            if piece.is_quoted or text == piece.text or not text:
                made[-1] += text
                continue
            many = [*([""] if text[0].isspace() else []), *text.split()]
        elif not piece.is_quoted:
            many = [part for one in many for part in one.split()]
        if many:
            made = [*made[:-1], made[-1] + many[0], *many[1:]]
            is_word = True
    return made if is_word or made != [""] else []


def _parts(piece: Piece) -> list[Piece]:
    """The piece, cut where what is many stands in other text."""
    if piece.is_literal:
        return [piece]
    parts: list[Piece] = []
    at = 0
    for match in _VARIABLE.finditer(piece.text):
        if match["all"] or _ALONE.fullmatch(match[0]):
            texts = [piece.text[at : match.start()], match[0]]
            parts += [replace(piece, text=text) for text in texts if text]
            at = match.end()
    return [*parts, replace(piece, text=piece.text[at:])] if at < len(piece.text) or not parts else parts


def _many(text: str, arrays: Mapping[str, list[str]]) -> list[str] | None:
    match = _VARIABLE.fullmatch(text)
    if match is None or not (match["all"] or _ALONE.fullmatch(text)):
        return None
    name = match["plain"] or match["name"]
    return list(arrays[name]) if name in arrays else None


def _filled(piece: Piece, values: Mapping[str, str], arrays: Mapping[str, list[str]]) -> str:
    if piece.is_literal:
        return piece.text
    return _VARIABLE.sub(lambda match: _value(match, values, arrays), piece.text)


def _value(match: re.Match[str], values: Mapping[str, str], arrays: Mapping[str, list[str]]) -> str:
    name, how = match["plain"] or match["name"], match["how"] or ""
    if name in arrays:
        return " ".join(arrays[name])
    value = values.get(name)
    is_set = bool(value) if how.startswith(":") else value is not None
    if how.endswith("+"):
        return (match["other"] or "") if is_set else ""
    if is_set and value is not None:
        return value
    return match["other"] if how.endswith(("-", "=")) else match[0]
