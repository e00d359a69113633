"""A bundle as a tar archive: one way to write each member (POSIX ustar), and nothing else is read.

A member is read by writing its header again and comparing all 512 bytes. What this program does not write (links, devices,
sparse files, extensions that rename) has no way in, and the place of every byte follows from the manifest alone.
"""

from collections.abc import Iterator

from llmops.bundle.refusal import UNPACK, refusal
from llmops.domain.bundle import BundleFile
from llmops.domain.errors import WrongInput
from llmops.domain.file_names import colliding_file_names, unsafe_file_name
from llmops.domain.units import padded

BLOCK = 512
TOP = "llmops-bundle"
"""The folder everything is in, so that `tar -xf` makes one folder."""

END_BYTES = 2 * BLOCK
OCTAL_LIMIT = 8**11
_KINDS = {
    b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"4": "a device", b"5": "a folder of its own",
    b"6": "a pipe", b"S": "a sparse file", b"x": "an extended header", b"g": "a global header", b"L": "a long name",
    b"K": "a long link",
}  # fmt: skip


def header(path: str, size: int) -> bytes:
    """The header of a regular file: mode 0644, owner 0, time stamp 1. Raises `WrongInput` for a path that is too long.

    Lengths from 8 GiB are binary, as GNU tar and bsdtar write them.
    """
    prefix, name = _parts(f"{TOP}/{path}")
    length = f"{size:011o}".encode() + b"\0" if size < OCTAL_LIMIT else b"\x80" + size.to_bytes(11, "big")
    fields = (
        name.ljust(100, b"\0"), b"0000644\0", b"0000000\0", b"0000000\0", length, b"00000000001\0", b" " * 8, b"0",
        bytes(100), b"ustar\0", b"00", bytes(32), bytes(32), b"0000000\0", b"0000000\0", prefix.ljust(155, b"\0"), bytes(12),
    )  # fmt: skip
    raw = b"".join(fields)
    return raw[:148] + f"{sum(raw):06o}\0 ".encode() + raw[156:]


def _parts(path: str) -> tuple[bytes, bytes]:
    """Prefix and name: cut at the first slash behind which there are at most 100 bytes."""
    raw = path.encode()
    if len(raw) <= 100:
        return b"", raw
    at = raw.find(b"/", len(raw) - 101)
    if at < 0 or at > 155 or at == len(raw) - 1:
        raise WrongInput(
            f"the path `{path[:200]}` is too long for a tar archive", hint="make the bundle as a directory"
        )
    return raw[:at], raw[at + 1 :]


def member(path: str, content: bytes) -> bytes:
    """Header, content and padding."""
    return header(path, len(content)) + content.ljust(padded(len(content), BLOCK), b"\0")


def member_bytes(size: int) -> int:
    """What a file of this size takes."""
    return BLOCK + padded(size, BLOCK)


def body_bytes(large: tuple[BundleFile, ...]) -> int:
    """Everything behind the text: the large files and the archive's end."""
    return sum(member_bytes(one.bytes) for one in large) + END_BYTES


def members(data: bytes, *, name: str) -> Iterator[tuple[str, bytes]]:
    """Path and content of each file of the text part. Raises `WrongInput` for whatever this program does not write."""
    seen: list[str] = []
    at = 0
    while at < len(data):
        raw = data[at : at + BLOCK]
        path, size = _read_header(raw, name=name)
        if len(raw) < BLOCK or at + member_bytes(size) > len(data):
            raise refusal(name, f"`{path}` is cut short", hint="copy the bundle again")
        seen.append(path)
        yield path, data[at + BLOCK : at + BLOCK + size]
        at += member_bytes(size)
    if len(set(seen)) < len(seen):
        raise refusal(name, "it holds a file twice", hint="make the bundle again")
    collision = colliding_file_names(seen)
    if collision is not None:
        text = f"`{collision[0]}` and `{collision[1]}` are one file where case does not count"
        raise refusal(name, text, hint="make the bundle again")


def _read_header(raw: bytes, *, name: str) -> tuple[str, int]:
    prefix, last = raw[345:500].rstrip(b"\0"), raw[:100].rstrip(b"\0")
    path = (prefix + b"/" + last if prefix else last).decode("utf-8", "replace")
    shown = path[:200].replace("\n", "?")
    kind = _KINDS.get(raw[156:157])
    if kind is not None:
        raise refusal(name, f"`{shown}` is {kind}: a bundle has regular files only")
    inside = path.removeprefix(f"{TOP}/")
    unsafe = unsafe_file_name(path) or ("is not below its folder" if inside == path else None)
    if unsafe is not None:
        raise refusal(name, f"the path {shown!r} {unsafe}: refused")
    try:
        size = int.from_bytes(raw[125:136], "big") if raw[124:125] == b"\x80" else int(raw[124:135], 8)
    except ValueError:
        size = -1
    if size < 0 or header(inside, size) != raw:
        raise refusal(name, f"`{shown}` has not the header this program writes", hint=UNPACK)
    return inside, size
