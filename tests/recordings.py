"""Recorded hosts: `tests/recorded/<source>/<case>/root` as captured, `reading.json` beside it as understood.

A box that misbehaves becomes the next case: its files, with names and serials replaced, and what they mean.
"""

import json
from pathlib import Path

from llmops.domain.forms import Json

RECORDED = Path(__file__).parent / "recorded"


def cases(source: str) -> list[str]:
    """The names of the recorded cases of one source."""
    names = sorted(folder.name for folder in (RECORDED / source).iterdir() if (folder / "root").is_dir())
    assert names, f"no case of {source} is recorded"
    return names


def root(source: str, case: str) -> Path:
    """The captured files."""
    return RECORDED / source / case / "root"


def reading(source: str, case: str) -> Json:
    """What they mean."""
    data: Json = json.loads((RECORDED / source / case / "reading.json").read_text())
    return data
