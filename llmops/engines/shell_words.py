"""A shell script as commands of words, each word in pieces: how a piece is quoted decides what becomes of it.

Redirections, comments and here-documents are left out. Source: POSIX.1-2024, "Shell Command Language", 2.2 and 2.3.
"""

import re
from collections.abc import Iterator

from llmops.domain.records import dataclass

_ENDS = ";&|\n"


class ScriptError(Exception):
    """A script that no shell would read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a word: how it is quoted decides what is filled in and split."""

    text: str
    is_quoted: bool
    is_literal: bool


Word = list[Piece]


def plain(word: Word) -> str | None:
    """The text of a word that is not quoted anywhere."""
    return "".join(one.text for one in word) if not any(one.is_quoted for one in word) else None


class Scanner:
    """A walk over the characters of a script."""

    def __init__(self, script: str) -> None:
        self.text = script
        self.at = 0
        self.here: list[str] = []

    def commands(self) -> Iterator[list[Word]]:
        """Commands as lists of words."""
        words: list[Word] = []
        is_array = False
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in " \t\r" or self.text.startswith("\\\n", self.at) or (char == "\n" and is_array):
                self.at += 2 if char == "\\" else 1
            elif char == "#":
                self._skip_line()
            elif char in "<>":
                self._skip_redirection(words)
            elif char in "()":
                is_array = self._parenthesis(words, is_array=is_array)
                if not is_array and plain(words[-1] if words else []) != ")":
                    yield words
                    words = []
            elif char in _ENDS:
                self.at += 1
                if char == "\n":
                    self._skip_documents()
                yield words
                words = []
            else:
                words.append(self._word())
        yield words

    def _parenthesis(self, words: list[Word], *, is_array: bool) -> bool:
        """One that opens or closes an array; whether the words behind it are the array's."""
        opens = self.text[self.at] == "("
        begins = opens and bool(words) and self._is_array(words[-1])
        if begins:
            words[-1].append(Piece(text="(", is_quoted=False, is_literal=True))
        elif is_array and not opens:
            words.append([Piece(text=")", is_quoted=False, is_literal=True)])
        self.at += 1
        return begins

    def _is_array(self, word: Word) -> bool:
        before = self.text[self.at - 1 : self.at]
        return before == "=" and re.match(r"[A-Za-z_][A-Za-z0-9_]*\+?=", word[0].text) is not None

    def _skip_line(self) -> None:
        end = self.text.find("\n", self.at)
        self.at = len(self.text) if end < 0 else end

    def _skip_redirection(self, words: list[Word]) -> None:
        if words and self.text[self.at - 1].isdecimal() and (plain(words[-1]) or "").isdecimal():
            words.pop()  # `2>`: a file descriptor, no word
        match = re.compile(r"[<>&|]+-?[ \t]*").match(self.text, self.at)
        operator = match[0] if match is not None else ""
        self.at += len(operator)
        if self.at < len(self.text) and self.text[self.at] not in _ENDS:
            target = "".join(one.text for one in self._word())
            if operator.startswith("<<") and not operator.startswith("<<<"):
                self.here.append(target)

    def _skip_documents(self) -> None:
        """Lines of here-documents that begin behind this line."""
        for end in self.here:
            while self.at < len(self.text):
                line, _, _ = self.text[self.at :].partition("\n")
                self.at += len(line) + 1
                if line.strip("\t") == end:
                    break
        self.here = []

    def _word(self) -> Word:
        pieces: Word = []
        bare = ""
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in " \t\r" + _ENDS + "()<>":
                break
            if char == "\\":
                following = self.text[self.at + 1 : self.at + 2]
                self.at += 2
                if following != "\n":
                    pieces += [*_bare(bare), _literal(following)]
                    bare = ""
            elif char in "'\"":
                pieces += [*_bare(bare), *(self._single() if char == "'" else self._double())]
                bare = ""
            elif self.text.startswith(("$(", "${"), self.at) or char == "`":
                whole = self._substitution()
                bare += whole if whole.startswith("${") else ""
                if not whole.startswith("${"):
                    pieces += [*_bare(bare), _literal(whole)]
                    bare = ""
            else:
                bare += char
                self.at += 1
        return [*pieces, *_bare(bare)]

    def _single(self) -> Word:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise ScriptError("No closing quotation")
        text, self.at = self.text[self.at + 1 : end], end + 1
        return [_literal(text)]

    def _double(self) -> Word:
        pieces: Word = []
        text = ""
        self.at += 1
        while self.at < len(self.text) and self.text[self.at] != '"':
            if self.text[self.at] == "\\":
                following = self.text[self.at + 1 : self.at + 2]
                self.at += 2
                if following in ("$", "`", '"', "\\"):
                    pieces += [_quoted(text), _literal(following)]
                    text = ""
                elif following != "\n":
                    text += "\\" + following
            elif self.text.startswith(("$(", "`", "${"), self.at):
                whole = self._substitution()
                if whole.startswith("${"):
                    text += whole
                else:
                    pieces += [_quoted(text), _literal(whole)]
                    text = ""
            else:
                text += self.text[self.at]
                self.at += 1
        if self.at >= len(self.text):
            raise ScriptError("No closing quotation")
        self.at += 1
        return [*pieces, _quoted(text)]

    def _substitution(self) -> str:
        """`$(…)`, `${…}` or a backquoted command as it is written."""
        start = self.at
        if self.text[start] == "`":
            end = self.text.find("`", start + 1)
        else:
            opening = self.text[start + 1]
            closing = {"(": ")", "{": "}"}[opening]
            open_count, end = 0, -1
            for here in range(start + 1, len(self.text)):
                open_count += {opening: 1, closing: -1}.get(self.text[here], 0)
                if not open_count:
                    end = here
                    break
        if end < 0:
            raise ScriptError("a substitution is opened and not closed")
        self.at = end + 1
        return self.text[start : self.at]


def _bare(text: str) -> Word:
    return [Piece(text=text, is_quoted=False, is_literal=False)] if text else []


def _quoted(text: str) -> Piece:
    return Piece(text=text, is_quoted=True, is_literal=False)


def _literal(text: str) -> Piece:
    return Piece(text=text, is_quoted=True, is_literal=True)
