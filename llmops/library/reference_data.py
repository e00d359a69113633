"""Dated rows that a host may replace without a new program: `$LLMOPS_DATA`, then /etc/llmops/data, then what is shipped."""

from collections.abc import Mapping
from pathlib import Path

from llmops.library import shipped
from llmops.library.files import read_text

HOST_DIRECTORY = Path("/etc/llmops/data")
SHIPPED = "shipped"


def read(name: str, *, environment: Mapping[str, str], host_directory: Path = HOST_DIRECTORY) -> tuple[str, str]:
    """The text of `name` ("advisories.json"), and where it was read. A file that is there and cannot be read is an error.

    `LLMOPS_DATA` is a directory; what it does not have is looked for in the next place.
    """
    given = environment.get("LLMOPS_DATA", "")
    for folder in (Path(given) if given else None, host_directory):
        if folder is not None and _is_there(folder / name):
            return read_text(folder / name, hint=f"move {folder / name} away to use the shipped rows"), str(
                folder / name
            )
    return shipped.text("catalogue", name), SHIPPED


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return True
    return True
