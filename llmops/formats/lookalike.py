"""What a file is by its first bytes, when it is not what its name says."""

_MAGICS: tuple[tuple[bytes, str], ...] = (
    (b"GGUF", "a GGUF file"),
    (b"lmgg", "a ggml file from before GGUF (2023)"),
    (b"fmgg", "a ggmf file from before GGUF (2023)"),
    (b"tjgg", "a ggjt file from before GGUF (2023)"),
    (b"algg", "a ggla adapter from before GGUF (2023)"),
    (b"version https://git-lfs", "a Git LFS pointer: the file itself was not fetched"),
    (b"PK\x03\x04", "a zip archive (PyTorch checkpoints are such archives)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x7fELF", "a program"),
    (b"%PDF", "a PDF"),
)
_PRINTABLE = frozenset(range(0x20, 0x7F)) | {0x09, 0x0A, 0x0D}


def looks_like(head: bytes) -> str:
    """A few words for the first bytes (some hundred are enough): `an HTML page`, `a text file`, `zeros …`."""
    if not head:
        return "an empty file"
    for magic, words in _MAGICS:
        if head.startswith(magic):
            return words
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:64].lower()
    if start.startswith((b"<!doctype", b"<html", b"<head")):
        return "an HTML page: most likely what a server answered instead of the file"
    if start.startswith(b"<?xml"):
        return "an XML document: most likely a server's error"
    if start.startswith((b"{", b"[")):
        return "JSON text"
    if len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= 100_000_000:
        return "a safetensors file"
    if not any(head):
        return "zeros: space was reserved, but the content never written"
    if all(byte in _PRINTABLE for byte in head[:512]):
        return "a text file"
    return "no format that is known here"
