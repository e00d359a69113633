"""A small text file of the host, such as those under /proc."""

from itertools import islice
from pathlib import Path

from llmops.domain.reading import Known, Unknown

STEP_BYTES = 64 << 10
LIMIT_BYTES = 32 << 20
"""More than /proc/cpuinfo of a thousand threads or /proc/net/tcp of a busy gateway."""


def read_text(path: Path) -> Known[str] | Unknown:
    """The file's text, bytes that are not UTF-8 replaced; `Unknown` with the system's reason when it cannot be read."""
    try:
        with path.open("rb") as file:
            # in small steps: files under /proc/sys refuse to fill a large buffer
            parts = [*islice(iter(lambda: file.read(STEP_BYTES), b""), LIMIT_BYTES // STEP_BYTES)]
            return Known(b"".join(parts).decode("utf-8", "replace"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Unknown(f"{path}: {reason.lower()}")


def text_or_none(path: Path) -> str | None:
    """The file's text without surrounding white space, None when there is none to read."""
    reading = read_text(path)
    return reading.value.strip() if isinstance(reading, Known) else None


def whole_number(text: str | None) -> int | None:
    """A non-negative whole number in plain digits, else None."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
