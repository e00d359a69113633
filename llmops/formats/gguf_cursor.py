"""A place in a GGUF header, moving forward: numbers, texts, and what is passed over."""

import struct

from llmops.domain.errors import WrongInput
from llmops.formats.beginning import Beginning

AGAIN = "it is damaged or made to mislead: fetch it again from where it is published"

U32 = struct.Struct("<I")
U64 = struct.Struct("<Q")


class Cursor:
    """Every step is checked against the file's end; what is not there yet is fetched."""

    __slots__ = ("at", "file")

    def __init__(self, file: Beginning) -> None:
        self.file = file
        self.at = 0

    def unpack(self, form: struct.Struct) -> tuple[int, ...]:
        """The next numbers, as `form` says."""
        end = self.at + form.size
        if end > len(self.file.buffer):
            self.file.need(end)
        values = form.unpack_from(self.file.buffer, self.at)
        self.at = end
        return values

    def number(self, form: struct.Struct) -> int:
        """The next number."""
        return self.unpack(form)[0]

    def take(self, length: int) -> bytes:
        """The next `length` bytes."""
        end = self.at + length
        if end > len(self.file.buffer):
            self.file.need(end)
        raw = bytes(self.file.buffer[self.at : end])
        self.at = end
        return raw

    def skip(self, length: int) -> None:
        """Go on without keeping; the bytes must be there."""
        self.file.need(self.at + length)
        self.at += length

    def text(self, words: str, limit: int) -> str:
        """A length and as many bytes of UTF-8, at most `limit`; `words` name it in a refusal."""
        length = self.number(U64)
        if length > limit:
            raise self.wrong(f"{words} is {length} bytes long; {limit} is the limit")
        raw = self.take(length)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise self.wrong(f"{words} is not UTF-8: {raw[:64]!a}") from None

    def wrong(self, message: str, *, hint: str = AGAIN) -> WrongInput:
        """A refusal that names the file."""
        return self.file.wrong(message, hint=hint)


def shown(value: object) -> str:
    """Text of unknown origin for a message: short, no control characters."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:76]}…{text[-1]}"
