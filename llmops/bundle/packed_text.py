"""Text packed by zstd: Python's own from 3.14 on, else the package `zstandard`. Unpacking is bounded."""

import sys
from importlib import import_module
from typing import Any

from llmops.bundle.refusal import COPY_AGAIN, refusal
from llmops.bundle.stored_zstd import MAGIC
from llmops.domain.errors import OutsideWorld

LEVEL = 19
"""The text of a bundle is some 100 KB: the slowest usual level takes a fraction of a second."""

HINT = "`pip install zstandard`; without it: `zstd -dc FILE… | tar -xf -`, then give the folder that this makes"


def pack(text: bytes, *, level: int = LEVEL) -> bytes:
    """One frame. The same bytes for the same text, level and version of the library."""
    if sys.version_info >= (3, 14):
        return bytes(_library("compression.zstd").compress(text, level=level))
    return bytes(_library("zstandard").ZstdCompressor(level=level, write_checksum=False).compress(text))


def unpack(packed: bytes, *, limit: int, name: str) -> bytes:
    """The text of one frame, never more than `limit` bytes of it. Raises `WrongInput` for what is none."""
    if packed[:4] != MAGIC:
        raise refusal(name, "its text part is not zstd")
    if sys.version_info >= (3, 14):
        text, is_whole = _unpack_with_own(packed, limit)
    else:
        text, is_whole = _unpack_with_package(packed, limit)
    if len(text) > limit:
        raise refusal(name, f"its text unpacks to more than {limit >> 20} MiB: refused", hint="make the bundle again")
    if not is_whole:
        raise refusal(name, "its text part is damaged", hint=COPY_AGAIN)
    return text


def _unpack_with_own(packed: bytes, limit: int) -> tuple[bytes, bool]:
    library = _library("compression.zstd")
    reader = library.ZstdDecompressor()
    try:
        text: bytes = reader.decompress(packed, max_length=limit + 1)
    except library.ZstdError:
        return b"", False
    return text, bool(reader.eof) and not reader.unused_data


def _unpack_with_package(packed: bytes, limit: int) -> tuple[bytes, bool]:
    library = _library("zstandard")
    reader = library.ZstdDecompressor(max_window_size=128 << 20).stream_reader(packed, read_across_frames=False)
    pieces, size = [], 0
    try:
        while size <= limit and (piece := reader.read(1 << 20)):
            pieces.append(piece)
            size += len(piece)
        parameters = library.get_frame_parameters(packed)
    except (library.ZstdError, MemoryError):
        return b"", False
    text = b"".join(pieces)
    return text, parameters.content_size in (len(text), library.CONTENTSIZE_UNKNOWN)  # a cut one is told by its members


def _library(name: str) -> Any:  # noqa: ANN401 - two libraries, of which each Python has one
    try:
        return import_module(name)
    except ImportError:
        raise OutsideWorld("zstd is not here: a bundle in one file cannot be written or read", hint=HINT) from None
