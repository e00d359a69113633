"""Zstandard without compressing: frames of raw blocks, in which the place of every byte is known by arithmetic.

Model files are random to a compressor (see docs/air-gapped.md), so nothing is lost, `zstd -d` reads them, and a reader can
begin at any byte without reading what is before it. Source: RFC 8878, 3.1.1 (frames), 3.1.1.2 (blocks), 3.1.2 (skippable).
"""

import struct

MAGIC = b"\x28\xb5\x2f\xfd"
SKIPPABLE = b"\x50\x2a\x4d\x18"
BLOCK_BYTES = 128 << 10
"""The longest a block may be."""

FRAME_BYTES = 128 * BLOCK_BYTES
"""Content of one frame, 16 MiB: the unit in which volumes are filled."""

_DESCRIPTOR = 0xC0
"""Content size in 8 bytes; no checksum (SHA256SUMS has a better one), no dictionary, a window descriptor."""

_WINDOW = (17 - 10) << 3
"""A window of 128 KiB: a decoder keeps no more in memory."""

FRAME_HEADER_BYTES = 14
BLOCK_HEADER_BYTES = 3
STRIDE = BLOCK_HEADER_BYTES + BLOCK_BYTES


def frame_header(content: int) -> bytes:
    """What a frame of so many bytes begins with."""
    return MAGIC + bytes((_DESCRIPTOR, _WINDOW)) + struct.pack("<Q", content)


def block_header(length: int, *, last: bool) -> bytes:
    """What a raw block begins with: bit 0 the last of its frame, bits 1 and 2 its type (0: raw), then its length."""
    return struct.pack("<I", length << 3 | int(last))[:3]


def frame_size(content: int) -> int:
    """Bytes that a frame takes."""
    blocks = max(1, -(-content // BLOCK_BYTES))
    return FRAME_HEADER_BYTES + content + blocks * BLOCK_HEADER_BYTES


def stored_size(content: int) -> int:
    """Bytes that all frames of so much content take; none for no content."""
    whole, rest = divmod(content, FRAME_BYTES)
    return whole * frame_size(FRAME_BYTES) + (frame_size(rest) if rest else 0)


def content_that_fits(room: int) -> int:
    """The most content whose frames take at most `room` bytes."""
    whole, rest = divmod(max(0, room), frame_size(FRAME_BYTES))
    rest -= FRAME_HEADER_BYTES
    blocks, part = divmod(max(0, rest), STRIDE)
    return whole * FRAME_BYTES + blocks * BLOCK_BYTES + max(0, part - BLOCK_HEADER_BYTES)


def marks(at: int, length: int) -> bytes:
    """What stands before the content byte `at` in content of `length` bytes: a frame's and a block's beginning, or nothing."""
    inside = at % FRAME_BYTES
    if inside % BLOCK_BYTES:
        return b""
    frame = min(FRAME_BYTES, length - (at - inside))
    block = min(BLOCK_BYTES, frame - inside)
    beginning = frame_header(frame) if inside == 0 else b""
    return beginning + block_header(block, last=inside + block == frame)


def place(at: int) -> int:
    """Where the marks of the block that holds content byte `at` begin, counted from the first frame's start."""
    frame, inside = divmod(at, FRAME_BYTES)
    block = inside // BLOCK_BYTES
    return frame * frame_size(FRAME_BYTES) + (FRAME_HEADER_BYTES if block else 0) + block * STRIDE


def skippable(content: bytes) -> bytes:
    """A frame that decoders pass over."""
    return SKIPPABLE + struct.pack("<I", len(content)) + content
