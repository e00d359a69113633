"""The names of Python wheels (PEP 427): which distribution, which version."""

import re

from llmops.domain.records import dataclass

_NAME = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._]*)-(?P<version>[A-Za-z0-9][A-Za-z0-9.!+_]*)(?:-\d[A-Za-z0-9_.]*)?"
    r"-[A-Za-z0-9_.]+-[A-Za-z0-9_.]+-[A-Za-z0-9_.]+\.whl",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A distribution, its name normalized (PEP 503), and its version."""

    name: str
    version: str


def parse_wheel_name(file: str) -> Wheel | None:
    """None for a name that is no wheel's."""
    match = _NAME.fullmatch(file)
    if match is None:
        return None
    return Wheel(name=re.sub(r"[-_.]+", "-", match["name"]).lower(), version=match["version"].replace("_", "+", 1))
